import { createHash } from "node:crypto"
import { describe, expect, test } from "bun:test"
import { chatEvents, chunk, completion, delta, done, event, json, lastChunk, streamHead } from "../kit/answers.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type SettingsTree, startGateway } from "../kit/gateway.ts"
import { asking, call, eventOf, geminiEvents, geminiPath, piece, said, text } from "../kit/gemini.ts"
import { scrape, total } from "../kit/metrics.ts"
import { ask, dial, requestBytes } from "../kit/rawClient.ts"
import type { Script, Step } from "../kit/rawServer.ts"
import { fieldsOf } from "../kit/voices.ts"

/** One backend of a type behind a gateway. */
const world = async (
  type: "generic" | "gemini",
  script: Script,
  settings: SettingsTree = {},
  keys: ReadonlyArray<string> = []
) => {
  const upstream = await startUpstream({ type, models: [{ id: "m", tools: true }, "real", "org/m:7b"], script })
  const gateway = await startGateway(
    { backends: [backendFor("b", upstream, { type })], routing: { max_retries: 0 }, ...settings },
    {
      backendKeys: new Map([["b", "sk-of-the-backend"]]),
      authKeys: keys.map((key) => ({ name: "k", digest: createHash("sha256").update(key).digest() }))
    }
  )
  return {
    upstream,
    gateway,
    port: gateway.port,
    [Symbol.asyncDispose]: async () => {
      await gateway[Symbol.asyncDispose]()
      await upstream[Symbol.asyncDispose]()
    }
  }
}

const flowing = (all: ReadonlyArray<string>, ...end: ReadonlyArray<Step>): ReadonlyArray<Step> => [
  streamHead(),
  ...all.map((each) => chunk(each)),
  ...(end.length === 0 ? [lastChunk] : end)
]

const usage = { prompt_tokens: 9, completion_tokens: 5, prompt_tokens_details: { cached_tokens: 4 } }

const whole = () => [json({ ...completion("real", "hi"), usage })]

const errorIn = (body: string) => JSON.parse(body).error

describe("a client of Google's API over a backend that speaks chat", () => {
  test("is answered under the model's own name, and told that it was translated and what was left out", async () => {
    await using here = await world("generic", whole, { routing: { aliases: { m: "real" } } })
    const body = asking({
      safetySettings: [{ category: "X" }],
      tools: [{ googleSearch: {} }, { function_declarations: [{ name: "t" }] }]
    })
    const headers = ["x-goog-api-key: sk-of-a-client", "X-Request-Id: mine"]
    const answer = await ask(here.port, "POST", geminiPath("generateContent"), body, headers)
    expect([answer.status, answer.header("content-type")]).toEqual([200, "application/json"])
    expect(answer.header("x-nexus-dialect")).toBe("gemini->openai")
    expect(answer.header("x-nexus-dropped")).toBe("safetySettings, tools[0].googleSearch")
    expect(answer.json()).toMatchObject({
      candidates: [{ content: { role: "model", parts: [{ text: "hi" }] }, finishReason: "STOP", index: 0 }],
      modelVersion: "m",
      usageMetadata: { promptTokenCount: 9, cachedContentTokenCount: 4, candidatesTokenCount: 5, totalTokenCount: 14 }
    })
    const asked = here.upstream.lastCall()
    expect([asked.target, fieldsOf(asked)["model"]]).toEqual(["/v1/chat/completions", "real"])
    expect([asked.header("x-goog-api-key"), asked.header("authorization")]).toEqual([
      undefined,
      "Bearer sk-of-the-backend"
    ])
  })

  test.each(["v1", "v1beta"])("is streamed below /%s as the text is made, in nothing but data", async (version) => {
    const gate = Promise.withResolvers<void>()
    const [first = "", ...rest] = chatEvents("m", ["a", "b"])
    await using here = await world("generic", () => [
      streamHead(),
      chunk(": keep-alive\n\n"),
      chunk(first),
      chunk(rest[0] ?? ""),
      { until: gate.promise },
      ...[...rest.slice(1, -1), event({ choices: [], usage }), done].map((each) => chunk(each)),
      lastChunk
    ])
    using client = await dial(here.port)
    await client.send(requestBytes("POST", geminiPath("streamGenerateContent", "m", version), asking()))
    const begun = await client.until(({ text: said }) => said.includes('"text":"a"'))
    expect([begun.header("content-type"), begun.header("x-nexus-dialect")]).toEqual([
      "text/event-stream",
      "gemini->openai"
    ])
    gate.resolve()
    const answer = await client.answer()
    expect([said(answer.text), answer.end]).toEqual(["ab", "complete"])
    const events = geminiEvents(answer.text)
    expect(events.map(({ candidates }) => candidates?.[0]?.finishReason)).toEqual([
      ...events.slice(1).map(() => undefined),
      "STOP"
    ])
    expect(events.at(-1)?.usageMetadata).toMatchObject({ promptTokenCount: 9, totalTokenCount: 14 })
    await here.gateway.quiet()
    const counted = {
      endpoint: "streamGenerateContent",
      model: "m",
      backend: "b",
      outcome: "completed",
      stream: "true"
    }
    expect(total(await scrape(here.port), "nexus_requests_total", counted)).toBe(1)
  })

  test("may name a model with slashes and colons, encoded or not", async () => {
    await using here = await world("generic", whole)
    for (const name of ["org/m:7b", "org%2Fm%3A7b", "org%2Fm:7b"]) {
      const answer = await ask(here.port, "POST", geminiPath("generateContent", name), asking())
      expect([answer.status, JSON.parse(answer.text).modelVersion]).toEqual([200, "org/m:7b"])
      expect(fieldsOf(here.upstream.lastCall())["model"]).toBe("org/m:7b")
    }
  })

  test("hears of a stream that breaks by an error with a number, and by a cut, since some read no error", async () => {
    const half = event(delta("m", { role: "assistant", content: "Half" }))
    for (const end of ["reset", lastChunk] as const) {
      await using here = await world("generic", () => flowing([half], end))
      const answer = await ask(here.port, "POST", geminiPath("streamGenerateContent"), asking())
      expect([answer.status, answer.end]).toEqual([200, "reset"])
      expect(geminiEvents(answer.text).at(-1)?.error).toMatchObject({ code: 502, status: "UNAVAILABLE" })
    }
  })

  test("hears of its server's own error in a stream by a cut as well, since some read no error", async () => {
    const message = "out of memory"
    const servers = {
      generic: [event(delta("m", { role: "assistant", content: "Half" })), event({ error: { message, code: 500 } })],
      gemini: [eventOf(piece([text("Half")])), eventOf({ error: { code: 500, message, status: "INTERNAL" } })]
    }
    for (const [type, events] of Object.entries(servers)) {
      await using here = await world(type === "gemini" ? "gemini" : "generic", () => flowing(events))
      const answer = await ask(here.port, "POST", geminiPath("streamGenerateContent"), asking())
      expect([type, answer.status, answer.end]).toEqual([type, 200, "reset"])
      expect(geminiEvents(answer.text).map(({ error }) => error?.message)).toEqual([undefined, message])
    }
  })
})

describe("a client of Google's API over a Gemini server", () => {
  const google: Script = ({ target }) =>
    target.includes("stream")
      ? flowing([
          eventOf(piece([text("a")])),
          eventOf(piece([text("b")], "STOP", { promptTokenCount: 2, candidatesTokenCount: 2 }))
        ])
      : [json(piece([text("hi")], "STOP", { promptTokenCount: 2, candidatesTokenCount: 2 }))]

  test("is passed on as it came, with the model in the path and the key of the backend", async () => {
    await using here = await world("gemini", google, { routing: { aliases: { alias: "real" } } })
    const body = ` ${asking({ cachedContent: "cachedContents/1" })} `
    for (const [verb, query] of [
      ["generateContent", ""],
      ["streamGenerateContent", "?alt=sse"]
    ] as const) {
      const path = `${geminiPath(verb, "alias")}${query === "" ? "?" : "&"}key=sk-of-a-client`
      const answer = await ask(here.port, "POST", path, body)
      expect([answer.status, answer.header("x-nexus-dialect")]).toEqual([200, undefined])
      const asked = here.upstream.lastCall()
      expect([asked.target, asked.text]).toEqual([`/v1beta/models/real:${verb}${query}`, body])
      expect(asked.header("x-goog-api-key")).toBe("sk-of-the-backend")
      expect(answer.text).toBe(
        verb === "generateContent"
          ? JSON.stringify(piece([text("hi")], "STOP", { promptTokenCount: 2, candidatesTokenCount: 2 }))
          : eventOf(piece([text("a")])) +
              eventOf(piece([text("b")], "STOP", { promptTokenCount: 2, candidatesTokenCount: 2 }))
      )
    }
    await here.gateway.quiet()
    expect(total(await scrape(here.port), "nexus_tokens_total", { kind: "completion" })).toBe(4)
  })

  test("is told of an end without a reason to stop, and of a last event without its blank line", async () => {
    await using cut = await world("gemini", () => flowing([eventOf(piece([text("Half")]))]))
    const answer = await ask(cut.port, "POST", geminiPath("streamGenerateContent"), asking())
    expect(geminiEvents(answer.text).at(-1)?.error).toMatchObject({ code: 502, status: "UNAVAILABLE" })
    await using bare = await world("gemini", () =>
      flowing([eventOf(piece([text("al")])), eventOf(piece([text("l")], "STOP")).trimEnd()])
    )
    expect(said((await ask(bare.port, "POST", geminiPath("streamGenerateContent"), asking())).text)).toBe("all")
  })

  test("gets Google's own errors with their details and their wait, under a good status too", async () => {
    const limited = {
      error: {
        code: 429,
        message: "Quota exceeded.",
        status: "RESOURCE_EXHAUSTED",
        details: [{ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "12s" }]
      }
    }
    for (const status of [429, 200]) {
      await using here = await world("gemini", () => [json(limited, status)])
      const began = performance.now()
      const answer = await ask(here.port, "POST", geminiPath("generateContent"), asking())
      expect([answer.status, answer.json()]).toEqual([429, limited])
      expect(Number(answer.header("retry-after"))).toBeGreaterThan(11 - Math.floor((performance.now() - began) / 1000))
    }
  })
})

describe("clients of other dialects over a Gemini server", () => {
  const answering: Script = ({ target }) => {
    const last = piece([call("read", { at: "north" }, { thoughtSignature: "c2ln" }), call("list")], "STOP", {
      promptTokenCount: 20,
      candidatesTokenCount: 9,
      thoughtsTokenCount: 5
    })
    const first = piece([text("Hm.", { thought: true }), text("Two calls.")])
    return target.includes("stream")
      ? flowing([eventOf(first), eventOf(last)])
      : [
          json({
            ...last,
            candidates: [
              {
                ...last.candidates[0],
                content: { parts: [...first.candidates[0]!.content.parts, ...last.candidates[0]!.content.parts] }
              }
            ]
          })
        ]
  }

  test("get a message of Anthropic's, whole and streamed", async () => {
    await using here = await world("gemini", answering)
    const body = {
      model: "m",
      max_tokens: 50,
      messages: [{ role: "user", content: "go" }],
      tools: [{ name: "read", input_schema: { type: "object", properties: { at: { type: "string" } } } }]
    }
    const answer = await ask(here.port, "POST", "/v1/messages", JSON.stringify(body))
    expect(answer.header("x-nexus-dialect")).toBe("anthropic->gemini")
    expect(answer.json()).toMatchObject({
      stop_reason: "tool_use",
      content: [
        { type: "thinking", thinking: "Hm." },
        { type: "text", text: "Two calls." },
        // What the call is signed with.
        { type: "thinking", thinking: "" },
        { type: "tool_use", name: "read", input: { at: "north" } },
        { type: "tool_use", name: "list", input: {} }
      ],
      usage: { input_tokens: 20, output_tokens: 14 }
    })
    expect(here.upstream.lastCall().target).toBe("/v1beta/models/m:generateContent")
    const streamed = await ask(here.port, "POST", "/v1/messages", JSON.stringify({ ...body, stream: true }))
    expect([streamed.end, streamed.text.includes("event: message_stop")]).toEqual(["complete", true])
    expect(here.upstream.lastCall().target).toBe("/v1beta/models/m:streamGenerateContent?alt=sse")
    expect(JSON.parse(here.upstream.lastCall().text)).toEqual({
      contents: [{ role: "user", parts: [{ text: "go" }] }],
      tools: [{ functionDeclarations: [{ name: "read", parametersJsonSchema: body.tools[0]?.input_schema }] }],
      generationConfig: { maxOutputTokens: 50 }
    })
  })
})

describe("the key of a client of Google's API", () => {
  const right = "nx-right-key-of-a-client"

  test("opens in its header and in the URL, and in the URL of this dialect alone", async () => {
    await using here = await world("generic", whole, {}, [right])
    const path = geminiPath("generateContent")
    expect((await ask(here.port, "POST", path, asking(), [`x-goog-api-key: ${right}`])).status).toBe(200)
    expect((await ask(here.port, "POST", `${path}?key=${right}`, asking())).status).toBe(200)
    expect((await ask(here.port, "GET", `/v1beta/models?key=${right}`)).status).toBe(200)
    for (const [method, target] of [
      ["POST", `${path}?key=nx-wrong`],
      ["POST", path],
      ["GET", "/v1beta/models"]
    ] as const) {
      const refused = await ask(here.port, method, target, asking())
      expect([refused.status, errorIn(refused.text).status]).toEqual([401, "UNAUTHENTICATED"])
    }
    const other = await ask(here.port, "GET", `/v1/models?key=${right}`)
    expect(other.status).toBe(401)
  })

  test("is kept out of what is told of requests, and from backends", async () => {
    await using here = await world("generic", whole, {}, [right])
    await ask(here.port, "POST", `${geminiPath("generateContent")}?key=${right}`, asking(), ["X-Request-Id: r1"])
    const seen = here.upstream.lastCall()
    expect(seen.target + seen.text + JSON.stringify([...(seen.headers ?? [])])).not.toContain(right)
    const key = [`authorization: Bearer ${right}`]
    for (const target of ["/admin/v1/decisions/r1", "/admin/v1/requests", "/metrics"]) {
      expect((await ask(here.port, "GET", target, "", key)).text).not.toContain(right)
    }
  })
})

describe("beside answers", () => {
  test("models are listed page by page in Google's shape, and found one by one", async () => {
    await using here = await world("generic", whole)
    const names: Array<string> = []
    let token = ""
    for (;;) {
      const page = JSON.parse((await ask(here.port, "GET", `/v1beta/models?pageSize=2${token}`)).text)
      names.push(...page.models.map(({ name }: { readonly name: string }) => name))
      if (page.nextPageToken === undefined) break
      token = `&pageToken=${page.nextPageToken}`
    }
    expect(names).toEqual(["models/m", "models/org/m:7b", "models/real"])
    const shared = await ask(here.port, "GET", "/v1/models", "", ["x-goog-api-client: google-genai-sdk/3.3.0"])
    expect(JSON.parse(shared.text).models).toHaveLength(3)
    const one = await ask(here.port, "GET", "/v1beta/models/org/m:7b")
    expect(one.json()).toMatchObject({
      name: "models/org/m:7b",
      supportedGenerationMethods: ["generateContent", "streamGenerateContent", "countTokens"]
    })
    const none = await ask(here.port, "GET", "/v1beta/models/nope")
    expect([none.status, errorIn(none.text).status]).toEqual([404, "NOT_FOUND"])
    expect(JSON.parse((await ask(here.port, "GET", "/v1/models")).text).object).toBe("list")
  })

  test("tokens are counted by an estimate that says so, in either form", async () => {
    await using here = await world("generic", whole)
    const count = async (body: string) => {
      const answer = await ask(here.port, "POST", geminiPath("countTokens"), body)
      expect([answer.status, answer.header("x-nexus-estimated")]).toEqual([200, "totalTokens"])
      return JSON.parse(answer.text).totalTokens
    }
    const words = { contents: [{ parts: [{ text: "several words of a longer text" }] }] }
    const few = await count(JSON.stringify(words))
    expect(few).toBeGreaterThan(4)
    const systemInstruction = { parts: [{ text: "and a system that says something" }] }
    expect(
      await count(JSON.stringify({ generateContentRequest: { model: "models/m", ...words, systemInstruction } }))
    ).toBeGreaterThan(few)
  })
})

describe("a client of Google's API is told, in Google's shape,", () => {
  const user = (...parts: ReadonlyArray<object>) => ({ contents: [{ role: "user", parts }] })

  test.each([
    [
      "a result without a call",
      user({ functionResponse: { name: "t", response: {} } }),
      "contents[0].parts[0].functionResponse"
    ],
    [
      "a call without a result",
      {
        contents: [
          { role: "model", parts: [call("t")] },
          { role: "user", parts: [text("x")] }
        ]
      },
      "contents[0]"
    ],
    [
      "a file that is at Google",
      user({
        fileData: { fileUri: "https://generativelanguage.googleapis.com/v1beta/files/1", mimeType: "image/png" }
      }),
      "contents[0].parts[0].fileData"
    ],
    [
      "a film",
      user({ inlineData: { mimeType: "video/mp4", data: "AA==" } }),
      "contents[0].parts[0].inlineData.mimeType"
    ],
    ["only tools that Google runs", { tools: [{ googleSearch: {} }] }, "tools"],
    [
      "answers other than texts",
      { generationConfig: { responseModalities: ["TEXT", "IMAGE"] } },
      "generationConfig.responseModalities"
    ],
    ["what is kept at Google", { cachedContent: "cachedContents/1" }, "cachedContent"],
    ["a role of no kind", { contents: [{ role: "assistant", parts: [text("x")] }] }, "contents[0].role"],
    ["a limit of no kind", { generationConfig: { maxOutputTokens: "many" } }, "generationConfig.maxOutputTokens"],
    ["nothing that is said", { contents: [] }, "contents"]
  ])("400 with the place of %s", async (_, more, place) => {
    await using here = await world("generic", whole)
    const answer = await ask(here.port, "POST", geminiPath("generateContent"), asking(more))
    expect([answer.status, errorIn(answer.text)]).toMatchObject([400, { code: 400, status: "INVALID_ARGUMENT" }])
    expect(errorIn(answer.text).message).toContain(place)
    expect(here.upstream.calls()).toEqual([])
  })

  test("400 for a stream as one JSON array, 404 for a verb or a model that nobody knows, 400 for what is no JSON", async () => {
    await using here = await world("generic", whole)
    const cases = [
      ["/v1beta/models/m:streamGenerateContent", asking(), 400, "INVALID_ARGUMENT"],
      [geminiPath("predict"), asking(), 404, "NOT_FOUND"],
      [geminiPath("generateContent", "nope"), asking(), 404, "NOT_FOUND"],
      [geminiPath("generateContent"), "{", 400, "INVALID_ARGUMENT"],
      [geminiPath("generateContent"), "", 400, "INVALID_ARGUMENT"],
      [geminiPath("generateContent"), `{"contents":${'[{"parts":'.repeat(30_000)}`, 400, "INVALID_ARGUMENT"]
    ] as const
    for (const [target, body, status, word] of cases) {
      const answer = await ask(here.port, "POST", target, body)
      expect([answer.status, errorIn(answer.text)]).toMatchObject([status, { code: status, status: word }])
    }
  })

  test.each([
    [401, 502, "UNAVAILABLE"],
    [404, 404, "NOT_FOUND"],
    [422, 422, "INVALID_ARGUMENT"],
    [429, 429, "RESOURCE_EXHAUSTED"],
    [500, 502, "UNAVAILABLE"],
    [503, 503, "UNAVAILABLE"],
    [504, 504, "DEADLINE_EXCEEDED"]
  ])("of a backend's status %d as %d", async (theirs, status, word) => {
    await using here = await world("generic", () => [
      json({ error: { message: "invalid api key", type: "x", param: null, code: null } }, theirs)
    ])
    const answer = await ask(here.port, "POST", geminiPath("generateContent"), asking())
    expect([answer.status, errorIn(answer.text)]).toMatchObject([status, { code: status, status: word }])
  })
})
