import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import fc from "fast-check"
import { parse } from "smol-toml"
import { addBackend, removeBackend } from "../../src/config/edit.ts"
import { substitute } from "../../src/config/substitute.ts"
import { anyText, hostile, written } from "./editing.ts"

type Tree = Record<string, unknown>
const treeOf = (text: string): Tree => parse(text.replace(/^\ufeff/, "")) as Tree
const backendsOf = (text: string): ReadonlyArray<Tree> => (treeOf(text)["backends"] ?? []) as ReadonlyArray<Tree>
const restOf = (text: string): Tree => ({ ...treeOf(text), backends: undefined })
const linesOf = (text: string): ReadonlyArray<string> => text.replace(/^\ufeff/, "").match(/[^\n]*\n|[^\n]+$/g) ?? []
const done = (edited: Result.Result<string, string>): string =>
  Result.getOrElse(edited, (refused) => {
    throw new Error(refused)
  })
const refusal = (edited: Result.Result<string, string>): string =>
  Result.match(edited, { onFailure: (words) => words, onSuccess: (text) => `accepted: ${text}` })

const entry = { name: "new", url: "http://127.0.0.1:1234", type: "ollama", priority: 3, forward_authorization: true }

const file = `# My machines

[server]
port = 8000 # of the house

# the small one
[[backends]]
name = "small"   # in the kitchen
url = 'http://kitchen:11434'
# priority = 1

  [[backends.models]]
  id = "phi"

# the big one
[[backends]]
name = "big"
url = "http://cellar:8000"

# Where requests go
[routing]
max_retries = 1
`

describe("a new backend", () => {
  test("comes after the last one, before what follows", () => {
    expect(done(addBackend(file, { name: "new", url: "http://x:1", type: undefined, max_concurrent: 2 }))).toBe(
      file.replace(
        `cellar:8000"\n`,
        `cellar:8000"\n\n[[backends]]\nname = "new"\nurl = "http://x:1"\nmax_concurrent = 2\n`
      )
    )
  })

  test("comes at the end of a file without backends, in the file's own line ends", () => {
    const text = "[server]\r\nport = 1"
    expect(done(addBackend(text, { name: "a" }))).toBe('[server]\r\nport = 1\r\n\r\n[[backends]]\r\nname = "a"')
  })

  test("fills an empty file", () => {
    expect(done(addBackend("", { name: "a", url: "http://b" }))).toBe('[[backends]]\nname = "a"\nurl = "http://b"\n')
  })

  test("is refused when its name is taken, the list is inline or a plain table, or the file is broken", () => {
    expect(refusal(addBackend(file, { name: "big" }))).toBe("the file has a [[backends]] table named 'big' already")
    const inline = "line 2 does not write the backends as [[backends]] tables; only those can be edited."
    expect(refusal(addBackend('\nbackends = [{ name = "a" }]', entry))).toStartWith(inline)
    expect(refusal(addBackend("\nbackends = []", entry))).toStartWith(inline)
    expect(refusal(addBackend("\n[backends]\na = 1", entry))).toStartWith(inline)
    expect(refusal(addBackend("\nbackends.a = 1", entry))).toStartWith(inline)
    expect(refusal(addBackend("a = 1\nb =", entry))).toBe("line 2 is no valid TOML")
  })

  test("is added to every text as one run of lines, and reads back as given beside all that was there (law)", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const added = done(addBackend(text, entry))
        expect(restOf(added)).toEqual(restOf(text))
        expect(backendsOf(added)).toEqual([...backendsOf(text), entry])
        const [before, after] = [linesOf(text), linesOf(added)]
        const same = before.findIndex((line, at) => line !== after[at])
        const head = same === -1 ? before.length : same
        const isOpenEnded =
          head < before.length && after[head] !== before[head] && after[head]?.startsWith(before[head] ?? "") === true
        const tail = before.slice(head + (isOpenEnded ? 1 : 0))
        expect(after.slice(after.length - tail.length)).toEqual([...tail])
      })
    )
  })

  test("and taken out again leaves the text byte for byte as it was, whatever the text (law)", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(done(removeBackend(done(addBackend(text, entry)), entry.name))).toBe(text)
      }),
      { numRuns: 300 }
    )
  })

  test("reads back as given, whatever its strings hold (law)", () => {
    fc.assert(
      fc.property(anyText, hostile, hostile, (text, name, url) => {
        const added = done(addBackend(text, { name, url }))
        expect(restOf(added)).toEqual(restOf(text))
        const last = substitute({ last: backendsOf(added).at(-1) }, {}).tree["last"]
        expect({ ...(last as Tree) }).toEqual({ name, url })
        expect(done(removeBackend(added, name))).toBe(text)
      })
    )
  })

  test("is refused when TOML has no way to write it", () => {
    expect(refusal(addBackend("", { name: "a\ud800" }))).toBe("TOML cannot hold the value of name")
    expect(refusal(addBackend("", { name: "a", "k\ud800": 1 }))).toBe("TOML cannot hold the value of k\ud800")
    expect(refusal(addBackend("", { name: "a", priority: Number.NaN }))).toBe("TOML cannot hold the value of priority")
  })
})

describe("a backend that is taken out", () => {
  test("goes with its sub-tables and the comments right above it, and nothing else", () => {
    expect(done(removeBackend(file, "small"))).toBe(file.replace(/\n# the small one[^]*"phi"\n/, ""))
    expect(done(removeBackend(file, "big"))).toBe(file.replace(/\n# the big one[^]*cellar:8000"\n/, ""))
  })

  test("leaves the head of the file and settings of other tables that are comments", () => {
    const text = `# Head of the file\n\n[[backends]]\nname = "a"\n# priority = 2\n# the other\n[[backends]]\nname = "b"\n# type = "x"\n\n# Footer\n`
    expect(done(removeBackend(text, "a"))).toBe(
      `# Head of the file\n# the other\n[[backends]]\nname = "b"\n# type = "x"\n\n# Footer\n`
    )
    expect(done(removeBackend(text, "b"))).toBe(
      `# Head of the file\n\n[[backends]]\nname = "a"\n# priority = 2\n\n# Footer\n`
    )
  })

  test("leaves a table that was made a comment right below it", () => {
    const off = '# [[backends]]\n# name = "spare"\n'
    expect(done(removeBackend(`[[backends]]\nname = "a"\n# priority = 2\n${off}`, "a"))).toBe(off)
  })

  test("takes sub-tables along that stand elsewhere", () => {
    const text = `[[backends]]\nname = "a"\n\n[server]\nport = 1\n\n[[backends.models]]\nid = "m"\n`
    expect(done(removeBackend(text, "a"))).toBe("[server]\nport = 1\n")
  })

  test("must be there, once, and in a table of its own", () => {
    expect(refusal(removeBackend(file, "x\n"))).toBe("the file has no [[backends]] table named 'x\\u000a'")
    expect(refusal(removeBackend('backends = [{ name = "a" }]', "a"))).toStartWith("line 1 does not write")
    expect(refusal(removeBackend('[[backends]]\nname = "a"\n[[backends]]\nname = "a"\n', "a"))).toBe(
      "the file has 2 [[backends]] tables named 'a'; give each a name of its own"
    )
  })

  test("is one part of the text, and all other parts stay byte for byte (law)", () => {
    fc.assert(
      fc.property(written, fc.nat(), ({ parts, textOf }, pick) => {
        const mine = parts.filter((part) => part.backend !== undefined)
        const gone = mine[pick % Math.max(1, mine.length)]
        fc.pre(gone?.backend !== undefined)
        const text = textOf(parts)
        const removed = done(removeBackend(text, gone!.backend!))
        expect(removed).toBe(textOf(parts.filter((part) => part !== gone)))
        expect(restOf(removed)).toEqual(restOf(text))
        expect(backendsOf(removed)).toEqual(backendsOf(text).filter((each) => each["name"] !== gone!.backend))
      }),
      { numRuns: 300 }
    )
  })
})
