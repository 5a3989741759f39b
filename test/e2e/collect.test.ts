import { describe, expect, test } from "bun:test"
import OpenAI from "openai"
import { chatEvents, chunk, completion, done, event, json, lastChunk, streamHead } from "../kit/answers.ts"
import { type FakeUpstream, startUpstream, wantsStream } from "../kit/FakeUpstream.ts"
import { backendFor, type SettingsTree, startGateway, until } from "../kit/gateway.ts"
import { asking, messagesPath, messagesVersion } from "../kit/messages.ts"
import { ask, dial, requestBytes } from "../kit/rawClient.ts"
import type { Script, Step } from "../kit/rawServer.ts"
import { fieldsOf, speaking, streaming, voices } from "../kit/voices.ts"

const path = "/v1/chat/completions"

const body = (more: object = {}) => JSON.stringify({ model: "m", messages: [{ role: "user", content: "x" }], ...more })

const world = async (scripts: ReadonlyArray<Script>, settings: SettingsTree = {}) => {
  const upstreams: Array<FakeUpstream> = []
  for (const script of scripts) upstreams.push(await startUpstream({ models: [{ id: "m", tools: true }], script }))
  const gateway = await startGateway({
    routing: { strategy: "priority_only", max_retries: scripts.length - 1 },
    backends: upstreams.map((upstream, at) => backendFor(`b${at}`, upstream, { priority: at, collect: true })),
    ...settings
  })
  return {
    gateway,
    upstreams,
    port: gateway.port,
    [Symbol.asyncDispose]: async () => {
      await gateway[Symbol.asyncDispose]()
      for (const each of upstreams) await each[Symbol.asyncDispose]()
    }
  }
}

const [llama] = voices

describe("a whole answer of a backend with collect", () => {
  test("is asked for as a stream, and comes as the backend would have given it", async () => {
    await using here = await world([speaking(llama!, () => ["Hello", " there"])])
    const answer = await ask(here.port, "POST", path, body({ temperature: 0.5 }))
    expect([answer.status, answer.header("content-type")]).toEqual([200, "application/json"])
    expect(answer.json()).toMatchObject({
      object: "chat.completion",
      system_fingerprint: llama!.head["system_fingerprint"],
      choices: [{ message: { role: "assistant", content: "Hello there" }, finish_reason: "stop" }],
      usage: { prompt_tokens: 11, completion_tokens: 5 }
    })
    const told = fieldsOf(here.upstreams[0]!.lastCall())
    expect(told).toMatchObject({ stream: true, stream_options: { include_usage: true }, temperature: 0.5 })
  })

  test("is what OpenAI's library wants, tools included", async () => {
    await using here = await world([speaking(llama!, () => ({ name: "look_up", arguments: '{"q":"rain"}' }))])
    const client = new OpenAI({ apiKey: "none", baseURL: `http://127.0.0.1:${here.port}/v1`, maxRetries: 0 })
    const { choices } = await client.chat.completions.create({
      model: "m",
      messages: [{ role: "user", content: "x" }],
      tools: [{ type: "function", function: { name: "look_up" } }]
    })
    expect(choices[0]?.message.tool_calls).toMatchObject([{ function: { name: "look_up", arguments: '{"q":"rain"}' } }])
  })

  test("whose client leaves ends the stream of the backend at once", async () => {
    const closed = Promise.withResolvers<void>()
    await using here = await world([
      async function* (): AsyncGenerator<Step> {
        try {
          yield streamHead()
          yield chunk(chatEvents("m", ["a"])[0] ?? "")
          for (;;) yield { pause: 20 }
        } finally {
          closed.resolve()
        }
      }
    ])
    {
      using client = await dial(here.port)
      void client.send(requestBytes("POST", path, body()))
      await here.upstreams[0]!.call(0)
      await until(() => here.upstreams[0]!.busy() === 1, "the stream has begun")
    }
    await closed.promise
    await here.gateway.quiet()
  })

  test("goes on to the next backend when the stream breaks, and its client sees none of the broken one", async () => {
    await using here = await world([
      () => [streamHead(), chunk(chatEvents("m", ["lost"])[0] ?? ""), "reset"],
      speaking(llama!, () => ["found"])
    ])
    const answer = await ask(here.port, "POST", path, body())
    expect([answer.status, answer.header("x-nexus-attempts")]).toEqual([200, "2"])
    expect(answer.text).toContain("found")
    expect(answer.text).not.toContain("lost")
  })

  test("is a failure in words where the backend fails in the middle", async () => {
    await using here = await world([
      () => streaming([...chatEvents("m", ["a"]).slice(0, 1), event({ error: { message: "out of memory" } }), done])
    ])
    const answer = await ask(here.port, "POST", path, body())
    expect([answer.status, answer.text.includes("out of memory")]).toEqual([502, true])
  })

  test("is as it came where the backend gives no stream, and a refusal stays one", async () => {
    await using here = await world([
      (request) =>
        fieldsOf(request)["temperature"] === 9
          ? [json({ error: { message: "too hot", type: "invalid_request_error" } }, 400)]
          : [json({ ...completion("m", "whole"), odd: 1 })]
    ])
    const answer = await ask(here.port, "POST", path, body())
    expect(answer.json()).toMatchObject({ odd: 1, choices: [{ message: { content: "whole" } }] })
    expect((await ask(here.port, "POST", path, body({ temperature: 9 }))).status).toBe(400)
  })

  test("is put together for clients of Messages as well", async () => {
    await using here = await world([speaking(llama!, () => ["Hello", " there"])])
    const answer = await ask(here.port, "POST", messagesPath, asking(), [messagesVersion])
    expect(answer.json()).toMatchObject({ type: "message", content: [{ type: "text", text: "Hello there" }] })
    expect(wantsStream(here.upstreams[0]!.lastCall())).toBe(true)
  })

  test("that was asked for as a stream is passed on as it comes", async () => {
    await using here = await world([
      () => [streamHead(), ...chatEvents("m", ["a"]).map((each) => chunk(each)), lastChunk]
    ])
    const answer = await ask(here.port, "POST", path, body({ stream: true }))
    expect(answer.text).toBe(chatEvents("m", ["a"]).join(""))
    expect(fieldsOf(here.upstreams[0]!.lastCall())["stream_options"]).toBeUndefined()
  })
})
