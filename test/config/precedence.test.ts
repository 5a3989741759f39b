import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { Redacted, Result } from "effect"
import { pathId, isTable, type KeyPath, valueAt } from "../../src/config/path.ts"
import { shownSettings } from "../../src/config/show.ts"
import { fromEnvironment, fromFile, fromFlags, mergeSources, variableNames } from "../../src/config/sources.ts"
import { loadedFrom, mistakesOf, reading, sha256 } from "./reading.ts"

const leavesOf = (tree: unknown, path: KeyPath = []): ReadonlyArray<KeyPath> =>
  isTable(tree) ? Object.entries(tree).flatMap(([key, value]) => leavesOf(value, [...path, key])) : [path]

// Names that are tables everywhere, and names that never are: settings have their shapes.
const tree = fc.dictionary(
  fc.constantFrom("server", "routing", "__proto__"),
  fc.dictionary(fc.constantFrom("port", "host", "constructor", "list"), fc.oneof(fc.integer(), fc.array(fc.nat())), {
    noNullPrototype: false
  })
)

describe("of several sources", () => {
  test("a wrong value is told of although another source gives a right one in its place", () => {
    const flags = { server: { port: 9000 } }
    expect(mistakesOf("[server]\nport = 70000", { flags })).toEqual([
      "nexus.toml:2: server.port = 70000: expected a whole number from 0 to 65535"
    ])
    expect(mistakesOf("[server]\nport = 7000", { flags })).toEqual([])
  })

  test("the last one that gives a value wins, and is named as its origin (law)", () => {
    fc.assert(
      fc.property(tree, tree, tree, (file, variables, flags) => {
        const variable = { tree: variables, originOf: () => ({ _tag: "variable", name: "V" }) as const }
        const { tree: merged, origins } = mergeSources([fromFile(file), variable, fromFlags(flags)])
        for (const path of [file, variables, flags]
          .flatMap((each) => leavesOf(each))
          .filter(({ length }) => length > 1)) {
          const givers = [
            ["file", file],
            ["variable", variables],
            ["flag", flags]
          ] as const
          const winner = givers.findLast(([, each]) => valueAt(each, path) !== undefined)
          expect(valueAt(merged, path)).toEqual(valueAt(winner?.[1], path))
          expect(origins.get(pathId(path))?._tag).toBe(winner?.[0] ?? "file")
        }
        const given = new Set([file, variables, flags].flatMap((each) => leavesOf(each)).map(pathId))
        expect(leavesOf(merged).filter((path) => path.length > 1 && !given.has(pathId(path)))).toEqual([])
      })
    )
  })

  test("default < file < environment < flag", () => {
    const file = "[server]\nport = 1\nhost = '127.0.0.2'\nmax_body_mb = 3"
    const around = { env: { NEXUS_PORT: "2", NEXUS_SERVER_HOST: "127.0.0.3" }, flags: { server: { port: 3 } } }
    const { server } = loadedFrom(file, around).settings
    expect([server.port, server.host, server.max_body_mb, server.idle_timeout_seconds]).toEqual([
      3,
      "127.0.0.3",
      3,
      120
    ])
    const result = Result.getOrThrow(reading(file, around))
    expect(shownSettings(result).slice(0, 5)).toEqual([
      { key: "server.host", value: "127.0.0.3", origin: "NEXUS_SERVER_HOST" },
      { key: "server.port", value: 3, origin: "--port" },
      { key: "server.workers", value: 1, origin: "default" },
      { key: "server.wire", value: "bun", origin: "default" },
      { key: "server.insecure", value: false, origin: "default" }
    ])
    expect(shownSettings(result)).toContainEqual({ key: "server.max_body_mb", value: 3, origin: "nexus.toml" })
  })
})

describe("the environment", () => {
  for (const [text, value] of [
    ["true", true],
    ["1", true],
    ["Yes", true],
    ["on", true],
    ["false", false],
    ["0", false],
    ["no", false],
    ["OFF", false]
  ] as const) {
    test(`takes ${text} for ${value}`, () => {
      expect(loadedFrom(undefined, { env: { NEXUS_DISCOVERY: text } }).discovery).toBe(value)
    })
  }

  test("has the short names, and one for each plain key", () => {
    const env = {
      NEXUS_LOG_LEVEL: "debug",
      NEXUS_LOG_FORMAT: "json",
      NEXUS_HEALTH_CHECK: "off",
      NEXUS_ROUTING_STRATEGY: "random",
      NEXUS_ROUTING_MAX_RETRIES: "0",
      NEXUS_ROUTING_WEIGHTS_LOAD: "7",
      NEXUS_SERVER_MAX_BODY_MB: "0.5"
    }
    const { logging, health_check, routing, server } = loadedFrom(undefined, { env }).settings
    const { format, level } = logging
    expect({
      level,
      format,
      on: health_check.enabled,
      strategy: routing.strategy,
      retries: routing.max_retries
    }).toEqual({
      level: "debug",
      format: "json",
      on: false,
      strategy: "random",
      retries: 0
    })
    expect([routing.weights.load, routing.weights.latency, server.max_body_mb]).toEqual([7, 20, 0.5])
    expect(variableNames()).not.toContain("NEXUS_BACKENDS_NAME")
  })

  test("refuses values that are no number, however JavaScript reads them", () => {
    for (const text of ["0x10", "1e999", "8000 ", "Infinity", "1_000"]) {
      const told = mistakesOf(undefined, { env: { NEXUS_PORT: text } })
      expect([text, told.length]).toEqual([text, text === "8000 " ? 0 : 1])
    }
  })

  test("cannot set one key twice to different values", () => {
    const told = mistakesOf(undefined, { env: { NEXUS_PORT: "1", NEXUS_SERVER_PORT: "2" } })
    expect(told).toEqual(["NEXUS_PORT and NEXUS_SERVER_PORT both set server.port, to different values"])
    expect(mistakesOf(undefined, { env: { NEXUS_PORT: "1", NEXUS_SERVER_PORT: "1" } })).toEqual([])
  })

  test("may hold variables that the file speaks of under names of its own", () => {
    const { mistakes } = fromEnvironment({ NEXUS_MY_OWN: "x" }, new Set(["NEXUS_MY_OWN"]))
    expect(mistakes).toEqual([])
    const file = `[[backends]]\nname = "a"\nurl = "http://h"\napi_key_env = "NEXUS_CLOUD"`
    expect(mistakesOf(file, { env: { NEXUS_CLOUD: "key" } })).toEqual([])
  })
})

describe("variables in strings of the file", () => {
  const held = (text: string, env = {}) =>
    loadedFrom(`[routing.aliases]\na = "${text}"`, { env }).routing.aliases.get("a")

  test("are replaced, with defaults for those that are not set or empty", () => {
    const env = { SET: "in", EMPTY: "" }
    const cases = { "a.${SET}.b": "a.in.b", "${GONE:-out}": "out", "${EMPTY:-out}": "out", "${SET:-out}": "in" }
    for (const [text, value] of Object.entries({ ...cases, "$${SET}": "${SET}", $SET: "$SET", "a${GONE:-}b": "ab" })) {
      expect(held(text, env)).toBe(value)
    }
  })

  test("are replaced once: what they hold is taken as it is", () => {
    expect(held("${A}", { A: "${B}" })).toBe("${B}")
  })
})

describe("keys", () => {
  const file = [
    `[[auth.keys]]`,
    `name = "digest"`,
    `sha256 = "${"ab".repeat(32)}"`,
    `[[auth.keys]]`,
    `name = "variable"`,
    `env = "CLIENT"`,
    `[[backends]]`,
    `name = "a"`,
    `url = "http://h:1"`,
    `api_key_env = "CLOUD"`,
    `[[backends]]`,
    `name = "b"`,
    `url = "http://h:1"`,
    `api_key_file = "b.key"`
  ].join("\n")
  const around = {
    env: { CLIENT: "nx-client", CLOUD: "sk-cloud" },
    files: new Map([["b.key", { text: "sk-file\n" }]])
  }

  test("of backends come from variables and files", () => {
    const { backends } = loadedFrom(file, around)
    expect(backends.map(({ apiKey }) => apiKey && Redacted.value(apiKey))).toEqual(["sk-cloud", "sk-file"])
  })

  test("of clients are kept as digests", () => {
    const { authKeys } = loadedFrom(file, around)
    expect(authKeys.map(({ name, digest }) => [name, Buffer.from(digest).toString("hex")])).toEqual([
      ["digest", "ab".repeat(32)],
      ["variable", Buffer.from(sha256("nx-client")).toString("hex")]
    ])
    expect(authKeys.map(({ key }) => key && Redacted.value(key))).toEqual([undefined, "nx-client"])
  })

  test("are never shown", () => {
    const text = JSON.stringify(shownSettings(Result.getOrThrow(reading(file, around))))
    for (const secret of ["nx-client", "sk-cloud", "sk-file", "ab".repeat(32)]) expect(text).not.toContain(secret)
    expect(text).toContain("CLOUD")
  })

  test("let an address beyond this machine be listened on, and so does saying that it is insecure", () => {
    const host = { server: { host: "0.0.0.0" } }
    expect(loadedFrom(file, { ...around, flags: host }).warnings).toEqual([])
    const insecure = loadedFrom(undefined, { flags: { server: { ...host.server, insecure: true } } })
    expect(insecure.warnings).toEqual([
      "listening on 0.0.0.0 without keys: everybody who reaches it can use the backends"
    ])
  })
})
