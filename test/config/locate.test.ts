import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { parse } from "smol-toml"
import { lineOf, linesOf } from "../../src/config/locate.ts"
import { pathId, isTable, type KeyPath, valueAt } from "../../src/config/path.ts"

const doc = `# [server] in a comment
[server] # a table
host = "a # no comment" # one
"quoted.key" = 'x = "y"'
text = """
[server]
port = 1 \\""" """
dotted . "in two" . parts = 1

[routing]
weights = { load = 1, "priority" = [ 1,
  { deep = 2 } ] }
literal = '''
x = 1 '''''
after = [
  "one", # ]
  [ "two",
    3 ],
]
when = 1979-05-27 07:32:00
"\\u0061\\t" = 1

[[backends]]
name = "a"
[[backends.models]]
id = 1
[[backends.models]]
id = 2
[backends.more]
x = 1
[[ "backends" ]]
name = "b"
models = [{ id = 1 }, { id = 2 }]`

describe("the line of a key is found", () => {
  const lines = linesOf(doc)
  const rows: ReadonlyArray<readonly [KeyPath, number]> = [
    [["server"], 2],
    [["server", "host"], 3],
    [["server", "quoted.key"], 4],
    [["server", "text"], 5],
    [["server", "dotted", "in two", "parts"], 8],
    [["routing", "weights", "load"], 11],
    [["routing", "weights", "priority", 0], 11],
    [["routing", "weights", "priority", 1, "deep"], 12],
    [["routing", "literal"], 13],
    [["routing", "after", 0], 16],
    [["routing", "after", 1, 1], 18],
    [["routing", "when"], 20],
    [["routing", "a\t"], 21],
    [["backends", 0], 23],
    [["backends", 0, "name"], 24],
    [["backends", 0, "models", 0, "id"], 26],
    [["backends", 0, "models", 1, "id"], 28],
    [["backends", 0, "more", "x"], 30],
    [["backends", 1, "name"], 32],
    [["backends", 1, "models", 1, "id"], 33]
  ]
  for (const [path, line] of rows) test(`${path.join(" . ")}`, () => expect(lines.get(pathId(path))).toBe(line))

  test("as that of the table around it when it is missing", () => {
    expect(lineOf(lines, ["backends", 1, "url"])).toBe(31)
    expect(lineOf(lines, ["nowhere"])).toBeUndefined()
  })

  test("with Windows line ends and a byte order mark", () => {
    const windows = linesOf(`\ufeff${doc.replaceAll("\n", "\r\n")}`)
    for (const [path, line] of rows) expect(windows.get(pathId(path))).toBe(line)
  })
})

const everyPath = (value: unknown, path: KeyPath = []): ReadonlyArray<KeyPath> => {
  const below = Array.isArray(value)
    ? value.flatMap((each, index) => everyPath(each, [...path, index]))
    : isTable(value)
      ? Object.entries(value).flatMap(([key, each]) => everyPath(each, [...path, key]))
      : []
  return path.length === 0 ? below : [path, ...below]
}

const key = fc.oneof(fc.constantFrom("a", "b-1", "C_"), fc.string({ maxLength: 5, unit: "grapheme" }))
const written = (text: string) =>
  /^[A-Za-z0-9_-]+$/.test(text) ? text : JSON.stringify(text).replaceAll("\u007f", "\\u007f")
const filler = fc.constantFrom("", "\n", "# a = 1\n", "\n# [x]\n\n")

/** Each value takes one key of its own, so that the document says where it expects it. */
const documents = fc
  .array(
    fc.record({
      table: key,
      kind: fc.constantFrom("table", "list"),
      before: filler,
      pairs: fc.uniqueArray(fc.record({ key, before: filler, lines: fc.nat(3), form: fc.nat(4) }), {
        selector: (pair) => pair.key,
        maxLength: 5
      })
    }),
    { maxLength: 5 }
  )
  .map((sections) => {
    const wanted: Array<readonly [KeyPath, number]> = []
    const count = new Map<string, number>()
    let text = ""
    const line = () => text.split("\n").length
    for (const { table, kind, before, pairs } of sections) {
      const name = `${kind} ${table}`
      const index = count.get(name) ?? 0
      count.set(name, index + 1)
      if (kind === "table" && index > 0) continue
      const path: KeyPath = kind === "table" ? [name] : [name, index]
      text += before
      wanted.push([path, line()])
      text += kind === "table" ? `[${written(name)}]\n` : `[[${written(name)}]]\n`
      for (const pair of pairs) {
        text += pair.before
        const at = [...path, pair.key]
        wanted.push([at, line()])
        text += `${written(pair.key)} = `
        const breaks = "\n".repeat(pair.lines)
        if (pair.form === 0) text += "1\n"
        else if (pair.form === 1) text += `"""${breaks}x = 1\n[y]"""\n`
        else if (pair.form === 2) text += `'''${breaks}"'''\n`
        else {
          text += `[ "#", ${breaks}`
          wanted.push([[...at, 1], line()])
          text += pair.form === 3 ? "2 ] # ]\n" : "{ z = '}' } ]\n"
        }
      }
    }
    return { text, wanted }
  })

test("the line of every key of every document is the one it was written on (law)", () => {
  fc.assert(
    fc.property(documents, ({ text, wanted }) => {
      const tree = parse(text)
      const lines = linesOf(text)
      for (const [path, line] of wanted) {
        expect(valueAt(tree, path)).toBeDefined()
        expect([path, lines.get(pathId(path))]).toEqual([path, line])
      }
      for (const path of everyPath(tree)) expect([path, lines.has(pathId(path))]).toEqual([path, true])
    }),
    { numRuns: 300 }
  )
})

test("looking for lines ends on any text (law)", () => {
  const pieces = fc.constantFrom("[", "]", "{", "}", '"', "'", '"""', "=", ".", ",", "\n", "a", " ", "#", "\\", "1")
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 40 }), (parts) => {
      for (const line of linesOf(parts.join("")).values()) expect(line).toBeGreaterThan(0)
    })
  )
})
