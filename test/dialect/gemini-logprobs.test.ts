import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import { anthropic } from "../../src/dialect/anthropic/anthropic.ts"
import { gemini } from "../../src/dialect/gemini/gemini.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import { refusedFields } from "../../src/dialect/refused-fields.ts"
import { responses } from "../../src/dialect/responses/responses.ts"
import { transduce } from "../../src/dialect/Transducer.ts"
import { anyServer } from "../kit/codecs.ts"
import { eventOf, geminiEvents, piece, text } from "../kit/gemini.ts"

const encoder = new TextEncoder()
const decoder = new TextDecoder()
const bytes = (json: unknown): Uint8Array => encoder.encode(JSON.stringify(json))

const context = { model: "m", id: "z", now: 0, callIds: new Set<string>() }
const contents = [{ role: "user", parts: [{ text: "go" }] }]

// The same tokens as OpenAI and Google tell of them.
const told = (token: string, logprob: number) => ({
  token,
  logprob,
  bytes: [...encoder.encode(token)],
  top_logprobs: [{ token: "é", logprob: -1, bytes: [195, 169] }]
})
const result = (...tokens: ReadonlyArray<readonly [string, number]>) => ({
  topCandidates: tokens.map(() => ({ candidates: [{ token: "é", logProbability: -1 }] })),
  chosenCandidates: tokens.map(([token, logProbability]) => ({ token, logProbability }))
})

const asking = (generationConfig: unknown) => {
  const { client } = gemini.operations[0]!
  return Result.getOrThrow(client!.decode(bytes({ contents, generationConfig }), undefined))
}

describe("a client of Google's over a server that speaks chat", () => {
  const { answers, chat, dropped } = asking({ responseLogprobs: true, logprobs: 1 })
  const encoded = Result.getOrThrow(openai.operations[0].server!.encode(chat, "m", anyServer))

  test("has it asked how likely tokens are", () => {
    expect(JSON.parse(decoder.decode(encoded.body))).toMatchObject({ logprobs: true, top_logprobs: 1 })
    expect(dropped).toEqual([])
  })

  test("is told it with a whole answer", () => {
    const logprobs = { content: [told("h", -0.25), told("i", -0.75)] }
    const choices = [{ index: 0, message: { role: "assistant", content: "hi" }, logprobs, finish_reason: "stop" }]
    const whole = Result.getOrThrow(encoded.answers.whole(bytes({ choices })))
    const [candidate] = JSON.parse(decoder.decode(Result.getOrThrow(answers.whole(whole, context)))).candidates
    expect(candidate.logprobsResult).toEqual(result(["h", -0.25], ["i", -0.75]))
    expect(candidate.avgLogprobs).toBe(-0.5)
  })

  test("is told it with each piece of a stream, and their mean at its end", () => {
    const chunks = ["h", "i"].map((each) => ({
      choices: [{ index: 0, delta: { content: each }, logprobs: { content: [told(each, -0.5)] }, finish_reason: null }]
    }))
    const all = [...chunks, { choices: [{ index: 0, delta: {}, finish_reason: "stop" }] }]
    const stream = encoder.encode(`${all.map(eventOf).join("")}data: [DONE]\n\n`)
    const said = [...transduce(answers.stream(context), transduce(encoded.answers.stream, [stream]))]
    const candidates = geminiEvents(decoder.decode(Buffer.concat(said))).map((each) => each.candidates?.[0] ?? {})
    expect(candidates.map((each) => Reflect.get(each, "logprobsResult"))).toEqual([
      result(["h", -0.5]),
      result(["i", -0.5]),
      undefined
    ])
    expect(Reflect.get(candidates.at(-1) ?? {}, "avgLogprobs")).toBe(-0.5)
  })
})

test("a client of Google's that asks for none is told none, and a server without them has it named", () => {
  const { chat } = asking({ responseLogprobs: false })
  const { body } = Result.getOrThrow(openai.operations[0].server!.encode(chat, "m", anyServer))
  expect(decoder.decode(body)).not.toContain("logprobs")
  const wanted = asking({ responseLogprobs: true }).chat
  expect(Result.getOrThrow(anthropic.operations[0].server!.encode(wanted, "m", anyServer)).dropped).toContain(
    "logprobs"
  )
})

describe("a client of OpenAI's over Google", () => {
  const client = openai.operations[0].client!
  const asked = { model: "m", messages: [{ role: "user", content: "go" }], logprobs: true, top_logprobs: 1 }
  const { answers, chat } = Result.getOrThrow(client.decode(bytes(asked), undefined))
  const encoded = Result.getOrThrow(gemini.operations[0]!.server!.encode(chat, "gemini-2.5-flash", anyServer))
  const [candidate] = piece([text("hmm", { thought: true }), text("hi")], "STOP").candidates
  const answer = { candidates: [{ ...candidate, logprobsResult: result(["h", -0.25], ["i", -0.75]) }] }

  test("has it asked how likely tokens are", () => {
    expect(JSON.parse(decoder.decode(encoded.body)).generationConfig).toEqual({ responseLogprobs: true, logprobs: 1 })
    expect(encoded.dropped).toEqual([])
  })

  test("is told it with a whole answer", () => {
    const whole = Result.getOrThrow(encoded.answers.whole(bytes(answer)))
    const { choices } = JSON.parse(decoder.decode(Result.getOrThrow(answers.whole(whole, context))))
    expect(choices[0].message.content).toBe("hi")
    expect(choices[0].logprobs.content).toEqual([told("h", -0.25), told("i", -0.75)])
  })

  test("is told it in a stream", () => {
    const events = [...transduce(encoded.answers.stream, [encoder.encode(eventOf(answer))])]
    expect(events.filter(({ type }) => type === "text")).toEqual([
      { type: "text", text: "hi", logprobs: [told("h", -0.25), told("i", -0.75)] }
    ])
  })

  test("is answered without where the model tells nobody", () => {
    expect(refusedFields(chat, "Logprobs is not enabled for models/gemini-2.5-flash")).toEqual(["logprobs"])
  })
})

test("a client of Responses is told how likely the tokens of a text were that came before, and of a call no empty message", () => {
  const asked = { model: "m", input: "go", include: ["message.output_text.logprobs"] }
  const { answers, chat } = Result.getOrThrow(responses.operations[0].client!.decode(bytes(asked), undefined))
  const server = gemini.operations.find((each) => each.server !== undefined)!.server!
  const reader = Result.getOrThrow(server.encode(chat, "m", anyServer)).answers
  const outputOf = (...parts: ReadonlyArray<unknown>) => {
    const logprobsResult = result(["h", -0.5])
    const last = { candidates: [{ content: { role: "model", parts: [] }, finishReason: "STOP", logprobsResult }] }
    const stream = [...parts.map((each) => ({ candidates: [{ content: { role: "model", parts: [each] } }] })), last]
    const events = transduce(reader.stream, [encoder.encode(stream.map(eventOf).join(""))])
    return JSON.parse(decoder.decode(Result.getOrThrow(answers.whole([...events], context)))).output
  }
  const call = outputOf({ functionCall: { name: "f", args: {} } })
  expect(call.map(({ type }: { readonly type: string }) => type)).toEqual(["function_call"])
  expect(outputOf({ text: "h" })[0].content).toMatchObject([{ text: "h", logprobs: [told("h", -0.5)] }])
})
