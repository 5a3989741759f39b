import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import type { ChatEvent } from "../../src/dialect/chat.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import { usageFrom, usageIn, usageOfJson } from "../../src/dialect/openai/usage.ts"
import { transduce } from "../../src/dialect/Transducer.ts"
import { answersFrom, hello } from "../kit/codecs.ts"

type Fields = Readonly<Record<string, unknown>>

const reads = answersFrom(openai.operations[0].server!)

const bytes = (json: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(json))

const finished = { index: 0, finish_reason: "stop" }

const wholeWith = (more: Fields): ReadonlyArray<ChatEvent> =>
  Result.getOrThrow(reads.whole(bytes({ choices: [{ ...finished, message: { content: "Hi" } }], ...more })))

const streamedWith = (more: Fields): ReadonlyArray<ChatEvent> => {
  const chunk = JSON.stringify({ choices: [{ ...finished, delta: { content: "Hi" } }], ...more })
  return transduce(reads.stream, [new TextEncoder().encode(`data: ${chunk}\n\ndata: [DONE]\n\n`)])
}

describe("the tokens of an answer, in the words of its maker,", () => {
  const usageEvent = (usage: Fields) => wholeWith({ usage }).find(({ type }) => type === "usage")

  test("are with those of its reasoning where they are told beside it", () => {
    const usage = {
      prompt_tokens: 32,
      completion_tokens: 9,
      total_tokens: 135,
      completion_tokens_details: { reasoning_tokens: 94 }
    }
    expect(usageEvent(usage)).toMatchObject({ usage: { prompt: 32, completion: 103, reasoning: 94 } })
    const counted = { prompt: 32, cached: 0, completion: 103, reasoning: 94 }
    expect([usageOfJson({ usage }), usageIn(bytes({ usage }))]).toEqual([counted, counted])
    // Vercel's gateway leaves them out of the sum as well: more than all there are can be no part of them.
    const unsummed = { ...usage, total_tokens: 41 }
    expect(usageEvent(unsummed)).toMatchObject({ usage: { prompt: 32, completion: 103, reasoning: 94 } })
    expect([usageOfJson({ usage: unsummed }), usageIn(bytes({ usage: unsummed }))]).toEqual([counted, counted])
    // As OpenAI counts them.
    const inside = { ...usage, completion_tokens: 103 }
    expect(usageEvent(inside)).toMatchObject({ usage: { completion: 103, reasoning: 94 } })
    expect([usageOfJson({ usage: inside }), usageIn(bytes({ usage: inside }))]).toEqual([counted, counted])
  })

  test("are once those of a thought that SGLang has counted beyond the end of its answer", () => {
    const thought = { reasoning_tokens: 23_872 }
    const usage = { prompt_tokens: 164, completion_tokens: 23_870, total_tokens: 24_034 }
    const counted = { prompt: 164, cached: 0, completion: 23_870, reasoning: 23_872 }
    for (const told of [
      { ...usage, ...thought },
      { ...usage, completion_tokens_details: thought }
    ]) {
      expect(usageEvent(told)).toMatchObject({ usage: { prompt: 164, completion: 23_870 } })
      expect([usageOfJson({ usage: told }), usageIn(bytes({ usage: told }))]).toEqual([counted, counted])
    }
  })

  test("are those that Groq tells beside the answer, whole and streamed", () => {
    const beside = { x_groq: { id: "req", usage: { prompt_tokens: 7, completion_tokens: 2, total_tokens: 9 } } }
    for (const events of [wholeWith(beside), streamedWith(beside)]) {
      expect(events.findLast(({ type }) => type === "usage")).toMatchObject({ usage: { prompt: 7, completion: 2 } })
    }
  })

  test("are cached ones by any name", () => {
    const cached = (more: Fields) => usageEvent({ prompt_tokens: 100, completion_tokens: 5, ...more })
    const hit = { prompt_cache_hit_tokens: 80, prompt_cache_miss_tokens: 20 }
    expect(cached(hit)).toMatchObject({ usage: { prompt: 100, cachedRead: 80 } })
    expect(cached({ cache_read_input_tokens: 80, cache_creation_input_tokens: 7 })).toMatchObject({
      usage: { cachedRead: 80, cachedWrite: 7 }
    })
    // Mistral's name for it.
    const numbered = { prompt_tokens: 100, completion_tokens: 5, num_cached_tokens: 80 }
    expect(cached(numbered)).toMatchObject({ usage: { cachedRead: 80 } })
    const found = { prompt: 100, cached: 80, completion: 5 }
    expect([usageOfJson({ usage: numbered }), usageIn(bytes({ usage: numbered }))]).toEqual([found, found])
    const usage = { prompt_tokens: 100, completion_tokens: 5, ...hit }
    const counted = { prompt: 100, cached: 80, completion: 5 }
    expect([usageOfJson({ usage }), usageIn(bytes({ usage }))]).toEqual([counted, counted])
    const other = { ...usage, prompt_cache_hit_tokens: 0, cache_read_input_tokens: 80, cache_creation_input_tokens: 7 }
    const written = { ...counted, cachedWrite: 7 }
    expect([usageOfJson({ usage: other }), usageIn(bytes({ usage: other }))]).toEqual([written, written])
  })

  test("are no more than all of the prompt where the same ones are told as read from a cache and as kept in it", () => {
    const details = { cached_tokens: 90, cache_write_tokens: 90 }
    expect(usageEvent({ prompt_tokens: 100, completion_tokens: 5, prompt_tokens_details: details })).toMatchObject({
      usage: { prompt: 100, cachedRead: 90, cachedWrite: 10 }
    })
  })

  test("are once those cached for each of several answers, as older releases of SGLang tell them", () => {
    const usage = { prompt_tokens: 100, completion_tokens: 6, prompt_tokens_details: { cached_tokens: 270 } }
    const finish_reason = "stop"
    const choices = [0, 1, 2].map((index) => ({ index, finish_reason, message: { content: "Hi" } }))
    const chat = { ...hello, choices: 3 }
    const read = Result.getOrThrow(answersFrom(openai.operations[0].server!, chat).whole(bytes({ choices, usage })))
    expect(read.find(({ type }) => type === "usage")).toMatchObject({ usage: { prompt: 100, cachedRead: 90 } })
    expect(usageOfJson({ choices, usage })).toEqual({ prompt: 100, cached: 90, completion: 6 })
    const watch = openai.watch()
    for (const { index, message: delta } of choices) {
      const chunk = { choices: [{ index, finish_reason, delta }] }
      watch.push(new TextEncoder().encode(`data: ${JSON.stringify(chunk)}\n\n`))
    }
    watch.push(new TextEncoder().encode(`data: ${JSON.stringify({ choices: [], usage })}\n\ndata: [DONE]\n\n`))
    expect(watch.used()).toEqual({ prompt: 100, cached: 90, completion: 6 })
  })

  test("are with the cached ones beside the prompt of several answers, where the sum of all shows it", () => {
    const usage = {
      prompt_tokens: 100,
      completion_tokens: 600,
      total_tokens: 850,
      prompt_tokens_details: { cached_tokens: 150 }
    }
    const told = { prompt: 250, cached: 150, completion: 600 }
    const choices = [0, 1].map((index) => ({ index, finish_reason: "stop", message: { content: "Hi" } }))
    const reads = answersFrom(openai.operations[0].server!, { ...hello, choices: 2 })
    const read = Result.getOrThrow(reads.whole(bytes({ choices, usage })))
    expect(read.find(({ type }) => type === "usage")).toMatchObject({ usage: { prompt: 250, cachedRead: 150 } })
    expect(usageOfJson({ choices, usage })).toEqual(told)
    expect(usageFrom(bytes(usage), 2)).toEqual(told)
    // As SGLang has it, whatever it has written.
    expect(usageFrom(bytes({ ...usage, total_tokens: 700 }), 2)).toEqual({ prompt: 100, cached: 75, completion: 600 })
  })

  test("are with the cached ones of the prompt where there are more of these than of all, as with Azure's Grok", () => {
    const usage = {
      prompt_tokens: 7,
      completion_tokens: 9,
      total_tokens: 110,
      prompt_tokens_details: { cached_tokens: 163, text_tokens: 7 },
      completion_tokens_details: { reasoning_tokens: 94 }
    }
    expect(usageEvent(usage)).toMatchObject({
      usage: { prompt: 170, cachedRead: 163, completion: 103, reasoning: 94 }
    })
    const counted = { prompt: 170, cached: 163, completion: 103, reasoning: 94 }
    expect([usageOfJson({ usage }), usageIn(bytes({ usage }))]).toEqual([counted, counted])
    const plain = { prompt_tokens: 7, completion_tokens: 1, prompt_tokens_details: { cached_tokens: 8 } }
    const sum = { prompt: 15, cached: 8, completion: 1 }
    expect([usageOfJson({ usage: plain }), usageIn(bytes({ usage: plain }))]).toEqual([sum, sum])
  })
})
