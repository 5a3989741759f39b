import { describe, expect, test } from "bun:test"
import OpenAI from "openai"
import { chunk, head, json, lastChunk, streamHead, whole } from "../kit/answers.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway } from "../kit/gateway.ts"
import type { Script } from "../kit/rawServer.ts"

const failure500 = json({ error: { message: "no", type: "server_error", param: null, code: null } }, 500)

/** Asks as people do: with the package as it comes, which tries again by itself. */
const askOnce = async (script: Script, stream: boolean, settings = {}) => {
  await using upstream = await startUpstream({ models: ["m"], script })
  await using gateway = await startGateway({ backends: [backendFor("one", upstream)], ...settings })
  const openai = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "not-needed" })
  const asked = { model: "m", messages: [{ role: "user" as const, content: "hi" }] }
  const answer = stream ? openai.chat.completions.create({ ...asked, stream }) : openai.chat.completions.create(asked)
  const failure = await answer.then(
    () => undefined,
    (error: unknown) => error
  )
  if (!(failure instanceof OpenAI.APIError)) throw new Error("it should have failed")
  return { status: failure.status, generations: upstream.calls().length }
}

describe("one request to one backend, by the openai package as it comes, makes the backend work once when it gives", () => {
  const streams: ReadonlyArray<readonly [what: string, script: Script]> = [
    ["an empty stream", () => [streamHead(), lastChunk]],
    ["a stream that is over before it began", () => [streamHead(), chunk("data: [DONE]\n\n"), lastChunk]],
    ["an error as the first event", () => [streamHead(), chunk('data: {"error":{"message":"boom"}}\n\n'), lastChunk]]
  ]
  for (const [what, script] of streams) {
    test(what, async () => expect(await askOnce(script, true)).toEqual({ status: 502, generations: 1 }))
  }

  const answers: ReadonlyArray<readonly [what: string, script: Script]> = [
    ["an empty body", () => [whole(200, "")]],
    ["no content (204)", () => [head(204)]],
    ["an error under 200", () => [json({ error: { message: "out of memory", type: "server_error" } })]],
    ["JSON that is cut", () => [whole(200, '{"choices":[')]]
  ]
  for (const [what, script] of answers) {
    test(what, async () => expect(await askOnce(script, false)).toEqual({ status: 502, generations: 1 }))
  }

  test("no answer in time", async () => {
    const limits = { server: { first_byte_timeout_seconds: 0.1 } }
    expect(await askOnce(() => ["hang"], false, limits)).toEqual({ status: 504, generations: 1 })
  })
})

describe("the tries of the gateway and those of the package do not multiply when the backend", () => {
  test("answers 500", async () => {
    const routing = { routing: { max_retries: 2 } }
    expect(await askOnce(() => [failure500], false, routing)).toEqual({ status: 502, generations: 3 })
    const once = { routing: { max_retries: 0 } }
    expect(await askOnce(() => [failure500], false, once)).toEqual({ status: 502, generations: 1 })
  })

  test("loses its connection each time", async () => {
    expect(await askOnce(() => ["reset"], false)).toEqual({ status: 502, generations: 2 })
  })

  test("blames itself for a request that is wrong", async () => {
    const wrong = json({ error: { code: 500, message: "image input is not supported", type: "server_error" } }, 500)
    expect(await askOnce(() => [wrong], false)).toEqual({ status: 500, generations: 1 })
  })
})
