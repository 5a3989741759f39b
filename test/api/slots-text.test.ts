import { expect, test } from "bun:test"
import { slotsText } from "../../src/api/slots-text.ts"

test("slots are one number where all models have as many, and the range of them where they differ", () => {
  expect(slotsText([])).toBe("")
  expect(slotsText([{ slots: 4, from: "told" }])).toBe("4 (told)")
  expect(
    slotsText([
      { slots: 8, from: "told" },
      { slots: 2, from: "config" },
      { slots: 4, from: "told" }
    ])
  ).toBe("2 to 8 (config, told)")
})
