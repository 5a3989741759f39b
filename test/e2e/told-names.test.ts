import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { askAs, startKeyed } from "../kit/clientKeys.ts"
import { type FakeUpstream, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway } from "../kit/gateway.ts"
import { startModelOllama } from "../kit/modelServers.ts"
import { ask } from "../kit/rawClient.ts"

const messages = [{ role: "user", content: "hi" }]

let home: FakeUpstream
let far: FakeUpstream
let lab: Awaited<ReturnType<typeof startModelOllama>>
let gateway: Gateway

beforeAll(async () => {
  home = await startUpstream({ models: ["small", "both"] })
  far = await startUpstream({ models: ["secret-large", "secret-embed", "both"] })
  lab = await startModelOllama("secret-lab:8b")
  gateway = await startKeyed(
    {
      models: { models: ["small", "gone", "nowhere", "smal", "lost"], admin: true },
      backends: { backends: ["home"], admin: true },
      zones: { zones: ["local"], admin: true },
      chief: { admin: true }
    },
    {
      server: { backend_paths: true },
      backends: [
        backendFor("home", home),
        backendFor("hidden-far", far, { zone: "cloud" }),
        backendFor("hidden-lab", lab, { type: "ollama", zone: "cloud" })
      ],
      models: [{ name: "secret-embed", zones: ["local"] }],
      routing: {
        aliases: { "secret-alias": "secret-large", smally: "secret-large", gone: "away-model", lost: "nowhere" },
        groups: { nowhere: ["away-a", "secret-b@hidden-far"], smaller: ["secret-large"] },
        fallbacks: { small: ["secret-large"] }
      }
    }
  )
})

afterAll(async () => {
  for (const each of [gateway, home, far, lab]) await each[Symbol.asyncDispose]()
})

const form = (model: string): FormData => {
  const made = new FormData()
  made.set("model", model)
  made.set("file", new Blob(["RIFF"]), "a.wav")
  return made
}

/** Each way to ask for a model by its name: a path, and what is sent there. */
const ways: Readonly<Record<string, (model: string) => readonly [string, unknown?, Record<string, string>?]>> = {
  "OpenAI's chat": (model) => ["/v1/chat/completions", { model, messages }],
  "OpenAI's stream": (model) => ["/v1/chat/completions", { model, messages, stream: true }],
  "OpenAI's completions": (model) => ["/v1/completions", { model, prompt: "hi" }],
  "OpenAI's embeddings": (model) => ["/v1/embeddings", { model, input: "hi" }],
  "OpenAI's moderations": (model) => ["/v1/moderations", { model, input: "hi" }],
  "OpenAI's speech": (model) => ["/v1/audio/speech", { model, input: "hi", voice: "v" }],
  "OpenAI's images": (model) => ["/v1/images/generations", { model, prompt: "hi" }],
  "OpenAI's responses": (model) => ["/v1/responses", { model, input: "hi" }],
  "OpenAI's page of a model": (model) => [`/v1/models/${model}`],
  "Anthropic's messages": (model) => ["/v1/messages", { model, max_tokens: 5, messages }],
  "Anthropic's tokens": (model) => ["/v1/messages/count_tokens", { model, messages }],
  "Anthropic's page of a model": (model) => [`/v1/models/${model}`, undefined, { "anthropic-version": "2023-06-01" }],
  "Gemini's content": (model) => [
    `/v1beta/models/${model}:generateContent`,
    { contents: [{ parts: [{ text: "hi" }] }] }
  ],
  "Gemini's page of a model": (model) => [`/v1beta/models/${model}`],
  "Ollama's chat": (model) => ["/api/chat", { model, messages }],
  "Ollama's prompt": (model) => ["/api/generate", { model, prompt: "hi" }],
  "Ollama's embeddings": (model) => ["/api/embed", { model, input: "hi" }],
  "Ollama's page of a model": (model) => ["/api/show", { model }],
  loading: (model) => ["/admin/v1/models/load", { model }],
  unloading: (model) => ["/admin/v1/models/unload", { model }],
  "loading at nobody": (model) => ["/admin/v1/models/load", { model, backend: "nobody" }],
  "pulling at nobody": (model) => ["/admin/v1/models/pull", { model, backend: "nobody" }],
  "Ollama's pull at nobody": (model) => ["/api/pull", { model }, { "x-nexus-backend": "nobody" }],
  "Ollama's pull at one that has none": (model) => ["/api/pull", { model }, { "x-nexus-backend": "home" }]
}

// What a key is told in error texts and headers, without the name that it has sent itself.
const told = async (key: string, way: string, model: string) => {
  const [path, body, headers] = ways[way]?.(model) ?? [""]
  const { headers: answered, status, text } = await askAs(gateway, key, path, body, headers)
  expect([way, key, model, status >= 400]).toEqual([way, key, model, true])
  return `${text} ${answered.get("x-nexus-rejection-reasons") ?? ""}`.replaceAll(model, "MODEL")
}

describe.each(Object.keys(ways))("%s", (way) => {
  test.each(["models", "backends", "zones"])("names nothing that is beyond the %s of a key", async (key) => {
    for (const model of ["nobody-has-it", "smalll", "smal", "secret", "gone", "nowhere", "lost"]) {
      expect(await told(key, way, model)).not.toMatch(
        key === "models" ? /secret|smally|smaller|away/ : /secret|smally|smaller/
      )
    }
  })

  test("names no backend that a key is not for", async () => {
    for (const model of ["nobody-has-it", "secret", "gone", "nowhere"]) {
      expect(await told("backends", way, model)).not.toContain("hidden")
    }
  })
})

test("a form names nothing that is beyond a key", async () => {
  for (const key of ["models", "backends", "zones"]) {
    const answer = await fetch(`${gateway.url}/v1/audio/transcriptions`, {
      method: "POST",
      headers: { authorization: `Bearer nx-${key}` },
      body: form("smalll")
    })
    const text = await answer.text()
    expect([key, answer.status >= 400]).toEqual([key, true])
    expect(text).not.toMatch(/secret|smally|smaller|hidden/)
  }
})

test("a session that is spoken in names nothing that is beyond a key", async () => {
  for (const key of ["models", "backends", "zones"]) {
    for (const model of ["smalll", "secret"]) {
      const { status, text } = await ask(gateway.port, "GET", `/v1/realtime?model=${model}`, undefined, [
        `Authorization: Bearer nx-${key}`,
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
      ])
      expect([key, model, status >= 400]).toEqual([key, model, true])
      expect(text.replaceAll(model, "MODEL")).not.toMatch(/secret|smally|smaller/)
    }
  }
})

test("what is passed on unread names no backend that a key is not for, or that is where its requests may not go", async () => {
  for (const key of ["backends", "zones"]) {
    const named = await askAs(gateway, key, "/v1/files", undefined, { "x-nexus-backend": "nobody" })
    expect([key, named.status, named.json().error.message]).toEqual([key, 404, "No backend 'nobody'. There are: home"])
    const path = await askAs(gateway, key, "/backend/nobody/v1/models")
    expect([key, path.json().error.message]).toEqual([key, "No backend 'nobody'. There are: home"])
    // The only one that it can be.
    expect([key, (await askAs(gateway, key, "/v1/files")).text.includes("hidden")]).toEqual([key, false])
  }
  expect((await askAs(gateway, "chief", "/v1/files")).json().error.message).toContain("hidden-far")
})

describe("a model in another zone", () => {
  test("is refused by its own name, whatever that leads to", async () => {
    for (const model of ["secret-alias", "smally", "smaller"]) {
      const { status, text, headers } = await askAs(gateway, "zones", "/v1/chat/completions", { model, messages })
      expect([status, JSON.parse(text).error.code]).toEqual([403, "zone_not_allowed"])
      expect(`${text} ${headers.get("x-nexus-rejection-reasons") ?? ""}`).not.toContain("secret-large")
    }
  })

  test("is no suggestion, and none of what is available, to a request that gives up its zone", async () => {
    const { text } = await askAs(
      gateway,
      "chief",
      "/v1/chat/completions",
      { model: "smalll", messages },
      {
        "x-nexus-zones": "local"
      }
    )
    expect(JSON.parse(text).error.code).toBe("model_not_found")
    expect(text).toContain("Did you mean 'small'?")
    expect(text).not.toMatch(/secret|smally|smaller/)
  })

  test("is told to who may ask for it", async () => {
    const { text } = await askAs(gateway, "chief", "/v1/chat/completions", { model: "secret-larg", messages })
    expect(text).toContain("Did you mean 'secret-large'")
    // The settings let nobody ask for the one.
    expect(text).not.toContain("secret-embed")
    const gone = await askAs(gateway, "chief", "/v1/chat/completions", { model: "gone", messages })
    expect(gone.text).toContain("the alias leads to 'away-model', which no backend lists")
  })
})
