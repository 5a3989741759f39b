/**
 * What the usage ledger is told of a request that has ended.
 */
import type { Outcome } from "../domain/request.ts"
import type { Candidate } from "../registry/snapshot.ts"
import { knownAs } from "../router/names.ts"
import { otherLabel } from "../telemetry/meter-table.ts"
import type { Prices } from "../usage/Prices.ts"
import { type Cost, countTokens, disjointCounts, nothingCounted, type UsageRecord } from "../usage/usage-record.ts"
import type { ShadowOutcome } from "../telemetry/rule-counts.ts"
import type { RequestEnd, RequestRecord } from "./record.ts"
import type { AnswerFacts } from "./shadow.ts"

// Names that clients make up are told of together, and other spellings as what they are for: a series lives as long as the
// ledger, and a budget of a model has no other one for each prefix before it.
const modelOf = ({ asked, decided, model }: RequestRecord): string =>
  asked !== undefined || decided?.targets.some(({ candidates }) => candidates.length > 0) === true || model === ""
    ? decided === undefined
      ? model
      : knownAs(model, decided.settings, decided.snapshot)
    : otherLabel

// No backend can be called so.
const keptLabel = "(cache)"

const nothingGuessed = { tokens: nothingCounted, counted: "none" } as const

// By itself: nearly all backends say what an answer took, and nothing is to be made for those that do.
const guessed = ({ begunUsage, committed, decided, passed, route }: RequestRecord, bytes: number) => {
  const { embeds, generates } = route.operation
  return countTokens({
    usage: undefined,
    begun: begunUsage,
    answered: committed !== undefined,
    countable: generates || embeds !== undefined,
    generates,
    promptTokens: decided?.needs.allPromptTokens ?? decided?.needs.promptTokens ?? 0,
    written: passed.written,
    bytes
  })
}

const nothingCost: Cost = { nanos: 0, by: "free" }

/** The entry of a request that ended at that monotonic millisecond; the ledger says when that was for people. */
export const usageEntryOf = (
  record: RequestRecord,
  { backend, bytes, outcome, status }: RequestEnd,
  now: number,
  prices: Prices["Service"]
): UsageRecord => {
  const { asked, committed, decided, route, usage } = record
  const durationMs = Math.round(now - record.started)
  // What waited for others, and for its client, took nobody's time.
  const workedMs = Math.max(0, durationMs - record.queuedMs)
  const said = usage === undefined ? undefined : disjointCounts(usage)
  const guess = said === undefined ? guessed(record, bytes) : nothingGuessed
  const tokens = said ?? guess.tokens
  return {
    at: 0,
    key: record.key ?? "",
    owner: record.grant?.owner ?? "",
    model: modelOf(record),
    served: asked?.model ?? "",
    // What was kept from before has taken no tokens, and no backend.
    backend: record.cache === "hit" ? keptLabel : backend,
    dialect: route.dialect.id,
    endpoint: route.operation.name,
    shadow: false,
    requestId: record.id,
    outcome,
    status,
    stream: record.stream,
    attempts: record.attempts,
    tokens,
    counted: said === undefined ? guess.counted : "said",
    cost:
      committed === undefined && usage === undefined
        ? nothingCost
        : prices.cost(
            decided?.snapshot.backends.get(backend === "" ? (asked?.backend ?? "") : backend)?.backend,
            asked?.model ?? "",
            tokens,
            workedMs
          ),
    durationMs,
    firstByteMs: committed === undefined ? undefined : Math.round(committed.at - record.started)
  }
}

const shadowOutcomes: Readonly<Record<ShadowOutcome, Outcome>> = {
  completed: "completed",
  truncated: "truncated",
  failed: "failed",
  cut: "cancelled",
  skipped: "cancelled"
}

/** The entry of a copy of a request, which somebody else was asked for; `facts` are those of its answer. */
export const shadowEntryOf = (
  real: RequestRecord,
  { model, state }: Candidate,
  outcome: ShadowOutcome,
  facts: AnswerFacts | undefined,
  prices: Prices["Service"]
): UsageRecord => {
  const { dialect, operation } = real.route
  const { counted, tokens } = countTokens({
    usage: facts?.usage,
    begun: undefined,
    answered: outcome === "completed",
    countable: operation.generates || operation.embeds !== undefined,
    generates: operation.generates,
    promptTokens: real.needs?.allPromptTokens ?? real.needs?.promptTokens ?? 0,
    written: facts?.written,
    bytes: facts?.bytes ?? 0
  })
  return {
    at: 0,
    key: real.key ?? "",
    owner: real.grant?.owner ?? "",
    model: modelOf(real),
    served: model.id,
    backend: state.backend.name,
    dialect: dialect.id,
    endpoint: operation.name,
    shadow: true,
    requestId: `${real.id}-shadow`,
    outcome: shadowOutcomes[outcome],
    status: facts?.status ?? 0,
    stream: real.stream,
    attempts: 1,
    tokens,
    counted,
    cost:
      counted === "none" ? nothingCost : prices.cost(state.backend, model.id, tokens, Math.round(facts?.wholeMs ?? 0)),
    durationMs: Math.round(facts?.wholeMs ?? 0),
    firstByteMs: facts === undefined ? undefined : Math.round(facts.firstByteMs)
  }
}
