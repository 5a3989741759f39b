import { createHash } from "node:crypto"
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { type FakeUpstream, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, startGateway } from "../kit/gateway.ts"

const browser = { accept: "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8" }

const odd = `x"><script>alert('1')</script>`

let upstream: FakeUpstream
let gateway: Gateway
let locked: Gateway

beforeAll(async () => {
  upstream = await startUpstream({ models: ["llama3:8b", odd] })
  const settings = { backends: [backendFor("box", upstream), { name: "gone", url: "http://127.0.0.1:1" }] }
  const digest = new Uint8Array(createHash("sha256").update("nx-key").digest())
  gateway = await startGateway({ ...settings, health_check: { failure_threshold: 1 } })
  locked = await startGateway(settings, { backendKeys: new Map(), authKeys: [{ name: "k", digest }] })
})

afterAll(async () => {
  for (const each of [gateway, locked, upstream]) await each[Symbol.asyncDispose]()
})

const get = async (path: string, headers: Record<string, string> = {}, { url }: Gateway = gateway, method = "GET") => {
  const response = await fetch(`${url}${path}`, { method, headers })
  return {
    status: response.status,
    type: response.headers.get("content-type"),
    head: response.headers,
    text: await response.text()
  }
}

describe("GET /", () => {
  test("tells a terminal the base URL, the backends, the models and a line to try", async () => {
    const { status, type, text } = await get("/")
    expect([status, type]).toEqual([200, "text/plain; charset=utf-8"])
    expect(text).toContain(`${gateway.url.replace("localhost", "127.0.0.1")}/v1`)
    expect(text).toMatch(/box +\w+ +healthy +2 models/)
    expect(text).toMatch(/gone +\w+ +unhealthy: /)
    expect(text).toMatch(/llama3:8b +box/)
    expect(text).toContain("curl -s ")
  })

  test("shows a browser the same as a page", async () => {
    const { status, type, text } = await get("/", browser)
    expect([status, type]).toEqual([200, "text/html; charset=utf-8"])
    expect(text).toStartWith("<!doctype html>")
    for (const word of ["llama3:8b", "box", "unhealthy", "/v1</code>", "curl -s "]) expect(text).toContain(word)
  })

  test("shows names of strangers as text", async () => {
    const page = await get("/", browser)
    expect(page.text).not.toContain("<script")
    expect(page.text).toContain("x&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)")
  })

  test("answers HEAD with nothing but a head", async () => {
    for (const headers of [{}, browser]) {
      for (const path of ["/", "/docs"]) {
        const { status, text } = await get(path, headers, gateway, "HEAD")
        expect([status, text]).toEqual([200, ""])
      }
    }
  })

  test("says without the key how to ask, and nothing of models and backends", async () => {
    for (const headers of [{}, { authorization: "Bearer wrong" }]) {
      for (const accept of [{}, browser]) {
        const { status, text } = await get("/", { ...headers, ...accept }, locked)
        expect(status).toBe(200)
        expect(text).toContain("Bearer $NEXUS_KEY")
        expect(text).not.toMatch(/llama3|box|gone/)
        expect(text).toContain(`curl -s ${locked.url}/v1/models -H `)
      }
    }
    expect((await get("/", { "api-key": "nx-key" }, locked)).text).toContain("llama3:8b")
  })

  test("shows neither addresses nor keys of backends", async () => {
    for (const headers of [{}, browser]) {
      const { text } = await get("/", headers)
      expect(text).not.toContain(upstream.url)
      expect(text).not.toContain("127.0.0.1:1/")
    }
  })
})

describe("GET /docs", () => {
  test("lists every endpoint of /openapi.json, to a browser and to a terminal", async () => {
    const { paths } = JSON.parse((await get("/openapi.json")).text) as { readonly paths: Record<string, object> } // reason: an OpenAPI document always has these
    const [page, plain] = [await get("/docs", browser), await get("/docs")]
    expect([page.type, plain.type]).toEqual(["text/html; charset=utf-8", "text/plain; charset=utf-8"])
    for (const [path, item] of Object.entries(paths)) {
      for (const method of Object.keys(item).map((each) => each.toUpperCase())) {
        expect(page.text).toContain(`<b>${method}</b> ${path}</code>`)
        expect(plain.text).toMatch(new RegExp(`${method} +${path.replaceAll(/[{}]/g, "\\$&")} `))
      }
    }
    expect(page.text).toContain("max_tokens")
  })

  test("is there without a key, and says the same of every gateway", async () => {
    expect((await get("/docs", browser, locked)).text).toBe((await get("/docs", browser)).text)
  })
})

test("the pages load nothing, run nothing and may not be framed", async () => {
  for (const path of ["/", "/docs"]) {
    const { head, text } = await get(path, browser)
    expect(text).not.toMatch(/<script|<iframe|<img| src=|url\(|@import|javascript:/i)
    expect([...text.matchAll(/ href="([^"]*)"/g)].filter(([, to = ""]) => !/^(\/|data:,$)/.test(to))).toEqual([])
    const policy = head.get("content-security-policy") ?? ""
    expect(policy).toStartWith("default-src 'none'")
    expect(policy).toContain("frame-ancestors 'none'")
    const style = /<style>([^]*?)<\/style>/.exec(text)?.[1] ?? ""
    expect(policy).toContain(`'sha256-${createHash("sha256").update(style).digest("base64")}'`)
    expect(head.get("x-content-type-options")).toBe("nosniff")
  }
})

test("the place of administration says where models are asked", async () => {
  await using apart = await startGateway({ admin: { listen: "127.0.0.1:0" }, backends: [backendFor("box", upstream)] })
  const { text } = await get("/", {}, { ...apart, url: `http://127.0.0.1:${apart.running.adminPort}` })
  expect(text).toContain("the gateway's other address")
  expect(text).not.toContain("curl")
})
