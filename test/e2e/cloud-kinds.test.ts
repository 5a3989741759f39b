import { describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import Anthropic from "@anthropic-ai/sdk"
import OpenAI from "openai"
import { json } from "../kit/answers.ts"
import { answering, claude, says } from "../kit/claude.ts"
import { good, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway, startProcess } from "../kit/gateway.ts"

const hello = [{ role: "user" as const, content: "hello" }]

const openaiAt = (url: string) => new OpenAI({ baseURL: `${url}/v1`, apiKey: "not-needed", maxRetries: 0 })

const secrets = (key: string) => ({ backendKeys: new Map([["one", key]]), authKeys: [] })

test("a deployment of Azure's is asked at its path with the key of the resource, by the name that config gives it", async () => {
  await using upstream = await startUpstream({
    type: "azure",
    models: ["gpt-base"],
    script: (request) => (request.target.startsWith("/openai/") ? good()(request) : [json({}, 404)])
  })
  const url = `${upstream.url}?api-version=2024-10-21`
  await using gateway = await startGateway(
    { backends: [backendFor("one", { url }, { type: "azure", models: [{ id: "my deployment" }] })] },
    secrets("0123abc")
  )
  const answer = await openaiAt(gateway.url).chat.completions.create({ model: "my deployment", messages: hello })
  expect(answer.choices[0]?.message.content).toBe("Hello there")
  const { header, target } = upstream.lastCall()
  expect(target).toBe("/openai/deployments/my%20deployment/chat/completions?api-version=2024-10-21")
  expect(["api-key", "authorization"].map((name) => header(name))).toEqual(["0123abc", undefined])
})

test("a token of Entra's is read again from its file when it is another one", async () => {
  const folder = mkdtempSync(join(tmpdir(), "nexus-test-"))
  try {
    const file = join(folder, "token")
    const token = (of: string) => `eyJhbGciOiJSUzI1NiJ9.${of}.c2ln`
    writeFileSync(file, `${token("b25l")}\n`)
    await using upstream = await startUpstream({ type: "azure", models: ["gpt"] })
    await using nexus = await startProcess({
      server: { port: 0 },
      discovery: { enabled: false },
      backends: [backendFor("one", upstream, { type: "azure", api_key_file: file, models: [{ id: "gpt" }] })]
    })
    const sent = async () => {
      await openaiAt(nexus.url).chat.completions.create({ model: "gpt", messages: hello })
      return upstream.lastCall().header("authorization")
    }
    expect(await sent()).toBe(`Bearer ${token("b25l")}`)
    expect(upstream.lastCall().target).toBe("/openai/v1/chat/completions")
    writeFileSync(file, `${token("dHdv")}\n`)
    while ((await sent()) !== `Bearer ${token("dHdv")}`) await Bun.sleep(20)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test("Claude at Bedrock is asked in Anthropic's form with the key as a bearer, for clients of OpenAI's as well", async () => {
  await using upstream = await startUpstream({
    type: "bedrock",
    models: [],
    script: answering(() => ({ content: [says("hi")] }))
  })
  const id = `anthropic.${claude}`
  // What it is asked for is at `/anthropic/v1/messages`.
  const server = { url: `${upstream.url}/anthropic/v1` }
  await using gateway = await startGateway(
    { backends: [backendFor("one", server, { type: "bedrock", models: [{ id, max_output_tokens: 64 }] })] },
    secrets("bedrock-api-key-x")
  )
  const answer = await openaiAt(gateway.url).chat.completions.create({ model: id, messages: hello })
  expect(answer.choices[0]?.message.content).toBe("hi")
  const { header, target, text } = upstream.lastCall()
  expect(target).toBe("/anthropic/v1/messages")
  expect(["authorization", "anthropic-version"].map((name) => header(name))).toEqual([
    "Bearer bedrock-api-key-x",
    "2023-06-01"
  ])
  expect(JSON.parse(text)).toMatchObject({ model: id, max_tokens: 64 })
})

describe("Claude at Vertex AI", () => {
  const id = "claude-sonnet-4-5@20250929"
  const place = "/v1/projects/p/locations/l/publishers/anthropic"

  const world = async () => {
    const upstream = await startUpstream({
      type: "vertex",
      models: ["gemini-x"],
      script: (request) =>
        request.target.endsWith(":rawPredict")
          ? [json({ input_tokens: 7 })]
          : answering(() => ({ content: [says("hi")] }))(request)
    })
    const server = { url: `${upstream.url}${place}` }
    const gateway = await startGateway(
      {
        backends: [backendFor("one", server, { type: "vertex", models: [{ id, max_output_tokens: 64 }] })],
        routing: { aliases: { sonnet: id } }
      },
      secrets("ya29.token")
    )
    return {
      upstream,
      openai: openaiAt(gateway.url),
      anthropic: new Anthropic({ baseURL: gateway.url, apiKey: "not-needed", maxRetries: 0 }),
      [Symbol.asyncDispose]: async () => {
        await gateway[Symbol.asyncDispose]()
        await upstream[Symbol.asyncDispose]()
      }
    }
  }

  const asked = { max_tokens: 64, messages: hello }

  test("answers clients of Anthropic's as they ask, with the model in the path alone and the version in the body", async () => {
    await using here = await world()
    const answer = await here.anthropic.messages.create({ model: "sonnet", ...asked })
    expect(answer.content).toMatchObject([{ type: "text", text: "hi" }])
    const { header, target, text } = here.upstream.lastCall()
    expect(target).toBe(`${place}/models/${encodeURIComponent(id)}:streamRawPredict`)
    expect(header("authorization")).toBe("Bearer ya29.token")
    expect(JSON.parse(text)).toEqual({ anthropic_version: "vertex-2023-10-16", ...asked })
  })

  test("streams to them", async () => {
    await using here = await world()
    const stream = here.anthropic.messages.stream({ model: id, ...asked })
    expect(await stream.finalText()).toBe("hi")
    expect(JSON.parse(here.upstream.lastCall().text)).toEqual({
      anthropic_version: "vertex-2023-10-16",
      ...asked,
      stream: true
    })
  })

  test("answers clients of OpenAI's by a translation that is sent there", async () => {
    await using here = await world()
    const answer = await here.openai.chat.completions.create({ model: id, messages: hello })
    expect(answer.choices[0]?.message.content).toBe("hi")
    const body = JSON.parse(here.upstream.lastCall().text)
    expect([body.anthropic_version, body.model, body.max_tokens]).toEqual(["vertex-2023-10-16", undefined, 64])
  })

  test("counts tokens where no model is in the path", async () => {
    await using here = await world()
    expect(await here.anthropic.messages.countTokens({ model: "sonnet", messages: hello })).toEqual({ input_tokens: 7 })
    const { target, text } = here.upstream.lastCall()
    expect(target).toBe(`${place}/models/count-tokens:rawPredict`)
    expect(JSON.parse(text)).toEqual({ anthropic_version: "vertex-2023-10-16", model: id, messages: hello })
  })
})
