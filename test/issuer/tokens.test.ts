import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { createHash, createHmac } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type FakeUpstream, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, type SettingsTree, startGateway } from "../kit/gateway.ts"
import { audience, type OidcIssuer, startIssuer } from "../kit/oidc-issuer.ts"

const folder = mkdtempSync(join(tmpdir(), "nexus-issuer-"))

let upstream: FakeUpstream
let cloud: FakeUpstream
let issuer: OidcIssuer
let gateway: Gateway

const corp = (more: SettingsTree = {}): SettingsTree => ({
  name: "corp",
  issuer: issuer.url,
  audience: [audience],
  refresh_seconds: 1,
  ...more
})

const digest = new Uint8Array(createHash("sha256").update("nx-plain").digest())

/** A gateway that takes the tokens of an issuer, and a key. */
const started = (issuers: ReadonlyArray<SettingsTree>, settings: SettingsTree = {}): Promise<Gateway> =>
  startGateway(
    {
      auth: { keys: [{ name: "plain", sha256: "0".repeat(64) }], issuers },
      backends: [backendFor("home", upstream), backendFor("cloud", cloud, { zone: "cloud" })],
      ...settings
    },
    { backendKeys: new Map(), authKeys: [{ name: "plain", digest }] }
  )

beforeAll(async () => {
  upstream = await startUpstream({ models: ["small", "both"] })
  cloud = await startUpstream({ models: ["large", "both"] })
  issuer = await startIssuer()
  gateway = await started(
    [
      corp({
        name_claim: "client_id",
        owner_claim: "team",
        label_claims: { department: "org.unit" },
        models_claim: "may_ask",
        required_claims: { groups: ["llm-*"] },
        models: ["small"],
        roles: [
          { name: "chiefs", claims: { groups: ["llm-chiefs"] }, admin: true, models: ["*"] },
          { name: "house", claims: { "realm.roles": ["house"] }, models: ["*"], zones: ["local"], priority: "batch" },
          { name: "watchers", claims: { scope: ["watch"] }, metrics: true }
        ]
      })
    ],
    {
      usage: { enabled: true, path: join(folder, "usage.sqlite") },
      limits: { owners: [{ name: "few", requests_per_minute: 2 }] }
    }
  )
})

afterAll(async () => {
  for (const each of [gateway, issuer, upstream, cloud]) await each[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

const ask = async (token: string, path = "/v1/models", body?: unknown, at: Pick<Gateway, "url"> = gateway) => {
  const answer = await fetch(`${at.url}${path}`, {
    method: body === undefined ? "GET" : "POST",
    headers: {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { "content-type": "application/json" })
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) })
  })
  const text = await answer.text()
  return { status: answer.status, text, json: () => JSON.parse(text), headers: answer.headers }
}

const chat = (token: string, model: string, at?: Pick<Gateway, "url">) =>
  ask(token, "/v1/chat/completions", { model, messages: [{ role: "user", content: "hi" }] }, at)

const idsOf = async (token: string): Promise<ReadonlyArray<string>> =>
  (await ask(token)).json().data.map(({ id }: { readonly id: string }) => id)

const groups = ["staff", "llm-users"]

const refusal = async (token: string, at?: Pick<Gateway, "url">) => {
  const { status, text, json } = await ask(token, "/v1/models", undefined, at)
  for (const part of token.split(".")) if (part.length > 12) expect(text).not.toContain(part)
  return [status, json().error.message]
}

describe("a token of an issuer", () => {
  test("is taken for a key, and lets do what its claims, its role and the issuer's entry say", async () => {
    const token = await issuer.token({ groups })
    expect(await idsOf(token)).toEqual(["small"])
    expect((await chat(token, "small")).status).toBe(200)
    expect((await chat(token, "large")).json().error.code).toBe("model_not_allowed")
    expect(await idsOf(await issuer.token({ groups, may_ask: ["lar*", "both"] }))).toEqual(["both", "large"])
    expect(await idsOf(await issuer.token({ groups, may_ask: "small, large" }))).toEqual(["large", "small"])
  })

  test("has another role than others by its claims, also by one inside of another", async () => {
    const house = await issuer.token({ groups, realm: { roles: ["x", "house"] } })
    const { headers, status } = await chat(house, "both")
    expect([status, headers.get("x-nexus-backend")]).toEqual([200, "home"])
    expect((await chat(house, "large")).json().error.code).toBe("zone_not_allowed")
    const watcher = await issuer.signed({
      exp: 4_000_000_000,
      client_id: "w",
      groups,
      scope: "openid watch"
    })
    expect((await ask(watcher, "/metrics")).status).toBe(200)
    expect((await chat(watcher, "small")).status).toBe(403)
  })

  test("administers where its role may, and nowhere else", async () => {
    const [chief, user] = [await issuer.token({ groups: ["llm-chiefs"] }), await issuer.token({ groups })]
    expect((await ask(chief, "/admin/v1/keys")).status).toBe(200)
    expect((await ask(user, "/admin/v1/keys")).status).toBe(403)
  })

  test("counts in usage and limits under its name, its owner and its labels", async () => {
    const token = await issuer.token({ groups, team: "few", org: { unit: "r&d" } })
    const answers = []
    for (let times = 0; times < 3; times += 1) answers.push((await chat(token, "small")).status)
    expect(answers).toEqual([200, 200, 429])
    const chief = await issuer.token({ groups: ["llm-chiefs"] })
    const sums = async (by: string) => (await ask(chief, `/admin/v1/usage?by=${by}`)).text
    const deadline = performance.now() + 60_000
    while (!(await sums("owner")).includes("few") && performance.now() < deadline) await Bun.sleep(5)
    expect(await sums("owner")).toContain('"few"')
    expect(await sums("key")).toContain('"corp:app"')
  })

  test("is refused without the group that it needs, without models where it has to name them, and without a name", async () => {
    expect(await refusal(await issuer.token({ groups: ["staff"] }))).toEqual([
      403,
      "The token of issuer 'corp' lets nobody in: its claim 'groups' does not hold what it has to"
    ])
    await using strict = await started([corp({ models_claim: "may_ask" })])
    expect(await refusal(await issuer.token(), strict)).toEqual([
      403,
      "The token of issuer 'corp' names no model that it may use (claim 'may_ask')"
    ])
    const watchers = { name: "watchers", claims: { scope: ["watch"] }, metrics: true }
    await using watched = await started([corp({ models_claim: "may_ask", roles: [watchers] })])
    const watcher = await issuer.signed({ exp: later(60), scope: "watch" })
    expect((await ask(watcher, "/metrics", undefined, watched)).status).toBe(200)
    await using named = await started([corp({ name_claim: "email" })])
    expect(await refusal(await issuer.token(), named)).toEqual([
      401,
      "The token of issuer 'corp' does not say whose it is: its claim 'email' is no name"
    ])
  })

  test("is one key beside those of the config, wherever a key may stand", async () => {
    const token = await issuer.token({ groups })
    expect(await idsOf("nx-plain")).toEqual(["both", "large", "small"])
    for (const headers of [{ "x-api-key": token }, { authorization: `Bearer wrong, Bearer ${token}` }])
      expect((await fetch(`${gateway.url}/v1/models`, { headers })).status).toBe(200)
    const none = await fetch(`${gateway.url}/v1/models`)
    expect(none.status).toBe(401)
    await using alone = await startGateway({ auth: { issuers: [corp()] } })
    expect((await fetch(`${alone.url}/v1/models`)).status).toBe(401)
  })
})

const later = (seconds: number): number => Math.floor(Date.now() / 1000) + seconds

const encoded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url")

describe("a token that is not good is refused, in words that tell what is wrong with it and nothing of it", () => {
  const good = () => ({ client_id: "x", groups, exp: later(60) })
  const whose = "The token of issuer 'corp'"
  const elsewhere = `${whose} is for somebody else: its audience (aud) is none of those that are taken here`
  const unsigned = `${whose} is signed in a way that is not taken from its issuer (algorithms)`

  const cases: ReadonlyArray<readonly [string, () => Promise<string> | string, string]> = [
    ["one that has ended", () => issuer.signed({ ...good(), exp: later(-60) }), `${whose} has expired`],
    ["one without an end", () => issuer.signed({ client_id: "x", groups }), `${whose} does not say when it ends (exp)`],
    ["one that begins later", () => issuer.signed({ ...good(), nbf: later(60) }), `${whose} is not valid yet (nbf)`],
    ["one for somebody else", () => issuer.token({ groups }, "billing"), elsewhere],
    ["one for nobody", () => issuer.signed({ ...good(), aud: [] }), elsewhere],
    [
      "one of another issuer",
      () => issuer.signed({ ...good(), iss: "https://elsewhere.example" }),
      "The token is of none of the issuers whose tokens are taken here"
    ],
    [
      "one without a signature (alg none)",
      () => `${encoded({ alg: "none" })}.${encoded({ iss: issuer.url, aud: audience, ...good() })}.`,
      unsigned
    ],
    [
      "one that is signed with the public key as a shared secret (HS256)",
      () => {
        const [key] = issuer.jwks().keys
        const said = `${encoded({ alg: "HS256", kid: key?.kid })}.${encoded({ iss: issuer.url, aud: audience, ...good() })}`
        return `${said}.${createHmac("sha256", JSON.stringify(key)).update(said).digest("base64url")}`
      },
      unsigned
    ],
    [
      "one whose claims were changed",
      async () => {
        const [head, , signature] = (await issuer.signed(good())).split(".")
        return `${head}.${encoded({ iss: issuer.url, aud: audience, ...good(), groups: ["llm-chiefs"] })}.${signature}`
      },
      `${whose} has a signature that is not its issuer's`
    ],
    [
      "one that is signed with a key that nobody publishes",
      async () => {
        await using other = await startIssuer()
        return other.signed({ ...good(), iss: issuer.url }, { kid: "another" })
      },
      `${whose} is signed with a key that its issuer does not publish`
    ],
    [
      "one of three words",
      () => "eyJhIjox.eyJhIjox.abcd",
      "The token is of none of the issuers whose tokens are taken here"
    ]
  ]
  for (const [what, make, message] of cases) {
    test(what, async () => {
      expect(await refusal(await make())).toEqual([401, message])
    })
  }

  test("and clocks that are a little apart spoil none", async () => {
    for (const claims of [{ exp: later(-5) }, { exp: later(60), nbf: later(5) }])
      expect((await ask(await issuer.signed({ ...good(), ...claims }))).status).toBe(200)
    await using strict = await started([corp({ clock_tolerance_seconds: 0, name_claim: "client_id" })])
    expect(
      (await ask(await issuer.signed({ ...good(), exp: later(-2) }), "/v1/models", undefined, strict)).status
    ).toBe(401)
  })
})

test("a token lets in until it ends, and not a moment longer, however often it was good before", async () => {
  await using short = await started([corp({ clock_tolerance_seconds: 0, name_claim: "client_id" })])
  let token = ""
  const status = async () => (await ask(token, "/v1/models", undefined, short)).status
  let first: ReadonlyArray<number> = []
  // A slow machine gets one that is good for longer.
  for (let seconds = 2; !first.includes(200) || first.includes(401); seconds *= 2) {
    if (seconds > 64) throw new Error(`not let in, but ${first.join(", ")}`)
    token = await issuer.signed({ client_id: "x", exp: later(seconds) })
    first = [await status(), await status()]
  }
  expect(first).toEqual([200, 200])
  const end = performance.now() + 100_000
  while ((await status()) === 200 && performance.now() < end) await Bun.sleep(10)
  expect(await refusal(token, short)).toEqual([401, "The token of issuer 'corp' has expired"])
})

describe("when an issuer signs with another key", () => {
  for (const algorithm of ["RS256", "EdDSA"]) {
    test(`(${algorithm}) its tokens are taken at once, and those of the one before no more`, async () => {
      await using rotating = await startIssuer(algorithm)
      await using at = await startGateway({
        auth: {
          issuers: [
            { name: "corp", issuer: rotating.url, audience: [audience], name_claim: "client_id", refresh_seconds: 3600 }
          ]
        }
      })
      const before = await rotating.token()
      expect((await ask(before, "/v1/models", undefined, at)).status).toBe(200)
      const asked = rotating.asked()
      await rotating.rotate()
      expect((await ask(await rotating.token(), "/v1/models", undefined, at)).status).toBe(200)
      expect(rotating.asked()).toBe(asked + 1)
      expect((await ask(before, "/v1/models", undefined, at)).status).toBe(401)
    })
  }
})

describe("who follows events with a token", () => {
  test("goes on when its issuer publishes a further key, and is told nothing more once the key of the token is gone", async () => {
    await using renewing = await startIssuer()
    const roles = [{ name: "chiefs", claims: { groups: ["llm-chiefs"] }, admin: true, models: ["*"] }]
    await using at = await startGateway({
      auth: {
        issuers: [
          {
            name: "corp",
            issuer: renewing.url,
            audience: [audience],
            name_claim: "client_id",
            refresh_seconds: 1,
            required_claims: { groups: ["llm-*"] },
            roles
          }
        ]
      },
      backends: [backendFor("home", upstream)]
    })
    const token = await renewing.token({ groups: ["llm-chiefs"] })
    const stream = await fetch(`${at.url}/admin/v1/events`, { headers: { authorization: `Bearer ${token}` } })
    const reader = stream.body?.pipeThrough(new TextDecoderStream()).getReader()
    let told = ""
    const hears = async (text: string): Promise<boolean> => {
      while (!told.includes(text)) {
        const read = await reader?.read()
        if (read === undefined || read.done) return false
        told += read.value
      }
      return true
    }
    // What is asked for after the next but one has come was taken over.
    const publishes = async (keys: ReadonlyArray<unknown>): Promise<void> => {
      const path = "/jwks"
      const { url } = renewing
      renewing.instead((request, response) => {
        const told = request.url?.startsWith(path) === true ? { keys } : { issuer: url, jwks_uri: `${url}${path}` }
        response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(told))
      })
      const asked = renewing.asked()
      const deadline = performance.now() + 60_000
      while (renewing.asked() < asked + 2 && performance.now() < deadline) await Bun.sleep(5)
    }
    const own = renewing.jwks().keys
    await using other = await startIssuer()
    const others = other.jwks().keys.map((key) => Object.assign(key, { kid: "another" }))
    await publishes([...own, ...others])
    const asks = (id: string) =>
      fetch(`${at.url}/v1/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json", "x-request-id": id, authorization: `Bearer ${token}` },
        body: JSON.stringify({ model: "small", messages: [{ role: "user", content: "hi" }] })
      }).then((answer) => answer.text())
    expect(await hears("event: everything")).toBe(true)
    await asks("request-1")
    expect(await hears("request-1")).toBe(true)
    await publishes(others)
    expect(await hears("what nobody tells")).toBe(false)
  })
})

describe("while an issuer is away", () => {
  test("its tokens are taken by the keys that are known, new ones too, and are refused with 503 where none are", async () => {
    await using away = await startIssuer()
    const issuers = [
      { name: "corp", issuer: away.url, audience: [audience], name_claim: "client_id", refresh_seconds: 1 }
    ]
    const [first, second] = [await away.token(), await away.token()]
    await using known = await startGateway({ auth: { issuers } })
    expect((await ask(first, "/v1/models", undefined, known)).status).toBe(200)
    away.instead((_, response) => void response.writeHead(500).end())
    expect((await ask(second, "/v1/models", undefined, known)).status).toBe(200)
    await using fresh = await startGateway({ auth: { issuers } })
    const { headers, json, status } = await ask(first, "/v1/models", undefined, fresh)
    expect([status, headers.get("retry-after"), json().error.message]).toEqual([
      503,
      "1",
      "Tokens of issuer 'corp' cannot be checked now: it has told no keys yet, or not for too long"
    ])
    away.instead(undefined)
    const end = performance.now() + 60_000
    let last = 503
    while (last === 503 && performance.now() < end) last = (await ask(first, "/v1/models", undefined, fresh)).status
    expect(last).toBe(200)
  })

  test("no redirect of its is followed, and none of its keys are taken that are too many bytes or none at all", async () => {
    await using odd = await startIssuer()
    await using elsewhere = await startIssuer()
    const answers: ReadonlyArray<readonly [string, () => void]> = [
      [
        "a redirect",
        () =>
          odd.instead(
            (request, response) => void response.writeHead(302, { location: `${elsewhere.url}${request.url}` }).end()
          )
      ],
      ["too much", () => odd.instead((_, response) => void response.end(`{"keys":["${"x".repeat(600_000)}"]}`))],
      ["a page", () => odd.instead((_, response) => void response.end("<html>"))],
      ["no key", () => odd.instead((_, response) => void response.end('{"keys":[{"kty":"oct","k":"AAAA"},null,7]}'))]
    ]
    const token = await elsewhere.signed({ iss: odd.url, exp: later(60) })
    for (const [what, answer] of answers) {
      answer()
      await using at = await startGateway({
        auth: { issuers: [{ name: "odd", issuer: odd.url, audience: [audience], jwks_url: `${odd.url}/jwks` }] }
      })
      expect([what, (await ask(token, "/v1/models", undefined, at)).status]).toEqual([what, 503])
    }
    expect(elsewhere.asked()).toBe(0)
  })
})

test("under privacy.mode = local-only an issuer beyond is never asked, and the audit says so", async () => {
  let connections = 0
  const beyond = Bun.listen({
    hostname: "127.0.0.2",
    port: 0,
    socket: {
      open: (socket) => {
        connections += 1
        socket.end()
      },
      data: () => undefined
    }
  })
  const url = `http://127.0.0.2:${beyond.port}`
  await using at = await started([{ name: "far", issuer: url, audience: [audience], refresh_seconds: 1 }], {
    privacy: { mode: "local-only", networks: ["127.0.0.1/32"] }
  })
  const token = await issuer.signed({ iss: url, exp: later(60) })
  expect((await ask(token, "/v1/models", undefined, at)).status).toBe(503)
  const { possible } = (await ask("nx-plain", "/admin/v1/audit", undefined, at)).json()
  expect(possible.filter(({ purpose }: { purpose: string }) => purpose.includes("issuer"))).toEqual([
    {
      host: "127.0.0.2",
      port: beyond.port,
      zone: "local",
      purpose: "public keys of issuer far",
      why_not: expect.stringContaining("local-only")
    }
  ])
  expect(connections).toBe(0)
  beyond.stop(true)
})
