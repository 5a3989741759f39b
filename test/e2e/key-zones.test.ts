import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { type FakeUpstream, startUpstream } from "../kit/FakeUpstream.ts"
import { json } from "../kit/answers.ts"
import { backendFor, type Gateway } from "../kit/gateway.ts"
import { askAs, startKeyed } from "../kit/clientKeys.ts"
import { startModelOllama, toldOf } from "../kit/modelServers.ts"
import { startRaw } from "../kit/rawServer.ts"

const models = ["omni-moderation-latest", "guard", "near-only"]

let near: FakeUpstream
let far: FakeUpstream
let lab: Awaited<ReturnType<typeof startModelOllama>>
let remote: Awaited<ReturnType<typeof startModelOllama>>
let gateway: Gateway

beforeAll(async () => {
  near = await startUpstream({ models: ["near-only", "both"], script: () => [json({ results: [], model: "x" })] })
  far = await startUpstream({ models: ["far-only", "both", models[0] ?? ""] })
  lab = await startModelOllama("qwen3:8b")
  remote = await startModelOllama("qwen3:8b")
  gateway = await startKeyed(
    {
      house: { zones: ["local"] },
      chief: { zones: ["local"], admin: true },
      lab: { backends: ["lab"], admin: true },
      small: { models: ["qwen3:8b"], admin: true },
      one: { models: ["near-only"] },
      two: { models: ["near-only", "both"] },
      all: { admin: true }
    },
    {
      models: [{ name: "both", zones: ["local", "cloud"] }],
      routing: { aliases: { distant: "far-only", shared: "both" }, groups: { any: ["far-only", "near-only"] } },
      backends: [
        backendFor("near", near),
        backendFor("far", far, { zone: "cloud" }),
        backendFor("lab", lab, { type: "ollama" }),
        backendFor("remote", remote, { type: "ollama", zone: "cloud" })
      ]
    }
  )
})

afterAll(async () => {
  for (const each of [gateway, near, far, lab, remote]) await each[Symbol.asyncDispose]()
})

const ids = async (key: string): Promise<ReadonlyArray<string>> =>
  (await askAs(gateway, key, "/v1/models")).json().data.map(({ id }: { readonly id: string }) => id)

describe("a key for some zones", () => {
  test("sees in no list what its requests cannot reach", async () => {
    expect(await ids("house")).toEqual(["any", "both", "near-only", "qwen3:8b", "shared"])
    expect(await ids("all")).toContain("far-only")
    for (const [path, headers] of [
      ["/api/tags", {}],
      ["/v1beta/models", {}],
      ["/v1/models", { "anthropic-version": "2023-06-01" }]
    ] as const) {
      const { status, text } = await askAs(gateway, "house", path, undefined, headers)
      expect([path, status]).toEqual([path, 200])
      expect(text).toContain("near-only")
      expect(text).not.toMatch(/far-only|distant/)
    }
    const listed = (await askAs(gateway, "house", "/v1/models")).json().data
    const backendsOf = (name: string) => listed.find(({ id }: { readonly id: string }) => id === name).backends
    expect([backendsOf("both"), backendsOf("any"), backendsOf("qwen3:8b")]).toEqual([["near"], ["near"], ["lab"]])
  })

  test("is told of a single model why it is not there, as when it asks for it", async () => {
    for (const name of ["far-only", "distant"]) {
      const { json: body, status } = await askAs(gateway, "house", `/v1/models/${name}`)
      expect([status, body().error.code]).toEqual([403, "zone_not_allowed"])
      expect(body().error.message).toContain("the key 'house' allows local")
    }
    expect((await askAs(gateway, "house", "/api/show", { model: "far-only" })).status).toBe(403)
    expect((await askAs(gateway, "house", "/v1/models/near-only")).status).toBe(200)
  })
})

describe("what is done to models of servers", () => {
  const act = async (key: string, action: string, body: unknown) => {
    const { json: told, status, text } = await askAs(gateway, key, `/admin/v1/models/${action}`, body)
    return status === 200
      ? [status, JSON.parse(text.trim().split("\n").at(-1) ?? "{}").backend]
      : [status, told().error.code]
  }

  test("is done where the key lets its requests go, and nowhere else", async () => {
    for (const key of ["chief", "lab"]) {
      expect(await act(key, "load", { model: "qwen3:8b" })).toEqual([200, "lab"])
      expect(await act(key, "unload", { model: "qwen3:8b" })).toEqual([200, "lab"])
    }
    expect(await act("all", "load", { model: "qwen3:8b" })).toEqual([400, "bad_request"])
    expect(await act("chief", "load", { model: "qwen3:8b@remote" })).toEqual([403, "zone_not_allowed"])
    expect(await act("chief", "pull", { model: "new", backend: "remote" })).toEqual([403, "zone_not_allowed"])
    expect(await act("lab", "pull", { model: "new", backend: "remote" })).toEqual([404, "backend_not_found"])
    expect(await act("small", "pull", { model: "new", backend: "remote" })).toEqual([403, "model_not_allowed"])
    expect(await act("small", "load", { model: "both", backend: "remote" })).toEqual([403, "model_not_allowed"])
    expect(toldOf(remote.server, "/api/generate")).toEqual([])
    expect(toldOf(remote.server, "/api/pull")).toEqual([])
  })

  test("is passed on, in Ollama's words, to the one that the key lets it go to", async () => {
    for (const key of ["chief", "lab"]) {
      const { status } = await askAs(gateway, key, "/api/pull", { model: "other:1b" })
      expect([key, status]).toEqual([key, 200])
    }
    expect(toldOf(lab.server, "/api/pull")).toHaveLength(2)
    const several = await askAs(gateway, "all", "/api/pull", { model: "other:1b" })
    expect([several.status, several.json().error]).toEqual([400, expect.stringContaining("(lab, remote)")])
    for (const [key, status] of [
      ["chief", 403],
      ["lab", 403]
    ] as const) {
      const named = await askAs(gateway, key, "/api/pull", { model: "remote/x:1b" })
      expect([key, named.status]).toEqual([key, status])
    }
    expect(toldOf(remote.server, "/api/pull")).toEqual([])
  })
})

test("where a request names no model, one stands in that its key may ask for", async () => {
  const moderated = (key: string) => askAs(gateway, key, "/v1/moderations", { input: "hi" })
  const one = await moderated("one")
  expect([one.status, one.backend]).toEqual([200, "near"])
  expect((await moderated("all")).backend).toBe("far")
  const two = await moderated("two")
  expect([two.status, two.json().error.param]).toEqual([400, "model"])
})

test("the one that stands in is still the key's where a hook has put other words into the request", async () => {
  await using hook = await startRaw({
    script: ({ text }) => [
      json(
        JSON.parse(text).phase === "request"
          ? { action: "replace", texts: [{ index: 0, text: "other words" }] }
          : { action: "allow" }
      )
    ]
  })
  await using guarded = await startKeyed(
    { one: { models: ["near-only"] } },
    {
      hooks: [{ name: "words", url: `${hook.url}/judge` }],
      backends: [backendFor("near", near), backendFor("far", far)]
    }
  )
  const { backend, status } = await askAs(guarded, "one", "/v1/moderations", { input: "hi" })
  expect([status, backend]).toEqual([200, "near"])
  expect(near.calls().at(-1)?.text).toContain("other words")
})
