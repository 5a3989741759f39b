import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { existsSync, readFileSync } from "node:fs"
import { dirname, join, normalize } from "node:path"
import { anchorsOf, blocksOf, fieldsIn, linksOf, scriptOf } from "./pages.ts"
import { makeReader, type Reader } from "./reader.ts"

// Blocks start processes, and a busy machine starts them slowly.
setDefaultTimeout(120_000)

const root = join(import.meta.dir, "../..")
const pages = ["README.md", ...[...new Bun.Glob("docs/**/*.md").scanSync(root)].sort()]
const textOf = (page: string): string => readFileSync(join(root, page), "utf8")

let reader: Reader
beforeAll(async () => {
  reader = await makeReader()
})
afterAll(() => reader.close())

for (const page of pages) {
  const blocks = blocksOf(textOf(page)).filter(({ notRun }) => notRun === undefined)
  if (blocks.length === 0) continue
  test(`the commands of ${page} do what it says, one after the other in one directory, and answer with the fields that it shows`, async () => {
    const cwd = reader.directory()
    for (const { line, shown, text } of blocks) {
      const { code, said, stdout } = await reader.run(text, cwd)
      if (code !== 0) {
        throw new Error(
          `${page}:${line}: exit ${code}\n${text}\n${said}\nMend it, say \`# exit ${code}\` behind the command, ` +
            "or write `<!-- not run: why -->` on the line before the block."
        )
      }
      const fields = fieldsIn(shown)
      expect({ line, fields: fieldsIn(stdout).slice(0, fields.length) }).toEqual({ line, fields: [...fields] })
    }
  })
}

describe("links of the pages", () => {
  for (const page of pages) {
    test(`lead somewhere in ${page}`, () => {
      const broken = linksOf(textOf(page)).filter((link) => {
        const [path = "", anchor] = link.split("#")
        const target = path === "" ? page : normalize(join(dirname(page), decodeURIComponent(path)))
        if (!existsSync(join(root, target))) return true
        return anchor !== undefined && target.endsWith(".md") && !anchorsOf(textOf(target)).has(anchor)
      })
      expect(broken).toEqual([])
    })
  }
})

describe("a block of commands", () => {
  const outcome = async (text: string): Promise<number> => (await reader.run(text, reader.directory())).code

  test("fails with the first command that fails, whatever follows", async () => {
    expect(await outcome("false\ntrue")).toBe(1)
    expect(await outcome("nexus models --nope\ntrue")).toBe(2)
    expect(await outcome("nexus models --json | head -1")).toBe(0)
    expect(await outcome("no-such-program\ntrue")).toBe(127)
    expect(await outcome("npx --yes something")).toBe(97)
    expect(await outcome("bun run verify")).toBe(97)
  })

  test("may say the exit of a command, and fails when it is another one", async () => {
    expect(await outcome("nexus models --nope # exit 2\ntrue")).toBe(0)
    expect(await outcome("nexus models # exit 2\ntrue")).toBe(1)
  })

  test("asks the gateway of the test where it names the usual port", async () => {
    expect(scriptOf("curl localhost:8000/v1 http://127.0.0.1:8000 http://localhost:80001", "5")).toContain(
      "curl 127.0.0.1:5/v1 http://127.0.0.1:5 http://localhost:80001"
    )
    expect(await outcome("curl -fsS http://localhost:8000/readyz")).toBe(0)
    expect((await reader.run("bun run nexus models", reader.directory())).said).toContain("simulated-small")
  })

  test("may start a gateway, which has to come up and to end in order", async () => {
    const { code, said } = await reader.run("nexus serve --demo --no-discovery", reader.directory())
    expect({ code, said }).toEqual({ code: 0, said: expect.stringContaining("listens on http://127.0.0.1:") })
    expect(await outcome("nexus serve -c missing.toml")).toBe(1)
  })

  test("has a home of its own", async () => {
    const { said } = await reader.run('echo "$HOME"', reader.directory())
    expect(said).toContain("nexus-reader-")
  })
})

describe("the pages are read", () => {
  test("block by block, with the mark before a block", () => {
    const page = "a\n```bash\none\n```\n<!-- not run: it needs a GPU -->\n```bash\ntwo\nthree\n```\n```toml\n# x\n```\n"
    expect(blocksOf(page)).toEqual([
      { line: 3, text: "one", notRun: undefined, shown: "" },
      { line: 7, text: "two\nthree", notRun: "it needs a GPU", shown: "" }
    ])
    expect(blocksOf("```bash\none\n```\n\n```\n{}\nx\n```\n")[0]?.shown).toBe("{}\nx")
    expect(fieldsIn('HTTP/1.1 200 OK\n\n{"a":[{"b":1},{"c":2}]}{"d":0}\n{cut')).toEqual([
      [".a", ".a[].b", ".a[].c"],
      [".d"]
    ])
    expect(blocksOf("<!-- not run: -->\n```bash\nx\n```\n")[0]?.notRun).toBeUndefined()
    expect(() => blocksOf("```bash\nx\n")).toThrow("line 1")
  })

  test("with their links and headings, but not those of code", () => {
    expect(linksOf("[a](b.md#c) `[x](y)` [h](https://h)\n```\n[n](o)\n```\n[d](../e)")).toEqual(["b.md#c", "../e"])
    expect([...anchorsOf("# One `two`, three\n```\n# no\n```\n## [L](x) é\n## L é\n")]).toEqual([
      "one-two-three",
      "l-é",
      "l-é-1"
    ])
  })
})
