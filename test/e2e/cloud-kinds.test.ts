import { expect, test } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
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
