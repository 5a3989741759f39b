import { describe, expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import fc from "fast-check"
import { Result } from "effect"
import { parse } from "smol-toml"
import { keyEntries, jsonSchema, configMarkdown } from "../../src/config/reference.ts"
import { showPath } from "../../src/config/path.ts"
import { loadedFrom, reading } from "./reading.ts"

const example = readFileSync(join(import.meta.dir, "../../nexus.example.toml"), "utf8")

describe("nexus.example.toml", () => {
  test("loads as shipped and says what the defaults are", () => {
    const { settings, ...rest } = loadedFrom(example)
    const plain = loadedFrom("")
    expect(settings).toEqual(plain.settings)
    expect({ ...rest, path: undefined }).toEqual({ ...plain, path: undefined, settings: undefined } as never)
  })

  test("loads with everything in it that is commented out", () => {
    const code = /^# ?(\[\[?[a-z."]|[a-z0-9_]+ = |"[a-z0-9.:-]+" = )/
    const uncommented = example
      .split("\n")
      .map((line) => (code.test(line) ? line.replace(/^# ?/, "") : line))
      .join("\n")
    const keys = { NEXUS_KEY: "nx-x", OPENAI_API_KEY: "sk-x", ANTHROPIC_API_KEY: "sk-ant-x" }
    const env = {
      ...keys,
      WOL_PASSWORD: "01:02:03:04:05:06",
      OTLP_KEY: "otlp-x",
      VALKEY_PASSWORD: "x",
      HOOK_KEY: "hook-x",
      CAPTURE_KEY: "0".repeat(64)
    }
    const loaded = loadedFrom(uncommented, { env })
    expect(loaded.backends.map(({ name }) => name)).toEqual(["local-ollama", "cloud", "claude"])
    expect(loaded.followed.map(({ backend }) => backend.name)).toEqual(["pods"])
    expect(loaded.routing.aliases.get("gpt-3.5-turbo")).toBe("mistral:7b")
    expect(loaded.authKeys.map(({ name }) => name)).toEqual(["laptop", "server", "prometheus"])
  })

  test("speaks of every key", () => {
    // The limits of a backend are told once, by the first of them.
    const told = keyEntries().filter(({ path }) => path[0] !== "backends" || !String(path.at(-1)).endsWith("_seconds"))
    const missing = told.filter(
      ({ path }) => !new RegExp(`^(# )?(\\[+[a-z.]+\\.)?${String(path.at(-1))}( =|\\])`, "m").test(example)
    )
    expect(
      missing
        .map(({ path }) => showPath(path))
        .filter((key) => !/aliases|fallbacks|embeddings|(api_key|password)_file/.test(key))
    ).toEqual([])
  })
})

describe("the reference", () => {
  test("has a row for every key, with its bounds, default and meaning", () => {
    const table = configMarkdown().split("\n")
    expect(table).toHaveLength(keyEntries().length + 2)
    expect(table).toContain(
      "| `server.port` | a whole number from 0 to 65535 | `8000` | Port to listen on; 0 takes any free one |"
    )
    expect(table.filter((row) => row.endsWith("| |"))).toEqual([])
  })

  test("is a JSON Schema that knows defaults and takes no other keys", () => {
    expect(jsonSchema()).toMatchObject({
      additionalProperties: false,
      properties: {
        server: {
          additionalProperties: false,
          properties: { port: { type: "integer", maximum: 65_535, default: 8000 } }
        },
        routing: { properties: { strategy: { default: "smart" } } },
        backends: { items: { required: ["name"], properties: { priority: { default: 50 } } } }
      }
    })
  })
})

describe("what is loaded", () => {
  test("keeps aliases of every name apart from JavaScript's own", () => {
    const { aliases, fallbacks } = loadedFrom(
      `[routing.aliases]\n__proto__ = "a"\nconstructor = "b"\n"" = "c"\n[routing.fallbacks]\n__proto__ = ["d"]`
    ).routing
    expect([...aliases]).toEqual([
      ["__proto__", "a"],
      ["constructor", "b"],
      ["", "c"]
    ])
    expect([...fallbacks]).toEqual([["__proto__", ["d"]]])
    expect(loadedFrom("").routing.aliases.get("constructor")).toBeUndefined()
  })

  test("has base URLs without a trailing slash or /v1", () => {
    const urls = ["http://a", "http://b/", "http://c/v1", "http://d/v1/", "http://e/api//"]
    const toml = urls.map((url, at) => `[[backends]]\nname = "n${at}"\nurl = "${url}"`).join("\n")
    expect(loadedFrom(toml).backends.map(({ url }) => url)).toEqual([
      "http://a",
      "http://b",
      "http://c",
      "http://d",
      "http://e/api"
    ])
  })

  test("looks for servers beside the backends it gives, unless told not to", () => {
    const one = `[[backends]]\nname = "a"\nurl = "http://h"\n`
    const off = `${one}[discovery]\nenabled = false`
    expect([undefined, "", one, off].map((text) => loadedFrom(text).discovery)).toEqual([true, true, true, false])
  })

  test("has the time limits of the server where a backend has none of its own", () => {
    const toml = `[server]\nrequest_timeout_seconds = 9\n[[backends]]\nname = "a"\nurl = "http://h"\nidle_timeout_seconds = 0.5`
    expect(loadedFrom(toml).backends[0]?.limits).toEqual({
      totalMs: 9000,
      firstByteMs: 9000,
      idleMs: 500,
      connectMs: 5000
    })
  })
})

describe("a warning is given for", () => {
  const backend = (url: string, more = `api_key_env = "K"`) => `[[backends]]\nname = "a"\nurl = "${url}"\n${more}`
  const env = { K: "key" }

  test("a key that crosses the internet unencrypted, not for one that stays in the house", () => {
    const open = ["nexus.toml:3: backend a: its key crosses the network unencrypted; use https"]
    for (const url of ["http://api.example.com", "http://203.0.113.9:8000", "http://[2001:db8::1]"]) {
      expect([url, loadedFrom(backend(url), { env }).warnings]).toEqual([url, open])
    }
    const near = [
      "127.0.0.1",
      "localhost",
      "10.1.2.3",
      "172.16.0.1",
      "192.168.1.2",
      "gpu",
      "gpu.local",
      "[::1]",
      "[fd00::1]"
    ]
    for (const host of near) expect([host, loadedFrom(backend(`http://${host}`), { env }).warnings]).toEqual([host, []])
    expect(loadedFrom(backend("https://api.example.com"), { env }).warnings).toEqual([])
    expect(loadedFrom(backend("http://api.example.com", ""), { env }).warnings).toEqual([])
  })

  test("proxies, which are ignored", () => {
    const proxied = { HTTP_PROXY: "http://p", https_proxy: "http://p", ALL_PROXY: "" }
    expect(loadedFrom("", { env: proxied }).warnings).toEqual([
      "HTTP_PROXY, https_proxy: ignored, backends are called directly"
    ])
  })

  test("switches of TLS: one that is ignored, one that shows its secrets", () => {
    const { warnings } = loadedFrom("", { env: { NODE_TLS_REJECT_UNAUTHORIZED: "0", SSLKEYLOGFILE: "/tmp/keys" } })
    expect(warnings).toEqual([
      "NODE_TLS_REJECT_UNAUTHORIZED=0: ignored, certificates of backends are checked",
      "SSLKEYLOGFILE is set: TLS secrets of this process may be written to that file"
    ])
  })

  test("fallbacks of an alias, which are never used", () => {
    const toml = `[routing.aliases]\na = "m"\n[routing.fallbacks]\na = ["x"]`
    expect(loadedFrom(toml).warnings).toEqual([
      "nexus.toml:4: routing.fallbacks.a is never used: the name is an alias; name the model"
    ])
  })

  test("an address beyond this machine where everybody is let in, not where keys are kept in a store", () => {
    const open = `[server]\nhost = "0.0.0.0"\ninsecure = true\n`
    expect(loadedFrom(open).warnings).toEqual([
      "nexus.toml:2: listening on 0.0.0.0 without keys: everybody who reaches it can use the backends"
    ])
    expect(loadedFrom(`${open}[auth]\nstore = "keys.sqlite"`).warnings).toEqual([])
  })

  test("what another source than the file says, without a line of it", () => {
    const { warnings } = loadedFrom("", { env: { NEXUS_SERVER_HOST: "0.0.0.0", NEXUS_SERVER_INSECURE: "true" } })
    expect(warnings).toEqual(["listening on 0.0.0.0 without keys: everybody who reaches it can use the backends"])
  })

  test("entries of groups at a backend that is not there", () => {
    const toml = `[[backends]]\nname = "box"\nurl = "http://h:1"\n[routing.groups]\na = ["m@box", "n@lab", "@cf/x"]`
    expect(loadedFrom(toml).warnings).toEqual([
      `nexus.toml:5: routing.groups.a[1] = "n@lab": no [[backends]] is called lab`
    ])
  })
})

const structure = [
  "[server]",
  "[[backends]]",
  "[[auth.keys]]",
  "[routing.aliases]",
  "[routing]",
  "\n",
  "\n",
  "\n",
  " = "
]
const words = ["name", "url", "port", "a", '"a"', "fallbacks", "aliases", "weights", "backends", "auth", "keys", "env"]
const values = ["1", "-1", "nan", "{}", "[]", '"http://h"', '"${A}"', '"${"', "true", "[[1]]", '[{ name = "x" }]', "."]
const pieces = fc.constantFrom(...structure, ...words, ...values)

const isTold = (text: string): boolean => {
  const result = reading(text)
  return Result.isSuccess(result) || (result.failure.length > 0 && !/undefined|\[object/.test(result.failure))
}

describe("reading never throws, and says what is wrong (law),", () => {
  test("for texts made of TOML's own pieces", () => {
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 30 }), (parts) => isTold(parts.join(""))),
      { numRuns: 1000 }
    )
  })

  test("for any text", () => {
    fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 60 }), isTold), { numRuns: 300 })
  })

  test("for the example with any piece cut out or put in", () => {
    fc.assert(
      fc.property(fc.nat(example.length), fc.nat(40), fc.string({ maxLength: 10 }), (at, cut, put) =>
        isTold(example.slice(0, at) + put + example.slice(at + cut))
      ),
      { numRuns: 300 }
    )
  })

  test("for any value of any key", () => {
    const value = fc.constantFrom(
      "1",
      "-1.5",
      "inf",
      "true",
      '""',
      '"x"',
      "[]",
      '["x"]',
      "[1]",
      "{}",
      "{ x = 1 }",
      "1979-05-27"
    )
    fc.assert(
      fc.property(fc.constantFrom(...keyEntries()), value, ({ path }, text) => {
        const [first, second] = path.includes(0)
          ? [path.slice(0, path.indexOf(0)), path.slice(path.indexOf(0) + 1)]
          : [[], path]
        const toml = `${first.length === 0 ? "" : `[[${first.join(".")}]]\n`}${second.join(".").replace(".0.", ".")} = ${text}`
        expect(Result.isSuccess(Result.try(() => parse(toml)))).toBe(true)
        return isTold(toml)
      }),
      { numRuns: 500 }
    )
  })
})
