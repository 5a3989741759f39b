import { afterAll, describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Queue, Stream } from "effect"
import { type KeyNews, KeyStore } from "../../src/admission/key-store.ts"
import { sharedKeys } from "../../src/admission/shared-keys.ts"
import { SharedStore } from "../../src/replicas/SharedStore.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway, until } from "../kit/gateway.ts"
import { audience, startIssuer } from "../kit/oidc-issuer.ts"
import { startStore, storePath } from "../kit/sharedStore.ts"

const folder = mkdtempSync(join(tmpdir(), "nexus-shared-keys-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const ask = async (url: string, key: string): Promise<number> => {
  const answer = await fetch(`${url}/v1/models`, { headers: { authorization: `Bearer ${key}` } })
  await answer.text()
  return answer.status
}

const eventually = async (url: string, key: string, status: number): Promise<void> => {
  let last = 0
  for (let tries = 0; tries < 400; tries += 1) {
    last = await ask(url, key)
    if (last === status) return
    await Bun.sleep(25)
  }
  throw new Error(`${last} and never ${status}`)
}

const changed = (url: string, method: string, path: string, key: string, body?: unknown): Promise<Response> =>
  fetch(`${url}/admin/v1/keys${path}`, {
    method,
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) })
  })

const made = async (url: string, admin: string, name: string): Promise<string> => {
  const answer = await changed(url, "POST", "", admin, { name })
  expect(answer.status).toBe(200)
  return ((await answer.json()) as { key: string }).key
}

describe("a file of keys", () => {
  const stored = (name: string) => ({
    written: { name },
    digest: new Uint8Array(32).fill(name.length),
    made: 1,
    previous: undefined
  })

  test("takes the latest of each name over, and never what is older than a revocation here", () => {
    const file = new KeyStore(join(folder, "merged.sqlite"))
    expect(file.merge([{ name: "a", changed: 100, key: stored("a") }])).toBe(true)
    expect(file.list().map(({ written }) => written.name)).toEqual(["a"])
    // By a clock that is behind: a revocation is later than what it revokes all the same.
    expect(file.revoke("a", 50)).toBe(true)
    expect(file.merge([{ name: "a", changed: 100, key: stored("a") }])).toBe(false)
    expect(file.list()).toEqual([])
    const [news] = file.news()
    expect(news).toMatchObject({ name: "a", key: undefined })
    expect(news?.changed).toBeGreaterThan(100)
    file.close()
  })
})

test("keys of others are taken over after the file could not be read once", async () => {
  let reads = 0
  class Locked extends KeyStore {
    override news(): ReadonlyArray<KeyNews> {
      reads += 1
      if (reads <= 10) throw new Error("database is locked")
      return super.news()
    }
  }
  const file = new Locked(join(folder, "locked.sqlite"))
  const told = JSON.stringify({
    name: "laptop",
    changed: 5,
    key: { written: { name: "laptop" }, digest: "ab".repeat(32), made: 1, previous: null }
  })
  await Effect.gen(function* () {
    const messages = yield* Queue.unbounded<string>()
    const none = yield* SharedStore
    yield* sharedKeys(file, Date.now, () => undefined).pipe(
      Effect.provideService(SharedStore, {
        ...none,
        isOn: true,
        isAway: () => false,
        run: () => () => Effect.succeed([told]),
        messages: () => Stream.fromQueue(messages)
      }),
      Effect.asVoid
    )
    yield* Effect.promise(() => until(() => reads >= 6, "it has been given up for now"))
    for (const _ of [1, 2]) yield* Queue.offer(messages, "")
    yield* Effect.promise(() => until(() => file.list().length === 1, "it is taken over"))
  }).pipe(Effect.scoped, Effect.provide(SharedStore.none), Effect.runPromise)
  file.close()
})

const admin = "nx-the-administrator"
const secrets = {
  backendKeys: new Map(),
  authKeys: [
    { name: "root", digest: new Uint8Array(new Bun.CryptoHasher("sha256").update(admin).digest()), admin: true }
  ]
}

describe.skipIf(storePath === undefined)("keys of replicas", () => {
  test("are revoked for all of them at once, though they began before their store was there", async () => {
    await using store = await startStore()
    await store.kill()
    await using upstream = await startUpstream({ models: ["m"] })
    const settings = (name: string) => ({
      cluster: { url: store.url },
      auth: { store: join(folder, `${name}.sqlite`) },
      backends: [backendFor("b", upstream)]
    })
    await using a = await startGateway(settings("early-a"), secrets)
    await using b = await startGateway(settings("early-b"), secrets)
    const key = await made(a.url, admin, "laptop")
    await store.revive()
    await eventually(b.url, key, 200)
    // Long before they look by themselves whether there is anything new.
    const other = await made(b.url, admin, "phone")
    await eventually(a.url, other, 200)
    expect((await changed(a.url, "DELETE", "/phone", admin)).status).toBe(200)
    await eventually(b.url, other, 401)
  }, 60_000)

  test("are made and revoked for all of them, and what was done while the store was away is told when it is back", async () => {
    await using store = await startStore()
    await using upstream = await startUpstream({ models: ["m"] })
    const settings = (name: string) => ({
      cluster: { url: store.url },
      auth: { store: join(folder, `${name}.sqlite`) },
      backends: [backendFor("b", upstream)]
    })
    await using a = await startGateway(settings("a"), secrets)
    await using b = await startGateway(settings("b"), secrets)
    const key = await made(a.url, admin, "laptop")
    expect(await ask(a.url, key)).toBe(200)
    await eventually(b.url, key, 200)
    expect((await changed(b.url, "DELETE", "/laptop", admin)).status).toBe(200)
    expect(await ask(b.url, key)).toBe(401)
    await eventually(a.url, key, 401)

    const other = await made(a.url, admin, "phone")
    await eventually(b.url, other, 200)
    await store.kill()
    expect((await changed(a.url, "DELETE", "/phone", admin)).status).toBe(200)
    expect(await ask(a.url, other)).toBe(401)
    expect(await ask(b.url, other)).toBe(200)
    await store.revive()
    await eventually(b.url, other, 401)
  }, 60_000)

  test("have tokens of issuers revoked for all of them, also those revoked while the store was away", async () => {
    await using store = await startStore()
    await using upstream = await startUpstream({ models: ["m"] })
    await using issuer = await startIssuer()
    const settings = (name: string) => ({
      cluster: { url: store.url },
      auth: {
        store: join(folder, `${name}.sqlite`),
        issuers: [{ name: "corp", issuer: issuer.url, audience: [audience] }]
      },
      backends: [backendFor("b", upstream)]
    })
    await using a = await startGateway(settings("of-tokens-a"), secrets)
    await using b = await startGateway(settings("of-tokens-b"), secrets)
    const exp = Math.floor(Date.now() / 1000) + 3600
    const [alice, bob] = [await issuer.signed({ sub: "alice", exp }), await issuer.signed({ sub: "bob", exp })]
    const revoke = async (name: string) => {
      const answer = await fetch(`${a.url}/admin/v1/revocations`, {
        method: "POST",
        headers: { authorization: `Bearer ${admin}`, "content-type": "application/json" },
        body: JSON.stringify({ name })
      })
      expect(answer.status).toBe(200)
      return ((await answer.json()) as { id: string }).id
    }
    for (const token of [alice, bob]) expect(await ask(b.url, token)).toBe(200)
    const id = await revoke("corp:alice")
    await eventually(b.url, alice, 401)
    expect(await ask(b.url, bob)).toBe(200)
    const lifted = await fetch(`${b.url}/admin/v1/revocations/${id}`, {
      method: "DELETE",
      headers: { authorization: `Bearer ${admin}` }
    })
    expect(lifted.status).toBe(200)
    await eventually(a.url, alice, 200)
    await store.kill()
    await revoke("corp:bob")
    expect([await ask(a.url, bob), await ask(b.url, bob)]).toEqual([401, 200])
    await store.revive()
    await eventually(b.url, bob, 401)
  }, 60_000)
})
