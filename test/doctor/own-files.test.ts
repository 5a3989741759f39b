import { expect, test } from "bun:test"
import { Effect, FileSystem, PlatformError, Result } from "effect"
import { checkOwnFiles } from "../../src/doctor/process-limits.ts"
import { reading } from "../config/reading.ts"

const denied = PlatformError.systemError({ _tag: "PermissionDenied", module: "FileSystem", method: "access" })

/** What is found where these are there, and of them the second ones may be written. */
const found = (toml: string, there: ReadonlyArray<string>, writable: ReadonlyArray<string>) => {
  const fs = FileSystem.makeNoop({
    exists: (path) => Effect.succeed(there.includes(path)),
    readDirectory: () => Effect.succeed([]),
    access: (path) => (writable.includes(path) ? Effect.void : Effect.fail(denied))
  })
  const { loaded } = Result.getOrThrow(reading(toml))
  const findings = checkOwnFiles({ ...loaded, path: "/etc/nexus/nexus.toml" })
  return Effect.runPromise(Effect.provideService(findings, FileSystem.FileSystem, fs))
}

const usage = `[usage]\nenabled = true\npath = "/data/usage.sqlite"\n`

test("a file that is there is one that can be written where its folder is too, in which SQLite keeps others", async () => {
  const there = ["/data/usage.sqlite", "/data", "/"]
  expect(await found(usage, there, ["/data/usage.sqlite", "/data"])).toMatchObject([{ severity: "ok" }])
  expect(await found(usage, there, ["/data/usage.sqlite"])).toMatchObject([
    { check: "usage.path", seen: "/data/usage.sqlite cannot be written: /data does not let this user" }
  ])
  expect(await found(usage, there, ["/data"])).toMatchObject([
    { seen: "/data/usage.sqlite cannot be written: /data/usage.sqlite does not let this user" }
  ])
})

test("a file that is not there is made, with the folders above it, where the first one that is there lets it be", async () => {
  expect(await found(usage, ["/"], ["/"])).toMatchObject([{ severity: "ok" }])
  expect(await found(usage, ["/"], [])).toMatchObject([
    { seen: "/data/usage.sqlite cannot be written: / does not let this user" }
  ])
})

test("one without which no gateway starts is an error, and one without which it answers a warning", async () => {
  const findings = await found(`${usage}[auth]\nstore = "/data/keys.sqlite"\n`, ["/"], [])
  expect(findings.map(({ check, severity }) => [check, severity])).toEqual([
    ["auth.store", "error"],
    ["usage.path", "warning"]
  ])
})
