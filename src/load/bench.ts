/**
 * A bench: the same question, put in other words each time, asked again and again, so many times at once; and what the answers
 * show.
 */
import * as Effect from "effect/Effect"
import type { Transport } from "../upstream/Transport.ts"
import { percentile, tokensPerSecond } from "./answer-meter.ts"
import { type TimedAnswer, type TimedCall, timedCall } from "./timed-call.ts"

/** Who is asked. */
export interface BenchTarget {
  readonly name: string
  readonly model: string
  /** A request with this text. */
  readonly call: (text: string, maxTokens: number) => TimedCall
}

/** How much is asked. */
export interface BenchPlan {
  /** Requests under way at a time, one level after the other. */
  readonly levels: ReadonlyArray<number>
  /** Requests of a level. */
  readonly requests: number
  readonly promptTokens: number
  readonly maxTokens: number
}

/** Answers of one target at one level. */
export interface BenchRun {
  readonly target: BenchTarget
  readonly level: number
  /** From the first request to the last answer. */
  ms: number
  readonly answers: Array<TimedAnswer>
}

// Everyday words, which most tokenizers make one token each of.
const words =
  "river stone morning garden window letter winter market silver mountain forest bridge music paper summer".split(" ")

/** A question of about so many tokens that begins otherwise each time, so that no cache of prompts answers for the server. */
export const promptOf = (tokens: number, nonce: string): string => {
  const question = `Story ${nonce}. Write a long story, without a heading, about these words:`
  // The sentence before them takes about twenty.
  const count = Math.max(1, tokens - 20)
  const listed = Array.from({ length: count }, (_, at) => words[(at * 7 + nonce.length) % words.length] ?? "")
  return `${question} ${listed.join(" ")}`
}

const asked = (transport: Transport["Service"], target: BenchTarget, plan: BenchPlan): Effect.Effect<TimedAnswer> =>
  Effect.suspend(() =>
    timedCall(transport, target.call(promptOf(plan.promptTokens, crypto.randomUUID().slice(0, 8)), plan.maxTokens))
  )

/** What goes on, for whoever watches. */
export interface BenchWatch {
  /** A target is asked once beforehand: a model may have to be loaded, and whoever does not answer is asked no more. */
  readonly warmed: (target: BenchTarget, answer: TimedAnswer) => void
  /** Its answers come into it one after the other. */
  readonly began: (run: BenchRun) => void
}

/** Asks all targets, one after the other. What has been measured when it is interrupted has been told. */
export const runBench = (
  transport: Transport["Service"],
  targets: ReadonlyArray<BenchTarget>,
  plan: BenchPlan,
  watch: BenchWatch
): Effect.Effect<void> =>
  Effect.forEach(
    targets,
    (target) =>
      Effect.gen(function* () {
        const first = yield* asked(transport, target, plan)
        watch.warmed(target, first)
        if (!first.whole) return
        for (const level of plan.levels) {
          const run: BenchRun = { target, level, ms: 0, answers: [] }
          watch.began(run)
          const began = performance.now()
          const one = Effect.map(asked(transport, target, plan), (answer) => {
            run.answers.push(answer)
            run.ms = performance.now() - began
          })
          const count = Math.max(level, plan.requests)
          yield* Effect.forEach(
            Array.from({ length: count }, () => one),
            (each) => each,
            { concurrency: level, discard: true }
          )
        }
      }),
    { discard: true }
  )

/** What a level shows; null where too little was measured for it. */
export interface BenchRow {
  readonly backend: string
  readonly model: string
  readonly concurrency: number
  readonly answered: number
  readonly failed: number
  readonly first_token_ms: { readonly median: number | null; readonly p95: number | null }
  /** Of one answer, from its first token on. */
  readonly tokens_per_second: { readonly median: number | null; readonly p5: number | null }
  /** Of all answers together, from the first request to the last answer. */
  readonly total_tokens_per_second: number | null
  readonly prompt_tokens: number
  readonly completion_tokens: number
  /** Whether the tokens were counted by the pieces of the streams, since the server does not tell them. */
  readonly counted_by_pieces: boolean
  readonly faults: ReadonlyArray<string>
}

/** Answers from which on it is worth to tell of the slowest twentieth. */
export const enoughForTail = 20

// Where a server does not tell, a piece is taken for a token.
const counted = (answer: TimedAnswer): TimedAnswer =>
  (answer.usage?.completion ?? 0) > 0 || answer.pieces === 0
    ? answer
    : { ...answer, usage: { prompt: answer.usage?.prompt ?? 0, cached: 0, completion: answer.pieces } }

const known = (values: ReadonlyArray<number | undefined>): ReadonlyArray<number> =>
  values.filter((value) => value !== undefined)

const tail = (values: ReadonlyArray<number>, part: number): number | null =>
  values.length < enoughForTail ? null : (percentile(values, part) ?? null)

const faultOf = ({ fault, said }: TimedAnswer): string => {
  const words = /"message"\s*:\s*"((?:[^"\\]|\\.){1,200})/.exec(said ?? "")?.[1]
  return `${fault ?? "no good answer"}${words === undefined ? "" : `: ${words}`}`
}

/** What a run shows, a row for each backend that answered where a gateway was asked. */
export const benchRows = ({ answers, level, ms, target }: BenchRun): ReadonlyArray<BenchRow> => {
  const groups = Map.groupBy(answers, ({ backend }) => backend ?? target.name)
  return [...groups].map(([backend, group]) => {
    const good = group.filter(({ whole }) => whole).map(counted)
    const bad = group.filter(({ whole }) => !whole)
    const first = known(good.map(({ firstMs }) => firstMs))
    const speeds = known(good.map(tokensPerSecond))
    const tokens = good.reduce((sum, { usage }) => sum + (usage?.completion ?? 0), 0)
    return {
      backend,
      model: target.model,
      concurrency: level,
      answered: good.length,
      failed: bad.length,
      first_token_ms: { median: percentile(first, 0.5) ?? null, p95: tail(first, 0.95) },
      tokens_per_second: { median: percentile(speeds, 0.5) ?? null, p5: tail(speeds, 0.05) },
      total_tokens_per_second: tokens === 0 || ms <= 0 ? null : (tokens * 1000) / ms,
      prompt_tokens: good.reduce((sum, { usage }) => sum + (usage?.prompt ?? 0), 0),
      completion_tokens: tokens,
      counted_by_pieces: group.some(
        ({ pieces, usage, whole }) => whole && pieces > 0 && (usage?.completion ?? 0) === 0
      ),
      faults: [...new Set(bad.map(faultOf))].slice(0, 3)
    }
  })
}

/** Why a target could not be asked; undefined where it answered. */
export const benchFault = (answer: TimedAnswer): string | undefined => (answer.whole ? undefined : faultOf(answer))

/** The tokens that a plan takes at most, those of the answer beforehand among them. */
export const benchCost = (targets: number, { levels, maxTokens, promptTokens, requests }: BenchPlan) => {
  const count = targets * levels.reduce((sum, level) => sum + Math.max(level, requests), 1)
  return { requests: count, promptTokens: count * promptTokens, maxTokens: count * maxTokens }
}
