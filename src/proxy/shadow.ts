/**
 * One shadow: a copy of a request under way elsewhere, and what its answer is compared with.
 */
import type * as Fiber from "effect/Fiber"
import { finishIn } from "../dialect/finish-words.ts"
import type { Rule } from "../domain/routing.ts"
import type { Candidate } from "../registry/snapshot.ts"
import type { Usage } from "../telemetry/meter.ts"
import type { RuleCounts, ShadowOutcome } from "../telemetry/rule-counts.ts"
import type { BodySink } from "../wire/received-answer.ts"
import type { RequestRecord } from "./record.ts"

/** How an answer was; times in milliseconds, from the beginning. */
interface ComparedFacts {
  readonly status: number
  readonly firstByteMs: number
  readonly wholeMs: number
  readonly usage: Usage | undefined
  readonly finish: string | undefined
}

/** What came of a copy besides: its bytes where it is whole, and the tokens that it shows to have come where it is a stream. */
export interface AnswerFacts extends ComparedFacts {
  readonly bytes: number
  readonly written: number | undefined
}

/** What looks on while the real request is answered. */
export interface ShadowedAnswer {
  /** Sees a stream go by. */
  readonly tap: (sink: BodySink) => BodySink
  /** The answer was whole, or its stream has come to its end. */
  readonly saw: (usage: Usage | undefined, body?: Uint8Array) => void
}

// Bytes at the end of a stream in which its finish is looked for.
const tailBytes = 4096

/** The last bytes of a stream. */
export class Tail {
  bytes: Uint8Array = new Uint8Array(0)

  /** Sees what goes to a sink. */
  tap(sink: BodySink): BodySink {
    return {
      piece: (piece) => {
        const all = piece.byteLength >= tailBytes ? piece : Buffer.concat([this.bytes, piece])
        this.bytes = all.slice(-tailBytes)
        sink.piece(piece)
      },
      end: () => sink.end(),
      fail: (error) => sink.fail(error)
    }
  }
}

/** One copy under way. */
export class Shadow implements ShadowedAnswer {
  fiber: Fiber.Fiber<void> | undefined
  private own: AnswerFacts | undefined
  private real: ComparedFacts | undefined
  private usage: Usage | undefined
  private finish: string | undefined
  private cutBy = false
  private readonly tail = new Tail()
  readonly rule: Rule
  readonly candidate: Candidate
  private readonly counts: RuleCounts
  private readonly onEnd: (outcome: ShadowOutcome, facts: AnswerFacts | undefined) => void

  constructor(rule: Rule, candidate: Candidate, counts: RuleCounts, onEnd: Shadow["onEnd"]) {
    this.onEnd = onEnd
    this.rule = rule
    this.candidate = candidate
    this.counts = counts
  }

  get isCut(): boolean {
    return this.cutBy
  }

  private get labels(): ReadonlyArray<string> {
    return [this.rule.name, this.candidate.state.backend.name, this.candidate.model.id]
  }

  /** Ends it; what comes of it is not compared. */
  cut(): void {
    this.cutBy = true
    this.fiber?.interruptUnsafe()
  }

  saw(usage: Usage | undefined, body: Uint8Array = this.tail.bytes): void {
    this.usage = usage
    this.finish = finishIn(body)
  }

  tap(sink: BodySink): BodySink {
    return this.tail.tap(sink)
  }

  /** The real request has ended. */
  realEnded({ committed, end, since, started }: RequestRecord): void {
    if (end?.outcome === "client_closed" || end?.outcome === "cancelled") return this.cut()
    if (committed === undefined || end === undefined) return
    const { finish, usage } = this
    const ends = { firstByteMs: committed.at - started, wholeMs: since - started }
    this.real = { status: end.status, ...ends, usage, finish }
    this.compare()
  }

  /** It has ended itself. */
  ended(outcome: ShadowOutcome, facts: AnswerFacts | undefined): void {
    this.counts.add("shadows", [...this.labels, outcome])
    this.onEnd(outcome, facts)
    this.own = facts
    this.compare()
  }

  private compare(): void {
    const { counts, labels, own, real } = this
    if (own === undefined || real === undefined) return
    counts.add("pairs", labels)
    const alike = {
      status: own.status === real.status,
      finish: own.finish !== undefined && own.finish === real.finish
    }
    for (const [part, is] of Object.entries(alike)) if (is) counts.add("alike", [...labels, part])
    for (const [side, facts] of [["shadow", own] as const, ["real", real] as const]) {
      counts.add("seconds", [...labels, side, "first_byte"], facts.firstByteMs / 1000)
      counts.add("seconds", [...labels, side, "whole"], facts.wholeMs / 1000)
      counts.add("tokens", [...labels, side, "prompt"], facts.usage?.prompt ?? 0)
      counts.add("tokens", [...labels, side, "completion"], facts.usage?.completion ?? 0)
    }
    this.own = undefined
  }
}
