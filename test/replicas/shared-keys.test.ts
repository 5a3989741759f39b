import { afterAll, describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { KeyStore } from "../../src/admission/key-store.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway } from "../kit/gateway.ts"
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

describe.skipIf(storePath === undefined)("keys of replicas", () => {
  test("are made and revoked for all of them, and what was done while the store was away is told when it is back", async () => {
    await using store = await startStore()
    await using upstream = await startUpstream({ models: ["m"] })
    const admin = "nx-the-administrator"
    const settings = (name: string) => ({
      cluster: { url: store.url },
      auth: { store: join(folder, `${name}.sqlite`) },
      backends: [backendFor("b", upstream)]
    })
    const digest = new Uint8Array(new Bun.CryptoHasher("sha256").update(admin).digest())
    const secrets = { backendKeys: new Map(), authKeys: [{ name: "root", digest, admin: true }] }
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
})
