/**
 * What routing must know of a request; nothing else of a body is looked at.
 */

import type { ZoneLimits } from "./zones.ts"

/** Which models and backends a key is for, as globs of their names; absent is all of them. */
export interface Scope {
  readonly models?: ReadonlyArray<string>
  readonly backends?: ReadonlyArray<string>
}

/** What a client asks of a model, in any dialect. */
export interface OperationFacts {
  /** What metrics, logs and explanations call it. */
  readonly name: string
  /** The fields of a request by what they ask for, as its client knows them; that of its text first. */
  readonly fields: Readonly<Record<"text" | Ability, string>>
}

/** Longest model name that is taken, in characters. */
export const maxModelLength = 512

/** How a request can end. */
export const outcomes = ["completed", "refused", "failed", "truncated", "client_closed", "cancelled"] as const

/** One of {@link outcomes}. */
export type Outcome = (typeof outcomes)[number]

/**
 * The phases of a request, in their order: its body is read, it is decided who may answer, it waits for a slot where nobody
 * has one, backends are called, an answer is sent on, and all has been said.
 */
export const phases = ["reading", "routing", "queued", "attempting", "committed", "ended"] as const

/** One of {@link phases}. */
export type Phase = (typeof phases)[number]

/** Classes of requests that wait for a slot, the first served first. */
export const priorityClasses = ["high", "normal", "batch"] as const

/** One of {@link priorityClasses}. */
export type PriorityClass = (typeof priorityClasses)[number]

/** How a request names its conversation, by the first of these headers that says it; undefined where none does. */
export const sessionNamed = (
  headers: { readonly get: (name: string) => string | null },
  names: ReadonlyArray<string>
): string | undefined => {
  for (const name of names) {
    const value = headers.get(name)
    if (value !== null && value !== "") return value
  }
  return undefined
}

/** The abilities a request can call for. */
export const abilities = ["vision", "tools", "json_mode", "embeddings"] as const

/** One of {@link abilities}. */
export type Ability = (typeof abilities)[number]

/** The few facts of a request that decide where it can go. */
export interface RoutingNeeds {
  readonly operation: OperationFacts
  /** The dialect that its client speaks: of equal candidates one goes first that is asked in it. */
  readonly dialect?: string
  /** The model name as the client wrote it. */
  readonly model: string
  readonly stream: boolean
  readonly abilities: ReadonlyArray<Ability>
  /** How many tokens its prompt is likely to have: who has more room goes first. */
  readonly promptTokens: number
  /** How many it has with any tokenizer; 0 where nobody who may answer is that short. */
  readonly atLeastTokens: number
  /** How many all of its prompts have together; absent where it has one, of texts. */
  readonly allPromptTokens?: number | undefined
  /** How many answers it may get, each of which may have `outputTokens`; absent where that is one. */
  readonly answers?: number | undefined
  /** How many slots it leaves free at each server for those that are served first. */
  readonly leaves?: number
  /** The models and backends that its key is for; all of them when absent. */
  readonly scope?: Scope
  /** Whose it is; absent where nobody is told apart. */
  readonly key?: string | undefined
  /** What bounds the zones that it may go to; absent where it may go anywhere. */
  readonly zones?: ZoneLimits
  /** What the client allows as output (`max_completion_tokens` or `max_tokens`); 0 when it does not say. */
  readonly outputTokens: number
}
