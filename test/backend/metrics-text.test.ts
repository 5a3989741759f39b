import { expect, test } from "bun:test"
import fc from "fast-check"
import { samplesIn, wholeLabel } from "../../src/backend/metrics-text.ts"

const wanted = new Set(["a:one", "two"])

const read = (text: string) =>
  samplesIn(text, wanted).map(({ name, labels, value }) => [name, Object.fromEntries(labels), value])

test("the figures that are looked for are found among the others, with their labels", () => {
  const text = [
    "# HELP a:one what it is",
    "# TYPE a:one gauge",
    'a:one{engine="0",model_name="say \\"hi\\", {all}\\\\"} 3.0',
    "a:one_more 5",
    "two 1e3",
    "two\t4 1700000000000\r",
    "",
    "two +Inf"
  ].join("\n")
  expect(read(text)).toEqual([
    ["a:one", { engine: "0", model_name: 'say "hi", {all}\\' }, 3],
    ["two", {}, 1000],
    ["two", {}, 4],
    ["two", {}, NaN]
  ])
})

test("text that is something else has no figures", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      expect(samplesIn(text.replaceAll("two", ""), wanted)).toEqual([])
    })
  )
  expect(read("<html>two 4</html>")).toEqual([])
  expect(read("two\ntwo{\ntwo four five six\ntwo{x=4} ")).toEqual([])
})

test("a label is a number when it is written as one alone", () => {
  const [sample] = samplesIn('two{a="65536",b="-1",c="None",d="1e9",e="",f="9999999999999999999"} 1', wanted)
  if (sample === undefined) throw new Error("it is there")
  expect([..."abcdefg"].map((name) => wholeLabel(sample, name))).toEqual([
    65_536,
    undefined,
    undefined,
    undefined,
    undefined,
    undefined,
    undefined
  ])
})
