import { afterEach, beforeEach, describe, expect, test } from "bun:test"
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Database } from "bun:sqlite"
import { type FakeUpstream, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, until } from "../kit/gateway.ts"
import { askAs, startKeyed } from "../kit/clientKeys.ts"

let folder = ""
let upstream: FakeUpstream
let gateway: Gateway

const start = () =>
  startKeyed(
    { chief: { admin: true }, plain: {} },
    {
      auth: { store: join(folder, "keys.sqlite") },
      backends: [backendFor("one", upstream)]
    }
  )

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "nexus-keys-"))
  upstream = await startUpstream({ models: [{ id: "small" }, { id: "large" }] })
  gateway = await start()
})

afterEach(async () => {
  await gateway[Symbol.asyncDispose]()
  await upstream[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

const make = (terms: unknown, as = "chief") => askAs(gateway, as, "/admin/v1/keys", terms)

const bearer = (key: string) => ({ authorization: `Bearer ${key}` })

const listAs = (key: string, of: Pick<Gateway, "url"> = gateway) => askAs(of, "", "/v1/models", undefined, bearer(key))

describe("a key that is made while the gateway runs", () => {
  test("is told once, counts at once for what it is for, and again after the next start", async () => {
    const made = await make({ name: "laptop", owner: "ada", models: ["small"] })
    expect([made.status, made.json().name]).toEqual([200, "laptop"])
    const { key } = made.json()
    expect((await listAs(key)).json().data).toMatchObject([{ id: "small" }])
    const listed = await askAs(gateway, "chief", "/admin/v1/keys")
    expect(listed.json().keys).toMatchObject([
      { name: "chief", from: "config", admin: true },
      { name: "plain", from: "config" },
      { name: "laptop", from: "store", owner: "ada", models: ["small"] }
    ])
    expect(listed.text).not.toContain(key)
    await gateway[Symbol.asyncDispose]()
    gateway = await start()
    expect((await listAs(key)).status).toBe(200)
  })

  test("is kept as its digest alone, in a file for this user alone", async () => {
    const { key, sha256 } = (await make({ name: "laptop" })).json()
    await gateway[Symbol.asyncDispose]()
    const path = join(folder, "keys.sqlite")
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(readFileSync(path).includes(key)).toBe(false)
    expect(readFileSync(path).includes(Buffer.from(sha256, "hex"))).toBe(true)
    gateway = await start()
  })

  test("is revoked from the next request on", async () => {
    const { key } = (await make({ name: "laptop" })).json()
    expect((await listAs(key)).status).toBe(200)
    const revoked = await askAs(gateway, "chief", "/admin/v1/keys/laptop", undefined, {}, "DELETE")
    expect(revoked.json()).toEqual({ name: "laptop" })
    expect((await listAs(key)).status).toBe(401)
    expect((await askAs(gateway, "chief", "/admin/v1/keys/laptop", undefined, {}, "DELETE")).status).toBe(400)
  })

  test("is changed for another one, and both count until the end of the overlap", async () => {
    const { key } = (await make({ name: "laptop" })).json()
    const rotated = await askAs(gateway, "chief", "/admin/v1/keys/laptop/rotate", undefined, {}, "POST")
    const after = rotated.json().key
    expect([after === key, (await listAs(key)).status, (await listAs(after)).status]).toEqual([false, 200, 200])
    const again = await askAs(gateway, "chief", "/admin/v1/keys/laptop/rotate?overlap_seconds=0", undefined, {}, "POST")
    const last = again.json().key
    expect([(await listAs(key)).status, (await listAs(after)).status, (await listAs(last)).status]).toEqual([
      401, 401, 200
    ])
  })

  test("is refused with its reason when it is none, or there is one of its name", async () => {
    const refused = async (terms: unknown) => {
      const { json, status } = await make(terms)
      return [status, json().error.param]
    }
    expect(await refused({ name: "a b" })).toEqual([400, "name"])
    expect(await refused({ name: "x", expires: "tomorrow" })).toEqual([400, "expires"])
    expect(await refused({ name: "x", expires: "2020-01-01" })).toEqual([400, "expires"])
    expect(await refused({ name: "x", not_before: "2999-02-02", expires: "2999-02-01" })).toEqual([400, "expires"])
    expect(await refused({ name: "x", networks: ["10.0.0.1/8"] })).toEqual([400, "networks"])
    expect(await refused({ name: "x", metrics: true, admin: true })).toEqual([400, "metrics"])
    expect((await make({ name: "chief" })).status).toBe(409)
    expect((await make({ name: "x" })).status).toBe(200)
    expect((await make({ name: "x" })).status).toBe(409)
    expect((await make({ name: "plain" })).status).toBe(409)
    expect((await askAs(gateway, "chief", "/admin/v1/keys/chief", undefined, {}, "DELETE")).status).toBe(409)
  })

  test("is made, listed and revoked by those alone who have a key with admin = true", async () => {
    for (const [as, wanted] of [
      ["plain", 403],
      ["", 401]
    ] as const) {
      expect((await make({ name: "x", admin: true }, as)).status).toBe(wanted)
      expect((await askAs(gateway, as, "/admin/v1/keys")).status).toBe(wanted)
      expect((await askAs(gateway, as, "/admin/v1/keys/plain", undefined, {}, "DELETE")).status).toBe(wanted)
      expect((await askAs(gateway, as, "/admin/v1/keys/plain/rotate", undefined, {}, "POST")).status).toBe(wanted)
    }
  })

  test("that another process changes is seen here within seconds", async () => {
    const { key } = (await make({ name: "laptop" })).json()
    const other = new Database(join(folder, "keys.sqlite"))
    other.run("delete from keys where name = 'laptop'")
    other.close()
    let status = 200
    const look = setInterval(() => void listAs(key).then((answer) => (status = answer.status)), 50)
    await until(() => status === 401, "the key is refused")
    clearInterval(look)
  })
})

test("with a file of keys nobody gets in without a key, be there none", async () => {
  const open = await startKeyed(
    {},
    { auth: { store: join(folder, "others.sqlite") }, backends: [backendFor("one", upstream)] }
  )
  expect((await askAs(open, "", "/v1/models")).status).toBe(401)
  expect((await askAs(open, "", "/admin/v1/keys", { name: "x" })).status).toBe(401)
  await open[Symbol.asyncDispose]()
})
