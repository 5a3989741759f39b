import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { type FakeUpstream, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, startGateway } from "../kit/gateway.ts"
import { bytesOf, join } from "../kit/http.ts"
import { ask, dial, requestBytes } from "../kit/rawClient.ts"

const path = "/v1/chat/completions"

let upstream: FakeUpstream
let gateway: Gateway

beforeAll(async () => {
  upstream = await startUpstream({ models: ["m", "__proto__", "constructor"] })
  gateway = await startGateway({
    backends: [backendFor("one", upstream)],
    routing: { aliases: { alias: "m", toString: "m" } }
  })
})

afterAll(async () => {
  // Whatever came, the gateway is as good as before, and so is the process.
  expect((await ask(gateway.port, "POST", path, '{"model":"m","messages":[]}')).status).toBe(200)
  expect(Object.keys(Object.prototype)).toEqual([])
  await gateway.quiet()
  await gateway[Symbol.asyncDispose]()
  await upstream[Symbol.asyncDispose]()
})

const nested = (depth: number): string => `${"[".repeat(depth)}${"]".repeat(depth)}`

describe("a body that is odd and valid reaches the backend byte for byte:", () => {
  const bodies: ReadonlyArray<readonly [name: string, body: string]> = [
    ["numbers no double can hold", `{"model":"m","messages":[],"a":1e400,"b":-0.0,"c":${"9".repeat(5000)}}`],
    ["lone surrogates", '{"model":"m","messages":[{"role":"user","content":"\\ud800 \\udc00"}]}'],
    [
      "__proto__ and constructor as keys",
      '{"__proto__":{"model":"x"},"constructor":{"prototype":{"x":1}},"model":"m","messages":[]}'
    ],
    ["a model called __proto__", '{"model":"__proto__","messages":[]}'],
    ["a model called constructor", '{"model":"constructor","messages":[]}'],
    ["white space around it", ' \r\n\t{ "model" : "m" , "messages" : [ ] } \n'],
    ["deep nesting", `{"model":"m","messages":[],"deep":${nested(500)}}`],
    ["a key a hundred thousand letters long", `{"model":"m","messages":[],"${"k".repeat(100_000)}":1}`]
  ]
  for (const [name, body] of bodies) {
    test(name, async () => {
      const answer = await ask(gateway.port, "POST", path, body)
      expect(answer.status).toBe(200)
      expect(upstream.lastCall().text).toBe(body)
    })
  }

  test("five megabytes of it", async () => {
    const body = JSON.stringify({ model: "m", messages: [{ role: "user", content: "é".repeat(2_500_000) }] })
    expect((await ask(gateway.port, "POST", path, body)).status).toBe(200)
    expect(upstream.lastCall().text === body).toBe(true)
  })

  test("the name replaced wherever a reader would find it, when it is there twice", async () => {
    await ask(gateway.port, "POST", path, '{"model":"nobody","model":"alias","messages":[]}')
    expect(JSON.parse(upstream.lastCall().text)).toEqual({ model: "m", messages: [] })
    expect(upstream.lastCall().text).not.toContain("alias")
  })

  test("a name that every object has is an alias like any other", async () => {
    await ask(gateway.port, "POST", path, '{"model":"toString","messages":[]}')
    expect(upstream.lastCall().text).toBe('{"model":"m","messages":[]}')
  })
})

describe("a body that is wrong is refused with 400 and goes nowhere:", () => {
  const bodies: ReadonlyArray<readonly [name: string, body: string | Uint8Array]> = [
    ["bytes that are no UTF-8", join(['{"model":"m","messages":["', new Uint8Array([0xff, 0xfe]), '"]}'])],
    ["two values", '{"model":"m","messages":[]}{"model":"m","messages":[]}'],
    ["a trailing comma", '{"model":"m","messages":[],}'],
    ["a comment", '{"model":"m","messages":[] /* hi */}'],
    ["a raw line feed in a text", '{"model":"m\n","messages":[]}'],
    ["NaN", '{"model":"m","messages":[],"temperature":NaN}'],
    ["a form", "model=m&messages=hi"],
    ["a model with no letters", '{"model":"","messages":[]}']
  ]
  for (const [name, body] of bodies) {
    test(name, async () => {
      const before = upstream.calls().length
      const answer = await ask(gateway.port, "POST", path, body)
      expect(answer.status).toBe(400)
      expect(answer.json()).toMatchObject({ error: { type: "invalid_request_error", code: "bad_request" } })
      expect(upstream.calls()).toHaveLength(before)
    })
  }

  test("nesting a hundred thousand deep is refused or passed on, and hurts nobody", async () => {
    const body = `{"model":"m","messages":[],"deep":${nested(100_000)}}`
    const answer = await ask(gateway.port, "POST", path, body)
    if (answer.status === 200) expect(upstream.lastCall().text === body).toBe(true)
    else expect(answer.status).toBe(400)
  })

  test("an error never shows more of a model's name than a screen can bear", async () => {
    const answer = await ask(gateway.port, "POST", path, JSON.stringify({ model: "x".repeat(1_000_000), messages: [] }))
    expect([400, 404]).toContain(answer.status)
    expect(answer.body.byteLength).toBeLessThan(2000)
  })
})

describe("one connection", () => {
  test("carries many requests, one after the other", async () => {
    using client = await dial(gateway.port)
    for (let i = 0; i < 20; i += 1) {
      const stream = i % 2 === 0
      const body = JSON.stringify({ model: "m", messages: [{ role: "user", content: `${i}` }], stream })
      await client.send(requestBytes("POST", path, body))
      const answer = await client.answer()
      expect([answer.status, answer.end, answer.text.includes("[DONE]")]).toEqual([200, "complete", stream])
      expect(upstream.lastCall().text).toBe(body)
      client.next()
    }
  })

  test("is told to go on before it sends a body it has announced", async () => {
    using client = await dial(gateway.port)
    const body = '{"model":"m","messages":[]}'
    await client.send(
      `POST ${path} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: ${body.length}\r\n\r\n`
    )
    await client.send(bytesOf(body))
    expect((await client.answer()).status).toBe(200)
  })
})
