/**
 * What a kind of server can have done to its models: loaded into memory, taken out of it, got onto its disk.
 */
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { Tuning } from "../domain/server.ts"
import type { ParsedAnswer } from "./talk.ts"

/** All that can be done to a model. */
export const modelActions = ["load", "unload", "pull"] as const

/** One of {@link modelActions}. */
export type ModelAction = (typeof modelActions)[number]

/** How far it has come, in the server's own words; `completed` of `total` of whatever it counts. */
export interface ModelProgress {
  readonly status: string
  readonly completed?: number
  readonly total?: number
}

/** Why it was not done: the server knows no such model, has no room for it, cannot do such things, refuses, or is not there. */
type ActionFault = "missing" | "room" | "unable" | "refused" | "unreachable"

/** It was not done; `reason` is in words for a person. */
export class ActionFailed extends Data.TaggedError("ActionFailed")<{
  readonly fault: ActionFault
  readonly reason: string
}> {}

/** A question below the backend's base URL; with a `body` it is a POST. */
export interface ActionQuestion {
  readonly path: string
  readonly body?: unknown
}

/** The means by which a kind has something done by one of its servers. */
export interface Errand {
  readonly tell: (progress: ModelProgress) => Effect.Effect<void>
  /** The answer, whatever its status. */
  readonly ask: (question: ActionQuestion) => Effect.Effect<ParsedAnswer, ActionFailed>
  /**
   * The answer whose body is one JSON value a line, or events with one: each is given to `each` as it comes, until that
   * says that it is enough. Of one that is no success the body is in what comes back, and `each` is given nothing.
   */
  readonly follow: (
    question: ActionQuestion,
    each: (value: unknown) => Effect.Effect<boolean, ActionFailed>
  ) => Effect.Effect<ParsedAnswer, ActionFailed>
}

/** What is to be done to which model. */
export interface ModelOrder {
  /** As the server calls it, where it lists it. */
  readonly model: string
  /** Whether it makes embeddings and nothing else, as far as is known. */
  readonly embeds: boolean
  /** What the server is told with each request to it. */
  readonly tuning: Tuning
  /** Whether it is to stay in memory until it is taken out. */
  readonly keep: boolean
}

/** Has it done; ends when it is. */
export type ActionRun = (errand: Errand, order: ModelOrder) => Effect.Effect<void, ActionFailed>

/** What a kind can have done; what is absent it cannot. */
export type ModelActions = { readonly [A in ModelAction]?: ActionRun }

const Told = Schema.Union([
  Schema.Struct({ error: Schema.Struct({ message: Schema.String }) }),
  Schema.Struct({ error: Schema.String }),
  Schema.Struct({ detail: Schema.String })
])
const decodeTold = Schema.decodeUnknownOption(Told)

/** What a body says that went wrong, in the server's own words; undefined where it says nothing. */
export const actionErrorIn = (body: unknown): string | undefined => {
  const told = Option.getOrUndefined(decodeTold(body))
  if (told === undefined) return undefined
  if ("detail" in told) return told.detail
  return typeof told.error === "string" ? told.error : told.error.message
}

const room =
  /out of memory|more (?:system )?memory|(?:not enough|insufficient) (?:\w+ )*(?:memory|resources|space|vram)|no space left|cudaMalloc/i
const missing = /not found|no such|does not exist|file does not exist|unknown model/i

/** A failure by the server's own words. */
export const actionFailureOf = (reason: string, status = 0): ActionFailed => {
  const fault = room.test(reason) ? "room" : status === 404 || missing.test(reason) ? "missing" : "refused"
  return new ActionFailed({ fault, reason })
}

/** The failure that an answer is; undefined where it is a success. */
export const actionFailureIn = ({ body, status }: ParsedAnswer): ActionFailed | undefined => {
  const told = actionErrorIn(body)
  if (status < 300 && told === undefined) return undefined
  return actionFailureOf(told ?? `answered with status ${status}`, status)
}
