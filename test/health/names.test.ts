import { expect, test } from "bun:test"
import fc from "fast-check"
import { backendTypes, type Capabilities } from "../../src/domain/backend.ts"
import { complete, describe, fromName, nameRules } from "../../src/health/names.ts"

const rows: ReadonlyArray<readonly [string, Capabilities]> = [
  ["gpt-4o-mini", { vision: true, tools: true, json_mode: true }],
  ["openai/gpt-5", { vision: true, tools: true, json_mode: true }],
  ["gpt-4", { tools: true, json_mode: true }],
  ["o1-mini", { tools: true, json_mode: true }],
  ["gpt-3.5-turbo-instruct", {}],
  ["text-embedding-3-small", { vision: false, tools: false, json_mode: false, embeddings: true }],
  ["BAAI/bge-m3", { vision: false, tools: false, json_mode: false, embeddings: true }],
  ["nomic-embed-text:latest", { vision: false, tools: false, json_mode: false, embeddings: true }],
  ["bge-reranker-v2", { vision: false, tools: false, json_mode: false, embeddings: false }],
  ["whisper-1", { vision: false, tools: false, json_mode: false, embeddings: false }],
  ["gpt-4o-mini-tts", { vision: false, tools: false, json_mode: false, embeddings: false }],
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
  test(`the name ${name} says ${JSON.stringify(expected)}`, () => expect(fromName(name)).toEqual(expected))
}

const flags = fc.record(
  { vision: fc.boolean(), tools: fc.boolean(), json_mode: fc.boolean(), embeddings: fc.boolean() },
  { requiredKeys: [] }
)
const names = fc.oneof(fc.constantFrom(...rows.map(([name]) => name)), fc.string())

test("the table never overrides what a server says, and never tells a context length", () =>
  fc.assert(
    fc.property(names, flags, fc.constantFrom(...backendTypes), (id, said, type) => {
      const told = complete({ id, capabilities: said }, type)
      expect(told.capabilities).toMatchObject(said)
      expect(told.context_length).toBeUndefined()
    })
  ))

test("each row of the table is printed", () => {
  for (const { meaning } of nameRules) expect(describe()).toContain(meaning)
})
