import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { createHash } from "node:crypto"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import fc from "fast-check"
import { claimsText } from "../../src/cli/explain.ts"
import { type FakeUpstream, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, startGateway } from "../kit/gateway.ts"
import { audience, type OidcIssuer, startIssuer } from "../kit/oidc-issuer.ts"
import { makeShell } from "../kit/shell.ts"

const folder = mkdtempSync(join(tmpdir(), "nexus-explained-"))
const admin = "nx-root"
const digest = new Uint8Array(createHash("sha256").update(admin).digest())
const { close, cwd, fed, nexus, nexusWith } = makeShell()

let near: FakeUpstream
let far: FakeUpstream
let issuer: OidcIssuer
let gateway: Gateway

beforeAll(async () => {
  near = await startUpstream({ models: ["small", "both"] })
  far = await startUpstream({ models: ["large", "both"] })
  issuer = await startIssuer()
  gateway = await startGateway(
    {
      auth: {
        store: join(folder, "keys.sqlite"),
        keys: [{ name: "root", sha256: "0".repeat(64), admin: true }],
        issuers: [
          {
            name: "corp",
            issuer: issuer.url,
            audience: [audience],
            owner_claim: "team",
            required_claims: { groups: ["llm"] },
            models: ["small", "both"],
            roles: [
              { name: "house", claims: { groups: ["house"] }, zones: ["local"], models: ["*"] },
              { name: "watch", claims: { groups: ["watch"] }, metrics: true }
            ]
          }
        ]
      },
      routes: [{ name: "hers", match: { key: "corp:alice" }, model: "both" }],
      backends: [backendFor("near", near), backendFor("far", far, { zone: "cloud" })]
    },
    { backendKeys: new Map(), authKeys: [{ name: "root", digest, admin: true }] }
  )
})

afterAll(async () => {
  await close()
  for (const each of [gateway, issuer, near, far]) await each[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

const later = Math.floor(Date.now() / 1000) + 600

const route = async (model: string, query: Readonly<Record<string, string>>, token?: string) => {
  const answer = await fetch(`${gateway.url}/admin/v1/route?${new URLSearchParams(query)}`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${admin}`,
      "content-type": "application/json",
      ...(token === undefined ? {} : { "x-nexus-explain-token": token })
    },
    body: JSON.stringify({ model, messages: [{ role: "user", content: "hi" }] })
  })
  const text = await answer.text()
  for (const part of token?.split(".") ?? []) if (part.length > 12) expect(text).not.toContain(part)
  return { status: answer.status, json: JSON.parse(text) }
}

const backendsOf = ({ json }: Awaited<ReturnType<typeof route>>): ReadonlyArray<string> =>
  json.decision.order.map(({ backend }: { readonly backend: string }) => backend)

describe("a request that is asked about with a token of an issuer", () => {
  test("goes where the token lets it, and by the rules for its name", async () => {
    const house = await issuer.signed({ sub: "bob", exp: later, groups: ["llm", "house"], team: "search" })
    const explained = await route("both", {}, house)
    expect([explained.status, backendsOf(explained)]).toEqual([200, ["near"]])
    expect(explained.json.key).toEqual({ name: "corp:bob", owner: "search", models: ["*"], zones: ["local"] })
    expect((await route("large", {}, house)).json.refusal).toMatchObject({ status: 403, code: "zone_not_allowed" })
    const plain = await issuer.signed({ sub: "alice", exp: later, groups: ["llm"] })
    const hers = await route("small", {}, plain)
    expect([hers.json.decision.rule.name, hers.json.decision.models]).toEqual(["hers", ["both"]])
    expect(
      (await route("large", {}, await issuer.signed({ sub: "x", exp: later, groups: ["llm"] }))).json.refusal
    ).toMatchObject({
      status: 403,
      code: "model_not_allowed"
    })
    const watcher = await issuer.signed({ sub: "w", exp: later, groups: ["llm", "watch"] })
    expect((await route("small", {}, watcher)).json.refusal).toMatchObject({
      status: 403,
      message: "This API key is for /metrics alone"
    })
  })

  test("is told why the token lets nobody in", async () => {
    const told = async (token: string) => {
      const { json, status } = await route("small", {}, token)
      return [status, json.error.message]
    }
    const whose = "A request with it is refused: The token of issuer 'corp'"
    expect(await told(await issuer.signed({ sub: "x", exp: later - 6000, groups: ["llm"] }))).toEqual([
      400,
      `${whose} has expired`
    ])
    expect(await told(await issuer.signed({ sub: "x", exp: later }))).toEqual([
      400,
      `${whose} lets nobody in: its claim 'groups' does not hold what it has to`
    ])
    expect((await told("nonsense"))[0]).toBe(400)
    const token = await issuer.signed({ sub: "gone", exp: later, groups: ["llm"] })
    expect((await route("small", {}, token)).status).toBe(200)
    await fetch(`${gateway.url}/admin/v1/keys/corp:gone`, {
      method: "DELETE",
      headers: { authorization: `Bearer ${admin}` }
    })
    expect(await told(token)).toEqual([400, `${whose} has been revoked`])
    expect((await route("small", { key: "corp:gone", claims: '{"groups":"llm"}' })).json.error.message).toBe(
      `${whose} has been revoked`
    )
  })

  test("is asked about by a name and claims where no token is at hand", async () => {
    const explained = await route("both", { key: "corp:zoe", claims: '{"groups":["llm","house"]}' })
    expect([backendsOf(explained), explained.json.key]).toEqual([
      ["near"],
      { name: "corp:zoe", models: ["*"], zones: ["local"] }
    ])
    const without = await route("both", { key: "corp:zoe" })
    expect([without.status, without.json.error.message]).toEqual([
      400,
      "A request with it is refused: The token of issuer 'corp' lets nobody in: its claim 'groups' does not hold what it has to"
    ])
    for (const query of [{ key: "corp:zoe", claims: "[1]" }, { key: "root", claims: "{}" }, { claims: "{}" }])
      expect([query, (await route("both", query)).status]).toEqual([query, 400])
    // Keys are explained as ever.
    expect((await route("both", { key: "root" })).json.key).toBeUndefined()
  })
})

test("nexus explain takes a token from a file or standard input, and never shows it", async () => {
  const token = await issuer.signed({ sub: "bob", exp: later, groups: ["llm", "house"] })
  writeFileSync(join(cwd, "bob.jwt"), token)
  writeFileSync(join(cwd, "nexus.toml"), `[server]\nport = ${gateway.port}\n`)
  const all = [
    await nexusWith({ NEXUS_KEY: admin }, "explain", "-m", "both", "--token-file", "bob.jwt"),
    await nexusWith(
      { NEXUS_KEY: admin },
      "explain",
      "-m",
      "both",
      "--key",
      "corp:bob",
      "--claim",
      "groups=llm",
      "--claim",
      "groups=house"
    )
  ]
  for (const { code, stderr, stdout } of all) {
    expect([code, stderr]).toEqual([0, ""])
    expect(stdout).toStartWith("Key: corp:bob: models *, zones local\n\nModel:")
    for (const part of token.split(".")) expect(stdout).not.toContain(part)
  }
  const wrong = await nexus("explain", "-m", "both", "--token-file", "none.jwt")
  expect([wrong.code, wrong.stderr]).toEqual([1, expect.stringContaining("none.jwt: there is no such file")])
  expect((await fed(" \n", "explain", "-m", "both", "--token-file", "-")).stderr).toContain(
    "standard input holds no token"
  )
}, 120_000)

test("claims that are given one by one are what they say, each in JSON or as a text, and lists where they come again", () => {
  const word = fc.stringMatching(/^[a-z][a-z0-9]{0,7}$/)
  fc.assert(
    fc.property(
      fc.dictionary(word, fc.array(fc.oneof(word, fc.integer(), fc.boolean()), { minLength: 1, maxLength: 3 })),
      (claims) => {
        const given = Object.entries(claims).flatMap(([name, values]) => values.map((value) => `${name}=${value}`))
        const meant = Object.entries(claims).map(([name, values]) => [name, values.length === 1 ? values[0] : values])
        // Words that are JSON of their own.
        fc.pre(
          !Object.values(claims)
            .flat()
            .some((value) => ["true", "false", "null"].includes(String(value)) && typeof value === "string")
        )
        expect(JSON.parse(claimsText(given) ?? "{}")).toEqual(Object.fromEntries(meant))
      }
    )
  )
})
