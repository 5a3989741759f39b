import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import fc from "fast-check"
import { JsonScan } from "../../src/dialect/json-scan.ts"
import { FactScan } from "../../src/dialect/openai/fact-scan.ts"
import { chatBody, chatText, jsonText } from "../fuzz/arbitraries.ts"
import { parseNeeds, readNeeds, scanNeeds } from "../../src/dialect/openai/needs.ts"
import { EventLoopTurns } from "../../src/domain/EventLoopTurns.ts"
import { endpointFacts, type Endpoint } from "../../src/dialect/openai/openai-endpoints.ts"

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

const needsOf = (body: object, endpoint: Endpoint = "chat/completions") => {
  const read = parseNeeds(endpoint, bytes(JSON.stringify(body)))
  if (Result.isFailure(read)) throw read.failure
  return read.success
}

const faultOf = (text: string | Uint8Array, endpoint: Endpoint = "chat/completions") => {
  const read = parseNeeds(endpoint, typeof text === "string" ? bytes(text) : text)
  return Result.isFailure(read) ? { message: read.failure.message, param: read.failure.param } : undefined
}

const chat = (content: unknown, more: object = {}) => ({ model: "m", messages: [{ role: "user", content }], ...more })

describe("what a chat request needs:", () => {
  test("nothing in particular, for plain text", () => {
    expect(needsOf(chat("Hello"))).toEqual({
      dialect: "openai",
      operation: endpointFacts["chat/completions"],
      model: "m",
      stream: false,
      abilities: [],
      promptTokens: 1,
      atLeastTokens: 0,
      outputTokens: 0
    })
  })

  test("vision, for an image in any message, in each of the forms in use", () => {
    for (const type of ["image_url", "input_image", "image"]) {
      expect(
        needsOf(
          chat([
            { type: "text", text: "What is it?" },
            { type, image_url: { url: "data:," } }
          ])
        ).abilities
      ).toEqual(["vision"])
    }
    const later = {
      model: "m",
      messages: [
        { role: "user", content: "a" },
        { role: "user", content: [{ type: "image_url" }] }
      ]
    }
    expect(needsOf(later).abilities).toEqual(["vision"])
  })

  test("no vision for a text that speaks of images, and no vision for other parts", () => {
    expect(needsOf(chat('{"type":"image_url"}')).abilities).toEqual([])
    expect(
      needsOf(chat([{ type: "text", text: "image_url" }, { type: "input_audio" }, { type: "file" }])).abilities
    ).toEqual([])
  })

  test("tools, when there is at least one tool or function", () => {
    expect(needsOf(chat("a", { tools: [{ type: "function" }] })).abilities).toEqual(["tools"])
    expect(needsOf(chat("a", { functions: [{ name: "f" }] })).abilities).toEqual(["tools"])
    for (const none of [[], null, {}, "tools"]) expect(needsOf(chat("a", { tools: none })).abilities).toEqual([])
  })

  test("JSON mode, for an object or a schema and not for text", () => {
    for (const type of ["json_object", "json_schema"]) {
      expect(needsOf(chat("a", { response_format: { type } })).abilities).toEqual(["json_mode"])
    }
    expect(needsOf(chat("a", { response_format: { type: "text" } })).abilities).toEqual([])
    expect(needsOf(chat("a", { response_format: null })).abilities).toEqual([])
  })

  test("room for a quarter of its letters, in every message and part, and for the output it allows", () => {
    const text = "x".repeat(400)
    const body = {
      model: "m",
      messages: [
        { role: "system", content: text },
        {
          role: "user",
          content: [
            { type: "text", text },
            { type: "text", text }
          ]
        }
      ]
    }
    expect(needsOf(body).promptTokens).toBe(300)
    expect(needsOf({ ...body, max_tokens: 7 }).outputTokens).toBe(7)
    expect(needsOf({ ...body, max_tokens: 7, max_completion_tokens: 9 }).outputTokens).toBe(9)
    for (const odd of [-1, "9", null, {}]) expect(needsOf({ ...body, max_tokens: odd }).outputTokens).toBe(0)
  })

  test("a stream only when stream is true", () => {
    expect(needsOf(chat("a", { stream: true })).stream).toBe(true)
    for (const none of [false, null]) expect(needsOf(chat("a", { stream: none })).stream).toBe(false)
  })
})

test("a batch of texts needs room for its longest, since each has the context to itself", () => {
  const input = ["x".repeat(40), "x".repeat(400)]
  expect(needsOf({ model: "m", input }, "embeddings")).toMatchObject({ abilities: ["embeddings"], promptTokens: 100 })
  expect(needsOf({ model: "m", prompt: "x".repeat(40) }, "completions")).toMatchObject({
    abilities: [],
    promptTokens: 10
  })
  expect(needsOf({ model: "m", input: [1, 2, 3] }, "embeddings").promptTokens).toBe(0)
})

test("an embedding may be asked of an object, or of a conversation", () => {
  const image = [
    { type: "image_url", image_url: { url: "data:," } },
    { type: "text", text: "x".repeat(40) }
  ]
  expect(needsOf({ model: "m", input: { content: image } }, "embeddings").abilities).toEqual(["embeddings"])
  const asked = needsOf({ model: "m", messages: [{ role: "user", content: image }] }, "embeddings")
  expect(asked).toMatchObject({ abilities: ["embeddings"], promptTokens: 10 })
})

describe("a body that cannot be routed is refused with the field at fault:", () => {
  const cases: ReadonlyArray<
    readonly [name: string, text: string | Uint8Array, param: string | null, says: RegExp, endpoint?: Endpoint]
  > = [
    ["empty", "", null, /empty/],
    ["no JSON", "{", null, /not valid JSON/],
    ["no UTF-8", new Uint8Array([0x7b, 0xff, 0x7d]), null, /UTF-8/],
    ["a byte order mark", "\ufeff{}", null, /not valid JSON/],
    ["an array", "[]", null, /an array/],
    ["a string", '"x"', null, /a string/],
    ["null", "null", null, /null/],
    ["no model", '{"messages":[]}', "model", /missing/],
    ["a model that is a number", '{"model":1,"messages":[]}', "model", /a number/],
    ["an empty model", '{"model":"","messages":[]}', "model", /empty/],
    ["a model of 513 characters", JSON.stringify({ model: "x".repeat(513), messages: [] }), "model", /512/],
    ["no messages", '{"model":"m"}', "messages", /missing/],
    ["messages that are a string", '{"model":"m","messages":"hi"}', "messages", /a string/],
    ["messages that are null", '{"model":"m","messages":null}', "messages", /null/],
    ["no input", '{"model":"m"}', "input", /missing/, "embeddings"],
    ["input that is null", '{"model":"m","input":null}', "input", /null/, "embeddings"],
    ["input that is a number", '{"model":"m","input":1}', "input", /a number/, "embeddings"],
    ["messages to embed that are a string", '{"model":"m","messages":"hi"}', "messages", /a string/, "embeddings"],
    ["a prompt that is a number", '{"model":"m","prompt":1}', "prompt", /a number/, "completions"],
    ["a stream that is a word", '{"model":"m","messages":[],"stream":"yes"}', "stream", /true or false; a string/],
    ["a stream that is a number", '{"model":"m","messages":[],"stream":1}', "stream", /true or false; a number/],
    ["a stream of a completion", '{"model":"m","prompt":"x","stream":[]}', "stream", /an array/, "completions"]
  ]
  for (const [name, text, param, says, endpoint] of cases) {
    test(name, () => {
      const fault = faultOf(text, endpoint)
      expect(fault?.param).toBe(param)
      expect(fault?.message).toMatch(says)
    })
  }
})

describe("a large body, which is gone through in slices and not parsed,", () => {
  const turns = new EventLoopTurns()
  const long = fc.oneof(
    fc.string({ maxLength: 5 }),
    fc
      .tuple(
        fc.constantFrom("x", '"', "\\", '\\"', "\n", "é", "🙂", ' "content": "'),
        fc.integer({ min: 20, max: 1500 })
      )
      .map(([text, times]) => text.repeat(times))
  )
  const part = fc.oneof(fc.record({ type: fc.constantFrom("text", "image_url"), text: long }), long)
  const bodies = fc.record(
    {
      messages: fc.array(fc.record({ role: fc.constant("user"), content: fc.oneof(long, fc.array(part)) })),
      input: fc.oneof(long, fc.array(long)),
      tools: fc.array(fc.record({ description: long })),
      functions: fc.array(fc.nat()),
      stream: fc.boolean(),
      max_tokens: fc.nat(100),
      response_format: fc.record({ type: fc.constantFrom("text", "json_schema"), schema: long }),
      user: long
    },
    { requiredKeys: ["messages"] }
  )
  const texts = fc.oneof(
    bodies.map((body) => JSON.stringify({ model: "m", ...body })),
    chatText("m"),
    chatBody("m"),
    jsonText
  )
  const endpoint = fc.constantFrom<Endpoint>("chat/completions", "completions", "embeddings")
  const both = async (body: Uint8Array, to: Endpoint = "chat/completions") =>
    [await scanNeeds(to, body, turns), parseNeeds(to, body)] as const

  test("has the needs that it has when it is parsed, or is refused for the same reason; its room is estimated by its bytes (law)", () =>
    fc.assert(
      fc.asyncProperty(texts, endpoint, async (text, to) => {
        const [scanned, parsed] = await both(bytes(text), to)
        if (Result.isFailure(scanned)) {
          if (scanned.failure.message.includes("512 levels")) return
          expect(parsed).toMatchObject({ failure: { message: scanned.failure.message, param: scanned.failure.param } })
          return
        }
        // Of several fields of one name in a definition of a tool, each is weighed.
        const { promptTokens, atLeastTokens, ...needs } = scanned.success.needs
        expect(parsed).toMatchObject({ success: needs })
        expect(promptTokens).toBeGreaterThanOrEqual(Result.getOrThrow(parsed).promptTokens)
        expect(atLeastTokens).toBeGreaterThanOrEqual(0)
      }),
      { numRuns: 1000 }
    ))

  test("makes as many tokens as it does when it is parsed, with escapes as the characters they are (law)", () => {
    const escaped = (text: string): string =>
      text.replace(/[\u0080-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)
    const calls = fc.array(fc.record({ id: long, function: fc.record({ name: long, arguments: long }) }))
    const deep = fc.record({ function: fc.record({ parameters: fc.object({ maxDepth: 6 }) }) })
    const more = fc.record(
      {
        messages: fc.array(
          fc.record({ content: fc.oneof(long, fc.array(part)), tool_calls: calls, function_call: deep })
        ),
        tools: fc.oneof(fc.array(deep), fc.object()),
        tool_choice: fc.constantFrom("none", "auto"),
        response_format: fc.record({ type: fc.constant("json_schema"), json_schema: fc.object({ maxDepth: 4 }) })
      },
      { requiredKeys: ["messages"] }
    )
    return fc.assert(
      fc.asyncProperty(fc.oneof(bodies, more), endpoint, fc.boolean(), async (body, to, ascii) => {
        const text = JSON.stringify({ model: "m", ...body })
        const [scanned, parsed] = await both(bytes(ascii ? escaped(text) : text), to)
        if (Result.isFailure(parsed)) return expect(scanned._tag).toBe("Failure")
        expect(scanned).toMatchObject({ success: { needs: parsed.success } })
        expect(parsed.success.atLeastTokens).toBeLessThanOrEqual(parsed.success.promptTokens)
      }),
      { numRuns: 500 }
    )
  })

  test("is weighed piece by piece when a text in it is long, wherever the pieces part (law)", () =>
    fc.assert(
      fc.asyncProperty(
        fc.constantFrom("中", "é", "🙂", "\\", '"', "\n", "word ", "--", "a1"),
        fc.integer({ min: 30_000, max: 34_000 }),
        fc.string({ maxLength: 8 }),
        fc.boolean(),
        async (unit, times, first, ascii) => {
          const text = JSON.stringify(chat(`${first}${unit.repeat(times)}`))
          const escaped = ascii
            ? text.replace(/[\u0080-\uffff]/g, (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, "0")}`)
            : text
          const [scanned, parsed] = await both(bytes(escaped))
          expect(scanned).toMatchObject({ success: { needs: Result.isSuccess(parsed) ? parsed.success : {} } })
        }
      ),
      { numRuns: 60 }
    ))

  test("is refused exactly when it would be when it is parsed, however it is cut short (law)", () =>
    fc.assert(
      fc.asyncProperty(bodies, fc.nat(), async (body, cut) => {
        const whole = bytes(JSON.stringify({ model: "m", ...body }))
        const [scanned, parsed] = await both(whole.subarray(0, cut % (whole.length + 1)))
        expect(scanned._tag).toBe(parsed._tag)
      })
    ))

  test("says the same however it is sliced (law)", () =>
    fc.assert(
      fc.property(texts, fc.integer({ min: 1, max: 40 }), (text, sliceBytes) => {
        const body = bytes(text)
        const through = (slice: number) => {
          const sift = new FactScan(body)
          const scan = new JsonScan(body, sift, { sliceBytes: slice })
          let progress = scan.step()
          while (progress === "going") progress = scan.step()
          return progress === "whole" ? { facts: sift.factsOf("chat/completions", {}), value: sift.value } : progress
        }
        expect(through(sliceBytes)).toEqual(through(body.length + 1))
      })
    ))

  test("is refused when it is no UTF-8, and when its model or stream is a long text", async () => {
    const broken = bytes(JSON.stringify(chat("x".repeat(2000))))
    broken[100] = 0xff
    const named = bytes(JSON.stringify({ ...chat("a"), model: "x".repeat(2000) }))
    const streamed = bytes(JSON.stringify(chat("x".repeat(2000), { stream: "y".repeat(2000) })))
    expect(await both(streamed)).toMatchObject([{ failure: { param: "stream" } }, { failure: { param: "stream" } }])
    for (const body of [broken, named]) {
      expect((await both(body)).map(({ _tag }) => _tag)).toEqual(["Failure", "Failure"])
    }
  })

  test("is refused for a control character in a text, wherever that stands, as a small one is", async () => {
    const whole = bytes(JSON.stringify(chat("x".repeat(1000))))
    for (let shift = 0; shift < 4; shift += 1) {
      const body = new Uint8Array(new ArrayBuffer(whole.length + shift), shift)
      for (let at = whole.indexOf(0x78); at <= whole.lastIndexOf(0x78); at += 1) {
        body.set(whole)
        body[at] = at % 0x20
        const [scanned, parsed] = await both(body)
        expect(scanned).toEqual(Result.fail(Result.getOrThrow(Result.flip(parsed))))
      }
      body.set(whole)
      body.set(bytes(" \x7f\x80\xff".repeat(150)), 60)
      expect((await both(body)).map(({ _tag }) => _tag)).toEqual(["Success", "Success"])
    }
  })

  test("is JSON or not as a parser says, whatever stands in its lines and wherever it is in memory (law)", () => {
    const piece = fc.oneof(
      fc.constantFrom("é", "漢", "😀", "\\n", '\\"', "\\\\", "\\u0001", "\u007f", "\u0080"),
      fc.integer({ min: 1, max: 300 }).map((times) => "x".repeat(times))
    )
    const control = fc.option(fc.integer({ min: 0, max: 0x20 }).map((code) => String.fromCharCode(code)))
    const isJson = (text: string): boolean => {
      try {
        JSON.parse(text)
        return true
      } catch {
        return false
      }
    }
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 20 }),
        control,
        fc.nat(),
        fc.integer({ min: 0, max: 3 }),
        fc.integer({ min: 1, max: 300 }),
        (pieces, one, place, shift, sliceBytes) => {
          const lines = pieces.join("")
          const at = place % (lines.length + 1)
          const text = `{"${lines}":["${lines.slice(0, at)}${one ?? ""}${lines.slice(at)}"]}`
          const body = new Uint8Array([...new Uint8Array(shift), ...bytes(text)]).subarray(shift)
          const scan = new JsonScan(body, new FactScan(body), { sliceBytes })
          let progress = scan.step()
          while (progress === "going") progress = scan.step()
          expect(progress).toBe(isJson(text) ? "whole" : "syntax")
        }
      ),
      { numRuns: 1000 }
    )
  })

  test("may be nested 512 levels deep and no deeper, which the refusal says", async () => {
    const nested = (levels: number) =>
      bytes(`{"model":"m","messages":[],"x":${"[".repeat(levels - 1)}${"]".repeat(levels - 1)}}`)
    expect((await both(nested(512)))[0]._tag).toBe("Success")
    expect((await both(nested(513)))[0]).toMatchObject({ failure: { message: expect.stringContaining("512 levels") } })
  })

  test("is told from a small one by its size alone", async () => {
    const small = readNeeds("chat/completions", bytes(JSON.stringify(chat("x".repeat(60_000)))), { turns })
    const large = readNeeds("chat/completions", bytes(JSON.stringify(chat("x".repeat(70_000)))), { turns })
    expect([small instanceof Promise, large instanceof Promise]).toEqual([false, true])
    expect(await large).toMatchObject({ success: { needs: { model: "m", promptTokens: 17_500 } } })
  })

  test("lets others have their turn between two slices", async () => {
    const order: Array<string> = []
    const work = async (name: string) => {
      for (let slice = 0; slice < 3; slice += 1) {
        await turns.next()
        order.push(name)
      }
    }
    await Promise.all([work("a"), work("b")])
    expect(order).toEqual(["a", "b", "a", "b", "a", "b"])
  })
})

describe("whatever the body,", () => {
  const endpoint = fc.constantFrom<Endpoint>("chat/completions", "completions", "embeddings")

  test("it is read or refused, and never breaks the reader (law)", () =>
    fc.assert(
      fc.property(endpoint, fc.oneof(fc.uint8Array(), fc.json().map(bytes)), (to, body) => {
        const read = parseNeeds(to, body)
        if (Result.isFailure(read)) expect(read.failure.message).not.toBe("")
      })
    ))

  test("its fields may be anything: needs are sane numbers and known abilities (law)", () => {
    const odd = fc.jsonValue()
    const fields = fc.record(
      {
        messages: fc.array(
          fc.oneof(
            odd,
            fc.record({ content: odd }),
            fc.record({ content: fc.array(fc.record({ type: odd, text: odd })) })
          )
        ),
        tools: odd,
        functions: odd,
        response_format: odd,
        max_tokens: odd,
        max_completion_tokens: odd,
        stream: fc.option(fc.boolean())
      },
      { requiredKeys: ["messages"] }
    )
    fc.assert(
      fc.property(fields, (body) => {
        const needs = needsOf({ model: "m", ...body })
        expect(Number.isSafeInteger(needs.promptTokens) && needs.promptTokens >= 0).toBe(true)
        expect(Number.isInteger(needs.outputTokens) && needs.outputTokens >= 0).toBe(true)
        expect(["vision", "tools", "json_mode"]).toEqual(expect.arrayContaining([...needs.abilities]))
      })
    )
  })

  test("its stream is refused exactly when it is neither true, false nor null (law)", () =>
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue(), fc.boolean()), (stream) => {
        const fault = faultOf(JSON.stringify(chat("a", { stream })))
        expect(fault?.param).toBe(typeof stream === "boolean" || stream === null ? undefined : "stream")
      })
    ))

  test("more text never needs less room (law)", () =>
    fc.assert(
      fc.property(fc.string(), fc.string(), (text, more) => {
        expect(needsOf(chat(text + more)).promptTokens).toBeGreaterThanOrEqual(needsOf(chat(text)).promptTokens)
      })
    ))
})
