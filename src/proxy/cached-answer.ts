/**
 * The very same request again: what makes it the same, the answer that was kept, and when one is kept.
 */
import { createHash } from "node:crypto"
import type { AnswerCache, KeptAnswer } from "../cache/AnswerCache.ts"
import { comparedRequest } from "../dialect/canonical-request.ts"
import { putLimits } from "../dialect/limit-headers.ts"
import { requestIdHeaders } from "../dialect/refuse.ts"
import { type CachePolicy, cachePolicyFor } from "../domain/cache-policy.ts"
import { aliasChain } from "../router/alias-chains.ts"
import type { Plan } from "../router/plan.ts"
import { earlyStreamHeaders } from "./answer-head.ts"
import type { Guard } from "./guard.ts"
import { AnswerCopy } from "./answer-copy.ts"
import type { RequestEnd, RequestRecord } from "./record.ts"

/** What answers are kept by. */
export interface CacheNeeds {
  readonly cache: AnswerCache["Service"]
  readonly policies: () => ReadonlyArray<CachePolicy>
  /** The largest answer that is kept, in bytes. */
  readonly mostBytes: () => number
}

/** An answer that is to be kept once it has come whole. */
export interface CacheFill {
  readonly key: string
  readonly keptMs: number
  readonly copy: AnswerCopy
}

/** Where the answer to a request may be found, and whether one is kept. */
export interface CachePlace {
  readonly key: string
  readonly keptMs: number
  /** The oldest that may be given, in milliseconds; 0 for none. */
  readonly oldestMs: number
  readonly keeps: boolean
}

const namesOf = ({ requested, settings, targets }: Plan): ReadonlySet<string> => {
  const names = new Set(aliasChain(requested, settings.aliases))
  const [first] = targets
  if (first !== undefined) for (const name of [first.name, first.entry]) names.add(name)
  return names
}

// A larger request is not gone through for this.
const mostRequestBytes = 4 * 1024 * 1024

const secondsIn = (directive: string): number | undefined => {
  const found = /^max-age="?(\d{1,9})"?$/.exec(directive)?.[1]
  return found === undefined ? undefined : Number(found)
}

/** What a client says of answers that were kept, in `cache-control`. */
const wishOf = ({ headers }: Request): Pick<CachePlace, "keeps" | "oldestMs"> => {
  const said = (headers.get("cache-control") ?? "")
    .toLowerCase()
    .split(",")
    .map((each) => each.trim())
  const isNone = said.includes("no-store")
  const ages = said.flatMap((each) => secondsIn(each) ?? [])
  const oldestMs = said.includes("no-cache") || isNone ? 0 : Math.min(Infinity, ...ages.map((age) => age * 1000))
  return { keeps: !isNone, oldestMs }
}

/** Where the answer to a request is kept; undefined where none is. */
export const cachePlaceOf = (
  { policies }: CacheNeeds,
  of: CacheAsker,
  body: Uint8Array,
  plan: Plan
): CachePlace | undefined => {
  const all = policies()
  if (all.length === 0 || body.byteLength > mostRequestBytes) return undefined
  const policy = cachePolicyFor(all, namesOf(plan))
  return policy === undefined ? undefined : placeUnder(policy, of, body, plan)
}

interface CacheAsker {
  readonly guard: Guard | undefined
  readonly record: RequestRecord
}

const placeUnder = (
  policy: Omit<CachePolicy, "glob">,
  { guard, record }: CacheAsker,
  body: Uint8Array,
  plan: Plan
): CachePlace | undefined => {
  const { key: client = "", request, route } = record
  const { dialect, operation } = route
  const compared = comparedRequest(body)
  if (compared === undefined) return undefined
  if (policy.requests === "deterministic" && operation.embeds === undefined && !compared.deterministic) return undefined
  const { search } = new URL(request.url)
  const about = [
    dialect.id,
    operation.name,
    route.model ?? "",
    plan.targets[0]?.name ?? "",
    plan.ruling?.rule?.name ?? "",
    search,
    policy.shared ? "" : `key ${client}`,
    dialect.headers.asked.map((name) => request.headers.get(name)),
    // What hooks let go is no longer that where they are others.
    guard?.rules.map(({ name, phases, url }) => [name, phases, url]) ?? []
  ]
  const key = createHash("sha256")
    .update(JSON.stringify(about))
    .update("\n")
    .update(compared.canonical)
    .digest("base64url")
  return { key, keptMs: policy.keptMs, ...wishOf(request) }
}

/** Begins the copy of an answer that was not there. */
export const fillFor = ({ mostBytes }: CacheNeeds, { key, keeps, keptMs }: CachePlace): CacheFill | undefined =>
  keeps ? { key, keptMs, copy: new AnswerCopy(mostBytes()) } : undefined

/** Whether an answer that was kept may be given. */
export const mayGive = ({ keptAt }: KeptAnswer, { oldestMs }: CachePlace, now: number): boolean =>
  now - keptAt < oldestMs

const keptResponse = ({ body, keptAt, type }: KeptAnswer, record: RequestRecord, now: number): Response => {
  const { id, left, route, stream } = record
  const headers: Record<string, string> = {
    ...(stream ? earlyStreamHeaders(route.dialect, id) : requestIdHeaders(route.dialect, id)),
    "content-type": type,
    "x-nexus-cache": "hit",
    age: String(Math.floor((now - keptAt) / 1000))
  }
  if (left !== undefined) putLimits(headers, route.dialect, left)
  return new Response(body, { headers })
}

/** Answers a request with what was kept. */
export const giveKept = (
  { record, respond }: { readonly record: RequestRecord; readonly respond: (response: Response) => void },
  kept: KeptAnswer,
  now: number
): void => {
  respond(keptResponse(kept, record, now))
  const bytes = kept.body.byteLength
  record.ends({ outcome: "completed", status: 200, backend: "", bytes, cutPrompt: undefined }, performance.now())
}

/** Keeps the answer to a request that has ended, where it is whole, good, and by who was asked for. */
export const keepAnswer = (
  { cache }: Pick<CacheNeeds, "cache">,
  fill: CacheFill,
  record: RequestRecord,
  end: RequestEnd,
  now: number
): void => {
  const { committed, decided } = record
  const { copy, keptMs, key } = fill
  const isGood = end.outcome === "completed" && end.status === 200 && end.cutPrompt === undefined
  if (!isGood || !copy.isComplete || committed === undefined || committed.answeredModel !== undefined) return
  // A model that stood in for another one is not to do so for longer than it must.
  const served = decided?.targets[0]?.candidates.some(
    ({ model, state }) => state.backend.name === end.backend && model.id === record.asked?.model
  )
  if (served !== true) return
  cache.keep(key, { body: copy.bytes, type: copy.type, keptAt: now, until: now + keptMs })
}
