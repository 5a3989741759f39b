import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { Effect, Layer } from "effect"
import { examineBackend } from "../../src/doctor/examine.ts"
import { Perimeter, perimeterGate, reachOf } from "../../src/upstream/perimeter.ts"
import { Transport } from "../../src/upstream/Transport.ts"
import { addressesWithin } from "../../src/backend/zone.ts"
import { openGate } from "../../src/wire/call.ts"
import { openSocket } from "../../src/wire/web-socket.ts"
import { backend } from "../registry/backends.ts"
import { type FakeUpstream, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, startGateway } from "../kit/gateway.ts"
import { ask, client, rejection, callTo } from "../wire/caller.ts"

/** Listens beyond what the gateway may reach, and counts who comes. */
const startBeyond = () => {
  let connections = 0
  const server = Bun.listen({
    hostname: "127.0.0.2",
    port: 0,
    socket: {
      open: (socket) => {
        connections += 1
        socket.end("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
      },
      data: () => undefined
    }
  })
  return { port: server.port, connections: () => connections, stop: () => server.stop(true) }
}

let here: FakeUpstream
let beyond: ReturnType<typeof startBeyond>

beforeAll(async () => {
  here = await startUpstream({ models: ["m"] })
  beyond = startBeyond()
})

afterAll(async () => {
  await here[Symbol.asyncDispose]()
  beyond.stop()
})

const privacy = { mode: "local-only", networks: ["127.0.0.1/32"] }

describe("with privacy.mode = local-only", () => {
  let gateway: Gateway

  beforeAll(async () => {
    gateway = await startGateway({
      privacy,
      server: { backend_paths: true, model_changes: "clients" },
      discovery: { enabled: true, hosts: [`127.0.0.2:${beyond.port}`], interval_seconds: 1 },
      health_check: { interval_seconds: 0.05 },
      routing: { fallbacks: { m: ["far"] } },
      backends: [
        backendFor("here", here),
        backendFor("beyond", { url: `http://127.0.0.2:${beyond.port}` }, { models: [{ id: "far" }], type: "ollama" }),
        backendFor("mapped", { url: `http://[::ffff:127.0.0.2]:${beyond.port}` }, { models: [{ id: "far" }] }),
        { name: "cloud", type: "anthropic", models: [{ id: "far" }] }
      ]
    })
  })

  afterAll(() => gateway[Symbol.asyncDispose]())

  test("what is within answers", async () => {
    const response = await fetch(`${gateway.url}/v1/chat/completions`, {
      method: "POST",
      body: JSON.stringify({ model: "m", messages: [{ role: "user", content: "Hello" }] })
    })
    expect([response.status, response.headers.get("x-nexus-backend")]).toEqual([200, "here"])
  })

  test("nothing connects to anything beyond: no probe, request, path of a backend, change of models or search", async () => {
    const paths = [
      ["/v1/chat/completions", { model: "far", messages: [{ role: "user", content: "Hello" }] }],
      ["/v1/messages/count_tokens", { model: "far", messages: [{ role: "user", content: "Hello" }] }],
      ["/backend/beyond/v1/chat/completions", { model: "far", messages: [] }],
      ["/backend/mapped/v1/chat/completions", { model: "far", messages: [] }],
      ["/api/pull", { model: "beyond/far" }]
    ] as const
    for (const [path, body] of paths) {
      const response = await fetch(`${gateway.url}${path}`, { method: "POST", body: JSON.stringify(body) })
      expect(response.status).toBeGreaterThanOrEqual(400)
      await response.text()
    }
    const loaded = await fetch(`${gateway.url}/admin/v1/models/load`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: "far", backend: "beyond" })
    })
    expect(loaded.ok).toBe(false)
    const added = await fetch(`${gateway.url}/admin/v1/backends`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ url: `http://127.0.0.2:${beyond.port}` })
    })
    expect(added.ok).toBe(false)
    // Some sweeps of the probes and of the search.
    const probes = here.probes().length
    while (here.probes().length < probes + 5) await Bun.sleep(5)
    expect(beyond.connections()).toBe(0)
  })

  test("says of each backend that is left out why, and never asks it", () => {
    expect(gateway.backend("beyond")).toMatchObject({
      status: "config_error",
      reason: 'is beyond this machine and privacy.networks (privacy.mode = "local-only")'
    })
    expect(gateway.backend("cloud")).toMatchObject({
      status: "config_error",
      zone: "cloud",
      reason: 'is in zone cloud, and privacy.mode = "local-only" leaves that out'
    })
  })
})

const within = addressesWithin(["127.0.0.1/32"])
const gate = perimeterGate(() => within)

describe("what a name leads to is looked at when the socket is opened", () => {
  test("a name that leads beyond opens none, in whatever form its address comes", async () => {
    const before = beyond.connections()
    for (const addresses of [["127.0.0.2"], ["::ffff:127.0.0.2"], ["::ffff:7f00:2"], ["127.0.0.2", "127.0.0.2"]]) {
      const one = client({ gate, lookUp: () => Promise.resolve(addresses) })
      const error = await rejection(one.send(callTo(`http://name.test:${beyond.port}/`).call))
      expect(error).toMatchObject({ _tag: "Unreachable", barred: true })
      expect(JSON.stringify(error)).not.toContain("127.0.0")
    }
    expect(beyond.connections()).toBe(before)
  })

  test("of several addresses those alone are used that are within", async () => {
    const before = beyond.connections()
    const server = Bun.serve({ hostname: "127.0.0.1", port: beyond.port, fetch: () => new Response("hello") })
    const one = client({ gate, lookUp: () => Promise.resolve(["127.0.0.2", "127.0.0.1"]) })
    for (let turn = 0; turn < 4; turn += 1)
      expect((await ask(one, `http://name.test:${beyond.port}/`)).text).toBe("hello")
    await server.stop(true)
    expect(beyond.connections()).toBe(before)
  })

  test("one that leads elsewhere later is refused, and no connection from before is used for it", async () => {
    const before = beyond.connections()
    let addresses = ["127.0.0.1"]
    let now = 0
    const server = Bun.serve({ hostname: "127.0.0.1", port: beyond.port, fetch: () => new Response("hello") })
    const one = client({ gate, now: () => now, lookUp: () => Promise.resolve(addresses) })
    expect((await ask(one, `http://name.test:${beyond.port}/`)).text).toBe("hello")
    addresses = ["127.0.0.2"]
    now += 60_000
    expect(await rejection(one.send(callTo(`http://name.test:${beyond.port}/`).call))).toMatchObject({ barred: true })
    await server.stop(true)
    expect(beyond.connections()).toBe(before)
  })

  test("a connection that was let through is used no more once it would not be", async () => {
    let isOpen = true
    const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("hello") })
    const one = client({ gate: () => (isOpen ? undefined : "closed") })
    expect((await ask(one, `http://127.0.0.1:${server.port}/`)).text).toBe("hello")
    isOpen = false
    expect(await rejection(one.send(callTo(`http://127.0.0.1:${server.port}/`).call))).toMatchObject({ barred: true })
    await server.stop(true)
  })

  test("a backend that is said to be in a zone is not asked where its name leads to another", async () => {
    const said = (zone: string) => reachOf(backend("b", { url: `http://name.test:${beyond.port}`, zone }))
    expect(said("lan")?.("127.0.0.2")).toBe("its name leads to zone local, and it is said to be in lan")
    expect(said("lan")?.("203.0.113.9")).toBe("its name leads to zone cloud, and it is said to be in lan")
    expect(said("lan")?.("::ffff:10.1.2.3")).toBeUndefined()
    expect(said("eu-dc")?.("203.0.113.9")).toBeUndefined()
    const before = beyond.connections()
    const one = client({ lookUp: () => Promise.resolve(["127.0.0.2"]) })
    const { call } = callTo(`http://name.test:${beyond.port}/`)
    expect(await rejection(one.send({ ...call, reach: said("lan") }))).toMatchObject({ barred: true })
    expect(beyond.connections()).toBe(before)
  })

  test("a request that is bound goes no further than the name of its backend says", () => {
    const limits = [{ by: "the key 'team'", zones: ["local", "lan"] }]
    const named = backend("b", { url: "http://gpu-box:8000" })
    expect(reachOf(named)).toBeUndefined()
    expect(reachOf(named, limits)?.("10.0.0.5")).toBeUndefined()
    expect(reachOf(named, limits)?.("203.0.113.9")).toContain("the key 'team' does not allow that")
    expect(reachOf(backend("b", { url: "http://10.0.0.5:8000" }), limits)).toBeUndefined()
  })
})

test("a session in real time opens no socket beyond either", async () => {
  const before = beyond.connections()
  const call = { url: `http://127.0.0.2:${beyond.port}/`, headers: {}, protocols: [], trust: undefined }
  const refused = await new Promise((resolve) => openSocket(call, gate, () => resolve("opened"), resolve))
  expect(refused).toMatchObject({ _tag: "Unreachable", barred: true })
  expect(beyond.connections()).toBe(before)
  await new Promise((resolve) => openSocket(call, openGate, () => resolve("opened"), resolve))
  expect(beyond.connections()).toBe(before + 1)
})

test("doctor looks at nothing beyond, with what bounds the gateway", async () => {
  const before = beyond.connections()
  const { findings } = await Effect.runPromise(
    examineBackend(backend("b", { url: `http://127.0.0.2:${beyond.port}` }), {
      inference: true,
      timeoutMs: 20_000,
      answerMs: 20_000
    }).pipe(
      Effect.provide(Layer.provide(Transport.layer, Layer.succeed(Perimeter, gate))),
      Effect.provideService(Perimeter, gate),
      Effect.scoped
    )
  )
  expect(findings.map(({ severity }) => severity)).toContain("error")
  expect(JSON.stringify(findings)).toContain("local-only")
  expect(beyond.connections()).toBe(before)
})
