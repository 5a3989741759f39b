import { afterAll, expect, setDefaultTimeout, test } from "bun:test"
import { existsSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { targets } from "../../.ci/targets.ts"
import { makeShell } from "../kit/shell.ts"

setDefaultTimeout(120_000)

const file = join(import.meta.dir, "../../docs/install.md")
const text = readFileSync(file, "utf8")

const { close, nexus } = makeShell()
afterAll(close)

/** Commands of Nexus in blocks and in the text, without their arguments. */
const commands = new Set(
  [...text.matchAll(/(?:^|`|exec nexus )nexus ((?:[a-z]+ ?)+)/gm)]
    .map(([, words = ""]) => words.trim())
    .filter((words) => words !== "")
)

test.each([...commands])("the page on installing speaks of `nexus %s`, which there is", async (words) => {
  // A word too many, such as the name of a shell, makes a wrong call; help would not tell.
  const { code, stdout } = await nexus(...words.split(" "), "--help")
  expect(code).toBe(0)
  expect(stdout).toContain(words.split(" ")[0] ?? "")
})

test("the page on installing lists every target, and links to what is there", () => {
  for (const target of targets) expect(text).toContain(`\`${target}\``)
  const links = [...text.matchAll(/\]\(([^)#]+)\)/g)].map(([, link = ""]) => link)
  expect(links.length).toBeGreaterThan(0)
  for (const link of links) expect(existsSync(join(dirname(file), link))).toBe(true)
})
