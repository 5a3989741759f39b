import { describe, expect, test } from "bun:test"
import Anthropic from "@anthropic-ai/sdk"
import OpenAI from "openai"
import { chunk, json, lastChunk, streamHead } from "../kit/answers.ts"
import {
  answering,
  calls,
  claude,
  claudeError,
  claudeEvent,
  type ClaudeAnswer,
  claudeWorld,
  type ClaudeWorld,
  messageEvents,
  says,
  thinks
} from "../kit/claude.ts"
import { thrown } from "../kit/clientCases.ts"
import type { Script } from "../kit/rawServer.ts"

const openaiAt = ({ gateway }: ClaudeWorld): OpenAI =>
  new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "not-needed", maxRetries: 0 })

const anthropicAt = ({ gateway }: ClaudeWorld): Anthropic =>
  new Anthropic({ baseURL: gateway.url, apiKey: "client-key", maxRetries: 0 })

const hello = [{ role: "user" as const, content: "hello" }]

const always =
  (answer: ClaudeAnswer): Script =>
  (request) =>
    answering(() => answer)(request)

const tool = (name: string) => ({
  type: "function" as const,
  function: { name, description: "Reads", parameters: { type: "object", properties: { at: { type: "string" } } } }
})

describe("a client of OpenAI's in front of Anthropic", () => {
  test("gets a whole answer, with what it took and how it ended", async () => {
    const usage = { cache_read_input_tokens: 100, cache_creation_input_tokens: 4 }
    await using world = await claudeWorld(always({ content: [says("Rain."), says(" Sun.")], usage }))
    const { data, response } = await openaiAt(world)
      .chat.completions.create({
        model: claude,
        temperature: 0.4,
        stop: ["END"],
        messages: [{ role: "system", content: "Be brief." }, ...hello]
      })
      .withResponse()
    expect(data).toMatchObject({
      object: "chat.completion",
      model: claude,
      choices: [{ message: { role: "assistant", content: "Rain. Sun." }, finish_reason: "stop" }],
      usage: {
        prompt_tokens: 116,
        completion_tokens: 5,
        total_tokens: 121,
        prompt_tokens_details: { cached_tokens: 100, cache_write_tokens: 4 }
      }
    })
    expect(response.headers.get("x-nexus-dialect")).toBe("openai->anthropic")
    expect(response.headers.get("x-nexus-dropped")).toBeNull()
    const { header, target } = world.upstream.lastCall()
    expect(target).toBe("/v1/messages")
    expect(["x-api-key", "anthropic-version", "authorization"].map(header)).toEqual([
      "sk-ant-secret",
      "2023-06-01",
      undefined
    ])
    expect(world.asked()).toEqual({
      model: claude,
      // As the list of models says.
      max_tokens: 8192,
      system: "Be brief.",
      messages: hello,
      temperature: 0.4,
      stop_sequences: ["END"]
    })
  })

  test("gets a stream piece by piece, and its usage only if it asks for it", async () => {
    await using world = await claudeWorld(always({ content: [says("It will rain in Oslo tomorrow.")] }))
    for (const include_usage of [true, false]) {
      const stream = await openaiAt(world).chat.completions.create({
        model: claude,
        messages: hello,
        stream: true,
        ...(include_usage ? { stream_options: { include_usage } } : {})
      })
      let text = ""
      let total: number | undefined
      const reasons: Array<string> = []
      for await (const { choices, usage } of stream) {
        text += choices[0]?.delta.content ?? ""
        total ??= usage?.total_tokens
        if (choices[0]?.finish_reason != null) reasons.push(choices[0].finish_reason)
      }
      expect([text, total, reasons]).toEqual([
        "It will rain in Oslo tomorrow.",
        include_usage ? 17 : undefined,
        ["stop"]
      ])
    }
  })

  test("runs two tools side by side over two turns, whatever their ids are", async () => {
    await using world = await claudeWorld(
      answering(({ text }) =>
        text.includes("tool_result")
          ? { content: [says("Both are high.")] }
          : {
              content: [says("Reading."), calls("toolu_1", "gauge", { at: "north" }), calls("toolu_2", "pumps", {})],
              stop_reason: "tool_use"
            }
      )
    )
    const openai = openaiAt(world)
    const tools = [tool("gauge"), tool("pumps")]
    const first = await openai.chat.completions.stream({ model: claude, messages: hello, tools }).finalChatCompletion()
    const [choice] = first.choices
    expect(choice?.finish_reason).toBe("tool_calls")
    expect(choice?.message).toMatchObject({
      content: "Reading.",
      tool_calls: [
        { id: "toolu_1", type: "function", function: { name: "gauge", arguments: '{"at":"north"}' } },
        { id: "toolu_2", type: "function", function: { name: "pumps", arguments: "{}" } }
      ]
    })
    const made = (id: string, name: string, args: string) => ({
      id,
      type: "function" as const,
      function: { name, arguments: args }
    })
    // As if they had been made by another server.
    const second = await openai.chat.completions.create({
      model: claude,
      tools,
      messages: [
        ...hello,
        {
          role: "assistant",
          content: "Reading.",
          tool_calls: [made("functions.gauge:0", "gauge", '{"at":"north"}'), made("functions:gauge.0", "pumps", "")]
        },
        { role: "tool", tool_call_id: "functions:gauge.0", content: "P1, P2" },
        { role: "tool", tool_call_id: "functions.gauge:0", content: "4.1 m" },
        { role: "user", content: "Sum up." }
      ]
    })
    expect(second.choices[0]?.message.content).toBe("Both are high.")
    const { messages } = world.asked() as { messages: Array<{ role: string; content: Array<Record<string, unknown>> }> } // reason: looked at below
    expect(messages.map(({ role }) => role)).toEqual(["user", "assistant", "user"])
    const [, one, two] = messages[1]?.content ?? []
    expect(one).toMatchObject({ type: "tool_use", name: "gauge", input: { at: "north" } })
    expect(two).toMatchObject({ type: "tool_use", name: "pumps", input: {} })
    expect(one?.["id"]).toMatch(/^[A-Za-z0-9_-]+$/)
    expect(one?.["id"]).not.toBe(two?.["id"])
    expect(messages[2]?.content).toEqual([
      { type: "tool_result", tool_use_id: one?.["id"], content: "4.1 m" },
      { type: "tool_result", tool_use_id: two?.["id"], content: "P1, P2" },
      { type: "text", text: "Sum up." }
    ])
  })

  test("has its image looked at, its file read, its form kept and its effort taken", async () => {
    await using world = await claudeWorld(always({ content: [says('{"city":"Oslo"}')] }))
    const schema = { type: "object", properties: { city: { type: "string" } }, additionalProperties: false }
    const answer = await openaiAt(world).chat.completions.create({
      model: claude,
      max_completion_tokens: 900,
      reasoning_effort: "high",
      response_format: { type: "json_schema", json_schema: { name: "report", strict: true, schema } },
      user: "u-7",
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "Where is this?" },
            { type: "image_url", image_url: { url: "data:image/jpg;base64,/9j/4AAQ" } },
            { type: "image_url", image_url: { url: "https://images.invalid/a.png" } },
            { type: "file", file: { filename: "a.pdf", file_data: "data:application/pdf;base64,JVBERi0=" } }
          ]
        }
      ]
    })
    expect(JSON.parse(answer.choices[0]?.message.content ?? "")).toEqual({ city: "Oslo" })
    expect(world.asked()).toMatchObject({
      max_tokens: 900,
      output_config: { effort: "high", format: { type: "json_schema", schema } },
      metadata: { user_id: "u-7" },
      messages: [
        {
          content: [
            { type: "text" },
            { type: "image", source: { type: "base64", media_type: "image/jpeg", data: "/9j/4AAQ" } },
            { type: "image", source: { type: "url", url: "https://images.invalid/a.png" } },
            { type: "document", source: { type: "base64", media_type: "application/pdf", data: "JVBERi0=" } }
          ]
        }
      ]
    })
  })

  test("hears what the model thinks", async () => {
    await using world = await claudeWorld(always({ content: [thinks("Clouds, so", "c2ln"), says("rain")] }))
    const stream = await openaiAt(world).chat.completions.create({ model: claude, messages: hello, stream: true })
    let thought = ""
    for await (const { choices } of stream) {
      const delta = choices[0]?.delta as { reasoning_content?: string } | undefined // reason: not in the types
      thought += delta?.reasoning_content ?? ""
    }
    expect(thought).toBe("Clouds, so")
  })

  test("learns what is left out, and that it is left out", async () => {
    await using world = await claudeWorld(always({ content: [says("hi")] }))
    const { response } = await openaiAt(world)
      .chat.completions.create({
        model: claude,
        messages: hello,
        seed: 7,
        presence_penalty: 1,
        logprobs: true,
        store: true
      })
      .withResponse()
    expect(response.headers.get("x-nexus-dropped")?.split(/, ?/).sort()).toEqual([
      "logprobs",
      "presence_penalty",
      "seed",
      "store"
    ])
    const error = await thrown(openaiAt(world).chat.completions.create({ model: claude, messages: hello, n: 2 }))
    expect(error).toBeInstanceOf(OpenAI.BadRequestError)
    expect(error).toMatchObject({ param: "n" })
  })

  test("is answered once more where a model refuses temperature, and from then on at once", async () => {
    await using world = await claudeWorld((request) =>
      request.text.includes('"temperature"')
        ? [json(claudeError("invalid_request_error", "`temperature` is not supported by this model"), 400)]
        : answering(() => ({ content: [says("hi")] }))(request)
    )
    const ask = () =>
      openaiAt(world).chat.completions.create({ model: claude, messages: hello, temperature: 0.3 }).withResponse()
    for (const asked of [2, 3]) {
      const { data, response } = await ask()
      expect(data.choices[0]?.message.content).toBe("hi")
      expect(response.headers.get("x-nexus-dropped")).toBe("temperature")
      expect(world.upstream.calls()).toHaveLength(asked)
    }
  })

  test.each([
    [400, "invalid_request_error", OpenAI.BadRequestError],
    [402, "billing_error", OpenAI.APIError],
    [403, "permission_error", OpenAI.PermissionDeniedError],
    [404, "not_found_error", OpenAI.NotFoundError],
    [429, "rate_limit_error", OpenAI.RateLimitError],
    [500, "api_error", OpenAI.InternalServerError],
    [529, "overloaded_error", OpenAI.InternalServerError]
  ])("raises its own class for the status %d", async (status, type, kind) => {
    await using world = await claudeWorld(() => [json(claudeError(type, "No, not now."), status, ["retry-after: 7"])])
    const error = await thrown(openaiAt(world).chat.completions.create({ model: claude, messages: hello }))
    expect(error).toBeInstanceOf(kind)
    if (status === 529) expect(error).toMatchObject({ status: 503 })
  })

  test("sees that a prompt is too long by the code that agents look for", async () => {
    const text = "prompt is too long: 210000 tokens > 200000 maximum"
    await using world = await claudeWorld(() => [json(claudeError("invalid_request_error", text), 400)])
    const error = await thrown(openaiAt(world).chat.completions.create({ model: claude, messages: hello }))
    expect(error).toMatchObject({ status: 400, code: "context_length_exceeded" })
  })

  test("sees that a model is missing by the code that agents look for", async () => {
    await using world = await claudeWorld(() => [json(claudeError("not_found_error", `model: ${claude}`), 404)])
    const error = await thrown(openaiAt(world).chat.completions.create({ model: claude, messages: hello }))
    expect(error).toMatchObject({ status: 404, code: "model_not_found" })
  })

  const begun = messageEvents({ content: [says("It rains")] }).slice(0, 5)

  test.each<[string, ReturnType<Script>]>([
    [
      "tells of an error",
      [
        streamHead(),
        ...begun.map((each) => chunk(each)),
        chunk(claudeEvent(claudeError("overloaded_error", "Overloaded"))),
        lastChunk
      ]
    ],
    ["ends too early", [streamHead(), ...begun.map((each) => chunk(each)), lastChunk]],
    ["is torn off", [streamHead(), ...begun.map((each) => chunk(each)), "reset"]]
  ])("raises where a stream %s", async (_, steps) => {
    await using world = await claudeWorld(() => steps)
    const stream = await openaiAt(world).chat.completions.create({ model: claude, messages: hello, stream: true })
    let text = ""
    const error = await thrown(
      (async () => {
        for await (const { choices } of stream) text += choices[0]?.delta.content ?? ""
      })()
    )
    expect(text).toBe("It rain")
    expect(error).toBeInstanceOf(Error)
  })

  test("gets a plain 503 where a stream begins with an error", async () => {
    await using world = await claudeWorld(() => [
      streamHead(),
      chunk(claudeEvent(claudeError("overloaded_error", "Overloaded"))),
      lastChunk
    ])
    const error = await thrown(
      openaiAt(world).chat.completions.create({ model: claude, messages: hello, stream: true })
    )
    expect(error).toMatchObject({ status: 503 })
  })

  test("leaves, and the stream of its server is closed", async () => {
    await using world = await claudeWorld(() => [streamHead(), ...begun.map((each) => chunk(each)), "hang"])
    const abort = new AbortController()
    const stream = await openaiAt(world).chat.completions.create(
      { model: claude, messages: hello, stream: true },
      { signal: abort.signal }
    )
    for await (const { choices } of stream) if ((choices[0]?.delta.content ?? "") !== "") abort.abort()
    const { gone } = await world.upstream.call(0)
    await gone
    await world.gateway.quiet()
  })

  test("is answered by its own words, fifty at once", async () => {
    await using world = await claudeWorld(
      answering(({ text }) => ({ content: [says(`You said ${/n\d+/.exec(text)?.[0]}.`)] }))
    )
    const openai = openaiAt(world)
    const texts = await Promise.all(
      Array.from({ length: 50 }, async (_, at) => {
        const messages = [{ role: "user" as const, content: `n${at}` }]
        if (at % 2 === 0) {
          return (await openai.chat.completions.create({ model: claude, messages })).choices[0]?.message.content
        }
        return openai.chat.completions
          .stream({ model: claude, messages })
          .finalChatCompletion()
          .then(({ choices }) => choices[0]?.message.content)
      })
    )
    expect(texts).toEqual(Array.from({ length: 50 }, (_, at) => `You said n${at}.`))
  })
})

describe("a client of Anthropic's in front of Anthropic", () => {
  test("is passed on as it came, with its own version and beta, and the key of the backend", async () => {
    await using world = await claudeWorld(always({ content: [says("hi")] }))
    const body = `{"max_tokens": 5,  "model":"${claude}","messages":[{"role":"user","content":"h\\u00e9"}]}`
    const answer = await fetch(`${world.gateway.url}/v1/messages?beta=true`, {
      method: "POST",
      headers: { "anthropic-version": "2026-10-21", "anthropic-beta": "a-1,b-2", "x-api-key": "client-key" },
      body
    })
    expect(answer.status).toBe(200)
    expect(answer.headers.get("x-nexus-dialect")).toBeNull()
    const { header, text } = world.upstream.lastCall()
    expect(text).toBe(body)
    expect(["anthropic-version", "anthropic-beta", "x-api-key"].map(header)).toEqual([
      "2026-10-21",
      "a-1,b-2",
      "sk-ant-secret"
    ])
  })

  test("has thoughts, tools and streams as Anthropic sends them", async () => {
    const content = [thinks("Hm.", "c2ln"), says("Reading."), calls("toolu_1", "gauge", { at: "north" })]
    await using world = await claudeWorld(always({ content, stop_reason: "tool_use" }))
    const asking = { model: claude, max_tokens: 50, messages: hello }
    const final = await anthropicAt(world).messages.stream(asking).finalMessage()
    expect(final.content).toMatchObject(content)
    expect((await anthropicAt(world).messages.create(asking)).content).toMatchObject(content)
  })

  test("has what only Nexus has signed taken out of its history, and nothing else changed", async () => {
    await using world = await claudeWorld(always({ content: [says("hi")] }))
    const sealed = `{"type":"thinking", "thinking":"a \\"}\\" b","signature":"nexus.unsigned"}`
    const own = `{"type":"thinking","thinking":"mine","signature":"c2ln"}`
    const body = (blocks: string) =>
      `{"model":"${claude}", "max_tokens":5,"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[${blocks}{"type":"text","text":"nexus.unsigned"}]},{"role":"user","content":[{"type":"text","text":"b","n":12345678901234567890}]}]}`
    const post = (text: string) =>
      fetch(`${world.gateway.url}/v1/messages`, {
        method: "POST",
        headers: { "anthropic-version": "2023-06-01" },
        body: text
      })
    expect((await post(body(`${sealed},${own}, `))).status).toBe(200)
    expect(world.upstream.lastCall().text).toBe(body(`${own}, `))
    expect((await post(body(`${own},${sealed},`))).status).toBe(200)
    expect(world.upstream.lastCall().text).toBe(body(`${own},`))
  })

  test("has its alias replaced by the model, and nothing else changed", async () => {
    await using world = await claudeWorld(always({ content: [says("hi")] }), {
      routing: { aliases: { fast: claude }, max_retries: 0 }
    })
    const body = (model: string) =>
      `{"max_tokens": 5, "messages":[{"role":"user","content":"h\\u00e9"}], "model" : "${model}" }`
    await fetch(`${world.gateway.url}/v1/messages`, {
      method: "POST",
      headers: { "anthropic-version": "2023-06-01" },
      body: body("fast")
    })
    expect(world.upstream.lastCall().text).toBe(body(claude))
  })

  test("is told how many requests are left to it", async () => {
    const left = "anthropic-ratelimit-requests-remaining: 41"
    await using world = await claudeWorld(() => [json({ type: "message", content: [says("hi")] }, 200, [left])])
    const { response } = await anthropicAt(world)
      .messages.create({ model: claude, max_tokens: 5, messages: hello })
      .withResponse()
    expect(response.headers.get("anthropic-ratelimit-requests-remaining")).toBe("41")
  })

  test("is told the same of a refusal, and when there are some again", async () => {
    const reset = "anthropic-ratelimit-tokens-reset: 2026-11-29T12:00:00Z"
    const refusal = { type: "error", error: { type: "rate_limit_error", message: "slow down" } }
    for (const status of [429, 529, 400]) {
      await using world = await claudeWorld(
        () => [
          json(refusal, status, ["anthropic-ratelimit-requests-remaining: 0", reset, "retry-after: 7", "x-inner: 1"])
        ],
        { routing: { max_retries: 0 } }
      )
      const response = await fetch(`${world.gateway.url}/v1/messages`, {
        method: "POST",
        headers: { "anthropic-version": "2023-06-01" },
        body: JSON.stringify({ model: claude, max_tokens: 5, messages: hello })
      })
      expect({
        refused: response.status >= 400,
        left: response.headers.get("anthropic-ratelimit-requests-remaining"),
        reset: response.headers.get("anthropic-ratelimit-tokens-reset"),
        inner: response.headers.get("x-inner")
      }).toEqual({ refused: true, left: "0", reset: "2026-11-29T12:00:00Z", inner: null })
    }
  })
})
