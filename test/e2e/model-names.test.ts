import { describe, expect, test } from "bun:test"
import { json } from "../kit/answers.ts"
import { good, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway } from "../kit/gateway.ts"
import { ask } from "../kit/rawClient.ts"
import type { Script } from "../kit/rawServer.ts"

const post = (port: number, model: string, more: object = {}) =>
  ask(port, "POST", "/v1/chat/completions", JSON.stringify({ model, messages: [], ...more }))

const listed = async (port: number) => {
  const list = (await ask(port, "GET", "/v1/models")).json() as { data: ReadonlyArray<{ id: string }> } // reason: the list is ours
  return list.data
}

const asked = (call: { readonly text: string }): unknown => JSON.parse(call.text).model

const ollama = { type: "ollama" }

describe("a backend of type ollama", () => {
  test("is asked by the name it lists, for every name that Ollama itself takes for it", async () => {
    await using upstream = await startUpstream({
      type: "ollama",
      models: ["Llama3.2:latest", "hf.co/Org/M-GGUF:Q4_K_M"]
    })
    await using gateway = await startGateway({ backends: [backendFor("box", upstream, ollama)] })
    const names = ["llama3.2", "LLAMA3.2", "llama3.2:latest", "Llama3.2:Latest", "library/llama3.2"]
    for (const name of names) {
      const answer = await post(gateway.port, name)
      expect([name, answer.status]).toEqual([name, 200])
      expect(asked(upstream.lastCall())).toBe("Llama3.2:latest")
      expect(answer.header("x-nexus-resolved-model")).toBe("Llama3.2:latest")
    }
    expect((await post(gateway.port, "hf.co/org/m-gguf:q4_k_m")).status).toBe(200)
    for (const name of ["llama3.2:3b", "llama3", "hf.co/org/m-gguf"]) {
      expect([name, (await post(gateway.port, name)).status]).toEqual([name, 404])
    }
  })

  test("gets the bytes of a request that names a model as it lists it, unchanged and without a word on it", async () => {
    await using upstream = await startUpstream({ type: "ollama", models: ["llama3:latest"] })
    await using gateway = await startGateway({ backends: [backendFor("box", upstream, ollama)] })
    const body = '{ "messages": [], "model":"llama3:latest" , "n": 1.0}'
    const answer = await ask(gateway.port, "POST", "/v1/chat/completions", body)
    expect(upstream.lastCall().text).toBe(body)
    expect(answer.header("x-nexus-resolved-model")).toBeUndefined()
  })

  test("shares a model with others that spell it otherwise: one entry in the list, each asked by its own name", async () => {
    await using first = await startUpstream({ type: "ollama", models: ["Llama3:latest"] })
    await using second = await startUpstream({ type: "ollama", models: ["llama3"] })
    await using gateway = await startGateway({
      backends: [backendFor("one", first, ollama), backendFor("two", second, ollama)],
      routing: { strategy: "round_robin" }
    })
    expect(await listed(gateway.port)).toMatchObject([{ id: "Llama3:latest", backends: ["one", "two"] }])
    for (const name of ["llama3", "llama3", "LLAMA3:latest", "Llama3:latest"]) {
      expect((await post(gateway.port, name)).status).toBe(200)
    }
    expect(first.calls().map(asked)).toEqual(["Llama3:latest", "Llama3:latest"])
    expect(second.calls().map(asked)).toEqual(["llama3", "llama3"])
    first.script(() => ["reset"])
    expect((await post(gateway.port, "Llama3:latest")).header("x-nexus-backend")).toBe("two")
  })

  test("is found by aliases, fallbacks and entries of the config in any spelling", async () => {
    await using box = await startUpstream({ type: "ollama", models: [{ id: "llama3:latest", vision: true }] })
    await using other = await startUpstream({ models: ["spare"], script: () => ["reset"] })
    await using gateway = await startGateway({
      backends: [
        backendFor("box", box, { ...ollama, models: [{ id: "LLAMA3", context_length: 4096, vision: false }] }),
        backendFor("other", other)
      ],
      routing: { aliases: { "gpt-4": "Llama3" }, fallbacks: { spare: ["LLAMA3"] } }
    })
    expect((await listed(gateway.port)).map(({ id }) => id)).toEqual(["gpt-4", "llama3:latest", "spare"])
    const found = (await ask(gateway.port, "GET", "/v1/models/llama3")).json()
    expect(found).toMatchObject({ id: "llama3:latest", context_length: 4096 })
    expect((await post(gateway.port, "gpt-4")).status).toBe(200)
    const fallback = await post(gateway.port, "spare")
    expect(fallback.header("x-nexus-fallback-model")).toBe("llama3:latest")
    expect(box.calls().map(asked)).toEqual(["llama3:latest", "llama3:latest"])
  })

  test("lets a model that has fallbacks under another spelling use them", async () => {
    await using box = await startUpstream({ type: "ollama", models: ["llama3:latest"], script: () => ["reset"] })
    await using spare = await startUpstream({ models: ["spare"] })
    await using gateway = await startGateway({
      backends: [backendFor("box", box, ollama), backendFor("other", spare)],
      routing: { fallbacks: { Llama3: ["spare"] } }
    })
    for (const name of ["llama3", "llama3:latest"]) {
      expect((await post(gateway.port, name)).header("x-nexus-fallback-model")).toBe("spare")
    }
  })
})

test("names of other kinds of servers count to the letter, and one that is listed goes before any spelling of another", async () => {
  await using vllm = await startUpstream({ type: "vllm", models: ["llama3", "Qwen"] })
  await using box = await startUpstream({ type: "ollama", models: ["llama3:latest"] })
  await using gateway = await startGateway({
    backends: [backendFor("box", box, ollama), backendFor("lab", vllm, { type: "vllm" })]
  })
  expect((await post(gateway.port, "qwen")).status).toBe(404)
  expect((await post(gateway.port, "Qwen:latest")).status).toBe(404)
  for (let i = 0; i < 4; i += 1) expect((await post(gateway.port, "llama3")).header("x-nexus-backend")).toBe("lab")
  expect((await post(gateway.port, "LLAMA3")).header("x-nexus-backend")).toBe("box")
})

describe("the prefix of a provider", () => {
  test("is left out where the plain name is known and the whole one is not, and the answer says so", async () => {
    await using box = await startUpstream({ type: "ollama", models: ["llama3:latest"] })
    await using lab = await startUpstream({ models: ["gpt-4o", "meta-llama/Llama-3", "vllm/llama3"] })
    await using gateway = await startGateway({
      backends: [backendFor("box", box, ollama), backendFor("lab", lab)],
      routing: { aliases: { fast: "gpt-4o" } }
    })
    const cases = [
      ["ollama/llama3", "box", "llama3:latest"],
      ["openai/gpt-4o", "lab", "gpt-4o"],
      ["openrouter/openai/gpt-4o", "lab", "gpt-4o"],
      ["hosted_vllm/meta-llama/Llama-3", "lab", "meta-llama/Llama-3"],
      ["litellm_proxy/fast", "lab", "gpt-4o"],
      ["meta-llama/Llama-3", "lab", undefined],
      ["vllm/llama3", "lab", undefined],
      ["fast", "lab", undefined]
    ] as const
    for (const [name, backend, resolved] of cases) {
      const answer = await post(gateway.port, name)
      const said = [answer.status, answer.header("x-nexus-backend"), answer.header("x-nexus-resolved-model")]
      expect([name, ...said]).toEqual([name, 200, backend, resolved])
    }
    for (const name of ["openai/nope", "openai/", "/", "a/b/c/d/gpt-4o", "meta-llama/Llama-3/x"]) {
      expect([name, (await post(gateway.port, name)).status]).toEqual([name, 404])
    }
  })

  test("counts when the setting says so", async () => {
    await using upstream = await startUpstream({ models: ["gpt-4o"] })
    await using gateway = await startGateway({
      backends: [backendFor("one", upstream)],
      routing: { strip_prefixes: false }
    })
    expect((await post(gateway.port, "openai/gpt-4o")).status).toBe(404)
    expect((await post(gateway.port, "gpt-4o:nitro")).status).toBe(200)
  })
})

describe("a suffix of OpenRouter's", () => {
  test("goes to who lists the model without it, who is told of it only when it knows such suffixes", async () => {
    await using router = await startUpstream({ models: ["openai/gpt-4o", "qwen/qwen3:free"] })
    await using lab = await startUpstream({ type: "vllm", models: ["meta-llama/Llama-3", "odd:nitro"] })
    await using gateway = await startGateway({
      backends: [backendFor("router", router, { type: "openai" }), backendFor("lab", lab, { type: "vllm" })]
    })
    const cases = [
      [router, "openai/gpt-4o:nitro", "openai/gpt-4o:nitro", "openai/gpt-4o"],
      [router, "openrouter/openai/gpt-4o:online", "openai/gpt-4o:online", "openai/gpt-4o"],
      [router, "qwen/qwen3:free", "qwen/qwen3:free", undefined],
      [router, "qwen/qwen3:free:online", "qwen/qwen3:free:online", "qwen/qwen3:free"],
      [lab, "meta-llama/Llama-3:floor", "meta-llama/Llama-3", "meta-llama/Llama-3"],
      [lab, "odd:nitro", "odd:nitro", undefined]
    ] as const
    for (const [upstream, name, sent, resolved] of cases) {
      const answer = await post(gateway.port, name)
      expect([name, answer.status, answer.header("x-nexus-resolved-model")]).toEqual([name, 200, resolved])
      expect(asked(upstream.lastCall())).toBe(sent)
    }
    for (const name of ["openai/gpt-4o:batch", "qwen/qwen3", "nope:free", ":free"]) {
      expect([name, (await post(gateway.port, name)).status]).toEqual([name, 404])
    }
  })

  test("counts when the setting says so", async () => {
    await using upstream = await startUpstream({ models: ["gpt-4o"] })
    await using gateway = await startGateway({
      backends: [backendFor("one", upstream)],
      routing: { model_suffixes: false }
    })
    expect((await post(gateway.port, "gpt-4o:nitro")).status).toBe(404)
    expect((await post(gateway.port, "openai/gpt-4o")).status).toBe(200)
  })
})

const message = (answer: { readonly json: () => unknown }): string =>
  (answer.json() as { error: { message: string } }).error.message // reason: errors are of this shape

describe("a name that leads nowhere", () => {
  test("is answered with the names that may have been meant, and with where an alias or a group led", async () => {
    await using upstream = await startUpstream({ models: ["llama3:8b", "mistral:7b", "org/qwen2.5-coder"] })
    await using gateway = await startGateway({
      backends: [backendFor("one", upstream)],
      routing: {
        aliases: { "gpt-4": "llama3:70b", "fast-chat": "mistral:7b", team: "chat" },
        groups: { chat: ["gone:1b@one", "other"] }
      }
    })
    const there = "Available: llama3:8b, mistral:7b, org/qwen2.5-coder"
    const cases = [
      ["lama3:8b", `Model 'lama3:8b' not found. Did you mean 'llama3:8b'? ${there}`],
      ["llama3", `Model 'llama3' not found. Did you mean 'llama3:8b'? ${there}`],
      ["qwen2.5-codr", `Model 'qwen2.5-codr' not found. Did you mean 'org/qwen2.5-coder'? ${there}`],
      ["fastchat", `Model 'fastchat' not found. Did you mean 'fast-chat'? ${there}`],
      ["zzzzzzzzzz", `Model 'zzzzzzzzzz' not found. ${there}`],
      [
        "gpt-4",
        `Model 'gpt-4' not found: the alias leads to 'llama3:70b', which no backend lists. Did you mean 'llama3:8b'? ${there}`
      ],
      ["chat", `Model 'chat' not found: the group of models that no backend lists: gone:1b@one, other. ${there}`],
      [
        "team",
        `Model 'team' not found: the alias leads to 'chat', a group of models that no backend lists: gone:1b@one, other. ${there}`
      ]
    ] as const
    for (const [name, text] of cases) {
      const answer = await post(gateway.port, name)
      expect([answer.status, message(answer)]).toEqual([404, text])
      const model = await ask(gateway.port, "GET", `/v1/models/${encodeURIComponent(name)}`)
      expect([model.status, message(model)]).toEqual([404, text])
    }
  })
})

describe("/v1/models", () => {
  test("lists aliases and groups that somebody serves, marked as such, and finds each by its name", async () => {
    await using upstream = await startUpstream({ models: ["big", "mini", "small"] })
    await using gateway = await startGateway({
      backends: [backendFor("one", upstream)],
      routing: {
        aliases: { "gpt-4": "big", small: "big", dead: "nope", team: "chat" },
        groups: { chat: ["big", "mini@one"], none: ["nope"] }
      }
    })
    const list = await listed(gateway.port)
    expect(list.map(({ id }) => id)).toEqual(["big", "chat", "gpt-4", "mini", "small", "team"])
    expect(list[0]).not.toHaveProperty("alias_of")
    expect(list[1]).toMatchObject({
      object: "model",
      owned_by: "nexus",
      group_of: ["big", "mini"],
      backends: ["one"]
    })
    expect(list[2]).toMatchObject({ object: "model", owned_by: "nexus", alias_of: "big", backends: ["one"] })
    expect(list[4]).toMatchObject({ id: "small", alias_of: "big" })
    expect(list[5]).toMatchObject({ alias_of: "chat" })
    for (const entry of list) {
      expect((await ask(gateway.port, "GET", `/v1/models/${entry.id}`)).json()).toEqual({ ...entry })
    }
    const plain = (await ask(gateway.port, "GET", "/v1/models/openai/big")).json()
    expect(plain).toMatchObject({ id: "big" })
  })

  test("leaves aliases and groups out when the setting says so, and finds them all the same", async () => {
    await using upstream = await startUpstream({ models: ["big"] })
    await using gateway = await startGateway({
      backends: [backendFor("one", upstream)],
      routing: { list_aliases: false, aliases: { "gpt-4": "big" }, groups: { chat: ["big"] } }
    })
    expect((await listed(gateway.port)).map(({ id }) => id)).toEqual(["big"])
    for (const id of ["gpt-4", "chat"]) {
      expect((await ask(gateway.port, "GET", `/v1/models/${id}`)).json()).toMatchObject({ id })
      expect((await post(gateway.port, id)).status).toBe(200)
    }
  })
})

describe("a group", () => {
  test("spreads over its models, each asked by its own name at the backend that is named", async () => {
    await using box = await startUpstream({ type: "ollama", models: ["llama3:70b", "small"] })
    await using lab = await startUpstream({ type: "vllm", models: ["meta-llama/Llama-3-70B"] })
    await using spare = await startUpstream({ type: "vllm", models: ["meta-llama/Llama-3-70B"] })
    await using gateway = await startGateway({
      backends: [
        backendFor("box", box, ollama),
        backendFor("lab", lab, { type: "vllm" }),
        backendFor("spare", spare, { type: "vllm" })
      ],
      routing: {
        strategy: "round_robin",
        groups: { chat: ["LLAMA3:70B@box", "meta-llama/Llama-3-70B@lab"], "meta-llama/Llama-3-70B": ["small"] },
        aliases: { "gpt-4": "chat" },
        fallbacks: { chat: ["small"] }
      }
    })
    const first = await post(gateway.port, "chat")
    expect(first.header("x-nexus-resolved-model")).toBeUndefined()
    for (const name of ["chat", "gpt-4", "openai/chat"]) expect((await post(gateway.port, name)).status).toBe(200)
    expect(box.calls().map(asked)).toEqual(["llama3:70b", "llama3:70b"])
    expect(lab.calls().map(asked)).toEqual(["meta-llama/Llama-3-70B", "meta-llama/Llama-3-70B"])
    expect(spare.calls()).toEqual([])
    const broken: Script = () => [json({ error: { message: "broken" } }, 500)]
    lab.script(broken)
    box.script((request) => (asked(request) === "small" ? good()(request) : broken(request)))
    const fallback = await post(gateway.port, "chat")
    expect(fallback.header("x-nexus-fallback-model")).toBe("small")
    const own = await post(gateway.port, "meta-llama/Llama-3-70B")
    expect([own.status, asked(box.lastCall())]).toEqual([200, "small"])
    const told = await ask(gateway.port, "POST", "/admin/v1/route", JSON.stringify({ model: "gpt-4", messages: [] }))
    expect(told.json()).toMatchObject({ decision: { requested: "gpt-4", models: ["chat", "small"] } })
  })
})
