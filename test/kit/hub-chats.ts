/**
 * Requests of the hub that hold whatever a dialect can say, for laws about codecs.
 */
import fc from "fast-check"
import type { Chat, ChatMessage, ChatPart, ChatTool, ChatTurnItem } from "../../src/dialect/chat.ts"

const words = fc
  .array(fc.constantFrom("rain", "sun", "é", "\n", '"', "\\", "🌧", "0"), { minLength: 1, maxLength: 4 })
  .map((all) => `a ${all.join(" ")} z`)

const textPart = words.map((text): ChatPart => ({ type: "text", text }))

const imagePart = fc.constantFrom<ChatPart>(
  { type: "image", mediaType: "image/png", data: "iVBORw0KGgo=" },
  { type: "image", mediaType: "image/jpeg", data: "/9j/4AAQ" },
  { type: "image", url: "https://images.invalid/a.png" }
)

const args = fc.constantFrom("{}", '{"city":"Oslo"}', '{"id":9007199254740993,"exact":1.50}', '{"a":[1,{"b":null}]}')

const toolNames = ["sky", "sea"] as const

const closed = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false
}

// Not everybody can be held to a schema that is open.
const taken = fc.constantFrom<Pick<ChatTool, "schema" | "strict">>(
  { schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] }, strict: undefined },
  { schema: { type: "object", properties: {} }, strict: undefined },
  { schema: closed, strict: undefined },
  { schema: closed, strict: true }
)

const tool = (name: string): fc.Arbitrary<ChatTool> =>
  fc
    .tuple(fc.option(words, { nil: undefined }), taken)
    .map(([description, { schema, strict }]) => ({ name, description, schema, strict }))

interface Turn {
  readonly user: ReadonlyArray<ChatPart>
  readonly said: string | undefined
  readonly calls: ReadonlyArray<{ readonly name: string; readonly args: string; readonly result: string }>
}

const turn: fc.Arbitrary<Turn> = fc.record({
  user: fc.array(fc.oneof({ weight: 3, arbitrary: textPart }, imagePart), { minLength: 1, maxLength: 3 }),
  said: fc.option(words, { nil: undefined }),
  calls: fc.array(fc.record({ name: fc.constantFrom(...toolNames), args, result: words }), { maxLength: 3 })
})

const itemsOf = ({ calls, said }: Turn, at: number): ReadonlyArray<ChatTurnItem> => [
  // A turn says something.
  ...(said !== undefined || calls.length === 0 ? [{ type: "text", text: said ?? "yes" } as const] : []),
  ...calls.map((call, n): ChatTurnItem => ({ type: "call", id: `call_${at}_${n}`, name: call.name, args: call.args }))
]

const messagesOf = (
  system: string | undefined,
  turns: ReadonlyArray<Turn>,
  last: string
): ReadonlyArray<ChatMessage> => [
  ...(system === undefined ? [] : [{ role: "system", text: system } as const]),
  ...turns.flatMap((each, at): ReadonlyArray<ChatMessage> => [
    { role: "user", parts: each.user },
    { role: "assistant", items: itemsOf(each, at) },
    ...each.calls.map(({ result }, n): ChatMessage => ({
      role: "tool",
      callId: `call_${at}_${n}`,
      text: result,
      failed: false
    }))
  ]),
  { role: "user", parts: [{ type: "text", text: last }] }
]

// Turns of the user that stand side by side are one in some dialects: here each is followed by one of the model.
const history = fc.record({
  system: fc.option(words, { nil: undefined }),
  turns: fc.array(turn, { maxLength: 3 }),
  last: words
})

const maybe = <A>(values: fc.Arbitrary<A>): fc.Arbitrary<A | undefined> => fc.option(values, { nil: undefined })

const settings = fc.record({
  stream: fc.boolean(),
  maxTokens: maybe(fc.integer({ min: 1, max: 9000 })),
  stop: maybe(fc.array(words, { minLength: 1, maxLength: 3 })),
  temperature: maybe(fc.constantFrom(0, 0.5, 1)),
  topP: maybe(fc.constantFrom(0.1, 1)),
  effort: maybe(fc.constantFrom("low", "medium", "high")),
  user: maybe(fc.constantFrom("u-7")),
  parallelCalls: maybe(fc.constant(false)),
  toolChoice: maybe(fc.constantFrom<NonNullable<Chat["toolChoice"]>>("auto", "required", { name: "sky" })),
  format: maybe(
    fc.constant<NonNullable<Chat["format"]>>({
      type: "schema",
      name: "output",
      schema: { type: "object", properties: { a: { type: "string" } }, required: ["a"], additionalProperties: false },
      strict: true
    })
  )
})

type Settings = typeof settings extends fc.Arbitrary<infer S> ? S : never

const without = (object: object): object =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined))

const chatOf = (messages: ReadonlyArray<ChatMessage>, tools: ReadonlyArray<ChatTool>, given: Settings): Chat => {
  const { parallelCalls, stream, toolChoice, ...rest } = given
  const said = tools.length === 0 ? rest : { ...rest, parallelCalls, toolChoice }
  return { stream, messages, tools, ...without(said), extra: {} }
}

/** Requests. */
export const hubChats: fc.Arbitrary<Chat> = fc
  .tuple(history, fc.tuple(...toolNames.map(tool)), fc.boolean(), settings)
  .map(([{ last, system, turns }, tools, hasTools, given]) =>
    chatOf(messagesOf(system, turns, last), hasTools ? tools : [], given)
  )
