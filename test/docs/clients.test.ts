import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { dial } from "../kit/rawClient.ts"
import { makeShell } from "../kit/shell.ts"

// Each test starts processes, and a busy machine starts them slowly.
setDefaultTimeout(120_000)

const folder = join(import.meta.dir, "../../docs/clients")
const pages = readdirSync(folder)

const textOf = (page: string): string => readFileSync(join(folder, page), "utf8")

interface Block {
  /** The text since the block before; empty when there is none. */
  readonly before: string
  readonly body: string
}

const blocksOf = (page: string): ReadonlyArray<Block> =>
  [...textOf(page).matchAll(/([\s\S]*?)\n```\w+\n([\s\S]*?)\n```\n/g)].map(([, before = "", body = ""]) => ({
    before: before.trim(),
    body
  }))

const isRun = ({ before, body }: Block): boolean => body.startsWith("nexus ") && !isMarked({ before, body })

const isMarked = ({ before }: Block): boolean => /(^|\n)Not run here, for [^\n]+:$/.test(before)

const shell = makeShell()
let port: string

beforeAll(async () => {
  port = (await shell.serving("--demo", "--no-discovery")).port
})
afterAll(shell.close)

/** What a command of a page prints for the demo gateway; the pages speak of the port it has by default. */
const printed = async (command: string): Promise<string> => {
  const args = command.split(" ").slice(1)
  const asked = args.length > 1 ? ["--port", port] : []
  const shown = args.length > 1 && !args.includes("--url") ? ["--url", "http://127.0.0.1:8000"] : []
  const { code, stdout, stderr } = await shell.nexus(...args, ...asked, ...shown)
  if (code !== 0) throw new Error(`${command}: ${stderr}`)
  return stdout.trimEnd()
}

describe("docs/clients/", () => {
  for (const page of pages) {
    test(`${page} shows what its commands print, and marks those that are not run here`, async () => {
      const blocks = blocksOf(page)
      let shown = 0
      for (const [at, block] of blocks.entries()) {
        const last = blocks[at - 1]
        if (isRun(block)) await printed(block.body)
        else if (!isMarked(block)) {
          if (block.before !== "" || last === undefined) throw new Error(`neither run nor marked: ${block.body}`)
          expect(block.body).toBe(await printed(last.body))
          shown += 1
        }
      }
      expect(shown > 0).toBe(page !== "README.md")
    })

    test(`${page} is linked, and links to pages and headings that exist`, () => {
      if (page !== "README.md") expect(textOf("README.md")).toContain(`(${page})`)
      for (const [, target = ""] of textOf(page).matchAll(/\]\(([^)]+)\)/g)) {
        // Other pages are looked for by the test of all pages.
        if (target.startsWith("https://") || target.startsWith("../")) continue
        const [file = "", heading] = target.split("#")
        expect(pages).toContain(file)
        const headings = [...textOf(file).matchAll(/^#+ (.+)$/gm)].map(([, title = ""]) =>
          title
            .toLowerCase()
            .replace(/[^\w ]/g, "")
            .replaceAll(" ", "-")
        )
        if (heading !== undefined) expect(headings).toContain(heading)
      }
    })
  }

  test("README.md quotes the gateway's own words", async () => {
    const body = JSON.stringify({ model: "nope", messages: [] })
    const said = async (path: string, headers: ReadonlyArray<string> = ["Host: localhost"]) => {
      using client = await dial(Number(port))
      const head = [`POST ${path} HTTP/1.1`, ...headers, `Content-Length: ${body.length}`]
      await client.send(`${head.join("\r\n")}\r\n\r\n${body}`)
      const { status, text } = await client.answer()
      return `${status} ${text}`
    }
    const answers = [
      await said("/api/v1/chat/completions"),
      await said("/v1//chat/completions"),
      await said("/v1/chat/completions"),
      await said("/v1/chat/completions", ["Host: host.docker.internal:8000"]),
      await said("/v1/chat/completions", ["Host: localhost", "Origin: https://chat.example"])
    ]
    const quoted = [...textOf("README.md").matchAll(/^\| (404|403|400) `([A-Z][^`…]+)/gm)]
    expect(quoted).toHaveLength(answers.length)
    for (const [at, [, status = "", words = ""]] of quoted.entries()) {
      expect(answers[at]).toStartWith(`${status} `)
      expect(answers[at]).toContain(words.trim())
    }
  })
})
