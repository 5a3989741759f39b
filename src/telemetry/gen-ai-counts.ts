/**
 * What is counted under the names of the semantic conventions for GenAI, version 0.1.0, while somebody takes metrics by OTLP:
 * other labels and buckets than those of our own metrics, so they are counted beside them.
 */
import { histogramSize, observe } from "./histogram.ts"
import type { Usage } from "./meter.ts"
import { Recurring } from "./recurring.ts"

/** A metric of the conventions. */
export interface GenAiMetric {
  readonly name: `gen_ai.client.inference.${string}`
  readonly unit: "s" | "{token}"
  readonly meaning: string
  /** Where its numbers begin. */
  readonly at: number
  /** Upper ends of its buckets; a counter has none. */
  readonly bounds?: ReadonlyArray<number>
}

// As the conventions want them: 0.01 × 2^n.
const seconds = Array.from({ length: 14 }, (_, n) => 0.01 * 2 ** n)

const size = histogramSize(seconds)

const tokens = (name: string, at: number, meaning: string): GenAiMetric => ({
  name: `gen_ai.client.inference.usage.${name}`,
  unit: "{token}",
  meaning,
  at: 2 * size + at
})

/** All of them. */
export const genAiMetrics: ReadonlyArray<GenAiMetric> = [
  {
    name: "gen_ai.client.inference.duration",
    unit: "s",
    meaning: "Time of a request, from its arrival to the end of its answer, all its attempts among it",
    at: 0,
    bounds: seconds
  },
  {
    name: "gen_ai.client.inference.time_to_first_chunk",
    unit: "s",
    meaning: "Time from the arrival of a request to the first event of its stream",
    at: size,
    bounds: seconds
  },
  tokens("input_tokens", 0, "Tokens of prompts, as backends tell them"),
  tokens("output_tokens", 1, "Tokens of answers"),
  tokens("cache_read.input_tokens", 2, "Tokens of prompts that were read from a cache"),
  tokens("cache_write.input_tokens", 3, "Tokens of prompts that were written to a cache"),
  tokens("reasoning.output_tokens", 4, "Tokens of answers that were thought and not said")
]

const width = 2 * size + 5

/** The labels of a series. */
export const genAiLabels = [
  "gen_ai.operation.name",
  "gen_ai.provider.name",
  "gen_ai.request.model",
  "error.type"
] as const

/** A series: the values of {@link genAiLabels}, empty where there is none, and the numbers of all metrics. */
export type GenAiSeries = readonly [labels: ReadonlyArray<string>, numbers: ReadonlyArray<number>]

// Models and providers come and go.
const mostSeries = 1000

/** A request that has ended, as it is counted here; times in milliseconds. */
export interface GenAiRequest {
  readonly operation: string
  readonly provider: string
  readonly model: string
  readonly error: string
  readonly tookMs: number
  /** Undefined where no stream began. */
  readonly firstMs: number | undefined
  readonly usage: Usage | undefined
}

const add = (numbers: Float64Array, at: number, count: number): void => {
  numbers[at] = (numbers[at] ?? 0) + count
}

/** The counts of a process. */
export class GenAiCounts {
  private readonly series = new Map<string, Float64Array>()
  private readonly numbersOf = new Recurring((...labels: ReadonlyArray<string>) => this.of(JSON.stringify(labels)))

  /** Counts a request that has ended. */
  ended({ error, firstMs, model, operation, provider, tookMs, usage }: GenAiRequest): void {
    const numbers = this.numbersOf.of(operation, provider, model, error)
    if (numbers === undefined) return
    observe(numbers, 0, seconds, tookMs / 1000)
    if (firstMs !== undefined) observe(numbers, size, seconds, firstMs / 1000)
    if (usage === undefined) return
    const { cached, cachedWrite = 0, completion, prompt, reasoning = 0 } = usage
    add(numbers, 2 * size, prompt)
    add(numbers, 2 * size + 1, completion)
    add(numbers, 2 * size + 2, cached)
    add(numbers, 2 * size + 3, cachedWrite)
    add(numbers, 2 * size + 4, reasoning)
  }

  all(): ReadonlyArray<GenAiSeries> {
    return [...this.series].map(([key, numbers]): GenAiSeries => [JSON.parse(key), [...numbers]])
  }

  private of(key: string): Float64Array | undefined {
    const known = this.series.get(key)
    if (known !== undefined) return known
    if (this.series.size >= mostSeries) return undefined
    const numbers = new Float64Array(width)
    this.series.set(key, numbers)
    return numbers
  }
}

/** What the counts of several processes come to. */
export const sumGenAi = (all: ReadonlyArray<ReadonlyArray<GenAiSeries>>): ReadonlyArray<GenAiSeries> => {
  const sums = new Map<string, GenAiSeries>()
  for (const [labels, numbers] of all.flat()) {
    const key = JSON.stringify(labels)
    const known = sums.get(key)
    sums.set(key, [labels, known === undefined ? numbers : numbers.map((value, at) => value + (known[1][at] ?? 0))])
  }
  return [...sums.values()]
}
