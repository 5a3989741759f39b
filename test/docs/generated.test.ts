import { describe, expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { backendTypes } from "../../src/backend/all.ts"
import { filled, pages } from "../../.ci/docs.ts"
import { keyEntries } from "../../src/config/reference.ts"
import { showPath } from "../../src/config/path.ts"
import { errorAdvice } from "../../src/operations/error-advice.ts"
import { errorExamples } from "../../src/operations/error-examples.ts"
import { failureTable } from "../../src/dialect/failures.ts"
import { formOf } from "../kit/refusals.ts"

const textOf = (page: string): string => readFileSync(join(import.meta.dir, "../..", page), "utf8")

describe("what a page takes from the code", () => {
  for (const page of pages) {
    test(`is as the code has it in ${page}; \`bun run docs\` writes it`, () => {
      expect(textOf(page)).toContain("<!-- generated: ")
      expect(textOf(page)).toBe(filled(textOf(page)))
    })
  }

  test("is an error when nothing generates it", () => {
    expect(() => filled("<!-- generated: nothing -->\n<!-- /generated -->")).toThrow("nothing generates 'nothing'")
  })

  test("is written anew over what was there, and what is around it stays", () => {
    const page = "before\n<!-- generated: errors -->\nold\n<!-- /generated -->\nafter\n"
    expect(filled(page)).toMatch(
      /^before\n<!-- generated: errors -->\n\n\| status [\s\S]+\|\n\n<!-- \/generated -->\nafter\n$/
    )
    expect(filled(page)).not.toContain("old")
  })

  test("is true of the example too, where every type of server is named", () => {
    expect(textOf("nexus.example.toml")).toContain(`Types: ${backendTypes.join(", ")}.`)
  })

  test("has every key of the settings, and every failure with its status and code", () => {
    const settings = textOf("docs/configuration.md")
    for (const { path } of keyEntries()) expect(settings).toContain(`| \`${showPath(path).replaceAll("[0]", "[]")}\` |`)
    const errors = textOf("docs/errors.md")
    expect(Object.keys(errorExamples).sort()).toEqual(Object.keys(failureTable).sort())
    expect(Object.keys(errorAdvice).sort()).toEqual(Object.keys(failureTable).sort())
    for (const { error, when } of Object.values(errorExamples)) {
      const { status, code } = formOf(error)
      const rows = errors.split("\n").filter((row) => row.startsWith(`| ${status} | \`${code}\` |`))
      expect(rows.filter((row) => row.includes(`| ${when} |`))).toHaveLength(1)
    }
  })
})
