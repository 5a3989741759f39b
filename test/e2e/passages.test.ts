import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test"
import { createHash } from "node:crypto"
import OpenAI, { toFile } from "openai"
import { chunk, head, json, whole } from "../kit/answers.ts"
import { type Gateway, startGateway, type SettingsTree, until } from "../kit/gateway.ts"
import { ask, dial, requestBytes } from "../kit/rawClient.ts"
import { type Script, startRaw } from "../kit/rawServer.ts"

const clientKey = "sk-of-the-client"
const backendKey = "sk-of-the-backend"

/** A server that lists a model, and answers all else by its script. */
const startKeeper = async (id: string) => {
  let script: Script = () => [json({})]
  const server = await startRaw({
    script: (request) =>
      request.target === "/v1/models" && !request.head.includes("x-nexus-hops")
        ? [json({ object: "list", data: [{ id, object: "model" }] })]
        : script(request)
  })
  return {
    server,
    url: server.url,
    script: (next: Script) => {
      script = next
    },
    last: () => {
      const found = server.requests.findLast(({ head: text }) => text.includes("x-nexus-hops"))
      if (found === undefined) throw new Error("nothing was passed on")
      return found
    }
  }
}

let cloud: Awaited<ReturnType<typeof startKeeper>>
let local: Awaited<ReturnType<typeof startKeeper>>
let gateway: Gateway

const start = (more: SettingsTree = {}, backends: ReadonlyArray<SettingsTree> = []) =>
  startGateway(
    {
      server: { backend_paths: true, max_streamed_mb: 30 },
      backends: [
        { name: "cloud", url: cloud.url, type: "openai" },
        { name: "local", url: local.url, type: "generic" },
        ...backends
      ],
      ...more
    },
    {
      backendKeys: new Map([["cloud", backendKey]]),
      authKeys: [{ name: "one", digest: createHash("sha256").update(clientKey).digest() }]
    }
  )

const auth = `Authorization: Bearer ${clientKey}`
const get = (path: string, headers: ReadonlyArray<string> = []) =>
  ask(gateway.port, "GET", path, "", [auth, ...headers])

beforeAll(async () => {
  ;[cloud, local] = await Promise.all([startKeeper("gpt"), startKeeper("llama")])
})
afterAll(async () => {
  for (const each of [cloud, local]) await each.server[Symbol.asyncDispose]()
})
beforeEach(async () => {
  gateway = await start()
})
afterEach(() => gateway[Symbol.asyncDispose]())

describe("files and batches", () => {
  test("go to the only backend that keeps any, with its key, whatever the method", async () => {
    for (const [method, path] of [
      ["GET", "/v1/files?limit=2&after=x"],
      ["GET", "/v1/files/file-1"],
      ["DELETE", "/v1/files/file-1"],
      ["POST", "/v1/batches"],
      ["POST", "/v1/batches/batch-1/cancel"]
    ] as const) {
      cloud.script(() => [json({ id: "x", object: "thing" })])
      const body = method === "POST" ? '{"input_file_id":"file-1"}' : ""
      const got = await ask(gateway.port, method, path, body, [auth])
      expect({ method, path, status: got.status }).toEqual({ method, path, status: 200 })
      expect(got.header("x-nexus-backend")).toBe("cloud")
      expect(cloud.last()).toMatchObject({ method, target: path, text: body })
      expect(cloud.last().header("authorization")).toBe(`Bearer ${backendKey}`)
    }
  })

  test("go to the one that a header names", async () => {
    local.script(() => [json({ data: [] })])
    expect((await get("/v1/files", ["x-nexus-backend: local"])).header("x-nexus-backend")).toBe("local")
    expect(local.last().header("authorization")).toBeUndefined()
    expect(local.last().header("x-nexus-backend")).toBeUndefined()
    const got = await get("/v1/files", ["x-nexus-backend: nobody"])
    expect({ status: got.status, text: got.text }).toMatchObject({ status: 404 })
    expect(got.text).toContain("There are: cloud, local")
  })

  test("are refused in words where several could be meant", async () => {
    await using two = await start({}, [{ name: "other", url: cloud.url, type: "openai" }])
    const got = await ask(two.port, "GET", "/v1/files", "", [auth])
    expect(got.status).toBe(400)
    expect(got.text).toContain("cloud, other")
    expect(got.text).toContain("x-nexus-backend")
  })

  test("are to be had at Azure's paths", async () => {
    cloud.script(() => [json({ data: [] })])
    for (const base of ["/openai/v1", "/openai"]) {
      expect((await get(`${base}/files/file-1`)).status).toBe(200)
      expect(cloud.last().target).toBe("/v1/files/file-1")
    }
  })

  test("pass as they come, both ways, however large they are", async () => {
    const content = Buffer.from(Uint8Array.from({ length: 5_000_000 }, (_, at) => (at * 13) % 251))
    cloud.script((request) => [
      whole(200, request.body, "application/octet-stream", ["Content-Disposition: attachment"])
    ])
    using client = await dial(gateway.port)
    await client.send(requestBytes("POST", "/v1/files", content, [auth]))
    const got = await client.answer()
    expect(Buffer.compare(Buffer.from(got.body), content)).toBe(0)
    expect(got.header("content-disposition")).toBe("attachment")
    await gateway.quiet()
  })

  test("what the backend says of them is passed on, errors too, but for its key", async () => {
    cloud.script(() => [json({ error: { message: `no file; key ${backendKey}` } }, 404)])
    const got = await get("/v1/files/nothing")
    expect(got.status).toBe(404)
    expect(got.text).toContain("no file")
    expect(got.text).not.toContain(backendKey)
  })

  test("the openai package keeps them", async () => {
    const openai = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: clientKey, maxRetries: 0 })
    cloud.script(({ method, target }) => {
      if (target.endsWith("/content")) return [whole(200, "content", "application/octet-stream")]
      if (method === "GET" && target.startsWith("/v1/files"))
        return [json({ object: "list", data: [{ id: "file-1" }] })]
      return [json({ id: method === "DELETE" ? "gone" : "file-1", object: "file", status: "validating" })]
    })
    const file = await openai.files.create({ file: await toFile(Buffer.from("{}"), "a.jsonl"), purpose: "batch" })
    expect(file.id).toBe("file-1")
    expect((await openai.files.list()).data.map(({ id }) => id)).toEqual(["file-1"])
    expect(await (await openai.files.content("file-1")).text()).toBe("content")
    expect((await openai.files.delete("file-1")).id).toBe("gone")
    const batch = await openai.batches.create({
      input_file_id: "file-1",
      endpoint: "/v1/chat/completions",
      completion_window: "24h"
    })
    expect(batch.status).toBe("validating")
  })
})

test("a page of a listed origin may do there what it may ask beforehand: any method of files, one of a change", async () => {
  await using open = await start({ server: { backend_paths: true, cors: { origins: ["https://chat.example"] } } })
  const origin = "Origin: https://chat.example"
  const allowed = async (path: string, method: string) =>
    (await ask(open.port, "OPTIONS", path, "", [origin, `Access-Control-Request-Method: ${method}`]))
      .header("access-control-allow-methods")
      ?.split(", ")
  for (const path of ["/v1/files/file-1", "/openai/files/file-1", "/v1/batches", "/backend/local/slots"]) {
    for (const method of ["DELETE", "PUT", "GET"]) expect(await allowed(path, method)).toContain(method)
  }
  expect(await allowed("/api/delete", "DELETE")).toEqual(["DELETE"])
  expect(await allowed("/v1/chat/completions", "POST")).toEqual(["GET", "POST"])
  cloud.script(() => [json({ id: "file-1", deleted: true })])
  const gone = await ask(open.port, "DELETE", "/v1/files/file-1", "", [auth, origin])
  expect([gone.status, gone.header("access-control-allow-origin")]).toEqual([200, "https://chat.example"])
})

describe("/backend/NAME/…", () => {
  test("is refused while it is off, and says what turns it on", async () => {
    await using off = await start({ server: {} })
    const got = await ask(off.port, "GET", "/backend/local/health", "", [auth])
    expect(got.status).toBe(403)
    expect(got.text).toContain("server.backend_paths")
    expect((await ask(off.port, "GET", "/v1/files", "", [auth, "x-nexus-backend: local"])).status).toBe(200)
  })

  test("is any path of a backend, by any method, below its base URL", async () => {
    local.script(({ method }) => [method === "HEAD" ? whole(200, "") : json({ ok: true })])
    for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]) {
      const got = await ask(gateway.port, method, "/backend/local/slots/1?a=%2F&b", "", [auth])
      expect({ method, status: got.status, text: got.text }).toEqual({ method, status: 200, text: '{"ok":true}' })
      expect(local.last()).toMatchObject({ method, target: "/slots/1?a=%2F&b" })
    }
    local.script(() => [head(200, ["Content-Type: text/plain", "Content-Length: 500", "X-Their: own"])])
    const got = await ask(gateway.port, "HEAD", "/backend/local/slots", "", [auth])
    expect({ status: got.status, own: got.header("x-their") }).toEqual({ status: 200, own: "own" })
  })

  test("tells nothing of a connection, and no key, either way", async () => {
    cloud.script(() => [
      json({ ok: true }, 200, [
        "Set-Cookie: a=b",
        "Connection: x-hop",
        "X-Hop: 1",
        "X-Kept: 2",
        `X-Leak: ${backendKey}`,
        "WWW-Authenticate: Bearer",
        "Access-Control-Allow-Origin: *",
        "Server: theirs",
        "X-Nexus-Backend: forged"
      ])
    ])
    const got = await get("/backend/cloud/x", [
      "Cookie: c=d",
      "X-Api-Key: other",
      "Api-Key: other",
      "X-Goog-Api-Key: other",
      "Proxy-Authorization: Basic x",
      "X-Forwarded-For: 10.0.0.1",
      "Connection: close, x-mine",
      "X-Mine: 1",
      "X-Custom: 2"
    ])
    const seen = cloud.last()
    const names = new Set(seen.headers.map(([name]) => name.toLowerCase()))
    for (const name of [
      "cookie",
      "x-api-key",
      "api-key",
      "x-goog-api-key",
      "proxy-authorization",
      "x-forwarded-for",
      "x-mine"
    ]) {
      expect({ name, there: names.has(name) }).toEqual({ name, there: false })
    }
    expect(seen.header("x-custom")).toBe("2")
    expect(seen.head).not.toContain(clientKey)
    for (const name of ["set-cookie", "x-hop", "x-leak", "www-authenticate", "access-control-allow-origin", "server"]) {
      expect({ name, value: got.header(name) }).toEqual({ name, value: undefined })
    }
    expect([got.header("x-kept"), got.header("x-nexus-backend")]).toEqual(["2", "cloud"])
  })

  test("streams, and is cut where the backend is", async () => {
    const more = Promise.withResolvers<void>()
    local.script(() => [
      head(200, ["Content-Type: text/event-stream", "Transfer-Encoding: chunked"]),
      chunk("data: 1\n\n"),
      { until: more.promise },
      "fin"
    ])
    using client = await dial(gateway.port)
    await client.send(requestBytes("GET", "/backend/local/events", "", [auth]))
    await client.until(({ text }) => text.includes("data: 1"))
    expect(gateway.backend("local").in_flight).toBe(1)
    more.resolve()
    expect((await client.answer()).end).not.toBe("complete")
    await gateway.quiet()
    expect(gateway.backend("local")).toMatchObject({ in_flight: 0, circuits: [] })
  })

  test("is given up with its client", async () => {
    local.script(() => ["hang"])
    const before = local.server.open()
    using client = await dial(gateway.port)
    await client.send(requestBytes("GET", "/backend/local/slow", "", [auth]))
    await until(() => local.server.busy() === 1, "it is asked")
    client.hangUp()
    await until(() => local.server.open() <= before, "the call has been closed")
    await gateway.quiet()
  })

  test("is listed while it is under way, and can be cancelled", async () => {
    local.script(() => ["hang"])
    using client = await dial(gateway.port)
    await client.send(requestBytes("GET", "/backend/local/slow", "", [auth, "x-request-id: slow-one"]))
    await until(() => local.server.busy() === 1, "it is asked")
    const list = (await get("/admin/v1/requests")).json()
    expect(list).toMatchObject({ requests: [{ id: "slow-one", endpoint: "backend", backend: "local" }] })
    expect((await ask(gateway.port, "DELETE", "/admin/v1/requests/slow-one", "", [auth])).status).toBe(200)
    expect((await client.answer()).status).toBe(499)
  })

  test("is counted by its name", async () => {
    local.script(() => [json({})])
    await get("/backend/local/x")
    expect((await get("/metrics")).text).toContain('endpoint="backend"')
  })

  test("of a backend that is gone, drained or unknown is refused", async () => {
    expect((await get("/backend/nobody/x")).status).toBe(404)
    await ask(gateway.port, "POST", "/admin/v1/backends/local/drain", "", [auth])
    expect((await get("/backend/local/x")).status).toBe(503)
    await using gone = await start({}, [{ name: "gone", url: "http://127.0.0.1:1", type: "generic" }])
    const got = await ask(gone.port, "GET", "/backend/gone/x", "", [auth])
    expect({ status: got.status, text: got.text }).toMatchObject({ status: 503 })
    expect(got.text).not.toContain("model ''")
  })

  test("takes no path that is another one for some readers", async () => {
    const before = local.server.requests.length
    for (const path of [
      "/backend/local/../x",
      "/backend/local//x",
      "/backend/local/%2e%2e/x",
      "/backend/local/a\\b",
      "/backend/local"
    ]) {
      expect([400, 404]).toContain((await get(path)).status)
    }
    expect(local.server.requests.length).toBe(before)
  })

  test("wants a key like everything else", async () => {
    expect((await ask(gateway.port, "GET", "/backend/local/x", "", [])).status).toBe(401)
    expect((await ask(gateway.port, "GET", "/v1/files", "", [])).status).toBe(401)
  })
})
