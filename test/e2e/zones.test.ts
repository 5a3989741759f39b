import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { createHash } from "node:crypto"
import { json } from "../kit/answers.ts"
import { type FakeUpstream, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, startGateway, type SettingsTree, until } from "../kit/gateway.ts"

let near: FakeUpstream
let house: FakeUpstream
let far: FakeUpstream

beforeAll(async () => {
  near = await startUpstream({ models: ["small", "both"] })
  house = await startUpstream({ models: ["middle"] })
  far = await startUpstream({ models: ["large", "both"] })
})

afterAll(async () => {
  for (const upstream of [near, house, far]) await upstream[Symbol.asyncDispose]()
})

const key = (name: string) => ({ name, digest: new Uint8Array(createHash("sha256").update(`k-${name}`).digest()) })

const secrets = { backendKeys: new Map(), authKeys: [key("team"), key("all")] }

const sha256 = "0".repeat(64)

const settings = (): SettingsTree => ({
  server: { backend_paths: true, model_changes: "clients" },
  auth: {
    keys: [
      { name: "team", sha256, zones: ["local", "lan"] },
      { name: "all", sha256 }
    ]
  },
  models: [{ name: "private", zones: ["local"] }],
  routing: {
    aliases: { private: "both", wide: "both" },
    fallbacks: { small: ["large", "middle"], private: ["large"] }
  },
  routes: [
    { name: "inside", match: { headers: { "x-dept": "law" } }, zones: ["lan"] },
    {
      name: "copied",
      match: { headers: { "x-dept": "copies" } },
      zones: ["local"],
      shadow: { model: "large", share: 1, remote: true }
    }
  ],
  backends: [
    backendFor("near", near),
    backendFor("house", house, { zone: "lan" }),
    backendFor("far", far, { zone: "cloud", priority: 1 })
  ]
})

const ask = (
  gateway: Gateway,
  model: string | undefined,
  headers: Record<string, string> = {},
  path = "/v1/chat/completions"
): Promise<Response> =>
  fetch(`${gateway.url}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: "Bearer k-all", ...headers },
    body: JSON.stringify({ model, messages: [{ role: "user", content: "Hello" }], max_tokens: 5 })
  })

const team = { authorization: "Bearer k-team" }

const counts = (): ReadonlyArray<number> => [near, house, far].map((upstream) => upstream.calls().length)

/** What reaches each upstream meanwhile. */
const reached = async (run: () => Promise<unknown>): Promise<ReadonlyArray<number>> => {
  const before = counts()
  await run()
  return counts().map((count, at) => count - (before[at] ?? 0))
}

describe("where a request may go", () => {
  let gateway: Gateway

  beforeAll(async () => {
    gateway = await startGateway(settings(), secrets)
  })

  afterAll(() => gateway[Symbol.asyncDispose]())

  test("is told with the answer: the zone that its bytes went to", async () => {
    const wide = await ask(gateway, "wide")
    expect([wide.status, wide.headers.get("x-nexus-backend"), wide.headers.get("x-nexus-zone")]).toEqual([
      200,
      "far",
      "cloud"
    ])
    const here = await ask(gateway, "small")
    expect(here.headers.get("x-nexus-zone")).toBe("local")
  })

  test("is bounded by its key", async () => {
    const response = await ask(gateway, "wide", team)
    expect([response.status, response.headers.get("x-nexus-backend")]).toEqual([200, "near"])
  })

  test("and refused with what is not allowed where nobody else has the model, in the client's dialect", async () => {
    const sent = await reached(async () => {
      const response = await ask(gateway, "large", team)
      const { error } = (await response.json()) as { error: { code: string; message: string; type: string } }
      expect([response.status, error.code, error.type]).toEqual([403, "zone_not_allowed", "invalid_request_error"])
      expect(error.message).toContain("'far': is in zone cloud, and the key 'team' allows local, lan")
      const messages = await ask(gateway, "large", { ...team, "anthropic-version": "2023-06-01" }, "/v1/messages")
      const told = (await messages.json()) as { type: string; error: { type: string; message: string } }
      expect([messages.status, told.type, told.error.type]).toEqual([403, "error", "permission_error"])
      expect(told.error.message).toContain("zone cloud")
    })
    expect(sent).toEqual([0, 0, 0])
  })

  test("is narrowed by its header, never widened", async () => {
    const narrowed = await ask(gateway, "wide", { "x-nexus-zones": "local, lan" })
    expect(narrowed.headers.get("x-nexus-backend")).toBe("near")
    const widened = await ask(gateway, "large", { ...team, "x-nexus-zones": "cloud" })
    expect(widened.status).toBe(403)
    const wrong = await ask(gateway, "wide", { "x-nexus-zones": "local; lan" })
    const { error } = (await wrong.json()) as { error: { param: string } }
    expect([wrong.status, error.param]).toEqual([400, "x-nexus-zones"])
  })

  test("is bounded by what its model is called, fallbacks included, in any spelling", async () => {
    const sent = await reached(async () => {
      for (const name of ["private", "openai/private", "private:free"]) {
        expect((await ask(gateway, name)).headers.get("x-nexus-zone")).toBe("local")
      }
    })
    expect(sent).toEqual([3, 0, 0])
  })

  test("is bounded by its rule, and no copy of it goes elsewhere", async () => {
    const inside = await ask(gateway, "both", { "x-dept": "law" })
    expect(inside.status).toBe(403)
    expect(await inside.text()).toContain("rule 'inside' allows lan")
    const sent = await reached(async () => {
      expect((await ask(gateway, "both", { "x-dept": "copies" })).headers.get("x-nexus-zone")).toBe("local")
      await gateway.quiet()
    })
    expect(sent).toEqual([1, 0, 0])
  })

  test("holds for fallbacks when the first one fails: no further zone is tried", async () => {
    near.script(() => [json({ error: { message: "broken" } }, 500)])
    const sent = await reached(async () => {
      const response = await ask(gateway, "small", team)
      expect([response.status, response.headers.get("x-nexus-zone")]).toEqual([200, "lan"])
    })
    near.script((request) => [json({ object: "chat.completion", choices: [], model: request.target })])
    expect(sent[2]).toBe(0)
  })

  test("holds for the tokens of a prompt, which are counted by nobody beyond", async () => {
    const sent = await reached(async () => {
      const response = await ask(
        gateway,
        "large",
        { ...team, "anthropic-version": "2023-06-01" },
        "/v1/messages/count_tokens"
      )
      expect(response.status).toBe(403)
    })
    expect(sent).toEqual([0, 0, 0])
  })

  test("holds for what is passed on unread", async () => {
    const sent = await reached(async () => {
      const response = await ask(gateway, "large", team, "/backend/far/v1/chat/completions")
      expect(response.status).toBe(403)
      expect(await response.text()).toContain("zone cloud")
      const files = await fetch(`${gateway.url}/v1/files`, { headers: { ...team, "x-nexus-backend": "far" } })
      expect(files.status).toBe(403)
    })
    expect(sent).toEqual([0, 0, 0])
  })

  test("holds for a session in real time", async () => {
    const refused = await fetch(`${gateway.url}/v1/realtime?model=large`, {
      headers: {
        ...team,
        connection: "upgrade",
        upgrade: "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "MDEyMzQ1Njc4OWFiY2RlZg=="
      }
    })
    expect(refused.status).toBe(403)
  })

  test("is told by explain, with who forbids what", async () => {
    const explained = async (headers: string, name: string) => {
      const query = new URLSearchParams({ key: name, headers })
      const response = await fetch(`${gateway.url}/admin/v1/route?${query}`, {
        method: "POST",
        headers: { authorization: "Bearer k-all" },
        body: JSON.stringify({ model: "wide", messages: [] })
      })
      return (await response.json()) as {
        decision: {
          candidates: ReadonlyArray<{ backend: string; zone: string }>
          excluded: ReadonlyArray<{ backend: string; reason: string }>
        }
      }
    }
    const { decision } = await explained("", "team")
    expect(decision.candidates.map(({ backend, zone }) => [backend, zone])).toEqual([["near", "local"]])
    expect(decision.excluded).toEqual([
      { backend: "far", model: "both", reason: "is in zone cloud, and the key 'team' allows local, lan" }
    ] as never)
    const asked = await explained("x-nexus-zones: cloud", "all")
    expect(asked.decision.excluded.map(({ reason }) => reason)).toEqual([
      "is in zone local, and the request (x-nexus-zones) allows cloud"
    ])
  })

  test("is seen of each backend", async () => {
    const listed = await fetch(`${gateway.url}/nexus/backends`, { headers: { authorization: "Bearer k-all" } })
    const { backends } = (await listed.json()) as { backends: ReadonlyArray<{ name: string; zone: string }> }
    expect(backends.map(({ name, zone }) => [name, zone])).toEqual([
      ["near", "local"],
      ["house", "lan"],
      ["far", "cloud"]
    ])
    await until(() => gateway.inFlight() === 0, "nothing in flight")
  })
})
