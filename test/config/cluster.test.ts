import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { withoutStorePassword } from "../../src/config/cluster.ts"
import { difference } from "../../src/config/difference.ts"
import type { ReadConfig } from "../../src/config/read.ts"
import { shownSettings } from "../../src/config/show.ts"
import { authority } from "../kit/tls.ts"
import { type Around, loadedFrom, mistakesOf, reading } from "./reading.ts"

const section = (lines: string): string => `[cluster]\n${lines}`

const read = (text: string, around: Around = {}): ReadConfig => {
  const result = reading(text, around)
  if (Result.isFailure(result)) throw new Error(result.failure)
  return result.success
}

const storeIn = (text: string, around: Around = {}) => {
  const { store } = loadedFrom(text, around)
  const { password, ...rest } = store ?? { password: undefined }
  return { ...rest, password: password === undefined ? undefined : Redacted.value(password) }
}

describe("[cluster]", () => {
  test("is off without an address, and says where the store is with one", () => {
    expect(loadedFrom("").store).toBeUndefined()
    expect(storeIn(section(`url = "redis://valkey"`))).toMatchObject({
      host: "valkey",
      port: 6379,
      db: 0,
      tls: undefined
    })
    expect(storeIn(section(`url = "rediss://me@[fd00::7]:6380/3"`))).toMatchObject({
      host: "fd00::7",
      port: 6380,
      db: 3,
      username: "me",
      tls: {}
    })
  })

  test("takes a password from a variable, a file or the URL, from the environment as well", () => {
    expect(storeIn(section(`url = "redis://h"\npassword_env = "PW"`), { env: { PW: " s3cret " } }).password).toBe(
      "s3cret"
    )
    const files = new Map([["pw.txt", { text: "s3cret\n" }]])
    expect(storeIn(section(`url = "redis://h"\npassword_file = "pw.txt"`), { files }).password).toBe("s3cret")
    expect(storeIn(section(`url = "redis://u:a%40b@h"`)).password).toBe("a@b")
    expect(storeIn("", { env: { NEXUS_CLUSTER_URL: "redis://:over@h:1" } })).toMatchObject({
      port: 1,
      password: "over"
    })
    const both = { env: { NEXUS_CLUSTER_URL: "redis://:over@h:1" } }
    expect(storeIn(section(`url = "redis://:under@g"`), both).password).toBe("over")
  })

  test("never shows a password that stands in its URL", () => {
    const one = read(section(`url = "redis://u:geheim-1@h:6379"`))
    const other = read(section(`url = "redis://u:geheim-\${N}@h:6379"`), { env: { N: "2" } })
    const shown = JSON.stringify([
      shownSettings(one),
      shownSettings(other),
      difference(one, other),
      one.loaded.settings
    ])
    expect(shown).not.toContain("geheim")
    expect(difference(one, other)).toEqual([
      { key: "cluster.password", before: "(hidden)", after: "(hidden)", restart: true }
    ])
    const told = mistakesOf(section(`url = "redis://u:geheim@h:6379/x"`)).join("\n")
    expect(told).toContain("cluster.url")
    expect(told).not.toContain("geheim")
  })

  test("law: whatever the password, nothing of it is left in the URL that is kept", () => {
    const password = fc.string({ minLength: 1 }).filter((text) => !text.includes("\n"))
    fc.assert(
      fc.property(password, (text) => {
        expect(withoutStorePassword(`rediss://me:${text}@valkey:6380/1`)).toBe("rediss://me@valkey:6380/1")
        expect(withoutStorePassword(`redis://:${text}@valkey`)).toBe("redis://valkey")
      })
    )
  })

  test.each([
    [`url = "valkey:6379"`, `did you mean "redis://valkey:6379"?`],
    [`url = "http://valkey"`, "expected the URL of a Valkey or Redis"],
    [`url = "redis://"`, "expected a host and a port"],
    [`url = "redis://h?x=1"`, "no query"],
    [`url = "redis://h"\npassword_env = "PW"\npassword_file = "f"`, "keep one"],
    [`url = "redis://h"\npassword_env = "PW"`, "not set, or empty"],
    [`url = "redis://u:p@h"\npassword_env = "PW"`, "holds a password already"],
    [`url = "redis://h"\nca_file = "ca.pem"`, "does not begin with rediss://"],
    [`url = "rediss://h"\nclient_cert_file = "ca.pem"`, "needs client_key_file"],
    [`replica_name = "a"`, "of no use without cluster.url"],
    [`url = "redis://h"\nname = "a b"`, "letters, digits"],
    [`url = "redis://h"\nwhen_away = "hope"`, "count_locally"]
  ])("says what is wrong with %p", (lines, words) => {
    const files = new Map([["ca.pem", { text: authority, pem: { certified: "x", held: undefined } }]])
    const told = mistakesOf(section(lines), { files, env: lines.includes("u:p") ? { PW: "x" } : {} }).join("\n")
    expect(told).toContain("nexus.toml:")
    expect(told).toContain(words)
  })

  test("under local-only leads nowhere but within", () => {
    const of = (url: string, networks = "[]") =>
      mistakesOf(`[privacy]\nmode = "local-only"\nnetworks = ${networks}\n${section(`url = "${url}"`)}`)
    expect(of("redis://127.0.0.1")).toEqual([])
    expect(of("redis://10.1.2.3", `["10.0.0.0/8"]`)).toEqual([])
    expect(of("redis://10.1.2.3").join()).toContain("beyond this machine")
  })
})
