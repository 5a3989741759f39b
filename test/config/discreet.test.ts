import { describe, expect, test } from "bun:test"
import * as Result from "effect/Result"
import { shownSettings } from "../../src/config/show.ts"
import { mistakesOf, reading } from "./reading.ts"

const word = "correct-horse-battery"
const backend = `[[backends]]\nname = "a"\nurl = "http://h:1"\n`
const key = `[[auth.keys]]\nname = "x"\n`

const misplaced: ReadonlyArray<readonly [what: string, toml: string, told: string]> = [
  ["in place of the section of keys", `auth = "${word}"`, `auth = "corr…": expected a table`],
  ["in place of the list of keys", `[auth]\nkeys = "${word}"`, `auth.keys = "corr…": expected a list of tables`],
  ["as one of the list of keys", `[auth]\nkeys = ["${word}"]`, `auth.keys[0] = "corr…": expected a table`],
  ["by a client's name", `[auth.keys]\nbob = "${word}"`, `auth.keys = { bob = "corr…" }: expected a list of tables`],
  ["in a table for a list", `[auth.keys]\nname = "a"\nkey = "${word}"`, `auth.keys = { name = "a", key = "corr…" }`],
  ["as a list", `${key}key = ["${word}"]`, `auth.keys[0].key = ["corr…"]`],
  ["in place of digits, as a list", `${key}sha256 = ["${word}"]`, `auth.keys[0].sha256 = ["corr…"]`],
  [
    "of a backend, in a table for a list",
    `[backends.a]\napi_key = "${word}"`,
    `backends = { a = { api_key = "corr…" } }`
  ],
  ["in place of a backend", `backends = ["${word}"]`, `backends[0] = "corr…": expected a table`],
  ["in place of a variable, as a list", `${backend}api_key_env = ["${word}"]`, `backends[0].api_key_env = ["corr…"]`],
  ["in place of a variable, as a number", `${backend}api_key_env = 123456789`, `backends[0].api_key_env = "1234…"`],
  [
    "in place of a variable, in letters that one may have",
    `${backend}api_key_env = "abcdef0123456789abcdef0123456789"`,
    `backends[0].api_key_env = "abcd…": expected the name of an environment variable, not the key itself`
  ],
  [
    "of a well-known kind in place of a variable",
    `${backend}api_key_env = "hf_abcdefghijklmnopqrst"`,
    `backends[0].api_key_env = "hf_a…": expected the name of an environment variable, not the key itself`
  ],
  [
    "in place of a file",
    `${backend}api_key_file = "sk-abcdefgh"`,
    `backends[0].api_key_file = "sk-a…": expected the name of a file, not the key itself`
  ],
  ["of a receiver", `[telemetry.otlp]\nheaders = ["Bearer ${word}"]`, `telemetry.otlp.headers = ["Bear…"]`],
  [
    "in the address of a webhook",
    `[[budgets]]\nname = "b"\nsoft_usd = 1\nwebhook_url = "htp://hooks.example/T0/${word}"`,
    `budgets[0].webhook_url = "htp://hooks.example/…": expected a URL`
  ],
  ["as a header's list", `[telemetry.otlp.headers]\nx = ["${word}"]`, `telemetry.otlp.headers.x = ["corr…"]`]
]

describe("a key that was written in a wrong place is not shown:", () => {
  for (const [what, toml, told] of misplaced) {
    test(what, () => {
      const files = new Map([["sk-abcdefgh", { fault: "there is no such file" }]])
      const said = mistakesOf(toml, { files }).join("\n")
      expect(said).toContain(told)
      for (const each of [word, "123456789", "abcdef0123", "hf_abcd", "sk-abcd"]) expect(said).not.toContain(each)
    })
  }

  test("nor in the settings in force, where what a webhook's address holds may be a key", () => {
    const read = reading(
      `[[budgets]]\nname = "b"\nsoft_usd = 1\nwebhook_url = "https://hooks.example:8443/T0/${word}?a=b"`
    )
    if (Result.isFailure(read)) throw new Error(read.failure)
    const shown = shownSettings(read.success).find(({ key }) => key === "budgets[0].webhook_url")
    expect(shown?.value).toBe("https://hooks.example:8443/…")
  })

  test("nor in the lines around what is no TOML, whose place stays where it is", () => {
    const lines = [
      `key = "${word}" "b"`,
      `key = ${word}`,
      `api_key = "${word}`,
      `api_key: "${word}"`,
      `apiKey = ${word}`,
      `bearer = ${word}`,
      `keys = ["${word}" 1]`,
      `"x-api-key" = '${word}' 1`
    ]
    for (const line of lines) {
      const told = mistakesOf(`${key}${line}\n`)
      expect(told.join("\n")).not.toContain("correct-horse")
      expect(told[2]).toBe(`3:  ${line.replace(word, "corr*****************")}`)
    }
    const lineOf = (line: string) => mistakesOf(`${backend}${line}`)[2]
    expect(lineOf("api_key_env = sk-abcdefgh")).toBe("4:  api_key_env = sk-a*******")
    expect(lineOf(`key = "p@ss!w0rd&c" 1`)).toBe(`4:  key = "p@ss*******" 1`)
    expect(lineOf("url = redis://:abcdefgh@h")).toBe("4:  url = redis://:abcd****@h")
    expect(mistakesOf(`${backend}api_key_env = OPENAI_API_KEY`)[2]).toBe("4:  api_key_env = OPENAI_API_KEY")
  })

  test("while what is no key is told as it stands", () => {
    expect(mistakesOf(`[backends]\nname = "x"\npriority = 7`)).toEqual([
      `nexus.toml:1: backends = { name = "x", priority = 7 }: expected a list of tables; write [[backends]]`
    ])
    expect(mistakesOf(`${backend}api_key_env = "OPENAI_API_KEY_OF_TEAM_2"`)).toEqual([
      `nexus.toml:4: backends[0].api_key_env = "OPENAI_API_KEY_OF_TEAM_2": this environment variable is not set`
    ])
    const file = "/mnt/8xk2abcdefghijklm3456789pqrstuvw/key"
    const files = new Map([[file, { fault: "this file may not be read" }]])
    expect(mistakesOf(`${backend}api_key_file = "${file}"`, { files })).toEqual([
      `nexus.toml:4: backends[0].api_key_file = "${file}": this file may not be read`
    ])
  })
})
