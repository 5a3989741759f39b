import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { createHash } from "node:crypto"
import { GoogleGenAI } from "@google/genai"
import { answering, claude, says } from "../kit/claude.ts"
import { json } from "../kit/answers.ts"
import { type FakeUpstream, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, startGateway } from "../kit/gateway.ts"
import { asking as geminiAsking } from "../kit/gemini.ts"
import { ask } from "../kit/rawClient.ts"

// A Python that has the packages; the checks make one where the network is there.
const python = process.env["PYTHON_WITH_SDKS"] ?? ""
const missing = python === "" ? " (skipped: PYTHON_WITH_SDKS names no Python that has them)" : ""

const key = "nx-of-a-client-of-vertex"

let ofAnthropic: FakeUpstream
let chat: FakeUpstream
let gateway: Gateway

beforeAll(async () => {
  const hello = answering(() => ({ content: [says("Hello there")] }))
  ofAnthropic = await startUpstream({
    type: "anthropic",
    models: [{ id: claude, tools: true }],
    script: (request) => (request.target.includes("count_tokens") ? [json({ input_tokens: 5 })] : hello(request))
  })
  chat = await startUpstream({ models: ["m", "org/m"] })
  gateway = await startGateway(
    {
      routing: { aliases: { "claude-sonnet-4@20250514": claude, "gemini-x": "m" } },
      backends: [backendFor("anthropic", ofAnthropic, { type: "anthropic" }), backendFor("chat", chat)]
    },
    { backendKeys: new Map(), authKeys: [{ name: "one", digest: createHash("sha256").update(key).digest() }] }
  )
})
afterAll(async () => {
  for (const each of [gateway, ofAnthropic, chat]) await each[Symbol.asyncDispose]()
})

const post = (path: string, body: string) => ask(gateway.port, "POST", path, body, [`Authorization: Bearer ${key}`])

const place = "/projects/p/locations/eu"
const version = { anthropic_version: "vertex-2023-10-16" }
const messages = [{ role: "user", content: "hello" }]

describe("a path of Vertex AI's leads", () => {
  test.each([
    `/v1${place}/publishers/anthropic/models/claude-sonnet-4@20250514:rawPredict`,
    `/v1${place}/publishers/anthropic/models/claude-sonnet-4%4020250514:rawPredict`,
    `${place}/publishers/anthropic/models/${claude}:rawPredict`,
    `/v1/publishers/anthropic/models/${claude}:streamRawPredict`
  ])("to Messages of the model that it names, with its version in no body: %s", async (path) => {
    const got = await post(path, JSON.stringify({ ...version, max_tokens: 9, messages }))
    expect([got.status, got.json()]).toMatchObject([200, { content: [{ text: "Hello there" }] }])
    const { target, text } = ofAnthropic.lastCall()
    expect([target, JSON.parse(text)]).toEqual(["/v1/messages", { model: claude, max_tokens: 9, messages }])
    expect(ofAnthropic.lastCall().header("anthropic-version")).toBe("2023-06-01")
  })

  test("to a translation where the model speaks another dialect, without a word of the version", async () => {
    const path = `/v1${place}/publishers/anthropic/models/org/m:streamRawPredict`
    const got = await post(path, JSON.stringify({ ...version, max_tokens: 9, messages, stream: true }))
    expect(got.text).toContain("event: message_stop")
    expect(got.header("x-nexus-dropped")).toBeUndefined()
    expect(JSON.parse(chat.lastCall().text)).toMatchObject({ model: "org/m", messages, stream: true })
  })

  test.each([`/v1${place}`, place, "/v1", ""])("to the count of tokens, whose model is in the body: %s", async (at) => {
    const path = `${at}/publishers/anthropic/models/count-tokens:rawPredict`
    const got = await post(path, JSON.stringify({ ...version, model: claude, messages }))
    expect([got.status, got.json()]).toEqual([200, { input_tokens: 5 }])
    const { target, text } = ofAnthropic.lastCall()
    expect([target, JSON.parse(text)]).toEqual(["/v1/messages/count_tokens", { model: claude, messages }])
  })

  test.each(["/v1beta1", "/v1", ""])("to Google's own operations: %s", async (prefix) => {
    const got = await post(`${prefix}${place}/publishers/google/models/gemini-x:generateContent`, geminiAsking())
    expect([got.status, got.json()]).toMatchObject([
      200,
      { candidates: [{ content: { parts: [{ text: "Hello there" }] } }], modelVersion: "gemini-x" }
    ])
    expect(JSON.parse(chat.lastCall().text)).toMatchObject({ model: "m", messages })
  })

  test("to an error of its dialect where nobody serves the model", async () => {
    const body = JSON.stringify({ ...version, max_tokens: 9, messages })
    const one = await post(`/v1${place}/publishers/anthropic/models/nobody:rawPredict`, body)
    expect([one.status, one.json()]).toMatchObject([404, { type: "error", error: { type: "not_found_error" } }])
    const other = await post(`/v1${place}/publishers/google/models/nobody:generateContent`, geminiAsking())
    expect([other.status, other.json()]).toMatchObject([404, { error: { code: 404, status: "NOT_FOUND" } }])
  })

  test("nowhere when it has other publishers, verbs or no model", async () => {
    for (const path of [
      `/v1${place}/publishers/mistralai/models/m:rawPredict`,
      `/v1${place}/publishers/anthropic/models/${claude}`,
      `/v1${place}/publishers/anthropic/models/${claude}:predict`,
      `/v1/projects/p/publishers/google/models/m:generateContent`
    ]) {
      expect((await post(path, "{}")).status).toBe(404)
    }
  })
})

test("the @google/genai package as a client of Vertex AI's is answered, whole and streamed", async () => {
  const { models } = new GoogleGenAI({ vertexai: true, apiKey: key, httpOptions: { baseUrl: gateway.url } })
  const asked = { model: "gemini-x", contents: "hello" }
  expect((await models.generateContent(asked)).text).toBe("Hello there")
  let told = ""
  for await (const { text = "" } of await models.generateContentStream(asked)) told += text
  expect(told).toBe("Hello there")
  expect((await models.countTokens(asked)).totalTokens).toBeGreaterThan(0)
})

const program = `
import json, sys
import anthropic
from google import genai
from google.oauth2.credentials import Credentials

url, key, claude = sys.argv[1:4]
client = anthropic.AnthropicVertex(base_url=url + "/v1", region="eu", project_id="p", access_token=key)
asked = {"model": claude, "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}
told = [client.messages.create(**asked).content[0].text]
with client.messages.stream(**asked) as stream:
    told.append("".join(stream.text_stream))
told.append(client.messages.count_tokens(model=claude, messages=asked["messages"]).input_tokens)
google = genai.Client(vertexai=True, project="p", location="eu", credentials=Credentials(key), http_options={"base_url": url})
told.append(google.models.generate_content(model="gemini-x", contents="hello").text)
told.append("".join(piece.text or "" for piece in google.models.generate_content_stream(model="gemini-x", contents="hello")))
told.append(google.models.count_tokens(model="gemini-x", contents="hello").total_tokens > 0)
print(json.dumps(told))
`

test.skipIf(python === "")(
  `the packages of Python as clients of Vertex AI's are answered, whole and streamed${missing}`,
  async () => {
    const env = { PATH: process.env["PATH"] ?? "", HOME: "/nonexistent", NO_PROXY: "127.0.0.1" }
    const command = [python, "-c", program, gateway.url, key, "claude-sonnet-4@20250514"]
    const child = Bun.spawn(command, { env, stdout: "pipe", stderr: "pipe", timeout: 100_000 })
    const [out, err] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()])
    expect([out.trim(), err]).toEqual([expect.stringContaining("["), expect.any(String)])
    expect(JSON.parse(out)).toEqual(["Hello there", "Hello there", 5, "Hello there", "Hello there", true])
  },
  120_000
)
