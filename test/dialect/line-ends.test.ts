import { expect, test } from "bun:test"
import type { ChatEvent } from "../../src/dialect/chat.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import { transduce } from "../../src/dialect/Transducer.ts"
import { answersTo } from "../kit/codecs.ts"

test("line ends of Unicode in a stream of chat come whole to Hugging Face's client for Python, which would end a line there", () => {
  const words = "a\u2028b\u2029c\u0085d"
  const events: ReadonlyArray<ChatEvent> = [
    { type: "start" },
    { type: "text", text: words },
    { type: "stop", stop: { reason: "end" } },
    { type: "done" }
  ]
  const { stream } = answersTo(openai.operations[0].client!, {
    model: "m",
    messages: [{ role: "user", content: "go" }]
  })
  const pieces = transduce(stream({ model: "m", id: "z", now: 0, callIds: new Set<string>() }), events)
  const told = Buffer.concat([...pieces]).toString()
  expect(told).not.toMatch(/[\u0085\u2028\u2029]/)
  const chunks = told.split("\n").flatMap((line) => (line.includes("\\u2028") ? [JSON.parse(line.slice(6))] : []))
  expect(chunks.map(({ choices: [{ delta }] }) => delta.content)).toEqual([words])
})
