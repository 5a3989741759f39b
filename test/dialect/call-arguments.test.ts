import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import { anthropic } from "../../src/dialect/anthropic/anthropic.ts"
import type { AnswerContext, AnswerEncoder, Chat, ChatEvent } from "../../src/dialect/chat.ts"
import { messagesAnswers } from "../../src/dialect/anthropic/messages-answer.ts"
import { gemini } from "../../src/dialect/gemini/gemini.ts"
import { geminiAnswers } from "../../src/dialect/gemini/gemini-answer.ts"
import { ollamaAnswers } from "../../src/dialect/ollama/ollama-answer.ts"
import { ollamaServer } from "../../src/dialect/ollama/native-request.ts"
import { transduce } from "../../src/dialect/Transducer.ts"
import { anyServer } from "../kit/codecs.ts"

const context: AnswerContext = { model: "m", id: "1", now: 0, callIds: new Set() }

const eventsOf = (args: string): ReadonlyArray<ChatEvent> => [
  { type: "start" },
  { type: "call", call: 0, id: "c", name: "read" },
  { type: "arguments", call: 0, text: args },
  { type: "stop", stop: { reason: "calls" } },
  { type: "done" }
]

const clients: ReadonlyArray<readonly [name: string, answers: AnswerEncoder]> = [
  ["Messages", messagesAnswers],
  ["Gemini", geminiAnswers({ several: false, thoughts: false })],
  ["Ollama", ollamaAnswers("chat")]
]

const servers = [
  ["Messages", anthropic.operations[0].server],
  ["Gemini", gemini.operations.find(({ server }) => server !== undefined)?.server],
  ["Ollama", ollamaServer]
] as const

const chatWith = (args: string): Chat => ({
  stream: false,
  messages: [
    { role: "user", parts: [{ type: "text", text: "Rain?" }] },
    { role: "assistant", items: [{ type: "call", id: "c1", name: "read", args }] },
    { role: "tool", callId: "c1", text: "dry", failed: false }
  ],
  tools: [],
  extra: {}
})

// Numbers that a parse would round are kept as they came, and are no objects for that.
const noObjects = ["1.0", "12345678901234567890", "7", '"a"', "[1.0]", "{"]

const none = "arguments that are no JSON object"

describe("arguments of a call that are no object", () => {
  for (const args of noObjects) {
    test.each(clients)(`are an error to a client of %s: ${args}`, (_, answers) => {
      const whole = answers.whole(eventsOf(args), context)
      expect(Result.isFailure(whole) && whole.failure).toContain(none)
      expect(new TextDecoder().decode(Buffer.concat(transduce(answers.stream(context), eventsOf(args))))).toContain(
        none
      )
    })
    test.each(servers)(`are refused before a server of %s is asked: ${args}`, (_, server) => {
      const told = server!.encode(chatWith(args), "m", anyServer)
      expect(Result.isFailure(told) && told.failure.message).toContain("no JSON object")
    })
  }
})

describe("a call without arguments, or with null for them", () => {
  for (const args of ["", " ", "null"]) {
    test.each(clients)(`has an empty object for them to a client of %s: '${args}'`, (_, answers) => {
      expect(Result.isSuccess(answers.whole(eventsOf(args), context))).toBe(true)
    })
    test(`has nothing to be parsed in a stream of Messages: '${args}'`, () => {
      const pieces = [...args].map((text): ChatEvent => ({ type: "arguments", call: 0, text }))
      const told = eventsOf("").flatMap((event) => (event.type === "arguments" ? pieces : [event]))
      const stream = new TextDecoder().decode(Buffer.concat(transduce(messagesAnswers.stream(context), told)))
      expect(stream).toContain('"input":{}')
      expect(stream).not.toContain("partial_json")
      expect(stream).toContain("message_stop")
    })
    test.each(servers)(`has an empty object for them to a server of %s: '${args}'`, (_, server) => {
      const { body } = Result.getOrThrow(server!.encode(chatWith(args), "m", anyServer))
      expect(new TextDecoder().decode(body)).toMatch(/"(?:input|args|arguments)":\{\}/)
    })
  }
})
