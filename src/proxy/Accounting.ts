/**
 * Accounts for each request exactly once: the memory of the last ones, the lines of the log, and the defects that nobody
 * else reports.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import type { Outcome } from "../domain/request.ts"
import type { UpstreamError } from "../domain/upstream-errors.ts"
import type { StandingChange } from "../registry/live-state.ts"
import { explainPlan } from "../router/decision.ts"
import type { Plan } from "../router/plan.ts"
import { noBackendLabel, otherLabel } from "../telemetry/meter-table.ts"
import { requestEnded, RequestLog } from "../telemetry/logging.ts"
import type { AttemptOutcome, HedgeOutcome, Meter } from "../telemetry/meter.ts"
import { type EndedFacts, endedFacts, isTraced } from "./ended-facts.ts"
import { type RefusedRequest, RequestLines, turnedAwayFields, requestFields } from "./request-line.ts"
import type { Asked, RequestEnd, RequestRecord, UnderWay } from "./record.ts"
import type { QueueCounts } from "../telemetry/queue-counts.ts"
import type { GenAiCounts } from "../telemetry/gen-ai-counts.ts"
import { genAiName, genAiProvider, requestError } from "./spans.ts"
import type { RequestTrace, TracedRequest } from "./request-trace.ts"
import { isOfInterest } from "./trace-sampling.ts"
import { Traces } from "./Traces.ts"
import type { RuleCounts, ShadowOutcome } from "../telemetry/rule-counts.ts"
import { Prices } from "../usage/Prices.ts"
import { Budgets } from "../usage/Budgets.ts"
import type { UsageRecord } from "../usage/usage-record.ts"
import { UsageLedger } from "../usage/UsageLedger.ts"
import { Meters } from "./Meters.ts"
import { History } from "./History.ts"
import type { RequestsUnderWay } from "./under-way.ts"
import type { Candidate } from "../registry/snapshot.ts"
import type { AnswerFacts } from "./shadow.ts"
import { shadowEntryOf, usageEntryOf } from "./usage-entry.ts"

/** How an attempt ended that was not to be committed. */
const failures: Readonly<Record<UpstreamError["_tag"], AttemptOutcome>> = {
  Unreachable: "unreachable",
  TimedOut: "timed_out",
  ConnectionLost: "connection_lost",
  BadAnswer: "bad_answer",
  ErrorStatus: "error_status"
}

/** How one ended that was committed or left, by the end of its request. */
const ends: Readonly<Record<Outcome, AttemptOutcome>> = {
  completed: "completed",
  truncated: "truncated",
  client_closed: "abandoned",
  cancelled: "abandoned",
  refused: "refused",
  failed: "abandoned"
}

const noLabels: ReadonlyArray<string> = []

/** Models that a warning is given of at most. */
const mostTold = 1000

/** Where the request path reports. */
export class Accounting extends Context.Service<
  Accounting,
  {
    /** The requests that have come and not ended. */
    readonly underWay: RequestsUnderWay
    /** What is counted of the route table. */
    readonly rules: RuleCounts
    /** What is counted of those that wait for a slot. */
    readonly queues: QueueCounts
    /** Whether what requests take is written down. */
    readonly writesUsage: boolean
    /** A request has come. */
    readonly began: (request: UnderWay) => void
    /** A request was refused before it was read. */
    readonly turnedAway: (refused: RefusedRequest) => void
    /** A backend is called for the request; gives where that is counted. */
    readonly attempting: (record: RequestRecord, backend: string, model: string) => Meter
    /** A backend is called beside another one; gives where that is counted. */
    readonly asksBeside: (backend: string, model: string) => Meter
    /** What was asked beside another one has failed, and the other one is still waited for. */
    readonly leaves: (asked: Asked) => void
    /** It was closed since another one spoke first, or nobody waits any more. */
    readonly drops: (asked: Asked) => void
    /** It has failed, and the one beside it is waited for. */
    readonly passesOn: (asked: Asked) => void
    /** Its first token was late; what came of that. */
    readonly hedged: (asked: Asked, outcome: HedgeOutcome) => void
    /** The call failed; `blameless` when that says nothing against the backend. */
    readonly attemptFailed: (attempt: Pick<RequestRecord, "asked">, error: UpstreamError, blameless: boolean) => void
    /** A plan was made for the request; `now` in monotonic milliseconds. */
    readonly routed: (record: RequestRecord, plan: Plan, now: number) => void
    /** A request changed how a backend and model stand. */
    readonly turned: (backend: string, model: string, turn: StandingChange) => void
    /** The copy of a request has ended that went to another backend as well; `facts` are those of its answer. */
    readonly shadowed: (
      real: RequestRecord,
      candidate: Candidate,
      outcome: ShadowOutcome,
      facts: AnswerFacts | undefined
    ) => void
    /**
     * The request has ended, whatever the way. It is counted at once, with what it used; its line and its spans are written a
     * little later, together with others.
     */
    readonly ended: (request: UnderWay, end: RequestEnd) => void
    /** The request ended by a defect of the gateway. */
    readonly defect: (requestId: string, cause: Cause.Cause<unknown>) => void
  }
>()("nexus/proxy/Accounting") {
  /** Writes to the log. */
  static readonly layer = Layer.effect(
    Accounting,
    Effect.gen(function* () {
      const log = yield* RequestLog
      const recent = yield* History
      const { ledger } = yield* Meters
      const traces = yield* Traces
      const seeded = yield* Random.Random
      const random = () => seeded.nextDoubleUnsafe()
      const usage = yield* UsageLedger
      const prices = yield* Prices
      const budgets = yield* Budgets
      const attempting = ({ asked: before }: RequestRecord, backend: string, model: string): Meter => {
        const meter = ledger.meter(backend, model)
        if (before !== undefined) {
          before.meter.inFlight -= 1
          before.meter.left()
        }
        meter.inFlight += 1
        return meter
      }
      const asksBeside = (backend: string, model: string): Meter => {
        const meter = ledger.meter(backend, model)
        meter.inFlight += 1
        return meter
      }
      const leaves = ({ meter }: Asked): void => {
        meter.inFlight -= 1
      }
      const drops = ({ meter, trace }: Asked): void => {
        const now = performance.now()
        meter.inFlight -= 1
        meter.attempted("abandoned", now)
        trace?.ends(now, "abandoned")
      }
      const passesOn = ({ meter }: Asked): void => {
        meter.inFlight -= 1
        meter.left()
      }
      const hedged = ({ meter }: Asked, outcome: HedgeOutcome): void => meter.hedged(outcome)
      const attemptFailed = (
        { asked }: Pick<RequestRecord, "asked">,
        error: UpstreamError,
        blameless: boolean
      ): void => {
        const now = performance.now()
        asked?.meter.attempted(blameless ? "refused" : failures[error._tag], now)
        // A status says more than that there was one.
        asked?.trace?.ends(now, error._tag === "ErrorStatus" ? String(error.status) : failures[error._tag])
      }
      // What nobody was asked for is counted by its model when that is one that somebody serves.
      const unasked = ({ decided }: RequestRecord) => {
        const first = decided?.targets[0]
        return ledger.meter(
          noBackendLabel,
          first !== undefined && first.candidates.length > 0 ? first.name : otherLabel
        )
      }
      const countGenAi = (
        counts: GenAiCounts,
        { asked, committed, decided, route, started, stream, usage: told }: RequestRecord,
        end: RequestEnd,
        now: number
      ): void => {
        const type = asked === undefined ? undefined : decided?.snapshot.backends.get(asked.backend)?.backend.type
        if (asked === undefined || type === undefined) return
        counts.ended({
          operation: genAiName(route),
          provider: genAiProvider(type),
          model: asked.meter.model,
          error: requestError(end) ?? "",
          tookMs: now - started,
          firstMs: stream && committed !== undefined ? committed.at - started : undefined,
          usage: told
        })
      }
      const count = (record: RequestRecord, end: RequestEnd, now: number): void => {
        const { asked, attempts, awaitedMs, committed, endpoint, failures, started, stream } = record
        const { outcome, status } = end
        const meter = asked?.meter ?? unasked(record)
        const firstByteAt = committed?.at ?? 0
        ledger.active -= 1
        if (ledger.genAi !== undefined) countGenAi(ledger.genAi, record, end, now)
        meter.ended({ endpoint, stream, outcome, status, started, firstByteAt, awaitedMs }, now)
        if (asked === undefined) return
        meter.inFlight -= 1
        // Attempts that failed have been counted as they did.
        if (committed === undefined && attempts <= failures.length) return
        meter.attempted(ends[outcome], now)
      }
      const routed = (record: RequestRecord, plan: Plan, now: number): void => {
        const seen = plan.liveFigures(now)
        const isAgain = record.decided !== undefined
        record.decides(plan, seen)
        const { ruling } = plan
        if (ruling?.rule !== undefined && !isAgain)
          ledger.rules.add("requests", [ruling.rule.name, ruling.canary ? "canary" : "usual"])
        if (!log.debugEnabled()) return
        const { requested: model, order, ...decision } = explainPlan(plan, seen)
        log.write("debug", "routing decision", {
          request_id: record.id,
          model,
          backend: order[0]?.backend,
          ...decision
        })
      }
      const turned = (backend: string, model: string, turn: StandingChange): void => {
        if (turn._tag === "Closed") return log.write("info", "circuit closed", { backend, model })
        const for_ms = Math.round(turn.forMs)
        if (turn._tag === "Cooling")
          return log.write("info", "backend asked to be left alone", { backend, model, for_ms })
        log.write("warn", "circuit opened", { backend, model, failures: turn.failures, for_ms })
      }
      // Once for each model of a backend: it is a setting of the backend, and no matter of the request.
      const cut = new Set<string>()
      const noteCut = ({ asked, id }: RequestRecord, { backend, cutPrompt }: RequestEnd): void => {
        if (cutPrompt === undefined || asked === undefined) return
        const { model } = asked
        const name = `${backend}\n${model}`
        if (cut.has(name) || cut.size >= mostTold) return
        cut.add(name)
        const { context, read, sent } = cutPrompt
        log.write("warn", "a prompt was cut: it is longer than the context in force", {
          backend,
          model,
          tokens_read: read,
          tokens_at_least: sent,
          ...(context === undefined ? {} : { context }),
          request_id: id
        })
      }
      const traced = (record: RequestRecord, facts: TracedRequest): void => {
        const { ended: now, outcome, started, stream, trace } = facts
        record.asked?.trace?.ends(now, outcome === "completed" ? undefined : ends[outcome])
        const meter = record.asked?.meter ?? unasked(record)
        meter.exemplifies({ started, stream, firstByteAt: record.committed?.at ?? 0 }, trace.traceId, now)
        // Who takes them may be another one than when it came.
        traces.current()?.take(facts)
      }
      const leftOut = (trace: RequestTrace, record: RequestRecord, end: RequestEnd, now: number): void => {
        const rate = traces.current()?.rate
        if (rate === undefined) return
        if (isOfInterest(record, end.outcome) && rate.keeps(now)) return trace.keep()
        ledger.rules.add("unsampled", noLabels)
        if (rate.isTold) return
        rate.isTold = true
        log.write("info", "not every request is traced, since more come than traces_per_second", {
          traces_per_second: rate.perSecond
        })
      }
      const wrote = (entry: UsageRecord): void => {
        const lost = usage.record(entry)
        if (lost > 0) ledger.rules.add("usageLost", [], lost)
        if (entry.cost.nanos > 0) ledger.rules.add("cost", [entry.backend, entry.served], entry.cost.nanos / 1e9)
        if (budgets.isOn()) budgets.spend(entry, entry.cost.nanos)
      }
      let lines: RequestLines | undefined
      const accessed = (facts: EndedFacts): void => {
        const template = log.accessTemplate()
        if (template === undefined) return log.write("info", requestEnded, requestFields(facts))
        if (template !== lines?.template) lines = new RequestLines(template, log)
        lines.note(facts)
      }
      const defect = (requestId: string, cause: Cause.Cause<unknown>): void =>
        log.write("error", "internal error", { request_id: requestId, cause: Cause.pretty(cause) })
      const used = (record: RequestRecord, end: RequestEnd, now: number): void => {
        try {
          wrote(usageEntryOf(record, end, now, prices))
        } catch (thrown) {
          defect(record.id, Cause.die(thrown))
        }
      }
      // Facts alone are taken here; what is made of them is made of many at a time.
      const takeDown = (request: UnderWay, end: RequestEnd, now: number, isAccess: boolean): void => {
        const { record } = request
        try {
          const isDebug = log.debugEnabled()
          const facts = endedFacts(request, end, now, log.time(), isAccess || isDebug)
          if (isTraced(facts)) traced(record, facts)
          if (isAccess) accessed(facts)
          else if (isDebug) log.write("debug", requestEnded, requestFields(facts))
        } catch (thrown) {
          defect(record.id, Cause.die(thrown))
        }
      }
      const ended = (request: UnderWay, end: RequestEnd): void => {
        const { record } = request
        const now = performance.now()
        recent.note(request, end)
        noteCut(record, end)
        count(record, end, now)
        if (usage.isOn) used(record, end, now)
        const share = log.accessShare()
        const isAccess = share !== undefined && (end.outcome !== "completed" || share >= 1 || random() < share)
        const { trace } = record
        if (trace?.isLeftOut === true) leftOut(trace, record, end, now)
        if (isAccess || trace?.isRecorded === true || log.debugEnabled()) takeDown(request, end, now, isAccess)
      }
      const shadowed: Accounting["Service"]["shadowed"] = (real, candidate, outcome, facts) => {
        if (usage.isOn) void usage.record(shadowEntryOf(real, candidate, outcome, facts, prices))
      }
      const began = (request: UnderWay): void => {
        ledger.active += 1
        recent.underWay.add(request)
      }
      const turnedAway = (refused: RefusedRequest): void => {
        ledger.turnAway(refused.status)
        if (log.accessShare() !== undefined) log.write("info", "request refused", turnedAwayFields(refused))
      }
      return Accounting.of({
        underWay: recent.underWay,
        rules: ledger.rules,
        queues: ledger.queues,
        writesUsage: usage.isOn,
        began,
        turnedAway,
        attempting,
        asksBeside,
        leaves,
        drops,
        passesOn,
        hedged,
        attemptFailed,
        routed,
        turned,
        shadowed,
        ended,
        defect
      })
    })
  )
}
