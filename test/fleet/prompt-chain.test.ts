import { describe, expect, test } from "bun:test"
import * as fc from "fast-check"
import { bytesOf, Conversations, promptChain } from "../../src/fleet/prompt-chain.ts"
import { Standing } from "../../src/fleet/standing.ts"

const encoder = new TextEncoder()

interface Turn {
  readonly role: string
  readonly content: string
}

const bodyOf = (messages: ReadonlyArray<Turn>, rest: Readonly<Record<string, unknown>> = {}): Uint8Array =>
  encoder.encode(JSON.stringify({ model: "llama", ...rest, messages }))

const content = fc.oneof(
  fc.string({ maxLength: 400 }),
  fc
    .tuple(fc.string({ minLength: 1, maxLength: 40 }), fc.integer({ min: 1, max: 1500 }))
    .map(([text, times]) => text.repeat(times))
)

const turns = fc
  .array(content, { minLength: 1, maxLength: 8 })
  .map((all) => all.map((each, at): Turn => ({ role: at % 2 === 0 ? "user" : "assistant", content: each })))

/** How many hashes two chains have in common from their beginning. */
const common = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): number => {
  let at = 0
  while (at < a.length && a[at] === b[at]) at += 1
  return at
}

describe("the chain of a prompt", () => {
  test("has all blocks of the shorter conversation in the longer one, but for its last bytes", () => {
    fc.assert(
      fc.property(turns, turns, fc.boolean(), (first, more, hasTools) => {
        const rest = hasTools ? { tools: [{ type: "function", function: { name: "look" } }] } : {}
        const shorter = promptChain(bodyOf(first, rest))
        const longer = promptChain(bodyOf([...first, ...more], rest))
        // The end of the list of messages is where the two differ.
        const same = shorter.ends.filter((end) => end <= bodyOf(first).length - '{"model":"llama",'.length - 2).length
        expect(common(longer.hashes, shorter.hashes)).toBeGreaterThanOrEqual(same)
        expect(longer.ends.slice(0, same)).toEqual(shorter.ends.slice(0, same))
        expect(longer.root).toBe(shorter.root)
      })
    )
  })

  test("is the same up to a byte whatever comes after it", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40_000 }), fc.uint8Array({ maxLength: 2000 }), (start, end) => {
        const before = promptChain(Uint8Array.from([...encoder.encode('{"messages":['), ...start]), 1)
        const after = promptChain(Uint8Array.from([...encoder.encode('{"messages":['), ...start, ...end]), 1)
        expect(after.hashes.slice(0, before.hashes.length)).toEqual([...before.hashes])
        expect(after.ends.slice(0, before.ends.length)).toEqual([...before.ends])
      })
    )
  })

  test("counts the tools to what was read before it, wherever they stand in the body", () => {
    const tools = Array.from({ length: 3 }, (_, at) => ({ name: `tool_${at}`, description: "x".repeat(900) }))
    const messages = [{ role: "user", content: "a".repeat(2000) }]
    const size = JSON.stringify(tools).length
    for (const body of [
      { tools, messages },
      { messages, tools }
    ]) {
      const chain = promptChain(encoder.encode(JSON.stringify(body)))
      expect(bytesOf(chain, 0)).toBe(0)
      expect(Math.abs(bytesOf(chain, 4) - size - 1024)).toBeLessThan(16)
    }
    const without = promptChain(encoder.encode(JSON.stringify({ messages })))
    expect(bytesOf(without, 4)).toBe(1024)
  })

  test("is the same however a client shuffles its tools, where servers are told these in an order of their own", () => {
    const tool = fc.record({
      name: fc.stringMatching(/^[a-z_]{1,20}$/),
      description: fc.oneof(fc.string({ maxLength: 80 }), fc.constantFrom("name", '"name": "x"')),
      parameters: fc.constantFrom({}, { properties: { name: {} } }, { required: ["name"] })
    })
    const shuffled = fc
      .uniqueArray(tool, { minLength: 2, maxLength: 9, selector: ({ name }) => name })
      .chain((all) => fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length })))
    fc.assert(
      fc.property(shuffled, turns, fc.boolean(), ([one, other], messages, isBehind) => {
        const chainOf = (tools: typeof one) => {
          const parts = isBehind ? { messages, tools } : { tools, messages }
          return promptChain(encoder.encode(JSON.stringify({ model: "llama", ...parts })), 0, true)
        }
        const start = promptChain(bodyOf(messages)).ends.length
        expect(chainOf(other).root).toBe(chainOf(one).root)
        // What stands behind the conversation is in the last blocks.
        const until = isBehind ? Math.max(0, start - 1) : undefined
        expect(chainOf(other).hashes.slice(0, until)).toEqual(chainOf(one).hashes.slice(0, until))
        const [first, ...rest] = one
        const others = [{ name: `${first?.name ?? ""}_x`, description: "", parameters: {} }, ...rest]
        expect(chainOf(others).root).not.toBe(chainOf(one).root)
      })
    )
  })

  test("goes on with all but the last block of an earlier turn, though many tools stand behind the conversation", () => {
    const tools = Array.from({ length: 40 }, (_, at) => ({ name: `tool_${at}`, description: "x".repeat(900) }))
    const bodyWith = (messages: ReadonlyArray<Turn>) =>
      encoder.encode(JSON.stringify({ messages, tools, stream: true }))
    fc.assert(
      fc.property(turns, turns, fc.boolean(), (first, more, sorts) => {
        const [earlier, later] = [first, [...first, ...more]].map(
          (each) => promptChain(bodyWith(each), 0, sorts).hashes
        )
        expect(common(earlier ?? [], later ?? [])).toBeGreaterThanOrEqual((earlier?.length ?? 0) - 1)
      })
    )
  })

  test("stays what it was when a call in the conversation has tools of its own, whether the client offers any or not", () => {
    const asked = { role: "user", content: "Find out who can do this. ".repeat(60) }
    const call = { type: "tool_use", id: "1", name: "run", input: { tools: ["read"], depth: { tools: { a: "}]" } } } }
    const answered = { role: "user", content: [{ type: "tool_result", tool_use_id: "1", content: "done" }] }
    const tools = ["run", "tools"].map((name) => ({
      name,
      input_schema: { type: "object", properties: { tools: { type: "array" } } }
    }))
    const orders = [tools, tools.toReversed()]
    for (const sorts of [false, true]) {
      const chainOf = (messages: ReadonlyArray<unknown>, rest: Readonly<Record<string, unknown>>) =>
        promptChain(encoder.encode(JSON.stringify({ messages, ...rest, stream: true })), 0, sorts)
      const turns = [asked, { role: "assistant", content: [call] }, answered]
      for (const rest of [{}, ...orders.map((each) => ({ tools: each }))]) {
        const [first, later] = [chainOf([asked], rest), chainOf(turns, rest)]
        expect(later.root).toBe(first.root)
        expect(later.hashes.slice(0, 5)).toEqual(first.hashes.slice(0, 5))
        const size = "tools" in rest ? JSON.stringify(rest.tools).length : 0
        expect(Math.abs(bytesOf(later, 4) - size - 1024)).toBeLessThan(size === 0 ? 1 : 32)
      }
      const [one, other] = orders.map((each) => chainOf(turns, { tools: each }).root)
      expect(one === other).toBe(sorts)
    }
  })

  test("counts no more as read than there is, when the same is asked again with its tools behind", () => {
    fc.assert(
      fc.property(turns, fc.integer({ min: 1, max: 20 }), fc.boolean(), (messages, count, isBehind) => {
        const tools = Array.from({ length: count }, (_, at) => ({ name: `tool_${at}`, description: "x".repeat(900) }))
        const body = encoder.encode(JSON.stringify(isBehind ? { messages, tools } : { tools, messages }))
        const chain = promptChain(body)
        expect(bytesOf(chain, chain.hashes.length)).toBeLessThanOrEqual(body.length)
        const standing = new Standing()
        const work = { prompt: 1000, output: 10, chain }
        standing.ends(standing.begins(work, 0), 100, { tokens: undefined, written: 0, whole: false })
        expect(standing.cachedOf(work)).toBeLessThan(1000.001)
      })
    )
  })

  test("differs from the block on in which a byte differs", () => {
    fc.assert(
      fc.property(fc.integer({ min: 600, max: 20_000 }), fc.nat(), (length, which) => {
        const text = "a".repeat(length)
        const at = which % length
        const changed = `${text.slice(0, at)}b${text.slice(at + 1)}`
        const one = promptChain(bodyOf([{ role: "user", content: text }]))
        const other = promptChain(bodyOf([{ role: "user", content: changed }]))
        const start = '"messages":[{"role":"user","content":"'.length
        const same = common(one.hashes, other.hashes)
        // Its first words are the conversation's own.
        expect(same).toBe(one.ends.filter((end) => end <= start + at).length)
      })
    )
  })

  test("ends where its body does, in rising steps", () => {
    fc.assert(
      fc.property(turns, (all) => {
        const { bytes, ends, hashes } = promptChain(bodyOf(all))
        expect(hashes.length).toBe(ends.length)
        for (const [at, end] of ends.entries()) {
          expect(end).toBeGreaterThan(ends[at - 1] ?? 0)
          expect(end).toBeLessThanOrEqual(bytes)
        }
      })
    )
  })

  test("has another root for another first message of a user, and the same for all that follows", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 300 }), fc.string({ maxLength: 300 }), turns, (first, other, rest) => {
        fc.pre(first !== other)
        const system: Turn = { role: "system", content: "You are of help." }
        const begun = (text: string, more: ReadonlyArray<Turn> = []) =>
          promptChain(bodyOf([system, { role: "user", content: text.padEnd(600, ".") }, ...more])).root
        fc.pre(first.padEnd(600, ".") !== other.padEnd(600, "."))
        expect(begun(first)).not.toBe(begun(other))
        expect(begun(first, rest)).toBe(begun(first))
      })
    )
  })

  test("has another root for words that differ behind a brace", () => {
    const begun = (text: string) => promptChain(bodyOf([{ role: "user", content: text }])).root
    expect(begun("function a() {} of one")).not.toBe(begun("function a() {} of two"))
    expect(begun('say \\"}\\" to one')).not.toBe(begun('say \\"}\\" to two'))
  })

  test("has its root where the role stands after the words of a message, as some clients write it", () => {
    const root = (...texts: ReadonlyArray<string>) =>
      promptChain(
        encoder.encode(
          JSON.stringify({
            contents: texts.map((text, at) => ({ parts: [{ text }], role: at % 2 === 0 ? "user" : "model" }))
          })
        )
      ).root
    expect(root("Hello", "Hi!", "Who are you?")).toBe(root("Hello"))
    expect(root("Hello")).not.toBe(root("Good day"))
  })

  test("has the root that the client tells, whatever it says", () => {
    fc.assert(
      fc.property(turns, turns, fc.integer({ min: 1, max: 2 ** 32 - 1 }), (one, other, session) => {
        expect(promptChain(bodyOf(one), session).root).toBe(session)
        expect(promptChain(bodyOf(other), session).root).toBe(session)
      })
    )
  })

  test("has a root for each prompt_cache_key", () => {
    fc.assert(
      fc.property(turns, turns, fc.uuid(), fc.uuid(), (one, other, key, another) => {
        fc.pre(key !== another)
        const filler = { prompt_cache_retention: "24h", stream: true, temperature: 0.5, top_p: 0.25 }
        const root = (all: ReadonlyArray<Turn>, name: string) =>
          promptChain(bodyOf(all, { prompt_cache_key: name, ...filler })).root
        expect(root(one, key)).toBe(root(other, key))
        expect(root(one, key)).not.toBe(root(one, another))
      })
    )
  })
})

describe("a conversation", () => {
  const said = (...texts: ReadonlyArray<string>) =>
    new TextEncoder().encode(JSON.stringify({ messages: texts.map((content) => ({ role: "user", content })) }))

  test("is known from its second request on, and no other is", () => {
    const conversations = new Conversations()
    const sees = (...texts: ReadonlyArray<string>) => conversations.sees(promptChain(said(...texts))).known === true
    expect([sees("hello"), sees("good day"), sees("hello", "and then"), sees("good day", "what")]).toEqual([
      false,
      false,
      true,
      true
    ])
  })

  test("is forgotten once many others have been seen since, and those seen last are not", () => {
    const conversations = new Conversations()
    const sees = (root: number) => conversations.sees({ hashes: [], ends: [], bytes: 0, root }).known === true
    for (let root = 1; root <= 30_000; root += 1) sees(root)
    expect([sees(29_999), sees(1)]).toEqual([true, false])
  })
})
