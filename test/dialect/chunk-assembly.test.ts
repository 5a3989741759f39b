import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import fc from "fast-check"
import { chunkCollector } from "../../src/dialect/openai/chunk-assembly.ts"
import { cutUp } from "../fuzz/arbitraries.ts"
import { done, event } from "../kit/answers.ts"
import { allEvents, type Said, voices, wholeAnswer } from "../kit/voices.ts"

const encoder = new TextEncoder()

const assembled = (pieces: ReadonlyArray<Uint8Array>): Result.Result<unknown, string> => {
  const assembly = chunkCollector.start()
  for (const piece of pieces) assembly.push(piece)
  return Result.map(assembly.end(), (body) => JSON.parse(new TextDecoder().decode(body)) as unknown)
}

const fromChunks = (chunks: ReadonlyArray<unknown>): unknown =>
  Result.getOrThrow(assembled([encoder.encode([...chunks.map((each) => event(each)), done].join(""))]))

const said: fc.Arbitrary<Said> = fc.oneof(
  fc.array(fc.string({ unit: "grapheme", minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 8 }),
  fc.record({ name: fc.constantFrom("t", "look_up"), arguments: fc.json() })
)

// What a whole answer alone says to be null cannot be known of a stream.
const told = (answer: unknown): unknown =>
  JSON.parse(
    JSON.stringify(answer, (name, value: unknown) => (value === null && name !== "content" ? undefined : value))
  )

const wanted = { model: "m", stream: true, usage: true }

describe("a stream put together", () => {
  for (const voice of voices) {
    test(`is the whole answer that ${voice.name} would have given, however it is cut`, () => {
      fc.assert(
        fc.property(
          said.chain((what) =>
            fc.tuple(fc.constant(what), cutUp(fc.constant(encoder.encode(allEvents(voice, wanted, what).join("")))))
          ),
          ([what, pieces]) => {
            expect(told(Result.getOrThrow(assembled(pieces)))).toEqual(told(wholeAnswer(voice, wanted, what)))
          }
        ),
        { numRuns: 100 }
      )
    })
  }

  test("keeps what only its server knows: timings, a fingerprint, reasoning, probabilities, fields of nobody's", () => {
    const base = { id: "a", object: "chat.completion.chunk", created: 1, model: "m", system_fingerprint: "b1" }
    const chunks = [
      { ...base, choices: [{ index: 0, delta: { role: "assistant", content: null }, finish_reason: null }] },
      { ...base, created: 2, choices: [{ index: 0, delta: { reasoning_content: "h" }, finish_reason: null }] },
      { ...base, choices: [{ index: 0, delta: { reasoning_content: "m" }, finish_reason: null }] },
      {
        ...base,
        choices: [{ index: 0, delta: { content: "a" }, logprobs: { content: [{ token: "a" }] }, finish_reason: null }]
      },
      {
        ...base,
        choices: [{ index: 0, delta: { content: "b" }, logprobs: { content: [{ token: "b" }] }, finish_reason: null }]
      },
      { ...base, choices: [{ index: 0, delta: {}, finish_reason: "stop", stop_reason: "X" }] },
      { ...base, choices: [], usage: { prompt_tokens: 1 }, timings: { predicted_ms: 1.5 }, odd: ["x"] }
    ]
    expect(fromChunks(chunks)).toEqual({
      id: "a",
      object: "chat.completion",
      created: 1,
      model: "m",
      choices: [
        {
          index: 0,
          message: { role: "assistant", content: "ab", reasoning_content: "hm" },
          logprobs: { content: [{ token: "a" }, { token: "b" }] },
          stop_reason: "X",
          finish_reason: "stop"
        }
      ],
      system_fingerprint: "b1",
      usage: { prompt_tokens: 1 },
      timings: { predicted_ms: 1.5 },
      odd: ["x"]
    })
  })

  test("keeps two calls apart whose pieces come in turns, or that have one index", () => {
    const call = (index: number, id: string | undefined, name: string | undefined, args: string) => ({
      index,
      ...(id === undefined ? {} : { id, type: "function" }),
      function: { ...(name === undefined ? {} : { name }), arguments: args }
    })
    const deltas = [
      [call(0, "a", "f", '{"x"')],
      [call(1, "b", "g", "{")],
      [call(0, undefined, undefined, ":1}"), call(1, undefined, undefined, "}")],
      [call(1, "c", "h", "{}")]
    ]
    const answer = fromChunks([
      ...deltas.map((tool_calls) => ({ choices: [{ index: 0, delta: { tool_calls }, finish_reason: null }] })),
      { choices: [{ index: 0, delta: {}, finish_reason: "tool_calls" }] }
    ])
    const made = (id: string, name: string, args: string) => ({
      id,
      type: "function",
      function: { name, arguments: args }
    })
    expect(answer).toMatchObject({
      choices: [
        {
          message: {
            content: null,
            tool_calls: [made("a", "f", '{"x":1}'), made("b", "g", "{}"), made("c", "h", "{}")]
          }
        }
      ]
    })
  })

  test("keeps thoughts and words that come as lists of parts, and the texts behind them", () => {
    const thinking = (text: string) => ({ type: "thinking", thinking: [{ type: "text", text }] })
    const contents = [
      "",
      [thinking("Two")],
      [thinking(" and two."), { type: "text", text: "It" }],
      [{ type: "text", text: " is" }],
      " four",
      [{ type: "reference", reference_ids: [1] }],
      ""
    ]
    const chunks = contents.map((content, n) => ({
      choices: [{ index: 0, delta: { content }, finish_reason: n === contents.length - 1 ? "stop" : null }]
    }))
    expect(fromChunks(chunks)).toMatchObject({
      choices: [
        {
          message: {
            content: [
              thinking("Two and two."),
              { type: "text", text: "It is four" },
              { type: "reference", reference_ids: [1] }
            ]
          }
        }
      ]
    })
  })

  test("keeps the id of a call whose later pieces have an empty one", () => {
    const call = (id: string, made: object) => ({
      choices: [{ index: 0, delta: { tool_calls: [{ index: 0, id, type: "function", function: made }] } }]
    })
    const chunks = [
      call("c", { name: "tide", arguments: "" }),
      call("", { name: "", arguments: "{}" }),
      { choices: [{ index: 0, delta: {}, finish_reason: "tool_calls" }] }
    ]
    const tool_calls = [{ id: "c", type: "function", function: { name: "tide", arguments: "{}" } }]
    expect(fromChunks(chunks)).toMatchObject({ choices: [{ message: { tool_calls } }] })
  })

  test("has all choices in their order, and texts of completions", () => {
    const chunks = [
      { object: "text_completion", choices: [{ index: 1, text: "b", finish_reason: null }] },
      { object: "text_completion", choices: [{ index: 0, text: "a", finish_reason: "stop" }] },
      { object: "text_completion", choices: [{ index: 1, text: "c", finish_reason: "length" }] }
    ]
    expect(fromChunks(chunks)).toEqual({
      object: "text_completion",
      choices: [
        { index: 0, text: "a", finish_reason: "stop" },
        { index: 1, text: "bc", finish_reason: "length" }
      ]
    })
  })

  test("that says of an answer in it nowhere why it ended is none, though it says that all is done", () => {
    const said = (index: number, finish_reason: string | null) =>
      event({ choices: [{ index, delta: { content: "So" }, finish_reason }] })
    const broken = Result.fail("the stream ended before its answer was complete")
    expect(assembled([encoder.encode(said(0, null) + done)])).toEqual(broken)
    expect(assembled([encoder.encode(said(0, "stop") + said(1, null) + done)])).toEqual(broken)
    expect(Result.isSuccess(assembled([encoder.encode(said(0, null) + said(0, "length") + done)]))).toBe(true)
  })

  test("that holds an error, or nothing of an answer, is none", () => {
    const error = event({ error: { message: "out of memory" } })
    expect(assembled([encoder.encode(error + done)])).toEqual(Result.fail("out of memory"))
    expect(Result.isFailure(assembled([encoder.encode(done)]))).toBe(true)
    expect(Result.isFailure(assembled([encoder.encode("data: [1,2\n\nnonsense\n\n")]))).toBe(true)
  })
})

test("a request for a whole answer becomes one for a stream that tells its usage, and is else as it was", () => {
  const asked = (body: string) => new TextDecoder().decode(chunkCollector.request(encoder.encode(body)))
  expect(JSON.parse(asked('{"model":"m","stream":false,"stream_options":{"x":1},"n":2}'))).toEqual({
    model: "m",
    stream: true,
    stream_options: { x: 1, include_usage: true },
    n: 2
  })
  expect(asked('{"seed":12345678901234567890,"temperature":1.0}')).toContain(
    '"seed":12345678901234567890,"temperature":1.0'
  )
})
