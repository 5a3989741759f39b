import { describe as describe_, expect, test } from "bun:test"
import fc from "fast-check"
import { backendTypes } from "../../src/backend/all.ts"
import type { Capabilities } from "../../src/domain/server.ts"
import { withCapabilities, capabilitiesFromName } from "../../src/backend/capabilities.ts"

const rows: ReadonlyArray<readonly [string, Capabilities]> = [
  ["gpt-4o-mini", { vision: true, tools: true, json_mode: true }],
  ["openai/gpt-5", { vision: true, tools: true, json_mode: true }],
  ["gpt-4", { tools: true, json_mode: true }],
  ["o1-mini", { tools: true, json_mode: true }],
  ["gpt-3.5-turbo-instruct", {}],
  ["text-embedding-3-small", { vision: false, tools: false, json_mode: false, embeddings: true }],
  ["BAAI/bge-m3", { vision: false, tools: false, json_mode: false, embeddings: true }],
  ["nomic-embed-text:latest", { vision: false, tools: false, json_mode: false, embeddings: true }],
  ["bge-reranker-v2", {}],
  ["whisper-1", {}],
  ["gpt-4o-mini-tts", {}],
  ["gpt-audio", {}],
  ["llava:13b", { vision: true }],
  ["Qwen/Qwen2.5-VL-7B-Instruct", { vision: true, tools: true }],
  ["gemma3:12b", { vision: true }],
  ["gemma3:1b", {}],
  ["llama3.2-vision:11b", { vision: true, tools: true }],
  ["llama3:70b", {}],
  ["mistral:7b", { tools: true }],
  ["mixtral:8x7b", { tools: true }],
  ["gpt-oss:20b", { tools: true }],
  ["my-own-model", {}]
]

for (const [name, expected] of rows) {
  test(`the name ${name} says ${JSON.stringify(expected)}`, () => expect(capabilitiesFromName(name)).toEqual(expected))
}

const flags = fc.record(
  { vision: fc.boolean(), tools: fc.boolean(), json_mode: fc.boolean(), embeddings: fc.boolean() },
  { requiredKeys: [] }
)
const names = fc.oneof(fc.constantFrom(...rows.map(([name]) => name)), fc.string())

test("the table never overrides what a server says, and never tells a context length", () =>
  fc.assert(
    fc.property(names, flags, fc.constantFrom(...backendTypes), (id, said, type) => {
      const told = withCapabilities({ id, capabilities: said }, type)
      expect(told.capabilities).toMatchObject(said)
      expect(told.context_length).toBeUndefined()
    })
  ))

const embedders = [
  "text-embedding-3-small",
  "text-embedding-ada-002",
  "text-multilingual-embedding-002",
  "gemini-embedding-001",
  "nomic-embed-text:latest",
  "nomic-ai/nomic-embed-text-v1.5",
  "text-embedding-nomic-embed-text-v1.5",
  "mxbai-embed-large",
  "snowflake-arctic-embed2:568m",
  "mistral-embed",
  "codestral-embed-2505",
  "cohere/embed-english-v3.0",
  "amazon.titan-embed-text-v2:0",
  "nvidia/NV-Embed-v2",
  "Salesforce/SFR-Embedding-Mistral",
  "Qwen/Qwen3-Embedding-0.6B",
  "qwen3-embedding:8b",
  "embeddinggemma:300m",
  "google/embeddinggemma-300m",
  "granite-embedding:30m",
  "jinaai/jina-embeddings-v3",
  "BAAI/bge-m3",
  "bge-large:335m",
  "bge-small-en-v1.5",
  "thenlper/gte-large",
  "Alibaba-NLP/gte-Qwen2-7B-instruct",
  "intfloat/e5-mistral-7b-instruct",
  "intfloat/multilingual-e5-large-instruct",
  "WhereIsAI/UAE-Large-V1",
  "all-minilm:l6-v2",
  "sentence-transformers/all-MiniLM-L6-v2",
  "paraphrase-multilingual:278m"
]

const chats = [
  "gpt-audio",
  "gpt-4o-audio-preview",
  "gpt-realtime",
  "my/flux-assistant",
  "flux-chat:7b",
  "embedded-coder",
  "acme/embedded-systems-llama",
  "my-embed-chat",
  "e5-assistant",
  "bge-assistant",
  "gte/llama3",
  "embeddings/llama3:8b",
  "whisperer-13b",
  "sora-chat",
  "moderation-assistant",
  "rerank-tutor",
  "tts-script-writer",
  "llama-guard3:8b",
  "llama3.1:8b",
  "qwen3:32b",
  "gpt-oss:20b",
  "gpt-image-1",
  "deepseek-r1:70b",
  "claude-sonnet-4-5",
  "bert-chat",
  "team-e5/mistral-7b",
  "Voice-Assistant-TTS-7B",
  "dall-e-3"
]

describe_("names of models", () => {
  test.each(embedders)("%s is a model for embeddings, which is asked neither for tools nor with images", (id) => {
    expect(capabilitiesFromName(id)).toEqual({ vision: false, tools: false, json_mode: false, embeddings: true })
    expect(capabilitiesFromName(id.toUpperCase())).toEqual(capabilitiesFromName(id))
  })

  test.each(chats)("%s is left out of nothing", (id) => {
    expect(Object.values(capabilitiesFromName(id))).not.toContain(false)
  })

  test("a name without a word for embeddings never says what a model cannot do", () =>
    fc.assert(
      fc.property(fc.constantFrom(...chats), fc.stringMatching(/^[a-z0-9]{0,8}$/), (id, more) => {
        expect(Object.values(capabilitiesFromName(`${id}-x${more}`))).not.toContain(false)
      })
    ))
})
