import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import fc from "fast-check"
import { gemini } from "../../src/dialect/gemini/gemini.ts"
import { ollama } from "../../src/dialect/ollama/ollama.ts"
import { parseNeeds, scanNeeds } from "../../src/dialect/openai/needs.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import type { Endpoint } from "../../src/dialect/openai/openai-endpoints.ts"
import { EventLoopTurns } from "../../src/domain/EventLoopTurns.ts"

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

describe("what all of a request may take is told where that is more than one prompt and one answer:", () => {
  const operations = [openai, ollama, gemini].flatMap((dialect) => dialect.operations)
  const needsAt = (path: string, body: object, model?: string) => {
    const operation = operations.find((each) => each.path.replace("{model}", "m") === path)
    const read = operation?.needs(bytes(JSON.stringify(body)), { turns: new EventLoopTurns(), model })
    if (read === undefined || read instanceof Promise || Result.isFailure(read)) throw new Error(`${path} is not read`)
    return read.success.needs
  }
  const long = "x".repeat(400)
  const short = "x".repeat(40)
  const chat = { model: "m", messages: [{ role: "user", content: short }] }
  const part = (text: string) => ({ content: { parts: [{ text }] } })

  test.each<readonly [name: string, path: string, body: object, all: number | undefined, answers: number | undefined]>([
    ["one prompt", "/v1/completions", { model: "m", prompt: short }, undefined, undefined],
    ["a list of one", "/v1/completions", { model: "m", prompt: [short] }, undefined, undefined],
    ["several prompts", "/v1/completions", { model: "m", prompt: [short, long] }, 110, 2],
    ["several answers", "/v1/completions", { model: "m", prompt: short, n: 3 }, undefined, 3],
    ["the best of more", "/v1/completions", { model: "m", prompt: short, n: 3, best_of: 8 }, undefined, 8],
    ["several answers to several", "/v1/completions", { model: "m", prompt: [short, long], n: 3 }, 110, 6],
    ["token ids", "/v1/completions", { model: "m", prompt: [1, 2, 3] }, 3, undefined],
    ["lists of token ids", "/v1/completions", { model: "m", prompt: [[1, 2, 3], [4]] }, 4, 2],
    ["several chats", "/v1/chat/completions", { ...chat, n: 4 }, undefined, 4],
    ["n that is none", "/v1/chat/completions", { ...chat, n: -4, best_of: "9" }, undefined, undefined],
    ["n without end", "/v1/completions", { model: "m", prompt: ["", ""], n: 2 ** 53 - 1 }, 0, 2 ** 53 - 1],
    ["texts", "/v1/embeddings", { model: "m", input: [short, long, long] }, 210, undefined],
    ["texts as token ids", "/v1/embeddings", { model: "m", input: [[1, 2], [3]] }, 3, undefined],
    ["texts of Ollama's", "/api/embed", { model: "m", input: [short, long] }, 110, undefined],
    [
      "candidates",
      "/v1beta/models/m:generateContent",
      { contents: part(short).content, generationConfig: { candidateCount: 5 } },
      undefined,
      5
    ],
    [
      "candidates, with an underscore",
      "/v1beta/models/m:generateContent",
      { contents: part(short).content, generation_config: { candidate_count: 5 } },
      undefined,
      5
    ],
    [
      "texts of Google's",
      "/v1beta/models/m:batchEmbedContents",
      { requests: [part(short), part(long)] },
      110,
      undefined
    ]
  ])("%s", (_, path, body, all, answers) => {
    const needs = needsAt(path, body, path.startsWith("/v1beta/") ? "m" : undefined)
    expect([needs.allPromptTokens, needs.answers]).toEqual([all, answers])
    expect(needs.promptTokens).toBeLessThanOrEqual(100)
  })

  test("and is never less than what one of its prompts may, however large its body is (law)", () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(fc.string(), fc.array(fc.nat()), fc.nat(), fc.constant(long.repeat(300))), { maxLength: 8 }),
        fc.constantFrom<Endpoint>("completions", "embeddings"),
        fc.option(fc.nat(300)),
        async (prompts, to, n) => {
          const body = bytes(JSON.stringify({ model: "m", [to === "embeddings" ? "input" : "prompt"]: prompts, n }))
          for (const least of [() => 0, () => Infinity]) {
            const { needs } = Result.getOrThrow(await scanNeeds(to, body, new EventLoopTurns(), least))
            expect(Result.getOrThrow(parseNeeds(to, body, least))).toEqual(needs)
            expect(needs.allPromptTokens ?? needs.promptTokens).toBeGreaterThanOrEqual(needs.promptTokens)
            expect(needs.answers ?? 1).toBeGreaterThanOrEqual(1)
          }
        }
      ),
      { numRuns: 100 }
    ))
})
