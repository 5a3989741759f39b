import { describe, expect, test } from "bun:test"
import { parseDocument, stringify } from "yaml"
import { isTable, type KeyPath, showPath } from "../../src/config/path.ts"
import { type ImportFormat, importFormats } from "../../src/config/import/import-formats.ts"
import { checked, fixture, imported, namedIn } from "./importing.ts"

const files: ReadonlyArray<readonly [ImportFormat, string]> = [
  ["litellm", "litellm.yaml"],
  ["olla", "olla.yaml"],
  ["llama-swap", "llama-swap.yaml"],
  ["bifrost", "bifrost.json"]
]

const leavesOf = (value: unknown, path: KeyPath = []): ReadonlyArray<KeyPath> => {
  if (Array.isArray(value) && value.length > 0) return value.flatMap((each, index) => leavesOf(each, [...path, index]))
  if (isTable(value) && Object.keys(value).length > 0) {
    return Object.entries(value).flatMap(([key, each]) => leavesOf(each, [...path, key]))
  }
  return [path]
}

const isWithin = (key: string, named: string): boolean =>
  key === named || key.startsWith(`${named}.`) || key.startsWith(`${named}[`)

for (const [kind, file] of files) {
  const text = fixture(file)
  const result = imported(text, undefined, file)

  describe(`${file}, as people have it,`, () => {
    test("is told by its content, whatever it is called", () => {
      expect(result.kind).toBe(kind)
      expect(imported(text, undefined, "x").kind).toBe(kind)
    })

    test("becomes these settings, and this list of what they do not hold", () => {
      expect(result.toml).toMatchSnapshot()
      expect([...result.left, "", ...result.todo].join("\n")).toMatchSnapshot()
    })

    test("becomes settings without mistakes and without old keys", () => {
      const { warnings, backends } = checked(result)
      expect(backends.length).toBeGreaterThan(3)
      expect(warnings.filter((each) => !each.includes("its key crosses the network"))).toEqual([])
    })

    test("shows no secret, neither in the result nor in the list", () => {
      expect(text).toContain("SECRET")
      expect(JSON.stringify(result)).not.toContain("SECRET")
    })

    test("has every key carried over or named: one changed or taken away has its effect, or is in the list", () => {
      const silent = leavesOf(parseDocument(text).toJS()).filter((path) => {
        if (namedIn(result).some((named) => isWithin(showPath(path), named))) return false
        const same = (change: (document: ReturnType<typeof parseDocument>) => unknown): boolean => {
          const document = parseDocument(text)
          change(document)
          return Bun.deepEquals({ ...imported(String(document), kind, file) }, { ...result })
        }
        return same((each) => each.setIn(path, "changed")) && same((each) => each.deleteIn(path))
      })
      expect(silent.map(showPath)).toEqual([])
    })

    test("has the line of each key that is named", () => {
      const lines = text.split("\n")
      for (const line of result.left) {
        const [, at = "", named = ""] = /^[^:]+:(\d+): (.*?): /.exec(line) ?? []
        const last = /("[^"]*"|[^.[\]]+)(\[\d+\])?$/.exec(named)?.[1]?.replaceAll('"', "") ?? ""
        expect(`${at}: ${lines[Number(at) - 1]}`).toMatch(named.endsWith("]") ? /[-{]/ : last)
      }
    })

    test("is the same in another spelling of YAML", () => {
      expect(imported(stringify(parseDocument(text).toJS()), kind, file).toml).toBe(result.toml)
    })
  })
}

test("every kind but the Rust Nexus, whose settings need no import, has a fixture", () => {
  expect([...files.map(([kind]) => kind), "nexus-rust"]).toEqual([...importFormats])
})
