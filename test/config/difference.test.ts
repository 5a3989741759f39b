import { expect, test } from "bun:test"
import { Result } from "effect"
import { changedParts, difference } from "../../src/config/difference.ts"
import type { ReadConfig } from "../../src/config/read.ts"
import { reading } from "./reading.ts"

const read = (text: string, env: Record<string, string> = {}): ReadConfig => Result.getOrThrow(reading(text, { env }))

const between = (before: string, after: string, env: Record<string, string> = {}) =>
  difference(read(before, env), read(after, env)).map(({ key, before: was, after: is }) => [key, was, is])

const one = `[[backends]]\nname = "one"\nurl = "http://h:1"\n`
const two = `[[backends]]\nname = "two"\nurl = "http://h:2"\n`

test("no difference between a config and itself, whatever its comments", () => {
  expect(between(one, `# words\n${one}`)).toEqual([])
})

test("a changed value is told with both of its values", () => {
  expect(between("[routing]\nmax_retries = 1", "[routing]\nmax_retries = 3")).toEqual([["routing.max_retries", 1, 3]])
})

test("a default that is given at last is told with the default", () => {
  expect(between(one, `${one}priority = 3`)).toEqual([["backends.one.priority", 50, 3]])
})

test("backends are told apart by their names and not by their places", () => {
  expect(between(one + two, two)).toEqual([
    ["backends.one.name", "one", undefined],
    ["backends.one.url", "http://h:1", undefined]
  ])
  expect(between(one + two, two + one)).toEqual([["backends", ["one", "two"], ["two", "one"]]])
})

test("rules in another order are another config: the first that matches counts", () => {
  const rule = (name: string) => `[[routes]]\nname = "${name}"\nmatch = { model = "${name}-*" }\n`
  const before = one + rule("a") + rule("b")
  expect(between(before, one + rule("b") + rule("a"))).toEqual([["routes", ["a", "b"], ["b", "a"]]])
  const changes = difference(read(before), read(before.replace("b-*", "c-*")))
  expect(changes.map(({ key }) => key)).toEqual(["routes.b.match.model"])
  expect(changedParts(changes)).toBe("routes.b")
})

test("a changed secret is told, and not shown", () => {
  const text = `${one}api_key_env = "SOME_KEY"`
  const changes = difference(read(text, { SOME_KEY: "sk-old" }), read(text, { SOME_KEY: "sk-new" }))
  expect(changes).toEqual([{ key: "backends.one.key", before: "(hidden)", after: "(hidden)", restart: false }])
})

test("a changed key of a hook or of captures is told, and not shown", () => {
  const text = `[[hooks]]\nname = "h"\nurl = "http://h:1"\napi_key_env = "HOOK_KEY"\n[capture]\nmodels = ["m"]\nkey_env = "SEAL"`
  const at = (hook: string, fill: number) =>
    read(text, { HOOK_KEY: hook, SEAL: Buffer.alloc(32, fill).toString("hex") })
  expect(difference(at("old", 1), at("new", 2))).toEqual([
    { key: "hooks.h.key", before: "(hidden)", after: "(hidden)", restart: false },
    { key: "capture.key", before: "(hidden)", after: "(hidden)", restart: true }
  ])
})

test("what is captured waits for the next start", () => {
  const text = (models: string) => `[capture]\nmodels = [${models}]\nkey_env = "SEAL"`
  const env = { SEAL: "0".repeat(64) }
  const changes = difference(read(text('"a", "b"'), env), read(text('"a"'), env))
  expect(changes.map(({ key, restart }) => [key, restart])).toEqual([["capture.models", true]])
})

test("host, port, workers and what speaks HTTP wait for the next start", () => {
  const before = read("")
  const after = read(`[server]\nport = 9000\nworkers = 3\nwire = "own"\nmax_body_mb = 1`)
  expect(difference(before, after).map(({ key, restart }) => [key, restart])).toEqual([
    ["server.port", true],
    ["server.workers", true],
    ["server.wire", true],
    ["server.max_body_mb", false]
  ])
})

test("in few words a backend counts once", () => {
  expect(changedParts(difference(read(one), read(two)))).toBe("backends.one, backends.two")
  expect(changedParts(difference(read(""), read(`[routing.aliases]\n"a.b" = "c"`)))).toBe('routing.aliases."a.b"')
})
