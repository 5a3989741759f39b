import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { type ChatResponse, type Message, Ollama } from "ollama"
import { chunk, delta, done, event, json, lastChunk, streamHead } from "../kit/answers.ts"
import { type Client, reportSchema, type Setup, weather } from "../kit/client.ts"
import { clientCases, thrown } from "../kit/clientCases.ts"
import { type FakeUpstream, good, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, startGateway } from "../kit/gateway.ts"
import { ending, linesHead, line, lines, ollamaSays, saying } from "../kit/ollama.ts"
import type { Script, Seen } from "../kit/rawServer.ts"
import { fieldsOf, voices } from "../kit/voices.ts"

const tokensOf = ({ eval_count: made, prompt_eval_count: read }: ChatResponse): number => made + read

const tools = [
  { type: "function", function: { ...weather, parameters: { ...weather.parameters, required: ["city"] } } }
]

const user = (content: string): Message => ({ role: "user", content })

/** A client of one gateway, and the headers of the last answer. */
const sdkOf = ({ apiKey, baseURL }: Setup, signal?: AbortSignal) => {
  let told = new Headers()
  const followed = async (input: string | URL | Request, init: RequestInit = {}): Promise<Response> => {
    const signals = [init.signal, signal].filter((each) => each !== undefined && each !== null)
    const response = await fetch(input, {
      ...init,
      ...(signals.length === 0 ? {} : { signal: AbortSignal.any(signals) })
    })
    told = response.headers
    return response
  }
  const ollama = new Ollama({
    host: baseURL.replace(/\/v1$/, ""),
    headers: { authorization: `Bearer ${apiKey}` },
    fetch: Object.assign(followed, { preconnect: fetch.preconnect })
  })
  return { ollama, told: () => told }
}

const client = (setup: Setup): Client => {
  const { model } = setup
  let last = new Headers()
  const using = async <A>(run: (ollama: Ollama) => Promise<A>, signal?: AbortSignal): Promise<A> => {
    const { ollama, told } = sdkOf(setup, signal)
    try {
      return await run(ollama)
    } finally {
      last = told()
    }
  }
  return {
    chat: async (prompt, signal) => {
      const answer = await using((ollama) => ollama.chat({ model, messages: [user(prompt)] }), signal)
      return { text: answer.message.content, tokens: tokensOf(answer) }
    },
    stream: async function* (prompt, signal) {
      const stream = await using((ollama) => ollama.chat({ model, messages: [user(prompt)], stream: true }), signal)
      let tokens = 0
      for await (const part of stream) {
        yield part.message.content
        if (part.done) tokens = tokensOf(part)
      }
      return tokens
    },
    useTool: async (prompt, run) => {
      const { ollama } = sdkOf(setup)
      const first = await ollama.chat({ model, messages: [user(prompt)], tools })
      const [call] = first.message.tool_calls ?? []
      if (call === undefined) throw new Error("no call came")
      const result = {
        role: "tool",
        tool_name: call.function.name,
        content: run(String(call.function.arguments["city"]))
      }
      const second = await ollama.chat({ model, messages: [user(prompt), first.message, result], tools })
      return second.message.content
    },
    streamTool: async (prompt) => {
      const stream = await sdkOf(setup).ollama.chat({ model, messages: [user(prompt)], tools, stream: true })
      const calls = []
      for await (const { message } of stream) calls.push(...(message.tool_calls ?? []))
      const [call] = calls
      if (call === undefined) throw new Error("no call came")
      return { name: call.function.name, input: call.function.arguments }
    },
    structured: async (prompt) => {
      const answer = await sdkOf(setup).ollama.chat({ model, messages: [user(prompt)], format: reportSchema })
      return JSON.parse(answer.message.content)
    },
    embed: async (texts) => (await sdkOf(setup).ollama.embed({ model: setup.embedder, input: [...texts] })).embeddings,
    failure: (error) => {
      const status: unknown = Reflect.get(Object(error), "status_code")
      return {
        status: typeof status === "number" ? status : undefined,
        message: error instanceof Error ? error.message : String(error),
        header: (name) => last.get(name)
      }
    }
  }
}

// An Ollama is asked in its own words.
const others = voices.filter(({ type }) => type !== "ollama")

clientCases("the ollama package", client, true, others)

const image = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

const call = (index: number, made: Readonly<Record<string, unknown>>, id?: string) =>
  delta("m", { tool_calls: [{ index, ...(id === undefined ? {} : { id, type: "function" }), function: made }] })

describe("the ollama package over a backend that only chats", () => {
  let upstream: FakeUpstream
  let gateway: Gateway
  let ollama: Ollama

  beforeAll(async () => {
    const models = [{ id: "m", tools: true, vision: true }, "nomic-embed-text", "org/z:q4"]
    upstream = await startUpstream({ models })
    gateway = await startGateway({ backends: [backendFor("one", upstream)], routing: { max_retries: 0 } })
    ollama = new Ollama({ host: gateway.url })
  })

  afterAll(async () => {
    await gateway[Symbol.asyncDispose]()
    await upstream[Symbol.asyncDispose]()
  })

  const scripted = async <A>(script: Script, run: () => Promise<A>): Promise<A> => {
    upstream.script(script)
    try {
      return await run()
    } finally {
      upstream.script(good())
    }
  }

  test("gets thoughts and parallel calls whose pieces came mixed, and gives all of it back in the next turn", async () => {
    const pieces = [
      delta("m", { role: "assistant", reasoning_content: "Two calls." }),
      delta("m", { content: "Reading." }),
      call(0, { name: "read", arguments: "" }, "call_a"),
      call(1, { name: "open", arguments: "" }, "call_b"),
      call(0, { arguments: '{"at":' }),
      call(1, { arguments: '{"valve":' }),
      call(1, { arguments: "7}" }),
      call(0, { arguments: '"north"}' }),
      delta("m", {}, "tool_calls")
    ]
    const flow = [streamHead(), ...pieces.map((each) => chunk(event(each))), chunk(done), lastChunk]
    const message: Message = { role: "assistant", content: "", thinking: "", tool_calls: [] }
    const ends: Array<string> = []
    await scripted(
      () => flow,
      async () => {
        const stream = await ollama.chat({ model: "m", messages: [user("go")], think: true, stream: true })
        for await (const part of stream) {
          message.content += part.message.content
          message.thinking += part.message.thinking ?? ""
          message.tool_calls?.push(...(part.message.tool_calls ?? []))
          if (part.done) ends.push(part.done_reason)
        }
      }
    )
    expect(message).toEqual({
      role: "assistant",
      content: "Reading.",
      thinking: "Two calls.",
      tool_calls: [
        { id: "call_a", function: { index: 0, name: "read", arguments: { at: "north" } } },
        { id: "call_b", function: { index: 1, name: "open", arguments: { valve: 7 } } }
      ] as unknown as NonNullable<Message["tool_calls"]> // reason: the package's type lacks the ids
    })
    expect(ends).toEqual(["stop"])
    expect(fieldsOf(upstream.lastCall())).toMatchObject({ reasoning_effort: "medium", stream: true })
    const results = ["open", "read"].map((tool_name) => ({ role: "tool", tool_name, content: tool_name }))
    await ollama.chat({ model: "m", messages: [user("go"), message, ...results] })
    expect(fieldsOf(upstream.lastCall())["messages"]).toMatchObject([
      { role: "user", content: "go" },
      {
        role: "assistant",
        content: "Reading.",
        reasoning_content: "Two calls.",
        tool_calls: [
          { id: "call_a", function: { name: "read", arguments: '{"at":"north"}' } },
          { id: "call_b", function: { name: "open", arguments: '{"valve":7}' } }
        ]
      },
      { role: "tool", tool_call_id: "call_a", content: "read" },
      { role: "tool", tool_call_id: "call_b", content: "open" }
    ])
  })

  test("has a result whose call it has lost told as words of the user, since an Ollama takes it", async () => {
    const results = ["rain", "sun"].map((content) => ({ role: "tool", content }))
    const { ollama: asking, told } = sdkOf({ baseURL: gateway.url, apiKey: "none", model: "m", embedder: "" })
    await asking.chat({ model: "m", messages: [user("go"), { role: "assistant", content: "" }, ...results] })
    expect(fieldsOf(upstream.lastCall())["messages"]).toMatchObject([
      { role: "user", content: "go" },
      { role: "assistant" },
      { role: "user", content: results.map(({ content }) => ({ type: "text", text: content })) }
    ])
    expect(told().get("x-nexus-dropped")).toBe("messages.role")
    // The head of a long conversation was left out.
    await asking.chat({ model: "m", messages: [{ role: "tool", content: "rain" }] })
    expect(fieldsOf(upstream.lastCall())["messages"]).toEqual([{ role: "user", content: "rain" }])
  })

  test("shows an image, answers a prompt, and says what the backend could not be told", async () => {
    await ollama.chat({ model: "m", messages: [{ ...user("what is it?"), images: [image] }] })
    expect(fieldsOf(upstream.lastCall())["messages"]).toEqual([
      {
        role: "user",
        content: [
          { type: "text", text: "what is it?" },
          { type: "image_url", image_url: { url: `data:image/png;base64,${image}` } }
        ]
      }
    ])
    const { ollama: asking, told } = sdkOf({ baseURL: gateway.url, apiKey: "none", model: "m", embedder: "" })
    const answer = await asking.generate({
      model: "m",
      prompt: "why?",
      system: "Be brief.",
      keep_alive: "5m",
      options: { num_ctx: 8192, num_predict: 9, temperature: 0.5 }
    })
    expect([answer.response, answer.done_reason]).toEqual(["Hello there", "stop"])
    expect(told().get("x-nexus-dropped")).toBe("options.num_ctx, keep_alive")
    expect(fieldsOf(upstream.lastCall())).toMatchObject({
      max_tokens: 9,
      temperature: 0.5,
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: "why?" }
      ]
    })
  })

  test("lists models under the very names to ask for, shows one, and tells a version that clients take", async () => {
    const { models } = await ollama.list()
    expect(models.map(({ model, name }) => [name, model])).toEqual([
      ["m", "m"],
      ["nomic-embed-text", "nomic-embed-text"],
      ["org/z:q4", "org/z:q4"]
    ])
    expect((await ollama.ps()).models.map(({ name }) => name)).toContain("m")
    const shown = await ollama.show({ model: "m" })
    expect(shown.capabilities).toContain("completion")
    expect((await ollama.show({ model: "nomic-embed-text" })).capabilities).toEqual(["embedding"])
    expect(Number((await ollama.version()).version.split(".")[1])).toBeGreaterThan(13)
    const failure = await thrown(ollama.show({ model: "nope" }))
    expect([Reflect.get(Object(failure), "status_code"), String(failure)]).toEqual([
      404,
      expect.stringContaining("model 'nope' not found")
    ])
  })

  test("is told that a model which is there has been pulled, and that models can be changed of an Ollama alone", async () => {
    expect(await ollama.pull({ model: "org/z:q4" })).toMatchObject({ status: "success" })
    const states: Array<string> = []
    for await (const { status } of await ollama.pull({ model: "m", stream: true })) states.push(status)
    expect(states).toEqual(["success"])
    for (const failure of [
      await thrown(ollama.pull({ model: "nope" })),
      await thrown(ollama.push({ model: "m" })),
      await thrown(ollama.copy({ source: "m", destination: "n" })),
      await thrown(ollama.delete({ model: "m" })),
      await thrown(ollama.create({ model: "n", from: "m" }))
    ]) {
      expect([Reflect.get(Object(failure), "status_code"), String(failure)]).toEqual([
        501,
        expect.stringContaining("There is no backend of type ollama")
      ])
    }
  })

  test("loads and unloads a model without the backend being asked, in any case a single line", async () => {
    const before = upstream.calls().length
    const loaded = await ollama.chat({ model: "m", messages: [] })
    expect([loaded.done, loaded.done_reason]).toEqual([true, "load"])
    const gone = await ollama.generate({ model: "m", prompt: "", keep_alive: 0 })
    expect([gone.done, gone.done_reason, gone.response]).toEqual([true, "unload", ""])
    const ends: Array<string> = []
    for await (const part of await ollama.chat({ model: "m", messages: [], stream: true })) ends.push(part.done_reason)
    expect(ends).toEqual(["load"])
    expect(upstream.calls().length).toBe(before)
    const failure = await thrown(ollama.chat({ model: "nope", messages: [] }))
    expect(Reflect.get(Object(failure), "status_code")).toBe(404)
  })

  test("gets no vectors for no texts, as from an Ollama", async () => {
    const before = upstream.calls().length
    for (const input of [[], ""]) {
      const answer = await ollama.embed({ model: "nomic-embed-text", input })
      expect([answer.model, answer.embeddings]).toEqual(["nomic-embed-text", []])
    }
    expect(upstream.calls().length).toBe(before)
  })

  test("gets one vector by the older call", async () => {
    const answer = await scripted(
      () => [json({ object: "list", data: [{ index: 0, embedding: [0.5, 1] }] })],
      () => ollama.embeddings({ model: "nomic-embed-text", prompt: "a" })
    )
    expect(answer).toEqual({ embedding: [0.5, 1] })
    expect(fieldsOf(upstream.lastCall())).toMatchObject({ model: "nomic-embed-text", input: ["a"] })
  })
})

describe("the ollama package over an Ollama", () => {
  const world = async (script: Script) => {
    const upstream = await startUpstream({
      type: "ollama",
      models: [
        { id: "tide:8b", tools: true },
        { id: "nomic:1", embeddings: true }
      ],
      script
    })
    const gateway = await startGateway({
      backends: [backendFor("one", upstream, { type: "ollama" })],
      routing: { max_retries: 0 }
    })
    return {
      upstream,
      gateway,
      ollama: new Ollama({ host: gateway.url }),
      [Symbol.asyncDispose]: async () => {
        await gateway[Symbol.asyncDispose]()
        await upstream[Symbol.asyncDispose]()
      }
    }
  }

  const ask = { model: "tide:8b", messages: [user("What is Rust?")] }

  test("is passed through as it came, whole and streamed", async () => {
    await using here = await world(ollamaSays(["a", "b"]))
    const options = { num_ctx: 8192, mirostat: 1 }
    const answer = await here.ollama.chat({ ...ask, options, keep_alive: "5m", think: "low" })
    expect(answer).toMatchObject({ message: { content: "ab" }, done_reason: "stop", load_duration: 2_154_458 })
    const sent = here.upstream.lastCall()
    expect([sent.target, fieldsOf(sent)]).toEqual([
      "/api/chat",
      { ...ask, options, keep_alive: "5m", think: "low", stream: false }
    ])
    const pieces: Array<string> = []
    for await (const part of await here.ollama.chat({ ...ask, stream: true })) pieces.push(part.message.content)
    expect(pieces).toEqual(["a", "b", ""])
  })

  test("is listed with what it tells of its models", async () => {
    await using here = await world(ollamaSays(["a"]))
    const { models } = await here.ollama.list()
    expect(models.map(({ details, digest, name }) => [name, digest, details.format])).toEqual([
      ["nomic:1", "digest-of-nomic:1", "gguf"],
      ["tide:8b", "digest-of-tide:8b", "gguf"]
    ])
    const shown = await here.ollama.show({ model: "TIDE:8b" })
    expect(shown.capabilities).toEqual(["completion", "tools"])
  })

  test("has tools called, vectors made and models loaded in its own words", async () => {
    const calls = [{ function: { name: "weather", arguments: { city: "Oslo" } } }]
    await using here = await world((request: Seen) => {
      if (request.target === "/api/embed")
        return [json({ model: "tide:8b", embeddings: [[1, 2]], prompt_eval_count: 1 })]
      if (fieldsOf(request)["messages"] === undefined) {
        return [
          json({ model: "tide:8b", created_at: "2026-08-21T10:00:00Z", response: "", done: true, done_reason: "load" })
        ]
      }
      return ollamaSays([], calls)(request)
    })
    expect((await here.ollama.chat({ ...ask, tools })).message.tool_calls).toMatchObject(calls)
    expect((await here.ollama.embed({ model: "nomic:1", input: "a" })).embeddings).toEqual([[1, 2]])
    expect(await here.ollama.generate({ model: "tide:8b", prompt: "" })).toMatchObject({ done_reason: "load" })
  })

  test("raises when the stream of a runner that died ends like a good one, or tells of an error", async () => {
    const silent = { ...saying("", {}), message: { role: "", content: "" } }
    const ends: ReadonlyArray<readonly [Script, RegExp]> = [
      [() => lines([saying("tide:8b", { content: "half" }), silent]), /ended before its answer was complete/],
      [() => lines([saying("tide:8b", { content: "half" }), { error: "runner died" }]), /runner died/],
      [() => [linesHead, chunk(line(saying("tide:8b", { content: "half" }))), "reset"], /No good answer/]
    ]
    for (const [script, words] of ends) {
      await using here = await world(script)
      const pieces: Array<string> = []
      const failure = await thrown(
        (async () => {
          for await (const part of await here.ollama.chat({ ...ask, stream: true })) pieces.push(part.message.content)
        })()
      )
      expect(pieces[0]).toBe("half")
      expect(String(failure)).toMatch(words)
    }
  })

  test("is told an error that comes in place of an answer, as a status or as the first line", async () => {
    for (const script of [
      () => [json({ error: "model requires more system memory" }, 500)],
      () => lines([{ error: "model requires more system memory" }])
    ]) {
      await using here = await world(script)
      const failure = await thrown(here.ollama.chat({ ...ask, stream: true }))
      expect(String(failure)).toMatch(/more system memory/)
    }
  })

  test("frees the backend when its client aborts", async () => {
    await using here = await world((request) => [
      ...lines([saying("tide:8b", { content: "a" })], "hang"),
      ...(fieldsOf(request)["never"] === true ? [chunk(line(ending("tide:8b")))] : [])
    ])
    const stream = await here.ollama.chat({ ...ask, stream: true })
    const failure = thrown(
      (async () => {
        for await (const _ of stream) here.ollama.abort()
      })()
    )
    await (
      await here.upstream.call(0)
    ).gone
    expect(String(await failure)).toMatch(/abort/i)
    await here.gateway.quiet()
  })
})
