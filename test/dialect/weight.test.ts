import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { estimateOf, weighText, weighJson, noWeight } from "../../src/dialect/token-estimate.ts"

const tokens = (text: string) => {
  const weight = noWeight()
  weighText(text, weight)
  return estimateOf(weight)
}

const filled = (text: string, units = 4000): string => text.repeat(Math.ceil(units / text.length)).slice(0, units)

/** Texts of 4,000 units, and the fewest tokens that any of seven common tokenizers makes of their kind. */
const kinds: ReadonlyArray<readonly [kind: string, text: string, fewest: number]> = [
  [
    "English prose",
    "All human beings are born free and equal in dignity and rights. They are endowed with reason and conscience and should act towards one another in a spirit of brotherhood. ",
    740
  ],
  [
    "German",
    "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und Gewissen begabt und sollen einander im Geist der Brüderlichkeit begegnen. ",
    788
  ],
  [
    "Russian",
    "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и совестью и должны поступать в отношении друг друга в духе братства. ",
    901
  ],
  ["Chinese", "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。", 2305],
  ["Hindi", "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है। ", 940],
  ["Thai", "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ", 1335],
  ["TypeScript", "export const sum = (a: number, b: number): number => a + b\nconst total = sum(1, 2)\n", 918],
  ["rules of dashes", `${"-".repeat(79)}\n`, 99],
  ["indented brackets", `      {\n            [\n            ],\n      },\n`, 421],
  ["deeply indented HTML", `${" ".repeat(40)}<div class="row">\n${" ".repeat(42)}<span>text</span>\n`, 720],
  ["long words", "internationalization responsibilities ", 211],
  ["blanks", " ", 31],
  ["one letter", "x", 60],
  ["a table of contents", "Chapter one ....................................... 1\n", 400]
]

describe("the bound on the tokens of a prompt is below what the leanest tokenizer makes of", () => {
  test.each(kinds)("%s", (_kind, text, fewest) => {
    expect(tokens(filled(text)).atLeastTokens).toBeLessThanOrEqual(fewest)
  })
})

test("plain prose is bound to a sixth of its letters, so that what is far too long is known", () => {
  const [, prose = ""] = kinds[0] ?? []
  expect(tokens(filled(prose)).atLeastTokens).toBeGreaterThan(640)
})

test("the estimate knows that ideographs and digits make more tokens than Latin letters do", () => {
  expect(tokens("word ".repeat(800)).promptTokens).toBe(1000)
  expect(tokens("人".repeat(4000)).promptTokens).toBe(2800)
  expect(tokens("4711".repeat(1000)).promptTokens).toBe(2800)
})

const texts = fc.oneof(fc.string({ unit: "binary" }), fc.string(), fc.string({ unit: "grapheme" }))

test("the bound is never above the estimate, nor above a token for each six letters (law)", () =>
  fc.assert(
    fc.property(texts, (text) => {
      const { atLeastTokens, promptTokens } = tokens(text)
      expect(atLeastTokens).toBeLessThanOrEqual(promptTokens)
      expect(atLeastTokens).toBeLessThanOrEqual(text.length / 6)
    })
  ))

test("more of a text never makes fewer tokens (law)", () =>
  fc.assert(
    fc.property(texts, texts, (text, more) => {
      expect(tokens(text + more).atLeastTokens).toBeGreaterThanOrEqual(tokens(text).atLeastTokens)
      expect(tokens(text + more).promptTokens).toBeGreaterThanOrEqual(tokens(text).promptTokens)
    })
  ))

test("a value of any depth is weighed, and nothing but its texts (law)", () =>
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 8 }), (value) => {
      const weight = noWeight()
      weighJson(value, weight)
      expect(estimateOf(weight).promptTokens).toBeLessThanOrEqual(JSON.stringify(value).length)
    })
  ))
