import { describe, expect, test } from "bun:test"
import { Redacted } from "effect"
import { type BackendType, kindNamed } from "../../src/backend/all.ts"
import { speakerOf } from "../../src/backend/backend.ts"
import { parseBaseUrl } from "../../src/domain/base-url.ts"
import { effect } from "../kit/effect.ts"
import { modelsOf, once, origin, serving } from "../health/probing.ts"
import { backend } from "../registry/backends.ts"
import { Effect } from "effect"

const addressOf = (type: BackendType, url: string, path = "/v1/chat/completions"): string => {
  const base = parseBaseUrl(url)
  return kindNamed(type).url(base, path, base.apiPath ?? "/v1")
}

const azure = "https://eu.openai.azure.com"

describe("the address of a request", () => {
  test("for a ranking as Cohere's newer clients ask for it is that of the older ones where a server has no other", () => {
    const addresses = (["llamacpp", "llamaswap", "vllm"] as const).map((type) =>
      ["/v1/rerank", "/v2/rerank"].map((path) => addressOf(type, "http://127.0.0.1:8080/v1", path))
    )
    const [v1, v2] = ["http://127.0.0.1:8080/v1/rerank", "http://127.0.0.1:8080/v2/rerank"]
    expect(addresses).toEqual([
      [v1, v1],
      [v1, v1],
      [v1, v2]
    ] as Array<Array<string>>)
  })

  test.each<[type: BackendType, url: string, address: string]>([
    ["azure", azure, `${azure}/openai/v1/chat/completions`],
    ["azure", `${azure}/openai/v1/`, `${azure}/openai/v1/chat/completions`],
    ["azure", `${azure}/openai/v1?api-version=preview`, `${azure}/openai/v1/chat/completions?api-version=preview`],
    [
      "azure",
      `${azure}?api-version=2024-10-21`,
      `${azure}/openai/deployments/{model}/chat/completions?api-version=2024-10-21`
    ],
    [
      "azure",
      `${azure}/openai/deployments/gpt-eu?api-version=2024-10-21`,
      `${azure}/openai/deployments/gpt-eu/chat/completions?api-version=2024-10-21`
    ],
    [
      "azure",
      `${azure}/openai/deployments/gpt-eu/chat/completions?api-version=2024-10-21`,
      `${azure}/openai/deployments/gpt-eu/chat/completions?api-version=2024-10-21`
    ],
    ["openrouter", "https://openrouter.ai/api/v1", "https://openrouter.ai/api/v1/chat/completions"],
    [
      "bedrock",
      "https://bedrock-runtime.eu-west-1.amazonaws.com",
      "https://bedrock-runtime.eu-west-1.amazonaws.com/openai/v1/chat/completions"
    ],
    [
      "bedrock",
      "https://bedrock-runtime.eu-west-1.amazonaws.com/openai/v1",
      "https://bedrock-runtime.eu-west-1.amazonaws.com/openai/v1/chat/completions"
    ],
    [
      "bedrock",
      "https://bedrock-mantle.us-east-1.api.aws",
      "https://bedrock-mantle.us-east-1.api.aws/v1/chat/completions"
    ],
    [
      "bedrock",
      "https://bedrock-mantle.us-east-1.api.aws/v1",
      "https://bedrock-mantle.us-east-1.api.aws/v1/chat/completions"
    ],
    [
      "bedrock",
      "https://bedrock-mantle.us-east-1.api.aws/openai/v1",
      "https://bedrock-mantle.us-east-1.api.aws/openai/v1/chat/completions"
    ]
  ])("of %s at %s is %s", (type, url, address) => {
    expect(addressOf(type, url)).toBe(address)
  })

  test("is Anthropic's where the base URL of Bedrock says so, or that of another service", () => {
    const mantle = "https://bedrock-mantle.us-east-1.api.aws/anthropic"
    const messages = `${mantle}/v1/messages`
    for (const url of [mantle, `${mantle}/v1`]) expect(addressOf("bedrock", url, "/v1/messages")).toBe(messages)
    const foundry = "https://eu.services.ai.azure.com/anthropic"
    expect(addressOf("anthropic", foundry, "/v1/messages")).toBe(`${foundry}/v1/messages`)
    const main = (url: string) =>
      speakerOf(backend("b", { type: "bedrock", ...parseBaseUrl(url) }), undefined).speaking.main
    expect([main(mantle), main("https://bedrock-mantle.us-east-1.api.aws/openai/v1")]).toEqual(["anthropic", "openai"])
  })
})

describe("a key goes", () => {
  const token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln"

  test.each<[type: BackendType, key: string, headers: Record<string, string>]>([
    ["azure", "0123abc", { "api-key": "0123abc" }],
    ["azure", token, { authorization: `Bearer ${token}` }],
    ["anthropic", "sk-ant-x", { "x-api-key": "sk-ant-x" }],
    ["anthropic", token, { authorization: `Bearer ${token}` }],
    ["openrouter", "sk-or-x", { authorization: "Bearer sk-or-x" }],
    ["bedrock", "bedrock-api-key-x", { authorization: "Bearer bedrock-api-key-x" }]
  ])("to %s as it takes one like %s", (type, key, headers) => {
    expect(kindNamed(type).authHeaders(key, { url: kindNamed(type).home ?? "https://x.example" })).toEqual(headers)
  })
})

const supported = (is: boolean) => ({ supported: is })

effect("Anthropic: contexts, limits, abilities and ways to think from its list, and the names without a date", () =>
  Effect.gen(function* () {
    const world = serving({
      "/v1/models?limit=1000": {
        json: {
          data: [
            {
              type: "model",
              id: "claude-new",
              max_input_tokens: 1_000_000,
              max_tokens: 128_000,
              capabilities: {
                image_input: supported(true),
                structured_outputs: supported(true),
                effort: supported(true),
                thinking: { supported: true, types: { enabled: supported(false) } }
              }
            },
            {
              type: "model",
              id: "claude-old-4-5-20250929",
              max_input_tokens: 200_000,
              max_tokens: null,
              capabilities: {
                effort: supported(false),
                thinking: { supported: true, types: { enabled: supported(true) } }
              }
            },
            { type: "model", id: "claude-oldest-4-20250514", capabilities: null }
          ],
          has_more: false
        }
      }
    })
    const probed = yield* once(world, { type: "anthropic", apiKey: Redacted.make("sk-ant-x") })
    const older = { context_length: 200_000, thinks: "by tokens" as const }
    expect(modelsOf(probed)).toMatchObject({
      "claude-new": {
        context_length: 1_000_000,
        max_output_tokens: 128_000,
        thinks: "by effort",
        capabilities: { vision: true, json_mode: true, tools: true, embeddings: false }
      },
      "claude-old-4-5-20250929": older,
      "claude-old-4-5": older,
      "claude-oldest-4-20250514": {}
    })
    expect(Object.keys(modelsOf(probed))).toHaveLength(4)
    expect(world.asked[0]?.headers).toMatchObject({ "x-api-key": "sk-ant-x", "anthropic-version": "2023-06-01" })
  })
)

effect("OpenRouter: what its list tells of each model, and a key that is no good, though the list is open to all", () =>
  Effect.gen(function* () {
    const models = {
      json: {
        data: [
          {
            id: "a/b",
            context_length: 32_000,
            architecture: { input_modalities: ["text", "image"] },
            supported_parameters: ["tools", "response_format"],
            top_provider: { max_completion_tokens: 4096 }
          }
        ]
      }
    }
    const key = { json: { data: { label: "x" } } }
    const good = yield* once(serving({ "/v1/key": key, "/v1/models": models }), { type: "openrouter" })
    expect(modelsOf(good)).toMatchObject({
      "a/b": {
        context_length: 32_000,
        max_output_tokens: 4096,
        capabilities: { vision: true, tools: true, json_mode: true }
      }
    })
    const bad = yield* once(
      serving({ "/v1/key": { json: { error: { message: "No auth" } }, status: 401 }, "/v1/models": models }),
      { type: "openrouter", apiKey: Redacted.make("sk-or-x") }
    )
    expect(bad).toMatchObject({ _tag: "Refused" })
  })
)

effect("Azure: what it lists are no deployments, so its models are those of the config", () =>
  Effect.gen(function* () {
    const world = serving({ "/openai/v1/models": { json: { data: [{ id: "gpt-base" }] } } })
    expect(yield* once(world, { type: "azure", models: [{ id: "mine", capabilities: {} }] })).toMatchObject({
      _tag: "Up",
      models: undefined
    })
    expect(yield* once(world, { type: "azure" })).toMatchObject({ _tag: "Down" })
    const refuses = serving({ "/openai/v1/models": { json: {}, status: 401 } })
    expect(yield* once(refuses, { type: "azure", apiKey: Redacted.make("x") })).toMatchObject({ _tag: "Refused" })
  })
)

effect("Bedrock: its list where it has one, and else the models of the config", () =>
  Effect.gen(function* () {
    const lists = serving({ "/openai/v1/models": { json: { data: [{ id: "openai.gpt-oss-120b" }] } } })
    expect(Object.keys(modelsOf(yield* once(lists, { type: "bedrock" })))).toEqual(["openai.gpt-oss-120b"])
    const mute = serving({})
    expect(
      yield* once(mute, { type: "bedrock", url: origin, models: [{ id: "mine", capabilities: {} }] })
    ).toMatchObject({ _tag: "Up", models: undefined })
  })
)
