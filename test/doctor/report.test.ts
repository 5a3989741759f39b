import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { findingText, headingText } from "../../src/cli/doctor/doctor.ts"
import { error, info, ok, warning } from "../../src/doctor/finding.ts"
import { type OpenSection, reportTo } from "../../src/doctor/report.ts"

const recorded = () => {
  const told: Array<string> = []
  const report = reportTo({
    heading: (name) => told.push(`[${name}]`),
    finding: ({ seen }) => told.push(seen)
  })
  return { told, report }
}

describe("a report", () => {
  test("tells a finding as soon as it is known, and what waits for its turn when that comes", () => {
    const { told, report } = recorded()
    const one = report("one", "")
    const two = report("two", "")
    expect(told).toEqual(["[one]"])
    two.say(ok("c", "two, early"))
    one.say(ok("c", "one, at once"))
    expect(told).toEqual(["[one]", "one, at once"])
    two.end()
    one.end()
    expect(told).toEqual(["[one]", "one, at once", "[two]", "two, early"])
    const three = report("three", "")
    three.say(ok("c", "at once"))
    expect(told.slice(4)).toEqual(["[three]", "at once"])
  })

  test("tells the same in the same order, however its sections overtake each other (law)", () => {
    const steps = fc.array(fc.nat(3), { maxLength: 40 })
    fc.assert(
      fc.property(steps, (order) => {
        const { told, report } = recorded()
        const chapters: ReadonlyArray<OpenSection> = [0, 1, 2, 3].map((at) => report(String(at), ""))
        order.forEach((at, step) => chapters[at]?.say(ok("c", `${at}/${step}`)))
        for (const at of new Set([...order, 0, 1, 2, 3])) chapters[at]?.end()
        const said = order.map((at, step) => `${at}/${step}`)
        const wanted = [0, 1, 2, 3].flatMap((at) =>
          [`[${at}]`].concat(said.filter((each) => each.startsWith(`${at}/`)))
        )
        expect(told).toEqual(wanted)
      })
    )
  })
})

describe("colours", () => {
  const red = "\u001b[31m"

  test("have red for errors alone", () => {
    expect(findingText(error("key", "bad", "mend it"), true)).toContain(red)
    for (const each of [ok, info, warning]) expect(findingText(each("key", "so"), true)).not.toContain(red)
    expect(headingText("gateway", "nexus", true)).not.toContain(red)
  })

  test("change no word", () => {
    for (const finding of [error("a", "b", "c"), ok("a", "b"), warning("a", "b", "c"), info("a", "b")]) {
      expect(Bun.stripANSI(findingText(finding, true))).toBe(findingText(finding, false))
    }
    expect(Bun.stripANSI(headingText("a", "b", true))).toBe(headingText("a", "b", false))
  })
})
