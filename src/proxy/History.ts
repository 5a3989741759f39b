/**
 * The last requests with what was decided for each of them, so that a person can ask why; nothing of a message is kept.
 * What is kept are numbers in columns: objects that outlive their request by a little are what a collector has most work
 * with, and would make every request dearer.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { wallAhead } from "../domain/monotonic.ts"
import type { AttemptFailure } from "../domain/errors.ts"
import { type Ability, type OperationFacts, outcomes } from "../domain/request.ts"
import type { RoutingSettings, Ruling } from "../domain/routing.ts"
import type { Snapshot } from "../registry/snapshot.ts"
import type { DecisionBasis } from "../router/plan.ts"
import { explainPlan } from "../router/decision.ts"
import { Router } from "../router/Router.ts"
import { type HeldAgainst, mostFigures, type LiveFigures } from "../router/live-figures.ts"
import type { Replay } from "../router/replay.ts"
import type { Explained, RecentRequest, ReplayedRequest, TimePart } from "../api/admin-api.ts"
import type { Hedge, RequestEnd, RequestRecord, UnderWay } from "./record.ts"
import { type LostCall, tenths, timeLineOf } from "./time-line.ts"
import { RequestsUnderWay, toldHedge, toldHooks, toldLoad } from "./under-way.ts"

/** Requests that are remembered. */
export const rememberedRequests = 512

const abilities: ReadonlyArray<Ability> = ["vision", "tools", "json_mode", "embeddings"]

/** The numbers of a request, by their columns. */
const columns = [
  // For people: milliseconds since 1970, as they were when the request ended.
  "at",
  "started",
  "ended",
  "firstByteAt",
  "stream",
  "outcome",
  "status",
  "attempts",
  "abilities",
  "promptTokens",
  "atLeastTokens",
  "outputTokens",
  "turn",
  "seenAt",
  "loadMs",
  "askedAt",
  "connectedAt",
  "isBeside",
  "figures"
] as const

const width = columns.length

/** What of a request is no number; the decision is absent when there was none. */
interface Texts {
  id: string
  operation: OperationFacts
  model: string
  backend: string
  upstreamModel: string
  failures: ReadonlyArray<AttemptFailure>
  refusal: string | undefined
  hedge: Hedge | undefined
  hooks: RequestRecord["hooks"]
  waited: ReadonlyArray<number>
  lost: ReadonlyArray<LostCall>
  cache: RequestRecord["cache"]
  key: string | undefined
  settings: RoutingSettings | undefined
  snapshot: Snapshot | undefined
  held: ReadonlyArray<HeldAgainst>
  drawn: ReadonlyArray<number>
  ruling: Ruling | undefined
}

const none: ReadonlyArray<never> = []

// In place of the time that it takes to load a model.
const inMemory = -1

const nothing: OperationFacts = {
  name: "",
  fields: { text: "", vision: "", tools: "", json_mode: "", embeddings: "" }
}

/** A ring of requests. */
class Ring {
  private readonly numbers = new Float64Array(rememberedRequests * width)
  // As wide as the widest decision so far: room for the most from the start would be 1.5 MB.
  private figuresWidth = 0
  private figures = new Float64Array(0)
  private readonly texts = Array.from({ length: rememberedRequests }, (): Texts => ({
    id: "",
    operation: nothing,
    model: "",
    backend: "",
    upstreamModel: "",
    failures: none,
    refusal: undefined,
    hedge: undefined,
    hooks: none,
    waited: none,
    lost: none,
    cache: undefined,
    key: undefined,
    settings: undefined,
    snapshot: undefined,
    held: none,
    drawn: none,
    ruling: undefined
  }))
  private next = 0
  private size = 0

  put(record: RequestRecord, end: RequestEnd, now: number, wallNow: number): void {
    const { numbers } = this
    const at = this.next
    const { asked, committed, decided } = record
    const needs = decided?.needs
    let column = at * width
    numbers[column++] = wallNow - (now - record.started)
    numbers[column++] = record.started
    numbers[column++] = now
    numbers[column++] = committed?.at ?? 0
    numbers[column++] = record.stream ? 1 : 0
    numbers[column++] = outcomes.indexOf(end.outcome)
    numbers[column++] = end.status
    numbers[column++] = record.attempts
    numbers[column++] = needs === undefined ? 0 : maskOf(needs.abilities)
    numbers[column++] = needs?.promptTokens ?? 0
    numbers[column++] = needs?.atLeastTokens ?? 0
    numbers[column++] = needs?.outputTokens ?? 0
    numbers[column++] = decided?.turn ?? 0
    numbers[column++] = record.seen?.now ?? 0
    numbers[column++] = asked?.loadMs ?? inMemory
    numbers[column++] = asked?.at ?? 0
    numbers[column++] = asked?.clock.connectedAt ?? 0
    numbers[column++] = asked?.isBeside === true ? 1 : 0
    numbers[column] = record.seen?.figures.length ?? 0
    this.keep(record.seen?.figures ?? none, at)
    const texts = this.texts[at]
    if (texts === undefined) return
    texts.id = record.id
    texts.operation = record.route.operation
    texts.model = record.model
    texts.backend = end.backend
    texts.upstreamModel = asked?.model ?? ""
    texts.failures = record.failures.length === 0 ? none : record.failures
    texts.refusal = end.refusal
    texts.hedge = record.hedge
    texts.hooks = record.hooks
    texts.waited = record.waited
    texts.lost = record.lost
    texts.cache = record.cache
    texts.key = record.key
    texts.settings = decided?.settings
    texts.snapshot = decided?.snapshot
    texts.held = record.seen?.held ?? none
    texts.drawn = decided?.drawn ?? none
    texts.ruling = decided?.ruling
    this.next = (at + 1) % rememberedRequests
    this.size = Math.min(this.size + 1, rememberedRequests)
  }

  private keep(figures: ReadonlyArray<number>, at: number): void {
    if (figures.length > this.figuresWidth) this.widen(figures.length)
    const from = at * this.figuresWidth
    for (let number = 0; number < figures.length; number += 1) this.figures[from + number] = figures[number] ?? 0
  }

  private widen(needed: number): void {
    const before = this.figuresWidth
    const to = Math.min(mostFigures, Math.max(needed, before * 2))
    const wider = new Float64Array(rememberedRequests * to)
    for (let at = 0; at < rememberedRequests; at += 1)
      wider.set(this.figures.subarray(at * before, (at + 1) * before), at * to)
    this.figures = wider
    this.figuresWidth = to
  }

  /** Places, the newest first. */
  places(): ReadonlyArray<number> {
    return Array.from(
      { length: this.size },
      (_, back) => (this.next - 1 - back + 2 * rememberedRequests) % rememberedRequests
    )
  }

  /** Places of those that ended since then, in monotonic milliseconds, the newest first. */
  endedSince(since: number): ReadonlyArray<number> {
    const places = this.places()
    const older = places.findIndex((at) => this.number(at, "ended") < since)
    return older < 0 ? places : places.slice(0, older)
  }

  placeOf(id: string): number | undefined {
    return this.places().find((at) => this.texts[at]?.id === id)
  }

  request(at: number): RecentRequest {
    const texts = this.text(at)
    const started = this.number(at, "started")
    const firstByteAt = this.number(at, "firstByteAt")
    const loadMs = this.number(at, "loadMs")
    return {
      id: texts.id,
      at: Math.round(this.number(at, "at")),
      endpoint: texts.operation.name,
      model: texts.model,
      stream: this.number(at, "stream") === 1,
      ...(texts.key === undefined ? {} : { key: texts.key }),
      outcome: outcomes[this.number(at, "outcome")] ?? "failed",
      status: this.number(at, "status"),
      backend: texts.backend,
      upstream_model: texts.upstreamModel,
      attempts: this.number(at, "attempts"),
      failures: texts.failures,
      ...(texts.refusal === undefined ? {} : { refusal: texts.refusal }),
      ...toldHedge(texts),
      ...toldHooks(texts),
      ...toldLoad(loadMs === inMemory ? undefined : loadMs),
      first_byte_ms: firstByteAt === 0 ? null : tenths(firstByteAt - started),
      duration_ms: tenths(this.number(at, "ended") - started)
    }
  }

  timeLine(at: number): ReadonlyArray<TimePart> {
    const { backend, lost, upstreamModel, waited } = this.text(at)
    const askedAt = this.number(at, "askedAt")
    return timeLineOf({
      started: this.number(at, "started"),
      to: this.number(at, "ended"),
      isOver: true,
      waited,
      lost,
      last:
        askedAt === 0
          ? undefined
          : {
              backend,
              model: upstreamModel,
              at: askedAt,
              connectedAt: this.number(at, "connectedAt"),
              isBeside: this.number(at, "isBeside") === 1
            },
      firstByteAt: this.number(at, "firstByteAt")
    })
  }

  /** What the request was decided by; undefined when it was refused before. */
  decided(at: number): (DecisionBasis & { readonly seen: LiveFigures }) | undefined {
    const { settings, snapshot, operation, model, held, drawn, ruling } = this.text(at)
    if (settings === undefined || snapshot === undefined) return undefined
    const mask = this.number(at, "abilities")
    const from = at * this.figuresWidth
    return {
      needs: {
        operation,
        model,
        stream: this.number(at, "stream") === 1,
        abilities: abilities.filter((_, bit) => (mask & (1 << bit)) !== 0),
        promptTokens: this.number(at, "promptTokens"),
        atLeastTokens: this.number(at, "atLeastTokens"),
        outputTokens: this.number(at, "outputTokens")
      },
      settings,
      snapshot,
      turn: this.number(at, "turn"),
      drawn,
      ruling,
      seen: {
        now: this.number(at, "seenAt"),
        figures: [...this.figures.subarray(from, from + this.number(at, "figures"))],
        held
      }
    }
  }

  private number(at: number, column: (typeof columns)[number]): number {
    return this.numbers[at * width + columns.indexOf(column)] ?? 0
  }

  private text(at: number): Texts {
    const texts = this.texts[at]
    if (texts === undefined) throw new RangeError(`no place ${at}`)
    return texts
  }
}

const maskOf = (wanted: ReadonlyArray<Ability>): number => {
  let mask = 0
  for (const ability of wanted) mask |= 1 << abilities.indexOf(ability)
  return mask
}

/** The requests of this process: those under way, and the memory of the last ones. */
export class History extends Context.Service<
  History,
  {
    /** Those that have not ended. */
    readonly underWay: RequestsUnderWay
    /** Takes one that has ended. */
    readonly note: (request: UnderWay, end: RequestEnd) => void
    /** The last ones, newest first, so many at most; those alone that ended since then, in milliseconds since 1970. */
    readonly list: (since?: number, most?: number) => ReadonlyArray<RecentRequest>
    /** Those of so many milliseconds that were decided, under another config; newest first. */
    readonly replay: (replay: Replay, sinceMs: number) => ReadonlyArray<ReplayedRequest>
    /** The newest one with this id, and its decision when there was one to make. */
    readonly find: (id: string) => Explained | undefined
  }
>()("nexus/proxy/History") {
  /** A ring of {@link rememberedRequests} requests in memory. */
  static readonly layer = Layer.effect(
    History,
    Effect.gen(function* () {
      const router = yield* Router
      const clock = yield* Clock.Clock
      const ring = new Ring()
      // Finer than a millisecond: by whole ones, requests that follow one another closely would change places.
      const aheadNow = wallAhead(clock)
      const underWay = new RequestsUnderWay(router, aheadNow)
      return History.of({
        underWay,
        note: (request, end) => {
          const now = performance.now()
          underWay.delete(request)
          ring.put(request.record, end, now, now + aheadNow(now))
        },
        list: (since, most) => {
          const places = since === undefined ? ring.places() : ring.endedSince(since - aheadNow(performance.now()))
          return places.slice(0, most).map((at) => ring.request(at))
        },
        replay: (replay, sinceMs) => {
          const now = performance.now()
          const since = now + aheadNow(now) - sinceMs
          return ring.places().flatMap((at): ReadonlyArray<ReplayedRequest> => {
            const request = ring.request(at)
            const decided = ring.decided(at)
            if (decided === undefined || request.at < since) return []
            const { endpoint, id, key, model } = request
            const plan = router.again(decided)
            const about = { id, at: request.at, endpoint, model, ...(key === undefined ? {} : { key }) }
            return [
              { ...about, ...replay.of({ plan, seen: decided.seen, id, key, at: decided.ruling?.at ?? request.at }) }
            ]
          })
        },
        find: (id) => {
          const at = ring.placeOf(id)
          if (at === undefined) return undefined
          const decided = ring.decided(at)
          const decision = decided === undefined ? null : explainPlan(router.again(decided), decided.seen)
          return { request: ring.request(at), decision, time_line: ring.timeLine(at) }
        }
      })
    })
  )
}
