/**
 * The other processes of the same gateway: what they know and this one does not.
 */
import { Context, Effect, Schema } from "effect"
import { Measures } from "../telemetry/measures.ts"
import { Explained, RecentRequest } from "./api/admin-api.ts"

/** What a process can be asked: the last requests, one of them by its id, or the figures of its work; `own` are those of who asks. */
export const Question = Schema.Union([
  Schema.TaggedStruct("Requests", {}),
  Schema.TaggedStruct("Request", { id: Schema.String }),
  Schema.TaggedStruct("Measures", { own: Schema.optionalKey(Measures) })
])

/** Type of {@link Question}. */
export type Question = typeof Question.Type

/** What one process, or several put together, answer; a field is empty when it was not asked for. */
export const Answer = Schema.Struct({
  requests: Schema.Array(RecentRequest),
  explained: Schema.Array(Explained),
  measures: Schema.Array(Measures)
})

/** Type of {@link Answer}. */
export type Answer = typeof Answer.Type

/** The answer of nobody. */
export const noAnswer: Answer = { requests: [], explained: [], measures: [] }

/** Two answers together. */
export const joined = (a: Answer, b: Answer): Answer => ({
  requests: [...a.requests, ...b.requests],
  explained: [...a.explained, ...b.explained],
  measures: [...a.measures, ...b.measures]
})

/** Asks the others; a gateway of one process has none. Undefined when they did not answer in time. */
export const Siblings = Context.Reference<{
  readonly ask: (question: Question) => Effect.Effect<Answer | undefined>
}>("nexus/http/Siblings", { defaultValue: () => ({ ask: () => Effect.succeed(noAnswer) }) })
