import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { createHash } from "node:crypto"
import { isProbeElsewhere } from "../../src/admission/access.ts"
import { Dialects } from "../../src/dialect/all.ts"
import { passedEndpoints } from "../../src/dialect/openai/passed-endpoints.ts"
import { servedPathsOf } from "../../src/operations/endpoints.ts"
import { type FakeUpstream, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, startGateway } from "../kit/gateway.ts"
import { ask, dial } from "../kit/rawClient.ts"

const body = JSON.stringify({ model: "org/m", messages: [] })

let upstream: FakeUpstream
let gateway: Gateway

beforeAll(async () => {
  upstream = await startUpstream({ models: ["org/m"] })
  gateway = await startGateway({ backends: [backendFor("a", upstream)] })
})

afterAll(async () => {
  await gateway[Symbol.asyncDispose]()
  await upstream[Symbol.asyncDispose]()
})

describe("a base URL that is nearly right is taken for what is meant:", () => {
  for (const base of ["", "/v1/v1", "/v1/chat/completions", "/chat/completions", "/v1/embeddings", "/v1/models"]) {
    test(`the address and '${base}'`, async () => {
      for (const end of ["", "/", "?a=b"]) {
        const answer = await ask(gateway.port, "POST", `${base}/chat/completions${end}`, body)
        expect(answer.status).toBe(200)
        expect(upstream.lastCall().target).toBe("/v1/chat/completions")
      }
      if (base !== "/v1/models") {
        for (const end of ["", "/"]) {
          const { status, text } = await ask(gateway.port, "GET", `${base}/models${end}`)
          expect([status, text]).toEqual([200, expect.stringContaining('"object":"list"')])
        }
      }
    })
  }

  test("and so is a slash at the end", async () => {
    expect((await ask(gateway.port, "POST", "/v1/chat/completions/", body)).status).toBe(200)
    for (const path of ["/v1/models/", "/v1/models/org/m/", "/models/org/m", "/v1/v1/models/org%2Fm"]) {
      expect((await ask(gateway.port, "GET", path)).status).toBe(200)
    }
  })
})

describe("a path that is not served says what to write:", () => {
  for (const [method, path, status, words] of [
    ["POST", "/api/v1/chat/completions", 404, "set the client's base URL to http://127.0.0.1/v1"],
    ["GET", "//v1/models", 400, "off the end of the client's base URL, as in http://127.0.0.1/v1"],
    ["POST", "/v1//chat/completions", 400, "two slashes in a row"],
    ["GET", "/v1", 404, "the base URL of clients"],
    ["GET", "/health/", 404, "It is served at /health"],
    ["GET", "/healthz", 404, "Probes ask /livez (Nexus runs) and /readyz (requests can be routed), both without a key"],
    ["GET", "/health/liveliness", 404, "Probes ask /livez"],
    ["GET", "/-/ready", 404, "Probes ask /livez"],
    ["GET", "/admin/v1/backends/", 404, "It is served at /admin/v1/backends"],
    ["GET", "/v1/livez", 404, "It is served at /livez"],
    ["GET", "/v1/chat/completions/", 404, "It is served at /v1/chat/completions"],
    [
      "POST",
      "/v1/threads",
      404,
      "OpenAI's API is below /v1, such as /v1/chat/completions; OpenAI's Responses are at /v1/responses; Anthropic's API is at"
    ]
  ] as const) {
    test(`${method} ${path}`, async () => {
      const answer = await ask(gateway.port, method, path, method === "POST" ? body : "")
      expect([answer.status, answer.text]).toEqual([status, expect.stringContaining(words)])
    })
  }

  test("and repeats no Host that is none", async () => {
    await using open = await startGateway({ server: { host: "0.0.0.0", insecure: true } })
    using client = await dial(open.port)
    await client.send("GET /api/v1/models HTTP/1.1\r\nHost: a'<script>\r\n\r\n")
    const { text } = await client.answer()
    expect(text).not.toContain("script")
  })
})

describe("a probe at a path that other servers have", () => {
  test("is told where to ask, and not for a key, which probes have none of", async () => {
    const digest = new Uint8Array(createHash("sha256").update("k").digest())
    await using closed = await startGateway({}, { backendKeys: new Map(), authKeys: [{ name: "one", digest }] })
    expect((await ask(closed.port, "GET", "/v1/models")).status).toBe(401)
    for (const path of ["/healthz", "/health/ready", "/liveness", "/api/ping", "/up", "/_health-check", "/startupz"]) {
      const { status, text } = await ask(closed.port, "GET", path)
      expect([path, status, text]).toEqual([path, 404, expect.stringContaining("Probes ask /livez")])
    }
  })

  test("is let in nowhere where something is", () => {
    expect([...servedPathsOf(Dialects.defaultValue()).keys()].filter(isProbeElsewhere)).toEqual([])
    expect(passedEndpoints.map(({ path }) => path).filter(isProbeElsewhere)).toEqual([])
  })
})

describe("a check that says no Host, as a load balancer's in HTTP/1.0,", () => {
  const asked = async (head: string) => {
    using client = await dial(gateway.port, head.startsWith("HEAD"))
    await client.send(`${head}\r\n\r\n`)
    return await client.answer()
  }

  test("learns whether the gateway lives, is ready and is well", async () => {
    for (const path of ["/livez", "/readyz", "/health", "/readyz?from=haproxy"]) {
      for (const method of ["GET", "HEAD"]) {
        expect((await asked(`${method} ${path} HTTP/1.0`)).status).toBe(200)
      }
      expect((await asked(`GET ${path} HTTP/1.1\r\nHost:`)).status).toBe(200)
    }
  })

  test("learns nothing else, and why", async () => {
    for (const path of ["/", "/v1/models", "/admin/v1/backends", "/nexus/backends"]) {
      const { status, text } = await asked(`GET ${path} HTTP/1.0`)
      expect([status, text]).toEqual([400, expect.stringContaining("no Host header")])
    }
  })

  test("is refused by Bun itself when it claims HTTP/1.1", async () => {
    expect((await asked("GET /livez HTTP/1.1")).status).toBe(400)
  })
})
