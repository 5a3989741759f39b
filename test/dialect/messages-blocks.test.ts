import { describe, expect, spyOn, test } from "bun:test"
import { Result } from "effect"
import fc from "fast-check"
import { anthropic } from "../../src/dialect/anthropic/anthropic.ts"
import { messagesAnswers } from "../../src/dialect/anthropic/messages-answer.ts"
import type { AnswerContext, ChatEvent } from "../../src/dialect/chat.ts"
import { EventReader } from "../../src/dialect/event-reader.ts"
import { exactJson } from "../../src/dialect/exact-json.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import { transduce } from "../../src/dialect/Transducer.ts"
import { answersTo, anyServer } from "../kit/codecs.ts"

const client = anthropic.operations[0].client!
const server = openai.operations[0].server!
const answers = answersTo(client, { messages: [{ role: "user", content: "hello" }] })

const context: AnswerContext = { model: "m", id: "1", now: 0, callIds: new Set(["old"]) }

const decoder = new TextDecoder()
const encoder = new TextEncoder()

interface Told {
  readonly type: string
  readonly index: number
  readonly content_block: { readonly type: string; readonly id?: string; readonly name?: string }
  readonly delta: { readonly text?: string; readonly thinking?: string; readonly partial_json?: string }
}

/** What a library makes of a stream, and whether its blocks came one after the other. */
const readBlocks = (bytes: ReadonlyArray<Uint8Array>) => {
  const reader = new EventReader()
  const events = [...reader.push(Buffer.concat([...bytes])), ...reader.end()].map(
    ({ data }) => JSON.parse(data) as Told // reason: what is not so fails below
  )
  const blocks: Array<{ kind: string; name: string; id: string; said: string }> = []
  let open = -1
  let inOrder = true
  for (const { content_block: block, delta, index, type } of events) {
    if (type === "content_block_start") {
      inOrder &&= open < 0 && index === blocks.length
      open = index
      blocks.push({ kind: block.type, name: block.name ?? "", id: block.id ?? "", said: "" })
    } else if (type === "content_block_delta") {
      inOrder &&= index === open
      const last = blocks.at(-1)
      if (last !== undefined) last.said += delta.text ?? delta.thinking ?? delta.partial_json ?? ""
    } else if (type === "content_block_stop") {
      inOrder &&= index === open
      open = -1
    }
  }
  return { blocks, inOrder: inOrder && open < 0, last: events.at(-1)?.type }
}

const json = fc.dictionary(fc.string(), fc.jsonValue(), { maxKeys: 3 }).map((value) => JSON.stringify(value))

/** Calls, each with its arguments in pieces, and texts, all mixed; a call goes on wherever others have come between. */
const mixed = fc
  .array(
    fc.record({
      name: fc.constantFrom("a", "b"),
      id: fc.constantFrom("x", "y", "old", "f.g:0", undefined),
      args: json
    }),
    {
      maxLength: 4
    }
  )
  .chain((calls) =>
    fc.tuple(
      fc.constant(calls),
      fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 4 }), fc.constantFrom("text", "reasoning", "call")), {
        maxLength: 30
      })
    )
  )
  .map(([calls, turns]) => {
    const events: Array<ChatEvent> = [{ type: "start" }]
    const left = calls.map(({ args }) => args)
    const begun = new Set<number>()
    const step = (call: number, length: number): void => {
      const made = calls[call]
      const rest = left[call] ?? ""
      if (made === undefined) return
      // Calls begin in their order.
      for (let each = 0; each <= call; each += 1) {
        const other = calls[each]
        if (begun.has(each) || other === undefined) continue
        begun.add(each)
        events.push({ type: "call", call: each, id: other.id, name: other.name })
      }
      if (rest === "") return
      events.push({ type: "arguments", call, text: rest.slice(0, length) })
      left[call] = rest.slice(length)
    }
    for (const [which, length, kind] of turns) {
      if (kind === "call") step(calls.length === 0 ? 0 : which % calls.length, length)
      else events.push({ type: kind, text: `${which}`.slice(0, length) } as ChatEvent) // reason: both are words
    }
    for (const call of calls.keys()) step(call, Infinity)
    events.push({ type: "stop", stop: { reason: "calls" } }, { type: "done" })
    return { calls, events }
  })

const saidIn = (events: ReadonlyArray<ChatEvent>, type: "text" | "reasoning"): string =>
  events.map((event) => (event.type === type ? event.text : "")).join("")

describe("an answer whose parts come mixed, as Messages", () => {
  test("has its blocks one after the other, and every word and argument in its own (law)", () => {
    fc.assert(
      fc.property(mixed, ({ calls, events }) => {
        const { blocks, inOrder, last } = readBlocks(transduce(answers.stream(context), events))
        expect([inOrder, last]).toEqual([true, "message_stop"])
        const saidBy = (kind: string) => blocks.filter((block) => block.kind === kind).map(({ said }) => said)
        expect(saidBy("text").join("")).toBe(saidIn(events, "text"))
        expect(saidBy("thinking").join("")).toBe(saidIn(events, "reasoning"))
        const made = blocks.filter(({ kind }) => kind === "tool_use")
        expect(made.map(({ name, said }) => [name, said])).toEqual(calls.map(({ args, name }) => [name, args]))
        // A client pairs results by ids.
        const ids = made.map(({ id }) => id)
        expect(new Set(ids).size).toBe(ids.length)
        for (const id of ids) expect(id).toMatch(/^[A-Za-z0-9_-]+$/)
        expect(ids).not.toContain("old")
      })
    )
  })

  test("says the same whole (law)", () => {
    fc.assert(
      fc.property(mixed, ({ calls, events }) => {
        const whole = JSON.parse(decoder.decode(Result.getOrThrow(answers.whole(events, context))))
        const made = whole.content.filter(({ type }: { type: string }) => type === "tool_use")
        expect(made.map(({ input }: { input: unknown }) => input)).toEqual(calls.map(({ args }) => JSON.parse(args)))
      })
    )
  })

  test("and asked again with all of it, gives the backend back what it had said (law)", () => {
    fc.assert(
      fc.property(mixed, ({ calls, events }) => {
        const { content } = JSON.parse(decoder.decode(Result.getOrThrow(answers.whole(events, context))))
        const results = content
          .filter(({ type }: { type: string }) => type === "tool_use")
          .map(({ id }: { id: string }) => ({ type: "tool_result", tool_use_id: id, content: id }))
          .toReversed()
        const messages = [
          { role: "user", content: "go" },
          { role: "assistant", content },
          { role: "user", content: [...results, { type: "text", text: "on" }] }
        ]
        const asked = encoder.encode(JSON.stringify({ model: "m", messages }))
        const { chat, dropped } = Result.getOrThrow(client.decode(asked, undefined))
        const { body } = Result.getOrThrow(server.encode(chat, "m", anyServer))
        const [, turn, ...rest] = JSON.parse(decoder.decode(body)).messages
        expect(dropped).toEqual([])
        expect(turn.content ?? "").toBe(saidIn(events, "text"))
        expect(turn.reasoning_content ?? "").toBe(saidIn(events, "reasoning"))
        const given = (turn.tool_calls ?? []).map((call: { function: { name: string; arguments: string } }) => [
          call.function.name,
          JSON.parse(call.function.arguments)
        ])
        expect(given).toEqual(calls.map(({ args, name }) => [name, JSON.parse(args)]))
        expect(rest.slice(0, -1).map((each: { tool_call_id: string }) => each.tool_call_id)).toEqual(
          (turn.tool_calls ?? []).map(({ id }: { id: string }) => id)
        )
      })
    )
  })
})

describe("JSON that is written again", () => {
  test("has every number as it came, and else the same (law)", () => {
    const numbers = fc.constantFrom("1.0", "1e3", "12345678901234567890", "-0.10", "7", "0", "-3", "2.50e-7")
    const strings = fc.string().map((text) => JSON.stringify(text))
    fc.assert(
      fc.property(fc.array(fc.oneof(numbers, strings)), (all) => {
        const text = `{"a":[${all.join(",")}]}`
        expect(JSON.stringify(exactJson(text, JSON.parse(text)))).toBe(text)
      })
    )
  })
})

test("a text is no number, whatever it begins with, beside numbers that keep their digits", () => {
  const text = String.raw`{"a":"\u0000number:x","b":12345678901234567890}`
  expect(JSON.stringify(exactJson(text, JSON.parse(text)))).toBe(text)
})

test("a call is parsed as often while another waits as when none does, however long its arguments are", () => {
  const writing = messagesAnswers.stream(context).start()
  const parsing = spyOn(JSON, "parse")
  const before = parsing.mock.calls.length
  writing.push({ type: "call", call: 0, id: "a", name: "f" })
  writing.push({ type: "call", call: 1, id: "b", name: "g" })
  for (const text of ['{"a":"', ...Array.from({ length: 500 }, () => "piece "), '"}', " "]) {
    writing.push({ type: "arguments", call: 0, text })
  }
  expect(parsing.mock.calls.length - before).toBe(1)
  parsing.mockRestore()
})

describe("the input of a call in a client's history", () => {
  const asked = (input: unknown) =>
    client.decode(
      encoder.encode(
        JSON.stringify({
          messages: [
            { role: "user", content: "go" },
            { role: "assistant", content: [{ type: "tool_use", id: "a", name: "look", input }] },
            { role: "user", content: [{ type: "tool_result", tool_use_id: "a", content: "seen" }] }
          ]
        })
      ),
      undefined
    )

  test("is the object that it is the text of, and goes on to a backend but once in quotes", () => {
    const { chat } = Result.getOrThrow(asked('{"at":12345678901234567890}'))
    expect(chat.messages[1]).toMatchObject({ items: [{ type: "call", args: '{"at":12345678901234567890}' }] })
  })

  test("is empty where it is an empty text, as who joined no pieces writes it", () => {
    expect(Result.getOrThrow(asked("")).chat.messages[1]).toMatchObject({ items: [{ type: "call", args: "{}" }] })
  })

  test.each<readonly [unknown]>([["look there"], [["a"]], [7]])(
    "is refused by its place where it is none: %p",
    (input) => {
      const read = asked(input)
      expect(Result.isFailure(read) && read.failure.param).toBe("messages[1].content[0].input")
    }
  )
})
