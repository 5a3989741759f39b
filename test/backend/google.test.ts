import { expect, test } from "bun:test"
import { Effect, Redacted } from "effect"
import { kindNamed } from "../../src/backend/all.ts"
import { examineBackend } from "../../src/doctor/examine.ts"
import { Transport } from "../../src/upstream/Transport.ts"
import { modelsOf, once, serving } from "../health/probing.ts"
import { effect } from "../kit/effect.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backend } from "../registry/backends.ts"

const model = (name: string, methods: ReadonlyArray<string>, inputTokenLimit = 1000) => ({
  name: `models/${name}`,
  inputTokenLimit,
  supportedGenerationMethods: methods
})

effect(
  "Gemini: models of all pages, with their context, and none that can be asked for neither texts nor vectors",
  () =>
    Effect.gen(function* () {
      const first = "/v1beta/models?pageSize=1000"
      const world = serving({
        [first]: {
          json: {
            models: [model("gemini-x", ["generateContent", "countTokens"]), model("imagen", ["predict"])],
            nextPageToken: "a b"
          }
        },
        [`${first}&pageToken=a%20b`]: { json: { models: [model("vectors", ["embedContent"], 2048)] } }
      })
      const found = modelsOf(yield* once(world, { type: "gemini", apiKey: Redacted.make("sk-google") }))
      expect(Object.keys(found)).toEqual(["gemini-x", "vectors"])
      expect(found["gemini-x"]).toMatchObject({
        context_length: 1000,
        capabilities: { tools: true, embeddings: false }
      })
      expect(found["vectors"]).toMatchObject({ context_length: 2048, capabilities: { embeddings: true } })
      expect(world.asked[0]?.headers?.["x-goog-api-key"]).toBe("sk-google")
      expect(JSON.stringify(world.asked.map(({ url }) => url))).not.toContain("sk-google")
    })
)

effect("Gemini: a key that is not valid is a refusal, whatever its status", () =>
  Effect.gen(function* () {
    const error = {
      code: 400,
      message: "API key not valid.",
      status: "INVALID_ARGUMENT",
      details: [{ reason: "API_KEY_INVALID" }]
    }
    const world = serving({ "/v1beta/models?pageSize=1000": { json: { error }, status: 400 } })
    expect(yield* once(world, { type: "gemini" })).toEqual({
      _tag: "Refused",
      reason: "refuses the key it is given (status 400)"
    })
  })
)

effect("Vertex AI: the models of the publisher, asked outside of the project", () =>
  Effect.gen(function* () {
    const list = ["gemini-x", "imagen-4", "text-embedding-005"].map((id) => ({
      name: `publishers/google/models/${id}`
    }))
    const world = serving({ "/v1beta1/publishers/google/models?pageSize=1000": { json: { publisherModels: list } } })
    const url = "http://b.test:1/v1/projects/p/locations/l"
    expect(Object.keys(modelsOf(yield* once(world, { type: "vertex", url })))).toEqual([
      "gemini-x",
      "text-embedding-005"
    ])
  })
)

const path = "/v1beta/models/{model}:generateContent"

test.each([
  ["https://g.example", "https://g.example/v1beta/models/{model}:generateContent"],
  ["https://g.example/v1beta", "https://g.example/v1beta/models/{model}:generateContent"],
  ["https://g.example/v1beta/openai", "https://g.example/v1beta/models/{model}:generateContent"],
  ["https://proxy.example/google", "https://proxy.example/google/v1beta/models/{model}:generateContent"]
])("a Gemini server at %s is asked at its own place", (url, asked) => {
  expect(kindNamed("gemini").url({ url }, path, "/v1")).toBe(asked)
})

const project = "https://eu-aiplatform.example/v1/projects/p/locations/l"

test.each([
  [project, `${project}/publishers/google/models/{model}:generateContent`],
  [`${project}/publishers/google/models`, `${project}/publishers/google/models/{model}:generateContent`],
  ["https://aiplatform.example", "https://aiplatform.example/v1/publishers/google/models/{model}:generateContent"]
])("Vertex AI at %s is asked at its own place", (url, asked) => {
  expect(kindNamed("vertex").url({ url }, path, "/v1")).toBe(asked)
})

test.each([
  [`${project}/publishers/anthropic`],
  [`${project}/publishers/anthropic/models/`],
  [`${project}/publishers/anthropic/models/claude-x:streamRawPredict`]
])("Claude at Vertex AI at %s is asked for Messages, for counts of tokens, and for its list", (url) => {
  const { speaksAt, url: at } = kindNamed("vertex")
  expect(speaksAt?.({ url }).main).toBe("anthropic")
  expect(at({ url }, "/v1/messages", "/v1")).toBe(`${project}/publishers/anthropic/models/{model}:streamRawPredict`)
  expect(at({ url }, "/v1/messages/count_tokens", "/v1")).toBe(
    `${project}/publishers/anthropic/models/count-tokens:rawPredict`
  )
  expect(at({ url }, "/v1beta1/publishers/google/models", "/v1")).toBe(
    "https://eu-aiplatform.example/v1beta1/publishers/anthropic/models"
  )
})

test("Vertex AI takes a token of Google Cloud's as such, and an API key as one", () => {
  const { authHeaders } = kindNamed("vertex")
  expect(authHeaders("ya29.token", { url: project })).toEqual({ authorization: "Bearer ya29.token" })
  expect(authHeaders("AQ.key", { url: project })).toEqual({ "x-goog-api-key": "AQ.key" })
})

test("nexus doctor finds nothing wrong with a Gemini server", async () => {
  await using server = await startUpstream({ type: "gemini", models: ["gemini-x"] })
  const { findings, models } = await Effect.runPromise(
    examineBackend(backend("b", { url: server.url, type: "gemini" }), {
      inference: false,
      timeoutMs: 5000,
      answerMs: 5000
    }).pipe(Effect.provide(Transport.layer), Effect.scoped)
  )
  expect(models).toEqual(["gemini-x"])
  expect(findings.filter(({ severity }) => severity === "error" || severity === "warning")).toEqual([])
})
