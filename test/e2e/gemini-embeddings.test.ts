import { describe, expect, test } from "bun:test"
import { json } from "../kit/answers.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway } from "../kit/gateway.ts"
import { geminiPath } from "../kit/gemini.ts"
import { ask } from "../kit/rawClient.ts"
import type { Script } from "../kit/rawServer.ts"
import { fieldsOf } from "../kit/voices.ts"

const world = async (type: "generic" | "gemini", script: Script) => {
  const upstream = await startUpstream({
    type,
    models: [
      { id: "e", embeddings: true },
      { id: "real", embeddings: true }
    ],
    script
  })
  const gateway = await startGateway({
    backends: [backendFor("b", upstream, { type })],
    routing: { max_retries: 0, aliases: { alias: "real" } }
  })
  return {
    upstream,
    port: gateway.port,
    [Symbol.asyncDispose]: async () => {
      await gateway[Symbol.asyncDispose]()
      await upstream[Symbol.asyncDispose]()
    }
  }
}

// In another order than they were asked for, and one of them as bytes.
const vectors: Script = (request) => {
  const { input } = fieldsOf(request) as { readonly input: ReadonlyArray<string> } // reason: what Nexus sends
  const data = input.map((_, index) => ({ object: "embedding", index, embedding: [index, 0.5] })).toReversed()
  return [json({ object: "list", data, model: "e", usage: { prompt_tokens: 7, total_tokens: 7 } })]
}

const google: Script = ({ target, text }) =>
  target.includes(":embedContent")
    ? [json({ embedding: { values: [1, 2] } })]
    : [json({ embeddings: JSON.parse(text).requests.map((_: unknown, at: number) => ({ values: [at, 2] })) })]

describe("vectors for a client of Google's API", () => {
  test("come from a backend that speaks as OpenAI does, one by one and many at once, in their order", async () => {
    await using here = await world("generic", vectors)
    const one = JSON.stringify({
      content: { parts: [{ text: "a" }, { text: "b" }] },
      output_dimensionality: 2,
      taskType: "RETRIEVAL_QUERY"
    })
    const single = await ask(here.port, "POST", geminiPath("embedContent", "e"), one)
    expect([single.status, single.header("x-nexus-dialect"), single.header("x-nexus-dropped")]).toEqual([
      200,
      "gemini->openai",
      "taskType"
    ])
    expect(single.json()).toMatchObject({ embedding: { values: [0, 0.5] }, usageMetadata: { promptTokenCount: 7 } })
    expect(fieldsOf(here.upstream.lastCall())).toEqual({ model: "e", input: ["a\nb"], dimensions: 2 })
    const requests = ["x", "y", "z"].map((text) => ({ model: "models/e", content: { parts: [{ text }] } }))
    const many = await ask(here.port, "POST", geminiPath("batchEmbedContents", "e"), JSON.stringify({ requests }))
    expect(many.json()).toMatchObject({
      embeddings: [{ values: [0, 0.5] }, { values: [1, 0.5] }, { values: [2, 0.5] }]
    })
    expect(fieldsOf(here.upstream.lastCall())["input"]).toEqual(["x", "y", "z"])
  })

  test("come from a Gemini server as they are, asked by the name of the model there", async () => {
    await using here = await world("gemini", google)
    const requests = [{ model: "models/alias", content: { parts: [{ text: "x" }] }, taskType: "CLUSTERING" }]
    const many = await ask(here.port, "POST", geminiPath("batchEmbedContents", "alias"), JSON.stringify({ requests }))
    expect([many.status, many.header("x-nexus-dialect")]).toEqual([200, undefined])
    expect(here.upstream.lastCall().target).toBe("/v1beta/models/real:batchEmbedContents")
    expect(JSON.parse(here.upstream.lastCall().text)).toEqual({ requests: [{ ...requests[0], model: "models/real" }] })
  })

  test.each([
    ["a picture", { content: { parts: [{ inlineData: { mimeType: "image/png", data: "AA==" } }] } }],
    ["no content", {}],
    ["a width of no kind", { content: { parts: [{ text: "a" }] }, outputDimensionality: "wide" }]
  ])("are refused for %s", async (_, body) => {
    await using here = await world("generic", vectors)
    const answer = await ask(here.port, "POST", geminiPath("embedContent", "e"), JSON.stringify(body))
    expect([answer.status, JSON.parse(answer.text).error.status]).toEqual([400, "INVALID_ARGUMENT"])
  })
})

test("a client of OpenAI's gets its vectors from a Gemini server, in either form", async () => {
  await using here = await world("gemini", google)
  for (const encoding_format of ["float", "base64"]) {
    const body = JSON.stringify({ model: "alias", input: ["x", "y"], dimensions: 2, encoding_format })
    const answer = await ask(here.port, "POST", "/v1/embeddings", body)
    const { data, model } = JSON.parse(answer.text)
    expect([answer.header("x-nexus-dialect"), model, data.length]).toEqual(["openai->gemini", "alias", 2])
    const second = data[1].embedding
    const numbers =
      typeof second === "string" ? [...new Float32Array(Uint8Array.from(Buffer.from(second, "base64")).buffer)] : second
    expect(numbers).toEqual([1, 2])
  }
  expect(JSON.parse(here.upstream.lastCall().text)).toEqual({
    requests: ["x", "y"].map((text) => ({
      model: "models/real",
      content: { parts: [{ text }] },
      outputDimensionality: 2
    }))
  })
})
