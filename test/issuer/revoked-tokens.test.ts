import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { createHash } from "node:crypto"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import fc from "fast-check"
import { KeyStore } from "../../src/admission/key-store.ts"
import { RevokedTokens, type TokenFacts, type TokenRevocation } from "../../src/domain/revoked-tokens.ts"
import { type FakeUpstream, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, type SettingsTree, startGateway } from "../kit/gateway.ts"
import { audience, type OidcIssuer, startIssuer } from "../kit/oidc-issuer.ts"
import { makeShell } from "../kit/shell.ts"

const folder = mkdtempSync(join(tmpdir(), "nexus-revoked-"))
const admin = "nx-root"
const digest = new Uint8Array(createHash("sha256").update(admin).digest())

let upstream: FakeUpstream
let issuer: OidcIssuer
let gateway: Gateway

const started = (file: string | undefined, more: SettingsTree = {}): Promise<Gateway> =>
  startGateway(
    {
      auth: {
        keys: [{ name: "root", sha256: "0".repeat(64), admin: true }],
        issuers: [{ name: "corp", issuer: issuer.url, audience: [audience], refresh_seconds: 3600, ...more }],
        ...(file === undefined ? {} : { store: join(folder, file) })
      },
      backends: [backendFor("home", upstream)]
    },
    { backendKeys: new Map(), authKeys: [{ name: "root", digest, admin: true }] }
  )

beforeAll(async () => {
  upstream = await startUpstream({ models: ["m"] })
  issuer = await startIssuer()
  gateway = await started("keys.sqlite", { name_claim: "login" })
})

afterAll(async () => {
  for (const each of [gateway, issuer, upstream]) await each[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

const now = (): number => Math.floor(Date.now() / 1000)

const signed = (login: string, more: Readonly<Record<string, unknown>> = {}): Promise<string> =>
  issuer.signed({ login, sub: `id of ${login}`, exp: now() + 600, iat: now() - 60, ...more })

const ask = async (key: string, path = "/v1/models", init: RequestInit = {}, at: Pick<Gateway, "url"> = gateway) => {
  const answer = await fetch(`${at.url}${path}`, {
    ...init,
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" }
  })
  const text = await answer.text()
  return { status: answer.status, text, json: () => JSON.parse(text) }
}

const statusOf = async (token: string, at?: Pick<Gateway, "url">): Promise<number> =>
  (await ask(token, "/v1/models", {}, at)).status

const revoke = (body: unknown, key = admin, at?: Pick<Gateway, "url">) =>
  ask(key, "/admin/v1/revocations", { method: "POST", body: JSON.stringify(body) }, at)

const lift = (id: string) => ask(admin, `/admin/v1/revocations/${id}`, { method: "DELETE" })

describe("tokens that are revoked before they end", () => {
  test("are refused at once, used before or not, and taken again when the revocation is lifted", async () => {
    const [used, unused, other] = [await signed("alice", { nth: 1 }), await signed("alice"), await signed("bob")]
    expect([await statusOf(used), await statusOf(other)]).toEqual([200, 200])
    const revoked = await revoke({ name: "corp:alice" })
    expect([revoked.status, revoked.json().name]).toEqual([200, "corp:alice"])
    const refused = await ask(used)
    expect([refused.status, refused.json().error]).toMatchObject([
      401,
      { code: "invalid_api_key", message: "The token of issuer 'corp' has been revoked" }
    ])
    expect([await statusOf(unused), await statusOf(other)]).toEqual([401, 200])
    // Those to come as well.
    expect(await statusOf(await signed("alice", { iat: now() + 5 }))).toBe(401)
    expect((await lift(revoked.json().id)).status).toBe(200)
    expect([await statusOf(used), await statusOf(unused)]).toEqual([200, 200])
    expect((await lift(revoked.json().id)).status).toBe(400)
  })

  test("are those of one who is called so by the issuer, whatever claim names keys", async () => {
    const token = await signed("carol")
    const { id } = (await revoke({ name: "corp:id of carol" })).json()
    expect(await statusOf(token)).toBe(401)
    await lift(id)
  })

  test("are those alone that were issued before a moment, and those that do not say when", async () => {
    const [old, recent, undated] = [
      await signed("dora", { iat: now() - 300 }),
      await signed("dora", { iat: now() - 10 }),
      await signed("dora", { iat: undefined })
    ]
    const at = new Date((now() - 100) * 1000).toISOString()
    const revoked = await revoke({ name: "corp:*", issued_before: at })
    expect(revoked.json()).toMatchObject({ name: "corp:*", issued_before: Date.parse(at) })
    expect([await statusOf(old), await statusOf(recent), await statusOf(undated)]).toEqual([401, 200, 401])
    // An earlier moment takes nothing of that back.
    const earlier = await revoke({ name: "corp:*", issued_before: "2020-01-01" })
    expect(earlier.json()).toMatchObject({ id: revoked.json().id, issued_before: Date.parse(at) })
    expect(await statusOf(old)).toBe(401)
    await revoke({ name: "corp:*", issued_before: "now" })
    expect(await statusOf(recent)).toBe(401)
    expect(await statusOf(await signed("dora", { iat: now() + 2 }))).toBe(200)
    await lift(revoked.json().id)
  })

  test("are one by its id, or one that is at hand, however its signature is written", async () => {
    const [one, two] = [await signed("eve", { jti: "t-1" }), await signed("eve", { jti: "t-2" })]
    expect((await revoke({ name: "corp", token_id: "t-1" })).json()).toMatchObject({ name: "corp", token_id: "t-1" })
    expect([await statusOf(one), await statusOf(two)]).toEqual([401, 200])
    const revoked = await revoke({ token: two })
    for (const part of two.split(".")) expect(revoked.text).not.toContain(part)
    expect(revoked.json().until).toBeGreaterThan(Date.now() + 600_000)
    expect(await statusOf(two)).toBe(401)
    expect(await statusOf(await signed("eve", { jti: "t-3" }))).toBe(200)
  })

  test("are revoked where keys are, by a name that only tokens have", async () => {
    const token = await signed("auth0|frank/x")
    const path = `/admin/v1/keys/${encodeURIComponent("corp:auth0|frank/x")}`
    expect((await ask(admin, path, { method: "DELETE" })).status).toBe(200)
    expect(await statusOf(token)).toBe(401)
  })

  test("stay so when the gateway starts again, and are seen by others with the same file within a second", async () => {
    const token = await signed("gina")
    expect(await statusOf(token)).toBe(200)
    await using second = await started("keys.sqlite", { name_claim: "login" })
    expect(await statusOf(token, second)).toBe(200)
    await revoke({ name: "corp:gina" })
    let last = 200
    const end = performance.now() + 60_000
    while (last === 200 && performance.now() < end) {
      last = await statusOf(token, second)
      await Bun.sleep(5)
    }
    expect(last).toBe(401)
    await using third = await started("keys.sqlite", { name_claim: "login" })
    expect(await statusOf(token, third)).toBe(401)
    const listed = (await ask(admin, "/admin/v1/revocations", {}, third)).json().revoked
    expect(listed.map(({ name }: { readonly name: string }) => name)).toContain("corp:gina")
  })

  test("are named by who administers keys alone, and by what there is", async () => {
    const token = await signed("harry")
    expect((await revoke({ name: "corp:alice" }, token)).status).toBe(403)
    expect((await ask(token, "/admin/v1/revocations")).status).toBe(403)
    const words = async (body: unknown): Promise<readonly [number, string]> => {
      const { json, status } = await revoke(body)
      return [status, json().error.message]
    }
    expect(await words({})).toEqual([400, "It takes a 'name', such as corp:alice, or a 'token'"])
    expect(await words({ name: "nobody:alice" })).toEqual([
      400,
      "There is no issuer 'nobody' ([[auth.issuers]]). There are: corp"
    ])
    expect((await words({ name: "corp" }))[1]).toStartWith("'name' says whose tokens are meant: corp:SUBJECT")
    expect((await words({ name: "corp:*" }))[1]).toContain("'issued_before' says which")
    expect((await words({ name: "corp:x", issued_before: "yesterday" }))[1]).toStartWith("'issued_before' is not")
    expect((await words({ name: "corp:x", token_id: "1" }))[0]).toBe(400)
    expect((await words({ token: "no token" }))[1]).toBe("'token' is no signed token (JWT)")
    expect((await words({ token: await issuer.signed({ iss: "https://else.example" }) }))[0]).toBe(400)
    await using without = await started(undefined)
    const refused = await revoke({ name: "corp:alice" }, admin, without)
    expect([refused.status, refused.json().error.message]).toEqual([
      409,
      "What is revoked of tokens is kept in the file of keys: say where that stands (auth.store) to revoke any here"
    ])
  })
})

describe("nexus keys", () => {
  const { close, cwd, fed, nexus } = makeShell()
  afterAll(close)

  test("revokes tokens where no gateway runs, lists what is revoked and takes it back, and never shows one", async () => {
    const token = await signed("ida", { jti: "secret-jti" })
    writeFileSync(
      join(cwd, "nexus.toml"),
      `[server]\nport = 1\n[auth]\nstore = "keys.sqlite"\n[[auth.issuers]]\nname = "corp"\nissuer = "${issuer.url}"\naudience = ["a"]\n`
    )
    writeFileSync(join(cwd, "one.jwt"), `Bearer ${token}\n`)
    const all = [
      await nexus("keys", "revoke", "corp:ida"),
      await nexus("keys", "revoke", "--token-file", "one.jwt"),
      await fed(token, "keys", "revoke", "--token-file", "-", "--json")
    ]
    for (const { code, stderr, stdout } of all) {
      expect([code, stderr]).toEqual([0, ""])
      for (const part of token.split(".")) expect(stdout).not.toContain(part)
    }
    expect(all[0]?.stdout).toStartWith(
      "Revoked: tokens of corp:ida. From now on nobody is let in by them; `nexus keys lift "
    )
    const { id } = JSON.parse(all[2]?.stdout ?? "{}")
    expect(all[1]?.stdout).toContain(id)
    expect((await nexus("keys", "revoked")).stdout.trimEnd().split("\n")).toHaveLength(3)
    expect((await nexus("keys", "lift", id)).stdout).toBe("No longer revoked: a token of corp.\n")
    expect(JSON.parse((await nexus("keys", "revoked", "--json")).stdout).revoked).toHaveLength(1)
    const wrong = await fed("", "keys", "revoke", "--token-file", "-")
    expect([wrong.code, wrong.stderr]).toEqual([1, expect.stringContaining("standard input holds no token")])
  }, 120_000)
})

describe("what is revoked", () => {
  const moment = fc.integer({ min: 1, max: 3 })
  const issuers = fc.constantFrom("i", "j")
  const names = fc.constantFrom("a", "b", "")
  const revocation: fc.Arbitrary<TokenRevocation> = fc.record(
    {
      id: fc.uuid(),
      issuer: issuers,
      by: fc.constantFrom("everybody", "subject", "token_id", "digest"),
      of: names,
      issuedBefore: moment,
      made: fc.constant(0)
    },
    { requiredKeys: ["id", "issuer", "by", "of", "made"] }
  )
  const facts: fc.Arbitrary<TokenFacts> = fc.record({
    issuer: issuers,
    subjects: fc.array(names, { maxLength: 2 }),
    id: fc.option(names, { nil: undefined }),
    issuedAt: fc.option(moment, { nil: undefined }),
    digest: names
  })

  test("is each token of which one revocation speaks, and no other", () => {
    const speaksOf = (each: TokenRevocation, token: TokenFacts): boolean =>
      each.issuer === token.issuer &&
      (each.issuedBefore === undefined || token.issuedAt === undefined || token.issuedAt < each.issuedBefore) &&
      (each.by === "everybody"
        ? each.of === ""
        : each.by === "subject"
          ? token.subjects.includes(each.of)
          : each.of === (each.by === "digest" ? token.digest : token.id))
    fc.assert(
      fc.property(fc.array(revocation, { maxLength: 6 }), facts, (all, token) => {
        expect(new RevokedTokens(all).has(token)).toBe(all.some((each) => speaksOf(each, token)))
      })
    )
  })

  test("goes from its file when the token has ended, and the latest of two replicas counts", () => {
    const file = new KeyStore(join(folder, "merged.sqlite"))
    const of = (id: string, more: Partial<TokenRevocation> = {}): TokenRevocation => ({
      id,
      issuer: "i",
      by: "subject",
      of: id,
      made: 1,
      ...more
    })
    const ids = () => file.revocationNews().flatMap(({ revocation }) => revocation?.id ?? [])
    file.revokeTokens("a", () => of("a", { until: 50 }), 10)
    expect(file.mergeRevocations([{ id: "b", changed: 20, revocation: of("b") }], 30)).toBe(true)
    expect(file.mergeRevocations([{ id: "c", changed: 20, revocation: of("c", { until: 25 }) }], 30)).toBe(false)
    expect(ids()).toEqual(["a", "b"])
    file.revokeTokens("d", () => of("d"), 60)
    expect(ids()).toEqual(["b", "d"])
    expect(file.lift("b", 15)?.id).toBe("b")
    // By a clock that is behind: it is later than what it lifts all the same.
    expect(file.mergeRevocations([{ id: "b", changed: 20, revocation: of("b") }], 60)).toBe(false)
    expect(ids()).toEqual(["d"])
    expect(file.lift("b", 70)).toBeUndefined()
    file.close()
  })
})
