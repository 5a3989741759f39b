import { expect, test } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Cause, Effect, Exit, Option } from "effect"
import { readConfig } from "../../src/config/NexusConfig.ts"

const reading = async (more: string) => {
  const folder = mkdtempSync(join(tmpdir(), "nexus-native-"))
  const path = join(folder, "n.toml")
  writeFileSync(path, `[[backends]]\nname = "a"\nurl = "http://h"\n${more}\n`)
  const exit = await Effect.runPromiseExit(readConfig({ path: Option.some(path), overrides: {} }))
  rmSync(folder, { recursive: true, force: true })
  if (Exit.isSuccess(exit)) {
    const [backend] = exit.value.loaded.backends
    return [backend?.native, backend?.collect]
  }
  const error = Cause.squash(exit.cause)
  return String(error instanceof Error ? error.message : error).replaceAll(path, "n.toml")
}

test("a backend is asked natively where that is known to be good, unless its setting says otherwise", async () => {
  expect(await reading("")).toEqual([undefined, undefined])
  expect(await reading('native = "trusted"')).toEqual([undefined, undefined])
  expect(await reading('native = "always"\ncollect = true')).toEqual(["always", true])
  expect(await reading('native = "never"\ncollect = false')).toEqual(["never", undefined])
  expect(await reading('native_dialects = ["anthropic", "responses"]')).toEqual([["anthropic", "responses"], undefined])
})

test("what is no such setting is told with what there is", async () => {
  expect(await reading('native = "sometimes"')).toContain(
    'n.toml:4: backends[0].native = "sometimes": expected "trusted" | "always" | "never"'
  )
  expect(await reading('native_dialects = ["messages"]')).toContain('expected "openai" | "responses" | "anthropic"')
  expect(await reading("native_dialects = 1")).toContain('expected a list of "openai" | "responses" | "anthropic"')
  expect(await reading('collect = "yes"')).toContain("expected true or false")
  expect(await reading('native = "never"\nnative_dialects = ["anthropic"]')).toContain(
    'n.toml:5: backends[0].native_dialects = ["anthropic"]: with native = "never" it would not be looked at: keep one'
  )
})
