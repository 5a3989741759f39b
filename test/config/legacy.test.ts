import { describe, expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import fc from "fast-check"
import { legacyKeys, legacyMarkdown, modernise } from "../../src/config/legacy.ts"
import { isTable, showPath, type Table } from "../../src/config/path.ts"
import { schemaAt } from "../../src/config/reference.ts"
import { loadedFrom, mistakesOf } from "./reading.ts"

const file = readFileSync(join(import.meta.dir, "fixtures/rust-nexus.toml"), "utf8")
const env = { OPENAI_API_KEY: "sk-1" }

/** Lines of the file that hold a key, by the key. */
const lineWith = (start: string): number => file.split("\n").findIndex((line) => line.startsWith(start)) + 1

describe("the nexus.toml of the Rust Nexus", () => {
  test("is read, with all that means the same here", () => {
    const { settings, backends, routing } = loadedFrom(file, { env })
    expect(settings.server).toMatchObject({ port: 8000, request_timeout_seconds: 300, max_concurrent_requests: 1000 })
    expect(settings.logging).toMatchObject({ level: "info", format: "text" })
    expect(settings.health_check).toMatchObject({ failure_threshold: 3, recovery_threshold: 2 })
    expect(backends.map(({ name, type, priority }) => ({ name, type, priority }))).toEqual([
      { name: "local-ollama", type: "ollama", priority: 1 },
      { name: "cloud", type: "openai", priority: 100 }
    ])
    expect(routing.aliases.get("gpt-4")).toBe("llama3:70b")
    expect(routing.fallbacks.get("llama3:70b")).toEqual(["qwen2:72b", "mistral:7b"])
  })

  test("has each key that differs named, with its line", () => {
    const { warnings } = loadedFrom(file, { env })
    const differing = [
      ["service_types", "discovery.service_types"],
      ["grace_period_seconds", "discovery.grace_period_seconds"],
      ["[[routing.policies]]", "routing.policies[0]"],
      ["[routing.budget]", "[routing.budget]"],
      ["zone", "backends[0].zone (and 1 more)"],
      ["tier", "backends[0].tier (and 1 more)"],
      ['level = "INFO"', 'logging.level = "INFO" is read as "info"'],
      ['format = "pretty"', 'logging.format = "pretty" is read as "text"'],
      ["enable_content_logging", "logging.enable_content_logging"],
      ["[logging.component_levels]", "[logging.component_levels]"],
      ["[quality]", "[quality]"],
      ["max_size", "queue.max_size is read as queue.max_queue"],
      ["max_wait_seconds", "queue.max_wait_seconds is read as queue.queue_timeout_seconds"],
      ["[lifecycle]", "[lifecycle]"],
      ["[fleet]", "[fleet]"]
    ] as const
    // What the Schema has come to know differs no more.
    const still = differing.filter(([, key]) => {
      const path = /^\[?([a-z_.]+)\]?$/.exec(key)?.[1]?.split(".")
      return path === undefined || schemaAt(path) === undefined
    })
    for (const [start, text] of still) {
      const told = warnings.filter((warning) => warning.includes(`: ${text}`))
      expect(told).toHaveLength(1)
      expect(told[0]).toMatch(new RegExp(`^nexus\\.toml:${lineWith(start)}[:,]`))
    }
    expect(warnings).toHaveLength(still.length)
  })

  test("is refused where ignoring a key would let requests out, with what to do instead", () => {
    const restricted = `${file}\n[[routing.policies]]\nmodel_pattern = "*"\nprivacy = "restricted"\n`
    const [mistake, ...others] = mistakesOf(restricted, { env })
    expect(others).toEqual([])
    expect(mistake).toMatch(
      /^nexus\.toml:\d+: routing\.policies\[1\] is not taken: .*remove \[\[routing\.policies\]\]$/
    )
    expect(mistakesOf("[[traffic_policies]]\nprivacy_constraint = 'x'\n")).toEqual([
      expect.stringMatching(/^nexus\.toml:1: traffic_policies is not taken: it never had an effect: remove it/)
    ])
  })

  test("on an address of the network is refused until there are keys, by name", () => {
    const open = file.replace("127.0.0.1", "0.0.0.0")
    expect(mistakesOf(open, { env })).toEqual([
      expect.stringMatching(/^nexus\.toml:3: server\.host = "0\.0\.0\.0": an address beyond this machine needs keys/)
    ])
    expect(mistakesOf(open, { env, flags: { server: { insecure: true } } })).toEqual([])
  })

  test.if(schemaAt(["discovery", "grace_seconds"]) !== undefined)("has renamed keys read under their new names", () => {
    const { settings, warnings } = loadedFrom("[discovery]\ngrace_period_seconds = 7\n")
    expect(settings.discovery).toMatchObject({ grace_seconds: 7 })
    expect(warnings).toEqual(["nexus.toml:2: discovery.grace_period_seconds is read as discovery.grace_seconds"])
  })

  test("may still have keys that nobody knows, and these are mistakes", () => {
    expect(mistakesOf("[server]\nprot = 1\n[fleet]\nx = 1\n")).toEqual([
      "nexus.toml:2: unknown key server.prot; did you mean server.port?"
    ])
  })
})

describe("the environment of the Rust Nexus", () => {
  test("is read in today's words", () => {
    const { settings, warnings } = loadedFrom(undefined, {
      env: { NEXUS_LOG_FORMAT: "pretty", NEXUS_LOG_LEVEL: "WARN" }
    })
    expect(settings.logging).toMatchObject({ level: "warn", format: "text" })
    expect(warnings).toEqual([
      'the environment: logging.level = "WARN" is read as "warn"',
      'the environment: logging.format = "pretty" is read as "text"'
    ])
  })
})

const json = fc.dictionary(
  fc.constantFrom(
    "server",
    "routing",
    "backends",
    "logging",
    "queue",
    "zone",
    "type",
    "policies",
    "format",
    "__proto__"
  ),
  fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: "small" },
      fc.constantFrom("pretty", "google", "INFO", "x"),
      fc.integer(),
      fc.array(tie("value"), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom("type", "zone", "policies", "format", "level", "budget", "x"), tie("value"))
    )
  })).value
)

describe("laws of reading old settings", () => {
  test("settings without old keys come back as they are, and reading twice is reading once", () => {
    fc.assert(
      fc.property(json, (tree) => {
        const once = modernise(tree as Table)
        if (once.notes.length + once.mistakes.length === 0) expect(once.tree).toEqual(tree as Table)
        const twice = modernise(once.tree)
        expect(twice.tree).toEqual(once.tree)
        expect([...twice.notes, ...twice.mistakes]).toEqual([])
      })
    )
  })

  test("no key of the Schema is ever taken away", () => {
    const known = legacyKeys.filter(({ path, value }) => value === undefined && schemaAt(path) !== undefined)
    for (const { path } of known) {
      const place = path.reduceRight<unknown>((below, key) => (key === 0 ? [below] : { [key]: below }), { x: 1 })
      expect(modernise(isTable(place) ? place : {}).notes).toEqual([])
    }
  })
})

describe("the table of old keys", () => {
  test("has a row for each of them", () => {
    const rows = legacyMarkdown().split("\n").slice(2)
    expect(rows.length).toBeGreaterThan(5)
    expect(rows.filter((row) => row.split(" | ").length !== 3)).toEqual([])
    for (const { path } of legacyKeys.filter((each) => schemaAt(each.path) === undefined)) {
      expect(rows.join("\n")).toContain(showPath(path).replaceAll("[0]", "[]"))
    }
  })
})
