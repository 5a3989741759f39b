import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import OpenAI from "openai"
import { chunk, delta, done, event, json, lastChunk, streamHead } from "../kit/answers.ts"
import { type Client, reportSchema, type Setup, weather } from "../kit/client.ts"
import { clientCases, thrown } from "../kit/clientCases.ts"
import { type FakeUpstream, good, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, startGateway } from "../kit/gateway.ts"
import type { Script } from "../kit/rawServer.ts"
import { fieldsOf } from "../kit/voices.ts"

type Tool = OpenAI.Responses.FunctionTool

const weatherTool: Tool = { type: "function", ...weather, parameters: { ...weather.parameters }, strict: true }

/** What came, as what is sent with the next turn: the types of the package differ in an item that never comes. */
const sentBack = (output: ReadonlyArray<OpenAI.Responses.ResponseOutputItem>) =>
  output as Array<OpenAI.Responses.ResponseInputItem> // reason: see above

/** The package's Responses; `helped` when its streams are put together by its helper. */
const clientOf =
  (helped: boolean) =>
  ({ apiKey, baseURL, model }: Setup): Client => {
    const openai = new OpenAI({ baseURL, apiKey, maxRetries: 0 })
    const signalled = (signal?: AbortSignal) => (signal === undefined ? {} : { signal })
    const tools = [weatherTool]
    const eventsOf = async (input: string, signal?: AbortSignal) =>
      helped
        ? openai.responses.stream({ model, input }, signalled(signal))
        : openai.responses.create({ model, input, stream: true }, signalled(signal))
    return {
      chat: async (input, signal) => {
        const { output_text: text, usage } = await openai.responses.create({ model, input }, signalled(signal))
        return { text, tokens: usage?.total_tokens ?? 0 }
      },
      stream: async function* (input, signal) {
        for await (const each of await eventsOf(input, signal)) {
          if (each.type === "response.output_text.delta") yield each.delta
          if (each.type === "response.completed") return each.response.usage?.total_tokens ?? 0
        }
        // The package ends an aborted loop in silence.
        signal?.throwIfAborted()
        throw new Error("the stream has no end")
      },
      useTool: async (prompt, run) => {
        const input: Array<OpenAI.Responses.ResponseInputItem> = [{ role: "user", content: prompt }]
        const first = await openai.responses.create({ model, input, tools, store: false })
        input.push(...sentBack(first.output))
        for (const item of first.output) {
          if (item.type !== "function_call") continue
          const output = run(JSON.parse(item.arguments).city)
          input.push({ type: "function_call_output", call_id: item.call_id, output })
        }
        return (await openai.responses.create({ model, input, tools })).output_text
      },
      streamTool: async (input) => {
        const { output } = await openai.responses.stream({ model, input, tools }).finalResponse()
        const call = output.find((item) => item.type === "function_call")
        if (call === undefined) throw new Error("no call came")
        return { name: call.name, input: JSON.parse(call.arguments) }
      },
      structured: async (input) => {
        const format = { type: "json_schema" as const, name: "report", strict: true, schema: { ...reportSchema } }
        return (await openai.responses.parse({ model, input, text: { format } })).output_parsed
      },
      embed: async () => [],
      failure: (error) => ({
        status: error instanceof OpenAI.APIError ? error.status : undefined,
        message: error instanceof Error ? error.message : String(error),
        header: (name) => (error instanceof OpenAI.APIError ? error.headers?.get(name) : undefined)
      })
    }
  }

clientCases("the openai package by its Responses", clientOf(false), false)
clientCases("the openai package by the helper of its Responses", clientOf(true), false, [])

describe("the openai package by its Responses besides", () => {
  let upstream: FakeUpstream
  let gateway: Gateway
  let openai: OpenAI

  beforeAll(async () => {
    upstream = await startUpstream({ models: [{ id: "m", tools: true, vision: true }] })
    gateway = await startGateway({ backends: [backendFor("one", upstream)], routing: { max_retries: 0 } })
    openai = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "not-needed", maxRetries: 0 })
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

  const call = (index: number, made: object, id?: string) =>
    delta("m", { tool_calls: [{ index, ...(id === undefined ? {} : { id, type: "function" }), function: made }] })

  test("runs two tools in parallel whose pieces come mixed, and brings back what was thought", async () => {
    const pieces = [
      delta("m", { role: "assistant", reasoning_content: "Two calls." }),
      delta("m", { content: "Reading." }),
      call(0, { name: "read", arguments: "" }, "call_a"),
      call(1, { name: "note", arguments: "" }, "call_b"),
      call(0, { arguments: '{"at":' }),
      call(1, { arguments: '{"input":"two ' }),
      call(1, { arguments: 'lines\\n"}' }),
      call(0, { arguments: '"north"}' }),
      delta("m", {}, "tool_calls")
    ]
    const flow = [streamHead(), ...pieces.map((each) => chunk(event(each))), chunk(done), lastChunk]
    const tools: Array<OpenAI.Responses.Tool> = [
      { type: "function", name: "read", parameters: { type: "object" }, strict: false },
      { type: "custom", name: "note" }
    ]
    const include: Array<OpenAI.Responses.ResponseIncludable> = ["reasoning.encrypted_content"]
    const user = { role: "user" as const, content: "go" }
    const first = await scripted(
      () => flow,
      () => openai.responses.stream({ model: "m", input: [user], tools, include }).finalResponse()
    )
    expect(first.output).toMatchObject([
      { type: "reasoning", summary: [{ type: "summary_text", text: "Two calls." }] },
      { type: "message", content: [{ text: "Reading." }] },
      { type: "function_call", call_id: "call_a", name: "read", arguments: '{"at":"north"}' },
      { type: "custom_tool_call", call_id: "call_b", name: "note", input: "two lines\n" }
    ])
    await openai.responses.create({
      model: "m",
      tools,
      input: [
        user,
        ...sentBack(first.output),
        { type: "custom_tool_call_output", call_id: "call_b", output: "noted" },
        { type: "function_call_output", call_id: "call_a", output: "4 m" }
      ]
    })
    expect(fieldsOf(upstream.lastCall())["messages"]).toEqual([
      { role: "user", content: "go" },
      {
        role: "assistant",
        content: "Reading.",
        reasoning_content: "Two calls.",
        tool_calls: [
          { id: "call_a", type: "function", function: { name: "read", arguments: '{"at":"north"}' } },
          { id: "call_b", type: "function", function: { name: "note", arguments: '{"input":"two lines\\n"}' } }
        ]
      },
      { role: "tool", tool_call_id: "call_a", content: "4 m" },
      { role: "tool", tool_call_id: "call_b", content: "noted" }
    ])
  })

  test("shows images, and says how closely to look at them", async () => {
    const image_url = "data:image/png;base64,AAAA"
    await openai.responses.create({
      model: "m",
      input: [{ role: "user", content: [{ type: "input_image", image_url, detail: "low" }] }]
    })
    expect(fieldsOf(upstream.lastCall())["messages"]).toEqual([
      { role: "user", content: [{ type: "image_url", image_url: { url: image_url, detail: "low" } }] }
    ])
  })

  test("hears that a limit has ended an answer, whole or streamed", async () => {
    const cut: Script = (request) => {
      const said = delta("m", { content: "So" })
      if (fieldsOf(request)["stream"] !== true) {
        return [json({ choices: [{ index: 0, message: { content: "So" }, finish_reason: "length" }] })]
      }
      return [
        streamHead(),
        ...[said, delta("m", {}, "length")].map((each) => chunk(event(each))),
        chunk(done),
        lastChunk
      ]
    }
    const asked = { model: "m", input: "go", max_output_tokens: 16 }
    await scripted(cut, async () => {
      const whole = await openai.responses.create(asked)
      const streamed = await openai.responses.stream(asked).finalResponse()
      for (const { incomplete_details: why, output_text: text, status } of [whole, streamed]) {
        expect([status, why?.reason, text]).toEqual(["incomplete", "max_output_tokens", "So"])
      }
    })
  })

  test("hears why a model will not answer", async () => {
    const refusing: Script = () => [
      streamHead(),
      ...[delta("m", { refusal: "No." }), delta("m", {}, "stop")].map((each) => chunk(event(each))),
      chunk(done),
      lastChunk
    ]
    const { output } = await scripted(refusing, () =>
      openai.responses.stream({ model: "m", input: "go" }).finalResponse()
    )
    expect(output).toMatchObject([{ type: "message", content: [{ type: "refusal", refusal: "No." }] }])
  })

  test("counts tokens, and finds nothing that was kept", async () => {
    const counted = await openai.responses.inputTokens.count({ model: "m", input: "a word or two" })
    expect(counted.input_tokens).toBeGreaterThan(0)
    expect(await thrown(openai.responses.retrieve("resp_1"))).toBeInstanceOf(OpenAI.NotFoundError)
    expect(await thrown(openai.responses.delete("resp_1"))).toBeInstanceOf(OpenAI.NotFoundError)
    expect(await thrown(openai.responses.compact({ model: "m", input: "x" }))).toMatchObject({ status: 501 })
  })

  test("raises the class that fits each failure", async () => {
    const say = (status: number) => json({ error: { message: "no", type: "x_error", param: null, code: null } }, status)
    const ask = (model = "m", more: object = {}) => thrown(openai.responses.create({ model, input: "x", ...more }))
    const refused = (status: number) => () => scripted(() => [say(status)], ask)
    const cases: ReadonlyArray<readonly [new (...args: never) => Error, () => Promise<unknown>]> = [
      [OpenAI.NotFoundError, () => ask("nope")],
      [OpenAI.BadRequestError, () => thrown(openai.post("/responses", { body: { model: "m" } }))],
      [OpenAI.BadRequestError, () => ask("m", { previous_response_id: "resp_1" })],
      [OpenAI.BadRequestError, refused(400)],
      [OpenAI.UnprocessableEntityError, refused(422)],
      [OpenAI.InternalServerError, refused(500)],
      [OpenAI.InternalServerError, () => scripted(() => ["reset"], ask)],
      // Left alone from here on.
      [OpenAI.RateLimitError, refused(429)]
    ]
    for (const [kind, run] of cases) {
      const error = await run()
      expect(error).toBeInstanceOf(kind)
      expect(error instanceof OpenAI.APIError ? error.requestID : undefined).toBeString()
    }
  })
})
