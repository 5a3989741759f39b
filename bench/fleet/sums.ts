/**
 * Figures that several workloads have.
 */
import { quantile } from "../figures.ts"
import type { Told } from "./client.ts"
import type { Figure, Result } from "./workload.ts"

type Which = (answer: Told) => boolean

const everyone: Which = () => true

const served = ({ answers }: Result, which: Which): ReadonlyArray<Told> =>
  answers.filter((answer) => answer.status === 200 && which(answer))

/** A quantile of the seconds to the first token, of those whose answers came. */
export const firstToken = (percent: number, which: Which = everyone, whose = ""): Figure => ({
  what: `${whose}first token p${String(percent)} (s)`,
  digits: 2,
  better: "less",
  of: (result) =>
    quantile(
      served(result, which).map(({ first, started }) => first - started),
      percent / 100
    )
})

/** A quantile of the seconds to the end of the answer. */
export const endToEnd = (percent: number, which: Which = everyone): Figure => ({
  what: `end to end p${String(percent)} (s)`,
  digits: 2,
  better: "less",
  of: (result) =>
    quantile(
      served(result, which).map(({ ended, started }) => ended - started),
      percent / 100
    )
})

const total = (result: Result, of: (counted: Result["counted"][number]) => number): number =>
  result.counted.reduce((sum, counted) => sum + of(counted), 0)

/** Part of all tokens of prompts that servers had, as they counted. */
export const cachedShare: Figure = {
  what: "cached (%)",
  digits: 1,
  better: "more",
  of: (result) => (100 * total(result, (one) => one.cachedTokens)) / total(result, (one) => one.promptTokens)
}

/** Models that were loaded. */
export const modelLoads: Figure = {
  what: "model loads",
  digits: 0,
  better: "less",
  of: (result) => total(result, (one) => one.loads)
}

/** Seconds from the first question to the last end. */
export const makespan: Figure = { what: "makespan (s)", digits: 0, better: "less", of: (result) => result.makespan }

/** Tokens of answers a second, of answers that came. */
export const throughput: Figure = {
  what: "throughput (tokens/s)",
  digits: 0,
  better: "more",
  of: (result) => served(result, everyone).reduce((sum, { answerTokens }) => sum + answerTokens, 0) / result.makespan
}

/** Requests that servers got beyond those that clients sent, as a part of these. */
export const extraRequests: Figure = {
  what: "extra (%)",
  digits: 1,
  better: "less",
  of: (result) => 100 * (total(result, ({ requests }) => requests) / result.answers.length - 1)
}

/** Seconds from the first question to the end of the last answer of some. */
export const doneAfter = (what: string, which: Which): Figure => ({
  what: `${what} (s)`,
  digits: 0,
  better: "less",
  of: (result) => Math.max(...served(result, which).map(({ ended }) => ended)) - result.from
})

/** How many answers came of some. */
export const answered = (what: string, which: Which = everyone): Figure => ({
  what,
  digits: 0,
  better: "more",
  of: (result) => served(result, which).length
})

/** Requests that were answered 429. */
export const refused: Figure = {
  what: "refused (429)",
  digits: 0,
  better: "less",
  of: ({ answers }) => answers.filter(({ status }) => status === 429).length
}

/** Requests that failed otherwise. */
export const failed: Figure = {
  what: "failed",
  digits: 0,
  better: "less",
  of: ({ answers }) => answers.filter(({ status }) => status !== 200 && status !== 429).length
}
