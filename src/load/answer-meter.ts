/**
 * What an answer shows of the speed of its server: measured while it comes, or of one that was recorded.
 */
import * as Result from "effect/Result"
import type { Dialect, Operation, StreamWatch } from "../dialect/Dialect.ts"
import type { Usage } from "../telemetry/meter.ts"

/** What was measured of one answer; times in milliseconds since its request. */
export interface Measured {
  /** 0 where nobody answered. */
  readonly status: number
  /** Whether it came to its end and is good. */
  readonly whole: boolean
  /** When the answer began; of a stream alone. */
  readonly firstMs: number | undefined
  readonly lastMs: number
  readonly usage: Usage | undefined
  /** Pieces that a stream came in. */
  readonly pieces: number
  /** Why it is no good answer; undefined where it is one. */
  readonly fault: string | undefined
}

// What is whole is kept to be judged; a larger one is not.
const mostKept = 64 * 1024 * 1024

/** Measures one answer. */
export class AnswerMeter {
  private readonly watch: StreamWatch | undefined
  private readonly operation: Operation
  private readonly status: number
  private kept: Array<Uint8Array> = []
  private size = 0
  private pieces = 0
  private firstMs: number | undefined
  private lastMs = 0

  constructor(status: number, type: string, dialect: Dialect, operation: Operation) {
    this.status = status
    this.operation = operation
    const isStream = status < 300 && type.toLowerCase().startsWith(dialect.types.stream)
    // Ollama's whole answers have the type of no stream, and the streams of some their own.
    this.watch = isStream && operation.generates ? dialect.watch() : undefined
  }

  piece(ms: number, bytes: Uint8Array): void {
    this.lastMs = ms
    this.size += bytes.byteLength
    const { watch } = this
    if (watch === undefined) {
      if (this.size <= mostKept) this.kept.push(bytes)
      return
    }
    if (watch.push(bytes)) this.pieces += 1
    if (this.firstMs === undefined && watch.opening === "good") this.firstMs = ms
  }

  /** It has ended; `orderly` when its body came to its end. */
  end(orderly: boolean): Measured {
    const { firstMs, lastMs, operation, pieces, status, watch } = this
    const seen = { status, firstMs, lastMs, pieces }
    if (watch !== undefined) {
      const ending = watch.ending(orderly)
      const whole = ending === "done" || ending === "finished"
      const fault = whole ? undefined : ending === "cut" ? "it broke off" : "an error came in its stream"
      return { ...seen, whole, usage: watch.used(), fault }
    }
    const good = status >= 200 && status < 300
    const read = good && orderly ? operation.whole(Buffer.concat(this.kept), "application/json") : undefined
    const usage = read !== undefined && Result.isSuccess(read) ? read.success.usage : undefined
    const fault = !good ? `status ${status}` : orderly ? undefined : "it broke off"
    return { ...seen, whole: good && orderly, usage, fault }
  }
}

/** An answer that never came. */
export const unanswered = (reason: string, ms: number): Measured => ({
  status: 0,
  whole: false,
  firstMs: undefined,
  lastMs: ms,
  usage: undefined,
  pieces: 0,
  fault: reason
})

/** The tokens that were written in a second, from the first one on; undefined where too few came, or nobody counted them. */
export const tokensPerSecond = ({ firstMs, lastMs, usage }: Measured): number | undefined => {
  const tokens = (usage?.completion ?? 0) - 1
  if (firstMs === undefined || tokens < 1 || lastMs <= firstMs) return undefined
  return (tokens * 1000) / (lastMs - firstMs)
}

/** The value below which this part of some values is; undefined when there are none. */
export const percentile = (values: ReadonlyArray<number>, part: number): number | undefined => {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (sorted.length - 1) * part
  const below = sorted[Math.floor(at)]
  const above = sorted[Math.ceil(at)]
  return below === undefined || above === undefined ? undefined : below + (above - below) * (at - Math.floor(at))
}
