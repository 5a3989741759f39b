import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, startGateway } from "../kit/gateway.ts"
import { ask, dial } from "../kit/rawClient.ts"

const body = JSON.stringify({ model: "m", messages: [] })

let upstream: Awaited<ReturnType<typeof startUpstream>>
let gateway: Gateway

beforeAll(async () => {
  upstream = await startUpstream({ models: ["m", "org/name"] })
  gateway = await startGateway({ backends: [backendFor("a", upstream)] })
})

afterAll(async () => {
  await gateway[Symbol.asyncDispose]()
  await upstream[Symbol.asyncDispose]()
})

describe("a path that a proxy in front could take for another one is refused with 400:", () => {
  const deep = Array.from({ length: 16 }, () => "a").join("/")
  for (const target of [
    "/v1/../admin/v1/decisions",
    "/v1/./models",
    "/v1/models/.",
    "/v1/models/..",
    "/..",
    "/../v1/models",
    "/v1/%2e%2e/admin/v1/decisions",
    "/v1/.%2E/admin/v1/decisions",
    "/v1/%2e/models",
    "/v1/..%2fadmin/v1/decisions",
    "/v1/models/..%2F..%2Fadmin",
    "/v1/%2e%2e%2fadmin",
    "/v1//models",
    "//v1/models",
    "/v1/models//",
    "//",
    "/v1\\models",
    "/v1/..\\admin",
    "/v1\\./models",
    "/v1/%5cmodels",
    "/%5c../admin/v1/decisions",
    "/livez/..",
    "/x/../livez",
    "/v1/chat/../chat/completions",
    "/v1/chat/completions/.",
    "/v1/chat/completions/x/..",
    `/${deep}/../../v1/models`,
    `/${deep}/a`,
    "http://127.0.0.1/v1/../livez"
  ]) {
    test(target.replace(deep, "16 segments"), async () => {
      for (const method of ["GET", "POST"]) {
        const answer = await ask(gateway.port, method, target, method === "POST" ? body : "")
        expect(answer.status).toBe(400)
        expect(answer.text).toContain("as it is routed")
      }
      expect(upstream.calls()).toEqual([])
    })
  }
})

describe("a path that everybody reads alike is served:", () => {
  for (const [target, status] of [
    ["/", 200],
    ["/livez", 200],
    ["/v1/models", 200],
    ["/v1/models?a=/../b//c\\d", 200],
    ["/v1/models/org%2Fname", 200],
    ["/v1/models/org/name", 200],
    ["/v1/models/m", 200],
    ["/v1/models/...", 404],
    ["/v1/models/a..b", 404],
    ["/v1/%6dodels", 404],
    ["/v1/nothing/", 404],
    ["http://127.0.0.1/livez", 200]
  ] as const) {
    test(target, async () => expect((await ask(gateway.port, "GET", target)).status).toBe(status))
  }

  test("the forwarded ones, with a query too", async () => {
    for (const target of ["/v1/chat/completions", "/v1/chat/completions?x=/../y"]) {
      expect((await ask(gateway.port, "POST", target, body)).status).toBe(200)
    }
  })
})

test("two requests at once on one connection are both answered where the answer is at hand", async () => {
  using client = await dial(gateway.port)
  const one = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
  await client.send(one + one)
  expect((await client.answer()).status).toBe(200)
  client.next()
  expect((await client.answer()).status).toBe(200)
})
