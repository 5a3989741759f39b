import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { createHash } from "node:crypto"
import { type FakeUpstream, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, startGateway } from "../kit/gateway.ts"
import { ask, dial } from "../kit/rawClient.ts"

const path = "/v1/chat/completions"

const body = JSON.stringify({ model: "m", messages: [] })

let upstream: FakeUpstream
let gateway: Gateway

beforeAll(async () => {
  upstream = await startUpstream({ models: ["m"] })
  gateway = await startGateway({
    server: { allowed_hosts: ["nexus.lan"], cors: { origins: ["https://chat.example"] } },
    backends: [backendFor("one", upstream)]
  })
})

afterAll(async () => {
  await gateway[Symbol.asyncDispose]()
  await upstream[Symbol.asyncDispose]()
})

/** Sends a head as it stands, with a body that fits. */
const raw = async (lines: ReadonlyArray<string>) => {
  using client = await dial(gateway.port)
  await client.send(`${[...lines, `Content-Length: ${body.length}`].join("\r\n")}\r\n\r\n${body}`)
  return await client.answer()
}

const post = `POST ${path} HTTP/1.1`

const untouched = async (run: () => Promise<void>) => {
  const before = upstream.server.requests.length
  await run()
  expect(upstream.server.requests).toHaveLength(before)
}

describe("a Host", () => {
  for (const host of ["localhost", "LOCALHOST:9", "127.0.0.1", "[::1]:80", "nexus.lan:8000"]) {
    test(`${host} is let in`, async () => expect((await raw([post, `Host: ${host}`])).status).toBe(200))
  }

  for (const host of [
    "evil.example",
    "evil.example:80",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "0.0.0.0"
  ]) {
    test(`${host} is refused with 403`, () =>
      untouched(async () => {
        const answer = await raw([post, `Host: ${host}`])
        expect(answer.status).toBe(403)
        expect(answer.json()).toMatchObject({ error: { code: "forbidden", type: "invalid_request_error" } })
      }))
  }

  for (const host of ["a/x?", "u:p@h", "", "a b", "localhost/..", "localhost?x=", "localhost#", "[::1", "\\\\evil"]) {
    test(`${JSON.stringify(host)} that breaks a URL is refused`, () =>
      untouched(async () => {
        const { status } = await raw([post, `Host: ${host}`])
        expect([400, 403]).toContain(status)
      }))
  }

  test("given twice is refused", () =>
    untouched(async () => {
      for (const second of ["evil.example", "localhost"]) {
        expect((await raw([post, "Host: localhost", `Host: ${second}`])).status).toBe(400)
      }
    }))
})

describe("a browser", () => {
  test("of a listed origin is let in and told so", async () => {
    const answer = await raw([post, "Host: localhost", "Origin: https://chat.example"])
    expect(answer.status).toBe(200)
    expect(answer.header("access-control-allow-origin")).toBe("https://chat.example")
  })

  test("of any other origin, or across sites, is refused before anything is sent", () =>
    untouched(async () => {
      for (const header of ["Origin: https://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site"]) {
        const answer = await raw([post, "Host: localhost", header])
        expect(answer.status).toBe(403)
        expect(answer.header("access-control-allow-origin")).toBeUndefined()
      }
    }))

  test("gets a preflight answer for a listed origin only", async () => {
    const preflight = (origin: string) =>
      ask(gateway.port, "OPTIONS", path, "", [`Origin: ${origin}`, "Access-Control-Request-Method: POST"])
    const listed = await preflight("https://chat.example")
    expect([listed.status, listed.header("access-control-allow-origin")]).toEqual([204, "https://chat.example"])
    const other = await preflight("https://evil.example")
    expect([other.status, other.header("access-control-allow-origin")]).toEqual([403, undefined])
  })
})

describe("a request line", () => {
  test("CONNECT and TRACE lead nowhere", () =>
    untouched(async () => {
      for (const line of [`CONNECT 127.0.0.1:${upstream.port} HTTP/1.1`, "TRACE / HTTP/1.1", "CONNECT / HTTP/1.1"]) {
        const { status } = await raw([line, "Host: localhost"])
        expect([400, 404, 405, 501]).toContain(status)
      }
    }))

  test("with a target of another server leads to none", () =>
    untouched(async () => {
      for (const target of [`http://127.0.0.1:${upstream.port}/v1/models`, "//evil.example/v1/models"]) {
        await raw([`GET ${target} HTTP/1.1`, "Host: localhost"])
      }
    }))

  test("that is too long is refused", async () => {
    const { status } = await raw([`GET /${"a".repeat(9000)} HTTP/1.1`, "Host: localhost"])
    expect([404, 414, 431]).toContain(status)
  })
})

describe("framing that two servers could read in two ways is refused:", () => {
  const wrong: ReadonlyArray<readonly [name: string, headers: ReadonlyArray<string>]> = [
    ["two lengths", ["Content-Length: 3"]],
    ["a length and chunks", ["Transfer-Encoding: chunked"]],
    ["a coding nobody knows", ["Transfer-Encoding: xchunked"]],
    ["a folded header", ["X-A: b\r\n c"]]
  ]
  for (const [name, headers] of wrong) {
    test(name, () => untouched(async () => expect((await raw([post, "Host: localhost", ...headers])).status).toBe(400)))
  }
})

describe("a key", () => {
  const digest = (key: string) => createHash("sha256").update(key).digest()

  test("is asked for before anything of the body is read, and each known one is good", async () => {
    await using locked = await startGateway(
      { backends: [backendFor("one", upstream)] },
      {
        backendKeys: new Map(),
        authKeys: [
          { name: "a", digest: digest("key-a") },
          { name: "b", digest: digest("key-b") }
        ]
      }
    )
    for (const header of ["Authorization: Bearer key-a", "authorization: bearer key-b", "X-Api-Key: key-b"]) {
      expect((await ask(locked.port, "POST", path, body, [header])).status).toBe(200)
      expect(upstream.lastCall().head).not.toMatch(/key-[ab]/)
    }
    const before = upstream.calls().length
    for (const header of [
      "Authorization: Bearer key-c",
      "Authorization: Basic key-a",
      "X-Other: key-a",
      "X-Api-Key: "
    ]) {
      const answer = await ask(locked.port, "POST", path, body, [header])
      expect(answer.status).toBe(401)
      expect(answer.json()).toMatchObject({ error: { code: "invalid_api_key", param: null } })
    }
    using client = await dial(locked.port)
    await client.send(`${post}\r\nHost: localhost\r\nContent-Length: 10000000\r\n\r\n{`)
    expect((await client.answer()).status).toBe(401)
    expect(upstream.calls()).toHaveLength(before)
    for (const open of ["/livez", "/readyz"]) expect((await ask(locked.port, "GET", open)).status).toBe(200)
    for (const shut of ["/health", "/v1/models", "/nexus/backends", "/openapi.json"]) {
      expect((await ask(locked.port, "GET", shut)).status).toBe(401)
    }
  })
})
