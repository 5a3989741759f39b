import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import type { AnswerDecoder, ChatEvent } from "../../src/dialect/chat.ts"
import { messageReader } from "../../src/dialect/anthropic/messages-events.ts"
import { geminiAnswerReader } from "../../src/dialect/gemini/server-answer.ts"
import { chatAnswers } from "../../src/dialect/openai/chat-answer.ts"
import { chunkCollector } from "../../src/dialect/openai/chunk-assembly.ts"
import { ollamaReads } from "../../src/dialect/ollama/native-answer.ts"

const encoder = new TextEncoder()

const read = (decoder: AnswerDecoder, text: string): ReadonlyArray<ChatEvent> => {
  const reading = decoder.stream.start()
  return [...reading.push(encoder.encode(text)), ...reading.end()]
}

const event = (json: unknown): string => `data: ${JSON.stringify(json)}\n\n`

interface Voice {
  readonly name: string
  readonly decoder: AnswerDecoder
  readonly begin: string
  readonly end: string
  /** A piece of an answer, written as this text. */
  readonly line: (text: string) => string
}

const chunk = (delta: unknown, finish: string | null = null) =>
  event({ choices: [{ index: 0, delta, finish_reason: finish }] })

const voices: ReadonlyArray<Voice> = [
  {
    name: "chat completions",
    decoder: chatAnswers,
    begin: chunk({ role: "assistant", content: "half" }),
    end: `${chunk({}, "stop")}data: [DONE]\n\n`,
    line: (text) => `data: ${text}\n\n`
  },
  {
    name: "Messages",
    decoder: messageReader,
    begin:
      event({ type: "message_start", message: { usage: { input_tokens: 1 } } }) +
      event({ type: "content_block_start", index: 0, content_block: { type: "text", text: "half" } }),
    end:
      event({ type: "message_delta", delta: { stop_reason: "end_turn" }, usage: { output_tokens: 1 } }) +
      event({ type: "message_stop" }),
    line: (text) => `event: content_block_delta\ndata: ${text}\n\n`
  },
  {
    name: "Gemini",
    decoder: geminiAnswerReader(),
    begin: event({ candidates: [{ content: { parts: [{ text: "half" }] } }] }),
    end: event({ candidates: [{ content: { parts: [{ text: "" }] }, finishReason: "STOP" }] }),
    line: (text) => `data: ${text}\n\n`
  },
  {
    name: "Ollama",
    decoder: ollamaReads,
    begin: `${JSON.stringify({ message: { content: "half" }, done: false })}\n`,
    end: `${JSON.stringify({ message: { content: "" }, done: true, done_reason: "stop" })}\n`,
    line: (text) => `${text}\n`
  }
]

describe("a stream of which an event is lost", () => {
  for (const { begin, decoder, end, line, name } of voices) {
    test(`does not end well: ${name}`, () => {
      const events = read(decoder, begin + line('{"choices":[{"index":0,"delta":{"cont') + end)
      const last = events.at(-1)
      expect(last?.type).toBe("error")
      expect(events.some(({ type }) => type === "done")).toBe(false)
    })
  }

  test("fails where it is put together", () => {
    const assembly = chunkCollector.start()
    assembly.push(encoder.encode(`${chunk({ content: "half" })}data: {"choices":[{"ind\n\n${chunk({}, "stop")}`))
    expect(Result.isFailure(assembly.end())).toBe(true)
  })

  for (const { begin, decoder, end, line, name } of voices.slice(0, 3)) {
    test(`ends well where the event was a sign of life: ${name}`, () => {
      expect(read(decoder, begin + line("ping") + line("null") + end).at(-1)?.type).toBe("done")
    })
  }
})

describe("numbers that Python writes and JSON has none of", () => {
  test("cost a stream none of its text", () => {
    const odd =
      'data: {"choices":[{"index":0,"delta":{"content":"NaN is no \\"number\\""},"logprobs":{"content":[{"token":"N","logprob":-Infinity}]}}]}\n\n'
    const texts = read(chatAnswers, odd + chunk({}, "stop")).flatMap((each) =>
      each.type === "text" ? [each.text] : []
    )
    expect(texts).toEqual(['NaN is no "number"'])
  })

  test("cost a whole answer nothing", () => {
    const body =
      '{"choices":[{"index":0,"message":{"role":"assistant","content":"yes"},"finish_reason":"stop","logprobs":{"content":[{"token":"yes","logprob":NaN}]}}]}'
    expect(Result.isSuccess(chatAnswers.whole(encoder.encode(body)))).toBe(true)
  })

  test("leave the numbers of a call as they came", () => {
    const body =
      '{"content":[{"type":"tool_use","id":"a","name":"f","input":{"id":9007199254740993}}],"stop_reason":"tool_use","score":NaN}'
    expect(Result.isSuccess(messageReader.whole(encoder.encode(body)))).toBe(true)
  })
})

describe("an error in the midst of a stream, in whatever form a proxy puts it there, is heard although the stream goes on:", () => {
  const forms = [
    event({ error: { message: "it broke", code: 503 } }),
    event({ error: "it broke" }),
    'event: error\ndata: {"error":{"message":"it broke"}}\n\n'
  ]
  const others: Readonly<Record<string, ReadonlyArray<string>>> = {
    Gemini: [
      event([{ error: { code: 503, message: "it broke", status: "UNAVAILABLE" } }]),
      "event: error\ndata: it broke\n\n",
      'event: error\ndata: {"message":"it broke"}\n\n'
    ],
    Messages: ["event: error\ndata: it broke\n\n"]
  }
  for (const { begin, decoder, end, name } of voices.slice(0, 3)) {
    for (const told of [...forms, ...(others[name] ?? [])]) {
      test(`${name}, ${told.trim().replace("\n", ", ")}`, () => {
        const last = read(decoder, begin + told + end).at(-1)
        expect(last).toEqual({ type: "error", message: "it broke" })
      })
    }
  }
})
