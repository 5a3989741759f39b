import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import type { Chat, ChatTool } from "../../src/dialect/chat.ts"
import { withStillTools } from "../../src/dialect/still-tools.ts"
import { hubChats } from "../kit/hub-chats.ts"

const tool: fc.Arbitrary<ChatTool> = fc.record({
  name: fc.constantFrom("read", "write", "edit", "Read", "grep", "é", "read_2"),
  description: fc.option(fc.string(), { nil: undefined }),
  schema: fc.constantFrom(undefined, { type: "object" }, { properties: { b: {}, a: {} }, type: "object" }),
  strict: fc.option(fc.boolean(), { nil: undefined })
})

const shuffled = fc
  .array(tool, { maxLength: 8 })
  .chain((tools) =>
    fc.record({ tools: fc.constant(tools), other: fc.shuffledSubarray(tools, { minLength: tools.length }) })
  )

const chatWith = (tools: ReadonlyArray<ChatTool>): Chat => ({ stream: false, messages: [], tools, extra: {} })

const textOf = (chat: Chat): string => JSON.stringify(chat)

describe("the tools of a request that is translated for a server that keeps prompts", () => {
  test("are told in one order, whatever order they come in", () =>
    fc.assert(
      fc.property(shuffled, ({ other, tools }) => {
        expect(textOf(withStillTools(chatWith(other)))).toBe(textOf(withStillTools(chatWith(tools))))
      })
    ))

  test("are the same tools, each as it came, and nothing else of the request is touched", () =>
    fc.assert(
      fc.property(hubChats, (chat) => {
        const before = textOf(chat)
        const { tools, ...rest } = withStillTools(chat)
        const { tools: came, ...own } = chat
        expect(rest).toEqual(own)
        const bare = (all: ReadonlyArray<ChatTool>) =>
          all
            .map((each) => {
              const { cache: _, ...own } = each
              return JSON.stringify(own)
            })
            .toSorted()
        expect(bare(tools)).toEqual(bare(came))
        expect(textOf(chat)).toBe(before)
      })
    ))

  test("stay as they are once they are in that order, and marks of what is to be kept stay at their places", () =>
    fc.assert(
      fc.property(fc.array(tool, { maxLength: 8 }), fc.nat(7), (tools, marked) => {
        const marks = tools.map((each, at) => (at === marked ? { ...each, cache: { type: "ephemeral" } } : each))
        const once = withStillTools(chatWith(marks))
        expect(withStillTools(once)).toBe(once)
        expect(once.tools.map(({ cache }) => cache)).toEqual(marks.map(({ cache }) => cache))
      })
    ))
})
