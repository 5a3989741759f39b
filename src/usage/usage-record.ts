/**
 * What is kept of a request: for whom it was, who answered, and what it took.
 */
import type { Outcome } from "../domain/request.ts"
import type { Usage } from "../telemetry/meter.ts"

/** Four counts of which none holds a part of another; `reasoning` is a part of `output`. */
export interface TokenCounts {
  readonly fresh: number
  readonly cacheRead: number
  readonly cacheWrite: number
  readonly output: number
  readonly reasoning: number
}

/** Where counts come from: the backend said them, they were estimated, at least in part, or there is nothing to count. */
export const countSources = ["none", "said", "estimated"] as const

/** One of {@link countSources}. */
export type CountSource = (typeof countSources)[number]

/**
 * Where a price comes from: nobody knows it, it is a server of one's own that costs nothing, the config tells it, or a list of
 * public prices.
 */
export const priceSources = ["unknown", "free", "config", "list"] as const

/** One of {@link priceSources}. */
export type PriceSource = (typeof priceSources)[number]

/** What a request cost, in billionths of a dollar. */
export interface Cost {
  readonly nanos: number
  readonly by: PriceSource
}

/** What requests have in common that are summed up together; a part that is not known is empty. */
export interface UsageSeries {
  readonly key: string
  readonly owner: string
  /** The model as the client named it. */
  readonly model: string
  /** The model that was asked of the backend. */
  readonly served: string
  readonly backend: string
  /** The dialect of the client. */
  readonly dialect: string
  readonly endpoint: string
  /** Whether it is a copy of a request that a rule sent elsewhere as well. */
  readonly shadow: boolean
}

/** Whether requests are summed up together. */
export const isSameSeries = (one: UsageSeries, other: UsageSeries): boolean =>
  one.key === other.key &&
  one.model === other.model &&
  one.backend === other.backend &&
  one.served === other.served &&
  one.endpoint === other.endpoint &&
  one.dialect === other.dialect &&
  one.owner === other.owner &&
  one.shadow === other.shadow

/** One request that has ended. */
export interface UsageRecord extends UsageSeries {
  /** When it ended, in milliseconds since 1970; the ledger puts it there when it takes the record. */
  at: number
  readonly requestId: string
  readonly outcome: Outcome
  readonly status: number
  readonly stream: boolean
  readonly attempts: number
  readonly tokens: TokenCounts
  readonly counted: CountSource
  readonly cost: Cost
  readonly durationMs: number
  /** Undefined when no answer began. */
  readonly firstByteMs: number | undefined
}

/** Nothing at all. */
export const nothingCounted: TokenCounts = { fresh: 0, cacheRead: 0, cacheWrite: 0, output: 0, reasoning: 0 }

const count = (value: number | undefined): number =>
  value === undefined || !(value > 0) ? 0 : Math.min(Math.round(value), Number.MAX_SAFE_INTEGER)

/** What a backend said, as counts of which none holds a part of another: backends contradict themselves at times. */
export const disjointCounts = ({ cached, cachedWrite, completion, prompt, reasoning }: Usage): TokenCounts => {
  const all = count(prompt)
  const cacheRead = Math.min(count(cached), all)
  const cacheWrite = Math.min(count(cachedWrite), all - cacheRead)
  const output = count(completion)
  return {
    fresh: all - cacheRead - cacheWrite,
    cacheRead,
    cacheWrite,
    output,
    reasoning: Math.min(count(reasoning), output)
  }
}

/** How many a backend said that a request took. */
export const saidTokens = ({ completion, prompt }: Usage): number => count(prompt) + count(completion)

/** What is known of an answer whose tokens are counted. */
export interface AnswerSeen {
  /** What its backend said at its end; undefined when it said nothing, or never came to it. */
  readonly usage: Usage | undefined
  /** What it said of the prompt when it began. */
  readonly begun: Usage | undefined
  /** Whether any of it reached the gateway. */
  readonly answered: boolean
  /** Whether the operation is one whose tokens are counted. */
  readonly countable: boolean
  /** Whether it makes text. */
  readonly generates: boolean
  /** What its prompt is likely to have. */
  readonly promptTokens: number
  /** Tokens that its stream shows to have come; undefined of a whole answer. */
  readonly written: number | undefined
  readonly bytes: number
}

// What the JSON round the text of a whole answer takes.
const envelopeBytes = 300

/** The tokens of a whole answer that makes text, of so many bytes. */
export const wholeTokens = (bytes: number): number => Math.ceil(Math.max(0, bytes - envelopeBytes) / 4)

const estimatedOutput = ({ bytes, generates, written }: AnswerSeen): number => {
  if (!generates) return 0
  return written ?? wholeTokens(bytes)
}

/** The tokens of a request: as its backend said, else as they are likely to be. */
export const countTokens = (seen: AnswerSeen): { readonly tokens: TokenCounts; readonly counted: CountSource } => {
  const { answered, begun, countable, promptTokens, usage } = seen
  if (usage !== undefined) return { tokens: disjointCounts(usage), counted: "said" }
  if (!answered || !countable) return { tokens: nothingCounted, counted: "none" }
  const completion = estimatedOutput(seen)
  const prompt = begun ?? { prompt: promptTokens, cached: 0 }
  return { tokens: disjointCounts({ ...prompt, completion, reasoning: 0 }), counted: "estimated" }
}
