import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { createHash } from "node:crypto"
import {
  ApiError,
  type Content,
  FinishReason,
  FunctionCallingConfigMode,
  type GenerateContentConfig,
  type GenerateContentResponse,
  GoogleGenAI,
  Type
} from "@google/genai"
import { chunk, delta, done, event, json, lastChunk, streamHead } from "../kit/answers.ts"
import { type Client, reportSchema, type Setup, weather } from "../kit/client.ts"
import { clientCases, thrown } from "../kit/clientCases.ts"
import { type FakeUpstream, good, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, startGateway } from "../kit/gateway.ts"
import { call, eventOf, piece, text } from "../kit/gemini.ts"
import type { Script } from "../kit/rawServer.ts"
import { fieldsOf } from "../kit/voices.ts"

// The package tells nothing of the headers of a failure.
let lastHeaders = new Headers()

const listening = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
  const response = await fetch(input, init)
  lastHeaders = response.headers
  return response
}

const sdkFor = (url: string, apiKey = "not-needed", apiVersion?: string): GoogleGenAI =>
  new GoogleGenAI({
    apiKey,
    ...(apiVersion === undefined ? {} : { apiVersion }),
    httpOptions: { baseUrl: url, retryOptions: { attempts: 1 }, fetch: listening }
  })

const tokensOf = ({ usageMetadata }: GenerateContentResponse): number => usageMetadata?.totalTokenCount ?? 0

const tools = [
  {
    functionDeclarations: [
      { name: weather.name, description: weather.description, parametersJsonSchema: weather.parameters }
    ]
  }
]

const client = ({ apiKey, baseURL, embedder, model }: Setup): Client => {
  const { models } = sdkFor(baseURL.replace(/\/v1$/, ""), apiKey)
  const asking = (prompt: string, signal?: AbortSignal, config: GenerateContentConfig = {}) => ({
    model,
    contents: prompt,
    config: signal === undefined ? config : { ...config, abortSignal: signal }
  })
  return {
    chat: async (prompt, signal) => {
      const answer = await models.generateContent(asking(prompt, signal))
      return { text: answer.text ?? "", tokens: tokensOf(answer) }
    },
    stream: async function* (prompt, signal) {
      let tokens = 0
      for await (const each of await models.generateContentStream(asking(prompt, signal))) {
        tokens = tokensOf(each)
        yield each.text ?? ""
      }
      signal?.throwIfAborted()
      return tokens
    },
    useTool: async (prompt, run) => {
      const first = await models.generateContent(asking(prompt, undefined, { tools }))
      const [made] = first.functionCalls ?? []
      const content = first.candidates?.[0]?.content
      if (made === undefined || content === undefined) throw new Error("no call came")
      const { city } = made.args as { city: string } // reason: the schema of the tool
      const { id = "", name = "" } = made
      const result: Content = {
        role: "user",
        parts: [{ functionResponse: { id, name, response: { output: run(city) } } }]
      }
      const contents = [{ role: "user", parts: [{ text: prompt }] }, content, result]
      return (await models.generateContent({ model, contents, config: { tools } })).text ?? ""
    },
    streamTool: async (prompt) => {
      for await (const each of await models.generateContentStream(asking(prompt, undefined, { tools }))) {
        const [made] = each.functionCalls ?? []
        if (made?.name !== undefined) return { name: made.name, input: made.args }
      }
      throw new Error("no call came")
    },
    structured: async (prompt) => {
      const config = { responseMimeType: "application/json", responseJsonSchema: reportSchema }
      return JSON.parse((await models.generateContent(asking(prompt, undefined, config))).text ?? "")
    },
    embed: async (texts) => {
      const made = await models.embedContent({ model: embedder, contents: [...texts] })
      return (made.embeddings ?? []).map(({ values = [] }) => values)
    },
    failure: (error) => ({
      status: error instanceof ApiError ? error.status : undefined,
      message: error instanceof Error ? error.message : String(error),
      header: (name) => lastHeaders.get(name)
    })
  }
}

clientCases("the @google/genai package", client)

describe("the @google/genai package besides", () => {
  let upstream: FakeUpstream
  let gateway: Gateway
  let sdk: GoogleGenAI

  beforeAll(async () => {
    upstream = await startUpstream({ models: [{ id: "m", tools: true, vision: true }, "Qwen/Qwen3-8B", "z"] })
    gateway = await startGateway({ backends: [backendFor("one", upstream)], routing: { max_retries: 0 } })
    sdk = sdkFor(gateway.url)
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

  test("keeps thoughts and parallel calls of a chat in its history, and gives all of it back in the next turn", async () => {
    const made = (index: number, of: object, id?: string) =>
      delta("m", { tool_calls: [{ index, ...(id === undefined ? {} : { id, type: "function" }), function: of }] })
    const pieces = [
      delta("m", { role: "assistant", reasoning_content: "Two " }),
      delta("m", { reasoning_content: "calls." }),
      delta("m", { content: "Reading." }),
      made(0, { name: "read", arguments: "" }, "call_a"),
      made(1, { name: "open", arguments: "" }, "call_b"),
      made(0, { arguments: '{"at":' }),
      made(1, { arguments: '{"valve":7}' }),
      made(0, { arguments: '"north"}' }),
      delta("m", {}, "tool_calls")
    ]
    const declared = [
      {
        functionDeclarations: [
          {
            name: "read",
            parameters: { type: Type.OBJECT, properties: { at: { type: Type.STRING, nullable: true } } }
          },
          { name: "open" }
        ]
      }
    ]
    const config = {
      tools: declared,
      toolConfig: { functionCallingConfig: { mode: FunctionCallingConfigMode.ANY } },
      systemInstruction: "Be brief.",
      thinkingConfig: { includeThoughts: true, thinkingBudget: 6000 }
    }
    const chat = sdk.chats.create({ model: "m", config })
    const first = await scripted(
      () => [streamHead(), ...pieces.map((each) => chunk(event(each))), chunk(done), lastChunk],
      async () => {
        const all: Array<GenerateContentResponse> = []
        for await (const each of await chat.sendMessageStream({ message: "go" })) all.push(each)
        return all
      }
    )
    const parts = first.flatMap(({ candidates }) => candidates?.[0]?.content?.parts ?? [])
    expect(parts.filter(({ thought }) => thought).map(({ text: said }) => said)).toEqual(["Two ", "calls."])
    expect(first.at(-1)?.functionCalls).toEqual([
      { id: "call_a", name: "read", args: { at: "north" } },
      { id: "call_b", name: "open", args: { valve: 7 } }
    ])
    expect(first.at(-1)?.candidates?.[0]?.finishReason).toBe(FinishReason.STOP)
    const asked = fieldsOf(upstream.lastCall())
    expect(asked).toMatchObject({ tool_choice: "required", reasoning_effort: "medium", stream: true })
    expect(asked["tools"]).toMatchObject([
      // Local servers are told them in one order.
      { function: { name: "open" } },
      { function: { name: "read", parameters: { type: "object", properties: { at: { type: ["string", "null"] } } } } }
    ])
    const answers = ["call_b", "call_a"].map((id) => ({
      functionResponse: {
        id,
        name: id === "call_a" ? "read" : "open",
        response: id === "call_b" ? { error: "stuck" } : { output: "4 m" }
      }
    }))
    await chat.sendMessage({ message: answers })
    expect(fieldsOf(upstream.lastCall())["messages"]).toMatchObject([
      { role: "system", content: "Be brief." },
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
      { role: "tool", tool_call_id: "call_a", content: "4 m" },
      { role: "tool", tool_call_id: "call_b", content: "Error: stuck" }
    ])
  })

  test("shows pictures and sounds, and asks for answers of a schema in Google's own form", async () => {
    await scripted(good(['{"n":1}']), () =>
      sdk.models.generateContent({
        model: "m",
        contents: [
          { inlineData: { mimeType: "image/png", data: "AAAA" } },
          { inlineData: { mimeType: "audio/wav", data: "BBBB" } },
          { fileData: { fileUri: "https://pictures.example/a.png", mimeType: "image/png" } },
          "What is it?"
        ],
        config: {
          responseMimeType: "application/json",
          responseSchema: { type: Type.OBJECT, properties: { n: { type: Type.INTEGER } }, propertyOrdering: ["n"] },
          stopSequences: ["END"],
          maxOutputTokens: 70,
          temperature: 0.5,
          topK: 3,
          seed: 1,
          presencePenalty: 0.1
        }
      })
    )
    expect(fieldsOf(upstream.lastCall())).toMatchObject({
      messages: [
        {
          role: "user",
          content: [
            { type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } },
            { type: "input_audio", input_audio: { data: "BBBB", format: "wav" } },
            { type: "image_url", image_url: { url: "https://pictures.example/a.png" } },
            { type: "text", text: "What is it?" }
          ]
        }
      ],
      response_format: {
        type: "json_schema",
        json_schema: { schema: { type: "object", properties: { n: { type: "integer" } } } }
      },
      stop: ["END"],
      max_tokens: 70,
      temperature: 0.5,
      top_k: 3,
      seed: 1,
      presence_penalty: 0.1
    })
  })

  test.each(["v1", "v1beta"])("lists models page by page, gets one, and counts tokens, below /%s", async (version) => {
    const at = sdkFor(gateway.url, "not-needed", version)
    const names: Array<string> = []
    for await (const model of await at.models.list({ config: { pageSize: 1 } })) names.push(model.name ?? "")
    expect(names).toEqual(["models/Qwen/Qwen3-8B", "models/m", "models/z"])
    expect((await at.models.get({ model: "Qwen/Qwen3-8B" })).inputTokenLimit).toBeUndefined()
    const { totalTokens } = await at.models.countTokens({ model: "m", contents: "a word or two" })
    expect(totalTokens).toBeGreaterThan(0)
  })

  test("raises an error with the status of each failure", async () => {
    const ask = (model = "m") => sdk.models.generateContent({ model, contents: "x" })
    const say = (status: number) => json({ error: { message: "no", type: "x_error", param: null, code: null } }, status)
    const refused = (status: number) => () =>
      scripted(
        () => [say(status)],
        () => thrown(ask())
      )
    const cases: ReadonlyArray<readonly [status: number, word: string, run: () => Promise<unknown>]> = [
      [404, "NOT_FOUND", () => thrown(ask("nope"))],
      [404, "NOT_FOUND", () => thrown(sdk.models.get({ model: "nope" }))],
      [
        400,
        "INVALID_ARGUMENT",
        () => thrown(sdk.models.generateContent({ model: "m", contents: "x", config: { cachedContent: "kept" } }))
      ],
      [400, "INVALID_ARGUMENT", refused(400)],
      [422, "INVALID_ARGUMENT", refused(422)],
      [403, "PERMISSION_DENIED", refused(403)],
      [502, "UNAVAILABLE", refused(500)],
      [504, "DEADLINE_EXCEEDED", refused(504)],
      // Left alone from here on.
      [429, "RESOURCE_EXHAUSTED", refused(429)]
    ]
    for (const [status, word, run] of cases) {
      const error = await run()
      expect(error).toBeInstanceOf(ApiError)
      if (!(error instanceof ApiError)) continue
      expect([error.status, JSON.parse(error.message).error]).toMatchObject([status, { code: status, status: word }])
    }
  })
})

describe("the @google/genai package over a Gemini server", () => {
  const usage = { promptTokenCount: 5, candidatesTokenCount: 4, totalTokenCount: 9 }
  const script: Script = ({ target, text: body }) => {
    if (target.includes(":batchEmbedContents")) {
      return [json({ embeddings: JSON.parse(body).requests.map((_: unknown, at: number) => ({ values: [at] })) })]
    }
    const last = piece([call("read", { at: 1 }, { thoughtSignature: "c2ln" })], "STOP", usage)
    return target.includes("alt=sse")
      ? [
          streamHead(),
          chunk(eventOf(piece([text("Hm.", { thought: true })]))),
          chunk(eventOf(piece([text("Yes.")]))),
          chunk(eventOf(last)),
          lastChunk
        ]
      : [json(last)]
  }

  test("gets answers as they came: thoughts, signatures, counts, vectors", async () => {
    await using upstream = await startUpstream({ type: "gemini", models: ["m", { id: "e", embeddings: true }], script })
    await using gateway = await startGateway({ backends: [backendFor("one", upstream, { type: "gemini" })] })
    const { models } = sdkFor(gateway.url)
    const whole = await models.generateContent({
      model: "m",
      contents: "x",
      config: { cachedContent: "cachedContents/1" }
    })
    expect(whole.candidates?.[0]?.content?.parts?.[0]?.thoughtSignature).toBe("c2ln")
    const said: Array<string> = []
    for await (const each of await models.generateContentStream({ model: "m", contents: "x" }))
      said.push(each.text ?? "")
    expect(said.join("")).toBe("Yes.")
    expect((await models.embedContent({ model: "e", contents: ["a", "b"] })).embeddings).toHaveLength(2)
  })
})

test("the @google/genai package is let in by its key, and told when it is wrong", async () => {
  await using upstream = await startUpstream({ models: ["m"] })
  const digest = createHash("sha256").update("nx-right").digest()
  await using gateway = await startGateway(
    { backends: [backendFor("one", upstream)] },
    { backendKeys: new Map(), authKeys: [{ name: "laptop", digest }] }
  )
  expect((await sdkFor(gateway.url, "nx-right").models.generateContent({ model: "m", contents: "x" })).text).toBe(
    "Hello there"
  )
  const error = await thrown(sdkFor(gateway.url, "nx-wrong").models.list())
  expect(error instanceof ApiError && error.status).toBe(401)
})
