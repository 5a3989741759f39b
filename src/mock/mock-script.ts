/**
 * What `nexus mock` is told to be: models with their speeds, answers, faults. The Schema of the file is the one of the flags
 * as well.
 */
import * as Schema from "effect/Schema"

const described = <S extends Schema.Top>(schema: S, description: string) =>
  Schema.optionalKey(schema.annotate({ description }))

const between = (minimum: number, maximum: number) => Schema.Finite.check(Schema.isBetween({ minimum, maximum }))
const whole = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const speed = between(0.01, 1_000_000)
const piece = whole(0, 1_000_000)
const seconds = between(0, 86_400)

const MockModel = Schema.Struct({
  name: Schema.NonEmptyString,
  prefill_tokens_per_second: described(speed, "How fast it reads a prompt"),
  tokens_per_second: described(speed, "How fast it writes"),
  answer_tokens: described(whole(1, 100_000), "How long an answer is for which no text is told"),
  slots: described(whole(1, 60_000), "How many requests it works on at a time; others wait"),
  context_length: described(whole(1, 100_000_000), "The context that it is said to have"),
  embeddings: described(Schema.Boolean, "Whether it makes vectors and no text")
})

const Call = Schema.Struct({
  name: Schema.NonEmptyString,
  arguments: described(Schema.Record(Schema.String, Schema.Unknown), "What the tool is called with")
})

const MockAnswer = Schema.Struct({
  model: described(Schema.NonEmptyString, "The models that it is for, as a glob"),
  contains: described(Schema.NonEmptyString, "What the last message has to contain"),
  turn: described(whole(1, 10_000), "Which turn of the assistant it is for: 1 is the first answer of a conversation"),
  reasoning: described(Schema.String, "What is thought before"),
  text: described(Schema.String, "What is said"),
  calls: described(Schema.Array(Call), "The tools that are called")
})

const MockFault = Schema.Struct({
  model: described(Schema.NonEmptyString, "The models that it is for, as a glob"),
  every: described(whole(1, 1_000_000), "Each nth request that it is for"),
  probability: described(between(0, 1), "For which share of the requests it is"),
  times: described(whole(1, 1_000_000), "How often it happens at most"),
  delay_seconds: described(seconds, "How long it waits before it begins"),
  status: described(whole(400, 599), "The status that is answered"),
  retry_after_seconds: described(seconds, "What `retry-after` says beside the status"),
  message: described(Schema.String, "What the error says"),
  garbage: described(Schema.Boolean, "Whether what is answered is no answer"),
  empty: described(Schema.Boolean, "Whether the answer has no body"),
  reset: described(Schema.Boolean, "Whether the connection is cut before a byte of an answer"),
  cut_at_piece: described(piece, "Behind how many pieces of the answer the connection is cut"),
  stall_at_piece: described(piece, "Behind how many pieces nothing more comes"),
  error_at_piece: described(piece, "Behind how many pieces an error comes")
})

/** All that a file may say. */
export const MockFile = Schema.Struct({
  models: described(Schema.NonEmptyArray(MockModel), "The models"),
  answers: described(Schema.Array(MockAnswer), "The answers; the first that is for a request is its"),
  faults: described(Schema.Array(MockFault), "The faults; the first that is for a request is its")
})

/** The keys of each table. */
export const mockKeys: Readonly<Record<string, ReadonlyArray<string>>> = {
  models: Object.keys(MockModel.fields),
  answers: Object.keys(MockAnswer.fields),
  faults: Object.keys(MockFault.fields)
}

/** A model. */
export type MockModel = typeof MockModel.Type

/** An answer, and which requests it is for. */
export type MockAnswer = typeof MockAnswer.Type

/** A fault, and which requests it is for. */
export type MockFault = typeof MockFault.Type

/** The whole of it. */
export interface MockScript {
  readonly models: ReadonlyArray<MockModel>
  readonly answers: ReadonlyArray<MockAnswer>
  readonly faults: ReadonlyArray<MockFault>
}

const effects = [
  "status",
  "garbage",
  "empty",
  "reset",
  "cut_at_piece",
  "stall_at_piece",
  "error_at_piece"
] as const satisfies ReadonlyArray<keyof MockFault>

const isMeant = (fault: MockFault, name: (typeof effects)[number]): boolean =>
  fault[name] !== undefined && fault[name] !== false

/** Why a fault cannot be; undefined when it can. */
export const faultMistake = (fault: MockFault): string | undefined => {
  const meant = effects.filter((name) => isMeant(fault, name))
  if (meant.length > 1) return `${meant.join(" and ")} cannot be had together; write two faults`
  if (meant.length === 0 && fault.delay_seconds === undefined)
    return `it does nothing: it wants delay_seconds or one of ${effects.join(", ")}`
  if (fault.status === undefined && fault.retry_after_seconds !== undefined)
    return "retry_after_seconds goes with a status, such as 429"
  if (fault.message !== undefined && fault.status === undefined && fault.error_at_piece === undefined)
    return "message goes with status or error_at_piece"
  return undefined
}

/** Which requests a fault is for, in words; empty where it is for all of them. */
export const meantWords = ({ every, model, probability, times }: MockFault): string =>
  [
    ...(model === undefined ? [] : [`of ${model}`]),
    ...(every === undefined ? [] : [`every ${every}`]),
    ...(probability === undefined ? [] : [`probability ${probability}`]),
    ...(times === undefined ? [] : [`${times} at most`])
  ].join(", ")

/** What a fault does, in words. */
export const faultWords = (fault: MockFault): string => {
  const { cut_at_piece: cut, delay_seconds: delay, error_at_piece: error, stall_at_piece: stall, status } = fault
  const retry = fault.retry_after_seconds
  return [
    ...(delay === undefined ? [] : [`waits ${delay} s`]),
    ...(status === undefined ? [] : [`status ${status}${retry === undefined ? "" : `, retry-after ${retry}`}`]),
    ...(fault.garbage === true ? ["garbage"] : []),
    ...(fault.empty === true ? ["an empty body"] : []),
    ...(fault.reset === true ? ["the connection reset"] : []),
    ...(cut === undefined ? [] : [`cut behind piece ${cut}`]),
    ...(stall === undefined ? [] : [`silent behind piece ${stall}`]),
    ...(error === undefined ? [] : [`an error behind piece ${error}`])
  ].join(", ")
}
