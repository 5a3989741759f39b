import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import fc from "fast-check"
import type { Chat, ChatEvent, ChatMessage } from "../../src/dialect/chat.ts"
import { fittedChat, type ChatLimits, type WordRule } from "../../src/dialect/fitted-chat.ts"
import { transduce } from "../../src/dialect/Transducer.ts"

const limits: ChatLimits = {
  names: { unfit: /[^A-Za-z0-9_-]/g, longest: 12 },
  ids: { unfit: /[^A-Za-z0-9_-]/g, longest: 16 }
}

const fits = (word: string, { longest }: WordRule): boolean => /^[A-Za-z0-9_-]+$/.test(word) && word.length <= longest

// Few letters, so that words are alike once those are replaced that do not fit.
const word = fc.string({ unit: fc.constantFrom("a", "b", ".", ":", "_", "é", "😀"), minLength: 1, maxLength: 20 })

const tool = (name: string) => ({ name, description: undefined, schema: { type: "object" }, strict: undefined })

interface Called {
  readonly id: string
  readonly name: string
}

const turns = (all: ReadonlyArray<ReadonlyArray<Called>>): ReadonlyArray<ChatMessage> =>
  all.flatMap((calls): ReadonlyArray<ChatMessage> => [
    { role: "assistant", items: calls.map((call) => ({ type: "call", ...call, args: "{}" })) },
    ...calls.map(({ id }, at): ChatMessage => ({ role: "tool", callId: id, text: String(at), failed: false }))
  ])

const chatOf = (names: ReadonlyArray<string>, history: ReadonlyArray<ReadonlyArray<Called>>): Chat => ({
  stream: false,
  messages: turns(history),
  tools: names.map(tool),
  extra: {}
})

const chats = fc
  .record({
    names: fc.uniqueArray(word, { maxLength: 8 }),
    history: fc.array(fc.array(fc.record({ id: word, name: word }), { minLength: 1, maxLength: 3 }), { maxLength: 4 })
  })
  .map(({ history, names }) => chatOf(names, history))

const callsOf = ({ messages }: Chat): ReadonlyArray<Called> =>
  messages.flatMap((message) =>
    message.role === "assistant" ? message.items.flatMap((item) => (item.type === "call" ? [item] : [])) : []
  )

const answering = (events: ReadonlyArray<ChatEvent>) => ({
  stream: { start: () => ({ push: () => events, end: () => [] }) },
  whole: () => Result.succeed(events)
})

describe("the names of tools and ids of calls, as a server's dialect takes them", () => {
  test("all fit", () => {
    fc.assert(
      fc.property(chats, (chat) => {
        const { chat: fit } = fittedChat(chat, limits)
        for (const { name } of [...fit.tools, ...callsOf(fit)]) expect(fits(name, limits.names)).toBe(true)
        for (const { id } of callsOf(fit)) expect(fits(id, limits.ids)).toBe(true)
      })
    )
  })

  test("stay different where they were, and alike where they were", () => {
    fc.assert(
      fc.property(chats, (chat) => {
        const { chat: fit } = fittedChat(chat, limits)
        const told = new Map<string, string>()
        const pairs = [
          ...chat.tools.map((each, at) => [each.name, fit.tools[at]?.name] as const),
          ...callsOf(chat).map((each, at) => [each.name, callsOf(fit)[at]?.name] as const)
        ]
        for (const [name, own = ""] of pairs) {
          expect(told.get(name) ?? own).toBe(own)
          told.set(name, own)
        }
        expect(new Set(told.values()).size).toBe(told.size)
      })
    )
  })

  test("are of one length where nothing else fits, and stay different", () => {
    const ids: WordRule = { unfit: /[^A-Za-z0-9]/g, longest: 9, exactly: true }
    fc.assert(
      fc.property(chats, (chat) => {
        const made = callsOf(fittedChat(chat, { ...limits, ids }).chat).map(({ id }) => id)
        for (const id of made) expect(id).toMatch(/^[A-Za-z0-9]{9}$/)
        expect(new Set(made).size).toBe(made.length)
      })
    )
  })

  test("stand as they came where they fit", () => {
    fc.assert(
      fc.property(chats, (chat) => {
        const { chat: fit } = fittedChat(chat, limits)
        const names = callsOf(fit).map(({ name }) => name)
        for (const [at, { name }] of callsOf(chat).entries()) if (fits(name, limits.names)) expect(names[at]).toBe(name)
      })
    )
  })

  test("are the same whenever the same is asked", () => {
    fc.assert(
      fc.property(chats, (chat) => {
        expect(fittedChat(chat, limits).chat).toEqual(fittedChat(structuredClone(chat), limits).chat)
      })
    )
  })

  test("no two calls have one id, and each result goes to the call that it came for", () => {
    fc.assert(
      fc.property(chats, (chat) => {
        const { chat: fit } = fittedChat(chat, limits)
        const calls = callsOf(fit)
        expect(new Set(calls.map(({ id }) => id)).size).toBe(calls.length)
        // As they were made: the results of a turn are in the order of its calls.
        const results = fit.messages.flatMap((message) => (message.role === "tool" ? [message.callId] : []))
        expect(results).toEqual(calls.map(({ id }) => id))
      })
    )
  })

  test("come back in an answer, whole and streamed, as their client gave them", () => {
    fc.assert(
      fc.property(chats, (chat) => {
        const { chat: fit, restoring } = fittedChat(chat, limits)
        const called = fit.tools.map(({ name }, call): ChatEvent => ({ type: "call", call, id: undefined, name }))
        const { stream, whole } = restoring(answering(called))
        const names = chat.tools.map(({ name }) => name)
        const namesIn = (events: ReadonlyArray<ChatEvent>) =>
          events.flatMap((event) => (event.type === "call" ? [event.name] : []))
        expect(namesIn(Result.getOrThrow(whole(new Uint8Array(0))))).toEqual(names)
        expect(namesIn(transduce(stream, [new Uint8Array(0)]))).toEqual(names)
      })
    )
  })

  test("are of one tool each where no two may have one, and come back as the name that both were given", () => {
    const again = (description: string) => ({ ...tool("look_up"), description })
    const tools = [again("in a book"), tool("a"), again("in a book"), again("on the web"), again("in a map")]
    const chat = { ...chatOf([], [[{ id: "c1", name: "look_up" }]]), tools }
    expect(fittedChat(chat, limits).chat).toBe(chat)
    const { chat: fit, restoring } = fittedChat(chat, { ...limits, apart: true })
    expect(fit.tools.map(({ description }) => description)).toEqual(["in a book", undefined, "on the web", "in a map"])
    const names = fit.tools.map(({ name }) => name)
    expect([names.slice(0, 2), new Set(names).size]).toEqual([["look_up", "a"], 4])
    expect(callsOf(fit)).toMatchObject([{ name: "look_up" }])
    const called = names.map((name, call): ChatEvent => ({ type: "call", call, id: undefined, name }))
    const back = Result.getOrThrow(restoring(answering(called)).whole(new Uint8Array(0)))
    expect(back).toMatchObject(["look_up", "a", "look_up", "look_up"].map((name) => ({ name })))
  })

  test("keep the mark of a tool that is told twice, where what comes before it ends", () => {
    const cache = { type: "ephemeral" }
    const tools = [tool("a"), tool("b"), { ...tool("a"), cache }]
    const { chat: fit } = fittedChat({ ...chatOf([], []), tools }, { ...limits, apart: true })
    expect(fit.tools).toEqual([tool("a"), { ...tool("b"), cache }])
  })

  test("are the very request where all of them fit", () => {
    const chat = chatOf(["look_up"], [[{ id: "c1", name: "look_up" }], [{ id: "c2", name: "look_up" }]])
    expect(fittedChat(chat, limits).chat).toBe(chat)
  })

  test("a name that may not begin as it does gets another beginning", () => {
    const rule = { unfit: /[^A-Za-z0-9_.:-]/g, unfitStart: /^[^A-Za-z_]/, longest: 128 }
    const { chat } = fittedChat(chatOf(["1st", "-", "a.b:c"], []), { ...limits, names: rule })
    expect(chat.tools.map(({ name }) => name)).toEqual(["_1st", "_-", "a.b:c"])
  })
})
