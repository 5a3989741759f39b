import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test"
import { createHash } from "node:crypto"
import { Ollama } from "ollama"
import { chunk, head, json, lastChunk, whole } from "../kit/answers.ts"
import { thrown } from "../kit/clientCases.ts"
import { type Gateway, startGateway, type SettingsTree, until } from "../kit/gateway.ts"
import { line, linesHead } from "../kit/ollama.ts"
import { ask, dial, requestBytes } from "../kit/rawClient.ts"
import { type Script, type Seen, startRaw } from "../kit/rawServer.ts"

/** An Ollama with models of its own, which can be pulled, copied and deleted. */
const startOllama = async () => {
  const models = new Set<string>()
  const blobs = new Map<string, Uint8Array>()
  let pulling: Script = () => []
  // The package calls a model by the older field.
  const named = ({ text }: Seen, field = "name"): string => {
    const told = JSON.parse(text)
    return String(told[field] ?? told.model)
  }
  const own: Readonly<Record<string, Script>> = {
    "GET /api/tags": () => [json({ models: [...models].map((name) => ({ name, model: name, digest: name })) })],
    "GET /api/ps": () => [json({ models: [] })],
    "GET /api/version": () => [json({ version: "0.33.0" })],
    "POST /api/show": () => [json({ capabilities: ["completion"] })],
    "POST /api/pull": (request) => {
      models.add(named(request))
      return pulling(request)
    },
    "POST /api/push": () => [linesHead, chunk(line({ status: "success" })), lastChunk],
    "POST /api/create": () => [linesHead, chunk(line({ status: "success" })), lastChunk],
    "POST /api/copy": (request) => {
      models.add(named(request, "destination"))
      return [whole(200, "")]
    },
    "DELETE /api/delete": (request) =>
      models.delete(named(request)) ? [whole(200, "")] : [json({ error: `model '${named(request)}' not found` }, 404)]
  }
  const server = await startRaw({
    script: (request) => {
      const { body, method, target } = request
      if (target.startsWith("/api/blobs/")) {
        const digest = target.slice("/api/blobs/".length)
        if (method === "HEAD") return [head(blobs.has(digest) ? 200 : 404, ["Content-Length: 0"])]
        blobs.set(digest, body)
        return [whole(201, "")]
      }
      return own[`${method} ${target}`]?.(request) ?? [whole(404, "404 page not found")]
    }
  })
  return {
    server,
    url: server.url,
    models,
    blobs,
    pulls: (script: Script) => {
      pulling = script
    },
    told: () => server.requests.filter(({ target }) => /pull|push|create|copy|delete|blobs/.test(target))
  }
}

let one: Awaited<ReturnType<typeof startOllama>>
let other: Awaited<ReturnType<typeof startOllama>>
let cloud: Awaited<ReturnType<typeof startRaw>>
let gateway: Gateway

const adminKey = "sk-of-the-administrator"
const clientKey = "sk-of-a-client"
const keys = {
  backendKeys: new Map<string, string>(),
  authKeys: [
    { name: "admin", digest: createHash("sha256").update(adminKey).digest(), admin: true },
    { name: "client", digest: createHash("sha256").update(clientKey).digest() }
  ]
}

const vllm = (): SettingsTree => ({ name: "gpu", url: cloud.url, type: "vllm" })
const ollamaOf = (name: string, { url }: { readonly url: string }): SettingsTree => ({ name, url, type: "ollama" })

const lab = (server: SettingsTree = {}) => ({ server, backends: [ollamaOf("lab", one), vllm()] })

const both = () => startGateway({ backends: [ollamaOf("lab", one), ollamaOf("attic", other), vllm()] })

const sdk = (port: number, headers: Record<string, string> = {}) =>
  new Ollama({ host: `http://127.0.0.1:${port}`, headers })

const progress = [{ status: "pulling manifest" }, { status: "pulling abc", total: 10, completed: 4 }]

beforeAll(async () => {
  cloud = await startRaw({ script: () => [json({ object: "list", data: [{ id: "llama", object: "model" }] })] })
})
afterAll(() => cloud[Symbol.asyncDispose]())
beforeEach(async () => {
  ;[one, other] = await Promise.all([startOllama(), startOllama()])
  one.models.add("here:latest")
  const success: Script = () => [linesHead, chunk(line({ status: "success" })), lastChunk]
  one.pulls(success)
  other.pulls(success)
  gateway = await startGateway(lab())
})
afterEach(async () => {
  await gateway[Symbol.asyncDispose]()
  await one.server[Symbol.asyncDispose]()
  await other.server[Symbol.asyncDispose]()
})

const listed = async (port: number): Promise<ReadonlyArray<string>> =>
  (await sdk(port).list()).models.map(({ name }) => name)

const isListed = async (name: string, port = gateway.port) => {
  while (!(await listed(port)).includes(name)) await Bun.sleep(20)
}

const status = (failure: unknown): unknown => Reflect.get(Object(failure), "status_code")

describe("the only Ollama", () => {
  test("pulls a model, tells how far it is while it does, and has the model listed at once", async () => {
    const more = Promise.withResolvers<void>()
    one.pulls(() => [
      linesHead,
      ...progress.map((each) => chunk(line(each))),
      { until: more.promise },
      chunk(line({ status: "success" })),
      lastChunk
    ])
    const seen: Array<string> = []
    for await (const part of await sdk(gateway.port).pull({ model: "qwen3:8b", stream: true })) {
      seen.push(part.status)
      if (part.completed === 4) more.resolve()
    }
    expect(seen).toEqual(["pulling manifest", "pulling abc", "success"])
    await isListed("qwen3:8b")
  })

  test("pulls, copies, pushes, makes and deletes for the ollama package", async () => {
    const ollama = sdk(gateway.port)
    expect(await ollama.pull({ model: "a:1b" })).toMatchObject({ status: "success" })
    expect(await ollama.copy({ source: "a:1b", destination: "b:1b" })).toMatchObject({ status: "success" })
    await isListed("b:1b")
    expect(await ollama.push({ model: "a:1b" })).toMatchObject({ status: "success" })
    expect(await ollama.create({ model: "mine", from: "a:1b" })).toMatchObject({ status: "success" })
    expect(await ollama.delete({ model: "a:1b" })).toMatchObject({ status: "success" })
    while ((await listed(gateway.port)).includes("a:1b")) await Bun.sleep(20)
    expect(one.told().map(({ method, target }) => `${method} ${target}`)).toEqual([
      "POST /api/pull",
      "POST /api/copy",
      "POST /api/push",
      "POST /api/create",
      "DELETE /api/delete"
    ])
  })

  test("says itself what it has not, and an error in the middle of a pull comes through", async () => {
    const gone = await thrown(sdk(gateway.port).delete({ model: "nope" }))
    expect([status(gone), String(gone)]).toEqual([404, expect.stringContaining("model 'nope' not found")])
    one.pulls(() => [
      linesHead,
      chunk(line({ status: "pulling manifest" })),
      chunk(line({ error: "no space" })),
      lastChunk
    ])
    const read = async () => {
      for await (const _ of await sdk(gateway.port).pull({ model: "big:70b", stream: true })) continue
    }
    expect(String(await thrown(read()))).toContain("no space")
  })

  test("is sent files as they come, and asked for them", async () => {
    const content = Buffer.from(Uint8Array.from({ length: 3_000_000 }, (_, at) => (at * 7) % 251))
    const path = "/api/blobs/sha256:ab01"
    await using small = await startGateway(lab({ max_body_mb: 1, max_streamed_mb: 1 }))
    expect((await ask(small.port, "HEAD", path)).status).toBe(404)
    using client = await dial(small.port)
    await client.send(requestBytes("POST", path, content))
    expect((await client.answer()).status).toBe(201)
    expect(Buffer.compare(Buffer.from(one.blobs.get("sha256:ab01") ?? []), content)).toBe(0)
    expect((await ask(small.port, "HEAD", path)).status).toBe(200)
    expect((await ask(small.port, "HEAD", "/v1/api/blobs/sha256:ab01")).status).toBe(200)
  })

  test("is not asked to pull what is there, unless it is named", async () => {
    expect(await sdk(gateway.port).pull({ model: "here" })).toMatchObject({ status: "success" })
    expect(await sdk(gateway.port).pull({ model: "llama" })).toMatchObject({ status: "success" })
    expect(one.told()).toEqual([])
    await sdk(gateway.port).pull({ model: "lab/here" })
    await sdk(gateway.port, { "x-nexus-backend": "lab" }).pull({ model: "llama" })
    expect(one.told().map(({ text }) => JSON.parse(text).name)).toEqual(["here", "llama"])
  })

  test("is given up with its client, and told nothing of the client's key", async () => {
    one.pulls(() => [linesHead, chunk(line(progress[0])), "hang"])
    using client = await dial(gateway.port)
    await client.send(
      requestBytes("POST", "/api/pull", '{"model":"x"}', ["Authorization: Bearer sk-secret", "X-Request-Id: a-pull"])
    )
    await client.until(({ text }) => text.includes("manifest"))
    expect((await ask(gateway.port, "GET", "/admin/v1/requests")).json()).toMatchObject({
      requests: [{ id: "a-pull", endpoint: "ollama/pull", backend: "lab" }]
    })
    client.hangUp()
    await until(() => one.server.busy() === 0, "the call has been closed")
    await gateway.quiet()
    expect(one.told()[0]?.head).not.toContain("sk-secret")
  })

  test("may take longer than any request", async () => {
    await using hasty = await startGateway(lab({ request_timeout_seconds: 0.2, idle_timeout_seconds: 0.2 }))
    one.pulls(() => [
      { pause: 400 },
      linesHead,
      chunk(line(progress[0])),
      { pause: 400 },
      chunk(line({ status: "success" })),
      lastChunk
    ])
    const got = await ask(hasty.port, "POST", "/api/pull", '{"model":"slow"}')
    expect([got.status, got.text.includes("success")]).toEqual([200, true])
  })
})

describe("of several, the one is meant", () => {
  test("that a header names, or that stands before the model, and it is told the model's own name", async () => {
    await using two = await both()
    await sdk(two.port, { "x-nexus-backend": "attic" }).pull({ model: "a" })
    await sdk(two.port).pull({ model: "attic/hf.co/b/c:q4" })
    await sdk(two.port).copy({ source: "attic/a", destination: "attic/d" })
    await sdk(two.port).create({ model: "attic/e", from: "attic/a", parameters: { seed: 12 } })
    await sdk(two.port).delete({ model: "attic/d" })
    expect(one.told()).toEqual([])
    expect(other.told().map(({ text }) => JSON.parse(text))).toMatchObject([
      { name: "a" },
      { name: "hf.co/b/c:q4" },
      { source: "a", destination: "d" },
      { model: "e", from: "a", parameters: { seed: 12 } },
      { name: "d" }
    ])
  })

  test("or else the answer is an error that says how to name one, in words that the package shows", async () => {
    await using two = await both()
    for (const failure of [
      await thrown(sdk(two.port).pull({ model: "a" })),
      await thrown(sdk(two.port).delete({ model: "a" }))
    ]) {
      expect([status(failure), String(failure)]).toEqual([
        400,
        expect.stringMatching(/lab, attic.*x-nexus-backend.*lab\/MODEL/)
      ])
    }
    expect(status(await thrown(sdk(two.port).copy({ source: "attic/a", destination: "lab/b" })))).toBe(400)
    const foreign = await thrown(sdk(two.port).pull({ model: "gpu/a" }))
    expect([status(foreign), String(foreign)]).toEqual([400, expect.stringContaining("'gpu', which is of type vllm")])
    const nobody = await thrown(sdk(two.port, { "x-nexus-backend": "nobody" }).pull({ model: "a" }))
    expect([status(nobody), String(nobody)]).toEqual([404, expect.stringContaining("No backend 'nobody'")])
    expect([...one.told(), ...other.told()]).toEqual([])
  })
})

describe("what is no change", () => {
  test("is refused in Ollama's shape: another method, no model, no JSON", async () => {
    for (const [method, path, body, expected] of [
      ["GET", "/api/pull", "", 405],
      ["POST", "/api/delete", '{"model":"here"}', 405],
      ["POST", "/api/pull", "{}", 400],
      ["POST", "/api/pull", '{"model":7}', 400],
      ["POST", "/api/pull", "no", 400],
      ["DELETE", "/api/delete", "", 400],
      ["POST", "/api/blobs/", "", 404]
    ] as const) {
      const got = await ask(gateway.port, method, path, body)
      expect({ path, status: got.status, error: typeof Reflect.get(Object(got.json()), "error") }).toEqual({
        path,
        status: expected,
        error: "string"
      })
    }
    expect(one.told()).toEqual([])
  })
})

describe("who may", () => {
  const pull = (port: number, headers: ReadonlyArray<string>, model = "x") =>
    ask(port, "POST", "/api/pull", JSON.stringify({ model, stream: false }), headers)

  test("is an administrator, by key, wherever keys are", async () => {
    await using locked = await startGateway(lab(), keys)
    expect((await pull(locked.port, [])).status).toBe(401)
    const client = [`Authorization: Bearer ${clientKey}`]
    const refused = await pull(locked.port, client)
    expect([refused.status, refused.text]).toEqual([403, expect.stringContaining("admin = true")])
    expect((await ask(locked.port, "DELETE", "/api/delete", '{"model":"here"}', client)).status).toBe(403)
    expect((await ask(locked.port, "HEAD", "/api/blobs/sha256:ab", "", client)).status).toBe(403)
    // What is there, clients of Ollama may take for pulled.
    expect((await pull(locked.port, client, "here")).status).toBe(200)
    expect(one.told()).toEqual([])
    expect((await pull(locked.port, [`Authorization: Bearer ${adminKey}`])).status).toBe(200)
    expect(one.told()).toHaveLength(1)
  })

  test("is, without keys, who asks from this machine, through no proxy and from no page", async () => {
    await using open = await startGateway(lab({ cors: { origins: ["https://chat.example"] } }))
    for (const header of ["X-Forwarded-For: 10.0.0.1", "Forwarded: for=10.0.0.1", "Origin: https://chat.example"]) {
      expect({ header, status: (await pull(open.port, [header])).status }).toEqual({ header, status: 403 })
    }
    expect(one.told()).toEqual([])
    expect((await pull(open.port, [])).status).toBe(200)
  })

  test("is asked where the administration is, when that has a place of its own", async () => {
    await using apart = await startGateway({ admin: { listen: "127.0.0.1:0" }, ...lab() })
    const refused = await pull(apart.port, [])
    expect([refused.status, refused.text]).toEqual([403, expect.stringContaining("admin.listen")])
    expect(one.told()).toEqual([])
    expect((await pull(apart.running.adminPort ?? 0, [])).status).toBe(200)
    expect(one.told()).toHaveLength(1)
  })

  test("is every client, or nobody, where the settings say so", async () => {
    await using all = await startGateway(lab({ model_changes: "clients" }), keys)
    expect((await pull(all.port, [`Authorization: Bearer ${clientKey}`])).status).toBe(200)
    await using none = await startGateway(lab({ model_changes: "never" }), keys)
    const refused = await pull(none.port, [`Authorization: Bearer ${adminKey}`], "y")
    expect([refused.status, refused.text]).toEqual([403, expect.stringContaining("server.model_changes")])
  })
})
