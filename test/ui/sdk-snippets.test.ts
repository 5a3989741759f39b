import { describe, expect, test } from "bun:test"
import { join } from "node:path"
import * as fc from "fast-check"
import { clientLanguages, isLanguage, type LanguageName, type Said } from "../../src/ui/client-languages.ts"
import { snippetOf } from "../../src/ui/sdk-snippets.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway } from "../kit/gateway.ts"

const root = join(import.meta.dir, "../..")

const python = Bun.which("python3")

const languages = Object.keys(clientLanguages).filter((name): name is LanguageName => isLanguage(name))

const said = (text: string): ReadonlyArray<Said> => [{ role: "user", text }]

const hostile = `'"\\\`\${process.exit(1)}</script>\n""" # {}`

const run = async (command: ReadonlyArray<string>, input = ""): Promise<string> => {
  const child = Bun.spawn([...command], { cwd: root, stdin: new Blob([input]), stdout: "pipe", stderr: "pipe" })
  const [out, failure] = await Promise.all([child.stdout.text(), child.stderr.text()])
  expect([await child.exited, failure.slice(0, 500)]).toEqual([0, expect.any(String)])
  return out
}

describe("the programs of the playground", () => {
  test("ask what was asked, by the client library of each language", async () => {
    await using up = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({ backends: [backendFor("a", up)] })
    const outs = await Promise.all(
      languages.map((language) =>
        run([process.execPath, "-e", snippetOf("script", language, gateway.url, "m", said(hostile)).text])
      )
    )
    expect(outs).toEqual(languages.map(() => "Hello there"))
    expect(up.calls().length).toBe(languages.length)
    for (const { text } of up.calls()) expect(JSON.stringify(JSON.parse(text))).toContain(JSON.stringify(hostile))
  })

  test.skipIf(python === null)("hold in Python what was said, whatever that is", async () => {
    const text = fc.string({ unit: "grapheme" })
    const questions = fc.tuple(text, fc.option(fc.constant("data:image/png;base64,AAEC"), { nil: undefined }))
    const all = fc.sample(questions, { numRuns: 30, seed: 1 })
    const asked = [...all, [hostile, undefined] as const]
    const programs = languages.flatMap((language) =>
      asked.map(([each, image]) => ({
        language,
        said: each,
        text: snippetOf("python", language, "http://h", each, [
          { role: "user", text: each, ...(image === undefined ? {} : { image }) }
        ]).text
      }))
    )
    // Each text of the program's tree, as Python reads it.
    const reads = `import ast, json, sys
print(json.dumps([[n.value for n in ast.walk(ast.parse(p)) if isinstance(n, ast.Constant) and isinstance(n.value, str)] for p in json.load(sys.stdin)]))`
    const out = await run([python ?? "", "-c", reads], JSON.stringify(programs.map((program) => program.text)))
    const texts = JSON.parse(out) as ReadonlyArray<ReadonlyArray<string>> // reason: it is what the program prints
    expect(texts.length).toBe(programs.length)
    for (const [at, { language, said: each }] of programs.entries())
      expect([language, each, texts[at]?.includes(each)]).toEqual([language, each, true])
  })
})
