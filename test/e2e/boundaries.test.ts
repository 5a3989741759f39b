import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { chatEvents, chunk, json, lastChunk, streamHead } from "../kit/answers.ts"
import { type FakeUpstream, good, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, startGateway } from "../kit/gateway.ts"
import { ask } from "../kit/rawClient.ts"
import type { Step } from "../kit/rawServer.ts"

const path = "/v1/chat/completions"

const body = JSON.stringify({ model: "m", messages: [] })

let upstream: FakeUpstream
let elsewhere: FakeUpstream
let gateway: Gateway

beforeAll(async () => {
  upstream = await startUpstream({ models: ["m"] })
  elsewhere = await startUpstream({ models: ["m"] })
  gateway = await startGateway({ backends: [backendFor("one", upstream)] })
})

afterAll(async () => {
  for (const each of [gateway, upstream, elsewhere]) await each[Symbol.asyncDispose]()
})

/** What clients send, and what servers in front of gateways add: none of it is a backend's to see. */
const strange = `
  Authorization Proxy-Authorization X-Api-Key Api-Key X-Goog-Api-Key X-Auth-Token Cookie Forwarded
  X-Forwarded-For X-Forwarded-Host X-Forwarded-Proto X-Forwarded-Port X-Real-Ip Via X-Original-Url X-Rewrite-Url
  X-Http-Method-Override X-Host X-Forwarded-Server True-Client-Ip Keep-Alive TE Trailer Proxy-Connection X-Hop
  Origin-Agent-Cluster Referer User-Agent Accept-Language Cache-Control Pragma If-None-Match If-Modified-Since
  Range Date From X-Stainless-Lang X-Stainless-Retry-Count X-Stainless-Timeout Openai-Organization Openai-Project
  Idempotency-Key X-Nexus-Backend X-Nexus-Attempts X-Nexus-Version X-Litellm-Api-Base X-Portkey X-Custom-Host
  X-Base-Url X-Provider Helicone-Auth Cf-Connecting-Ip X-Amzn-Trace-Id Dnt Upgrade-Insecure-Requests
  Sec-Fetch-Mode Sec-Ch-Ua Priority X-Csrf-Token X-Requested-With
`
  .trim()
  .split(/\s+/)

const known = [
  "accept",
  "accept-encoding",
  "connection",
  "content-length",
  "content-type",
  "host",
  "openai-beta",
  "traceparent",
  "tracestate",
  "user-agent",
  "x-nexus-hops",
  "x-request-id"
]

describe("a backend", () => {
  test("is sent the headers of a list and no other, however they are written", async () => {
    const cases = [(name: string) => name, (name: string) => name.toUpperCase(), (name: string) => name.toLowerCase()]
    for (const written of cases) {
      const headers = strange.map((name) => `${written(name)}: client-secret`)
      const listed = ["Accept: a/b", "Traceparent: t", "Tracestate: s", "OpenAI-Beta: b", "X-Request-Id: i"]
      const answer = await ask(gateway.port, "POST", path, body, [...headers, ...listed, "Connection: X-Hop"])
      expect(answer.status).toBe(200)
      const { headers: seen, head } = upstream.lastCall()
      expect(seen.map(([name]) => name.toLowerCase()).sort()).toEqual(known)
      expect(head).not.toContain("client-secret")
    }
  })

  test("is not chosen, changed or replaced by anything in a request", async () => {
    const { url } = elsewhere
    const tree = {
      model: "m",
      messages: [],
      api_base: url,
      base_url: url,
      api_key: "k",
      url,
      endpoint: url,
      proxy: url
    }
    const headers = ["X-Litellm-Api-Base", "X-Custom-Host", "X-Base-Url", "Forwarded", "X-Forwarded-Host", "X-Host"]
    const targets = [path, `${url}${path}`, `${path}?api_base=${url}`]
    for (const target of targets) {
      await ask(
        gateway.port,
        "POST",
        target,
        JSON.stringify(tree),
        headers.map((name) => `${name}: ${url}`)
      )
      expect([upstream.lastCall().target, upstream.lastCall().text]).toEqual([path, JSON.stringify(tree)])
      expect(upstream.lastCall().header("host")).toBe(`127.0.0.1:${upstream.port}`)
    }
    expect(
      upstream
        .calls()
        .slice(-3)
        .map(({ target }) => target)
    ).toEqual([path, path, path])
    expect(elsewhere.calls()).toHaveLength(0)
  })
})

describe("a client", () => {
  const ours = [
    "x-request-id",
    "x-nexus-backend",
    "x-nexus-backend-type",
    "x-nexus-route-reason",
    "x-nexus-zone",
    "x-nexus-attempts"
  ]
  const theirs = ["Set-Cookie: a=b", "Server: x", "Via: x", "X-Powered-By: x", "X-Upstream-Id: x", "X-Nexus-Backend: x"]
  const quotas = [
    "X-Ratelimit-Limit-Tokens: 1",
    "Alt-Svc: h3=x",
    "Access-Control-Allow-Origin: *",
    "Location: http://x"
  ]
  const rows: ReadonlyArray<readonly [name: string, steps: Iterable<Step>, headers: ReadonlyArray<string>]> = [
    ["a whole answer", [json({ choices: [] }, 200, [...theirs, ...quotas])], ["content-type"]],
    ["an error", [json({ error: { message: "x" } }, 400, [...theirs, ...quotas])], ["content-type"]],
    [
      "a failure",
      [json({ error: "x" }, 500, [...theirs, ...quotas])],
      ["content-type", "x-nexus-rejection-reasons", "x-should-retry"]
    ],
    [
      "a stream",
      [streamHead([...theirs, ...quotas]), chunk(chatEvents("m", ["Hello"]).join("")), lastChunk],
      ["content-type", "cache-control", "x-accel-buffering"]
    ]
  ]
  for (const [name, steps, headers] of rows) {
    test(`gets the headers of a list and no other with ${name}`, async () => {
      upstream.script(() => steps)
      const stream = name === "a stream"
      const answer = await ask(gateway.port, "POST", path, JSON.stringify({ model: "m", messages: [], stream }))
      upstream.script(good())
      const framing = ["date", answer.header("content-length") === undefined ? "transfer-encoding" : "content-length"]
      const names = answer.headers.map(([each]) => each.toLowerCase())
      expect(names.filter((each) => each !== "connection").sort()).toEqual([...ours, ...framing, ...headers].sort())
      expect(answer.header("x-nexus-backend")).toBe("one")
    })
  }

  test("gets its own answer, and its backend its own key, among a thousand others", async () => {
    await using echo = await startUpstream({
      models: ["m"],
      script: async function* (request) {
        await Bun.sleep(request.nth % 3)
        yield json({ choices: [], asked: JSON.parse(request.text), key: request.header("authorization") })
      }
    })
    await using open = await startGateway({ backends: [backendFor("one", echo, { forward_authorization: true })] })
    const one = async (i: number) => {
      const user = `user-${i}`
      const tree = { model: "m", messages: [], user }
      const headers = [`Authorization: Bearer ${user}`, `X-Request-Id: ${user}`]
      const answer = await ask(open.port, "POST", path, JSON.stringify(tree), headers)
      expect(answer.json()).toEqual({ choices: [], asked: tree, key: `Bearer ${user}` })
      expect(answer.header("x-request-id")).toBe(user)
    }
    const lane = async (from: number) => {
      for (let i = from; i < 1000; i += 100) await one(i)
    }
    await Promise.all(Array.from({ length: 100 }, (_, i) => lane(i)))
    expect(echo.calls()).toHaveLength(1000)
  })
})
