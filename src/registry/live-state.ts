/**
 * Counters of one backend that change with each request; they sit beside the snapshot so that a request changes no Ref.
 */
import type { AskedContext } from "../backend/tuning.ts"
import type { KnownSlots, Model, ToldLoads } from "../domain/server.ts"
import type { Pinning } from "../fleet/slot-pins.ts"
import { Residency } from "../fleet/residency.ts"
import type { PromptChain } from "../fleet/prompt-chain.ts"
import type { Running, Seen, Work } from "../fleet/running.ts"
import { Standing } from "../fleet/standing.ts"
import { abandonTrial, circuitAllows, beginTrial, closedCircuit, failCircuit, type Circuit } from "../domain/circuit.ts"
import { smooth } from "../fleet/recent-turns.ts"

/** How other processes stand with a backend; times in monotonic milliseconds. */
export interface SiblingStanding {
  readonly inFlight: number
  /** How many of these have begun to be answered. */
  readonly answering: number
  readonly coolUntil: number
  readonly circuits: ReadonlyArray<{
    readonly model: string
    readonly state: CircuitState
    readonly failures: number
    readonly openUntil: number
  }>
}

/** Who other processes are: workers of the same gateway, or other replicas of it. */
export type SiblingOf = "workers" | "replicas"

/** There are no other processes, or they stand as if nothing had happened. */
export const noSiblings: SiblingStanding = { inFlight: 0, answering: 0, coolUntil: 0, circuits: [] }

/** Why a backend asked to be left alone: whether it has all it can take (429), and what it answered, in words. */
export interface CooldownReason {
  readonly limited: boolean
  /** Whether it lacks nothing but a slot: it is waited for, and may be asked as soon as something ends there. */
  readonly full?: true
  readonly reason: string
}

/** What a server told of its work on a model, and when, in monotonic milliseconds. */
interface ToldWork {
  readonly running?: number
  readonly waiting?: number
  readonly at: number
}

/** Live figures of one backend; the same object is kept through all snapshots of that backend. */
export interface LiveState {
  inFlight: number
  failures: number
  /** When a request was given to it last, in monotonic milliseconds. */
  askedAt: number
  /** Smoothed time to the first body byte of real requests, in milliseconds; undefined before the first one. */
  firstByteMs: number | undefined
  /** When that was measured last, in monotonic milliseconds. */
  measuredAt: number
  /** How many samples bear it out, up to {@link settledSamples}. */
  samples: number
  /** Smoothed duration of real requests, in milliseconds; undefined before the first one. */
  durationMs: number | undefined
  /** How long the last good probe took, in milliseconds. */
  probeMs: number | undefined
  /** When a probe ended last, when a real request showed life last, and when one failed last; monotonic milliseconds. */
  probedAt: number
  aliveAt: number
  failedAt: number
  /** Monotonic milliseconds until which a model of this backend is left alone because it asked for it, by model. */
  readonly cooling: Map<string, number>
  /** Why it asked for that, by model. */
  readonly rests: Map<string, CooldownReason>
  /** Passive evidence per model; a model that is absent has a closed circuit. */
  readonly circuits: Map<string, Circuit>
  /** The context that each model was asked to have last. */
  readonly contexts: Map<string, AskedContext>
  /** What it told last of its work, by model; of those alone that it told of. */
  readonly told: Map<string, ToldWork>
  /** Called when it is given a request while it has none, by whoever looks at it only while it works. */
  begins: (() => void) | undefined
  /** What has been learned of it with each model. */
  readonly standings: Map<string, Standing>
  /** Which models it has in memory; of servers that load on demand. */
  readonly residency: Residency
  /** What other processes have told, up to half a second ago: all of them together. */
  siblings: SiblingStanding
  /** The same by who they are. */
  heard: Readonly<Record<SiblingOf, SiblingStanding>>
  /** Called when a place is taken or free again, for whoever tells other processes. */
  turns: (() => void) | undefined
  /** Called when a request takes a place, for what is there only as long as nobody else is. */
  yields: (() => void) | undefined
  /** Called with each prompt that it has computed, and the tokens for each byte of that; for whoever tells other processes. */
  computes: ReadonlyArray<(model: string, chain: PromptChain, perByte: number) => void>
  /** Whether anything is cooling or has a circuit: who chooses among many looks at this alone. */
  marked: boolean
}

const nobody: LiveState["computes"] = []

/** Figures of a backend that has seen nothing yet. */
export const newLiveState = (): LiveState => ({
  inFlight: 0,
  failures: 0,
  askedAt: 0,
  firstByteMs: undefined,
  measuredAt: 0,
  samples: 0,
  durationMs: undefined,
  probeMs: undefined,
  probedAt: 0,
  aliveAt: 0,
  failedAt: 0,
  cooling: new Map(),
  rests: new Map(),
  circuits: new Map(),
  contexts: new Map(),
  told: new Map(),
  begins: undefined,
  standings: new Map(),
  residency: new Residency(),
  siblings: noSiblings,
  heard: { workers: noSiblings, replicas: noSiblings },
  turns: undefined,
  yields: undefined,
  computes: nobody,
  marked: false
})

/** Takes over how the others of one sort stand, in place of what they said before. */
export const hearSiblings = (live: LiveState, of: SiblingOf, standing: SiblingStanding): void => {
  if (live.heard[of] === noSiblings && standing === noSiblings) return
  live.heard = { ...live.heard, [of]: standing }
  const { replicas, workers } = live.heard
  live.siblings =
    replicas === noSiblings
      ? workers
      : workers === noSiblings
        ? replicas
        : {
            inFlight: workers.inFlight + replicas.inFlight,
            answering: workers.answering + replicas.answering,
            coolUntil: Math.max(workers.coolUntil, replicas.coolUntil),
            circuits: [...workers.circuits, ...replicas.circuits]
          }
  if (live.siblings.inFlight > 0) live.begins?.()
}

/** Notes anew whether anything is held against a backend; called after each change of its maps. */
export const refreshMarked = (live: LiveState): void => {
  live.marked = live.cooling.size > 0 || live.circuits.size > 0
}

/** Notes what a server told of its work. */
export const noteTold = ({ told }: LiveState, loads: ToldLoads, at: number): void => {
  for (const id of told.keys()) if (!loads.has(id)) told.delete(id)
  for (const [id, { running, waiting }] of loads) {
    if (running === undefined && waiting === undefined) told.delete(id)
    else
      told.set(id, { ...(running === undefined ? {} : { running }), ...(waiting === undefined ? {} : { waiting }), at })
  }
}

/** Takes over which models a server told to have in memory, of one that tells it. */
export const noteLoaded = ({
  live,
  models
}: {
  readonly live: LiveState
  readonly models: ReadonlyMap<string, Model>
}): void => {
  const all = [...models.values()]
  if (!all.some(({ loaded }) => loaded !== undefined)) return
  live.residency.tells(
    all.filter(({ loaded }) => loaded === true).map(({ id }) => id),
    (id) => (live.standings.get(id)?.running.length ?? 0) > 0
  )
}

/** Forgets what a server held in memory that is gone. */
export const forgetMemory = (live: LiveState): void => {
  live.residency.clear()
  for (const standing of live.standings.values()) standing.restarts()
}

/** Where the slots of a model come from, and how many they are: the config goes before the server, and both before what was learned. */
export const slotsOf = ({ id, slots, slotsConfigured }: Model, { standings }: LiveState): KnownSlots | undefined => {
  if (slots !== undefined) return { slots, from: slotsConfigured === true ? "config" : "told" }
  const standing = standings.get(id)
  const learned = standing?.recalled === undefined ? standing?.slots.seen : standing.recalled.seen
  return learned === undefined ? undefined : { slots: learned, from: "learned" }
}

/** Whether real requests have shown life since the last probe, and no failure after that. */
export const isAnswering = ({ aliveAt, failedAt, probedAt }: LiveState): boolean =>
  aliveAt > probedAt && aliveAt > failedAt

/** Samples that it takes until a time to the first byte is more than a first impression. */
export const settledSamples = 4

/** A figure that has not been measured for so long, in milliseconds, says how things were. */
export const staleMs = 10_000

// A sample of so many times what was known is news: a model that is being loaded, or a machine that has become slow.
const jump = 4

/** Whether a time to the first byte is a first impression, which may have been a model that was being loaded. */
export const isLatencyYoung = ({ samples }: LiveState): boolean => samples < settledSamples

/** Whether a time to the first byte has not been borne out for a while. */
export const isLatencyStale = ({ measuredAt }: LiveState, now: number): boolean => now - measuredAt >= staleMs

// What is young or stale gives way to anything better: whatever made it slow is over.
const measure = (live: LiveState, sample: number, now: number): void => {
  const known = live.firstByteMs
  const news = known !== undefined && sample > jump * known
  const taken = known === undefined || (sample < known && (isLatencyYoung(live) || isLatencyStale(live, now)))
  live.firstByteMs = taken ? sample : smooth(known, sample)
  live.samples = news ? 1 : Math.min(settledSamples, live.samples + 1)
  live.measuredAt = now
}

/** How a backend stands with a model. */
export const standingOf = ({ standings }: LiveState, model: string): Standing => {
  const known = standings.get(model)
  if (known !== undefined) return known
  if (standings.size >= maxCircuits) standings.clear()
  const made = new Standing()
  standings.set(model, made)
  return made
}

/** What an attempt asks of its backend, and whether the model may have to be loaded for it. */
interface Order {
  readonly work: Work
  readonly onDemand: boolean
  /** How it can be told which slot is to take it; absent where it cannot. */
  readonly pinning?: Omit<Pinning, "alone"> | undefined
  /** Called when its place is free again. */
  readonly freed: () => void
}

const nothingAsked: Order = {
  work: { prompt: 0, output: 0, chain: undefined },
  onDemand: false,
  freed: () => undefined
}

/** What one attempt showed of its backend. */
export type Evidence = "good" | "bad" | "none"

/** What an attempt changed in how its backend and model stand; `forMs` is for how long it is left alone. */
export type StandingChange =
  | { readonly _tag: "Opened"; readonly failures: number; readonly forMs: number }
  | { readonly _tag: "Closed" }
  | { readonly _tag: "Cooling"; readonly forMs: number }

// Circuits of models that have come and gone are not kept without end.
const maxCircuits = 1000

/** The place one attempt takes at its backend, from start to end; settled once, whatever happens. */
export class Ticket {
  private settled = false
  private wasRefused = false
  private readonly live: LiveState
  private readonly model: string
  /** When the attempt began, in monotonic milliseconds. */
  readonly started: number
  private readonly turned: (turn: StandingChange) => void
  private readonly standing: Standing
  private readonly running: Running
  private readonly freed: () => void
  private seen: Seen | undefined
  /** Whether the model has to be loaded first, as far as is known. */
  readonly cold: boolean

  constructor(
    live: LiveState,
    model: string,
    now: number,
    turned: (turn: StandingChange) => void,
    { freed, onDemand, pinning, work }: Order = nothingAsked
  ) {
    this.freed = freed
    this.live = live
    this.model = model
    this.started = now
    this.turned = turned
    const standing = standingOf(live, model)
    const alone = live.inFlight === standing.running.length && live.siblings.inFlight === 0
    live.inFlight += 1
    if (live.inFlight === 1) live.begins?.()
    live.yields?.()
    live.turns?.()
    live.askedAt = now
    this.standing = standing
    this.running = standing.begins(work, now, live.siblings.inFlight, pinning && { ...pinning, alone })
    this.cold = onDemand && live.residency.asks(model, now)
    if (onDemand) standing.loads(this.running, this.cold)
    const circuit = live.circuits.get(model)
    if (circuit !== undefined) live.circuits.set(model, beginTrial(circuit, now))
  }

  /** The slot that is to take it; undefined where the server chooses. */
  get slot(): number | undefined {
    return this.running.pinned?.named
  }

  /** Notes the first body byte; of a whole answer it is the last one too. */
  answered(now: number, whole = false): void {
    measure(this.live, now - this.started, now)
    this.live.aliveAt = now
    if (whole) return
    const beyond = this.standing.answers(this.running, now, this.live.siblings.answering)
    if (this.cold) this.live.residency.hasLoaded(this.model, beyond, now)
    if (this.live.computes !== nobody) this.hasComputed()
    this.freed()
  }

  /** Notes what was seen of its answer. */
  saw(seen: Seen): void {
    this.seen = seen
  }

  /** How long its first byte is expected to take, in milliseconds; undefined where nothing was measured. */
  get expectedMs(): number | undefined {
    return this.standing.forecast.firstToken(this.running)
  }

  /** Notes that its first byte is late for one that may be asked of another as well. */
  late(now: number): void {
    this.standing.isLate(this.running, now)
  }

  /** Notes that it is waited for no longer: its first byte takes at least as long as it has been. */
  outwaited(now: number): void {
    const least = now - this.started
    if (least > (this.live.firstByteMs ?? 0)) measure(this.live, least, now)
  }

  /** Notes that the answer goes on. */
  progress(now: number): void {
    this.live.aliveAt = now
  }

  /** Leaves the model alone for `forMs`: its backend asked for it. */
  cool(forMs: number, now: number, rest: CooldownReason): void {
    const { cooling, rests } = this.live
    if (cooling.size >= maxCircuits) {
      cooling.clear()
      rests.clear()
    }
    const before = cooling.get(this.model) ?? 0
    if (now + forMs > before) {
      cooling.set(this.model, now + forMs)
      rests.set(this.model, rest)
    }
    refreshMarked(this.live)
    if (before <= now) this.turned({ _tag: "Cooling", forMs })
  }

  /** Requests of this gateway that its backend has beside it. */
  get others(): number {
    return this.live.inFlight - 1 + this.live.siblings.inFlight
  }

  /** Its backend had no slot for it, and is not asked for so long, or until something ends there. */
  refused(forMs: number, now: number, reason: string): void {
    this.wasRefused = true
    this.standing.refuses(this.running, now, this.live.siblings.inFlight)
    this.cool(forMs, now, { limited: true, full: true, reason })
  }

  /** Frees the place and notes what the attempt showed; later calls do nothing. */
  settle(evidence: Evidence, now: number): void {
    if (this.settled) return
    this.settled = true
    const { live, model } = this
    live.inFlight -= 1
    if (live.marked && !this.wasRefused && live.rests.get(model)?.full === true) this.wakes()
    live.turns?.()
    this.freed()
    if (this.cold && evidence === "good" && this.seen?.whole === true)
      live.residency.hasLoaded(model, this.standing.forecast.wholeBeyond(this.running, this.seen, now), now)
    this.standing.ends(this.running, now, this.seen, live.siblings.inFlight)
    const circuit = live.circuits.get(model)
    if (evidence === "good") {
      this.lasted(now - this.started)
      live.aliveAt = now
      if (live.marked) this.clear(now)
      if (live.computes !== nobody && this.seen?.whole === true) this.hasComputed()
      if (circuit === undefined) return
      if (circuit.openUntil !== 0) this.turned({ _tag: "Closed" })
    } else if (evidence === "bad") {
      live.failures += 1
      live.failedAt = now
      if (circuit === undefined && live.circuits.size >= maxCircuits) return
      const after = failCircuit(circuit ?? closedCircuit, now)
      live.circuits.set(model, after)
      refreshMarked(live)
      if (after.opens === (circuit?.opens ?? 0)) return
      this.turned({ _tag: "Opened", failures: after.failures, forMs: after.openUntil - now })
    } else if (circuit !== undefined) {
      live.circuits.set(model, abandonTrial(circuit))
    }
  }

  // As with first bytes, what made the first ones slow is over once one is faster.
  private lasted(ms: number): void {
    const { durationMs } = this.live
    const isTaken = durationMs !== undefined && ms < durationMs && isLatencyYoung(this.live)
    this.live.durationMs = isTaken ? ms : smooth(durationMs, ms)
  }

  // Its prompt is in the cache there from now on.
  private hasComputed(): void {
    const { work } = this.running
    if (work.chain === undefined || work.chain.hashes.length === 0) return
    const perByte = this.standing.tokens.perByte(work, work.chain)
    for (const each of this.live.computes) each(this.model, work.chain, perByte)
  }

  // There is a slot again.
  private wakes(): void {
    const { live, model } = this
    live.cooling.delete(model)
    live.rests.delete(model)
    refreshMarked(live)
  }

  // A good answer closes the circuit, and shows a pause to be over that had passed.
  private clear(now: number): void {
    const { live, model } = this
    live.circuits.delete(model)
    if ((live.cooling.get(model) ?? Infinity) <= now) {
      live.cooling.delete(model)
      live.rests.delete(model)
    }
    refreshMarked(live)
  }
}

/** How a circuit stands, in one word. */
export type CircuitState = "closed" | "open" | "half_open"

/** How the circuit of a model stands. */
export const circuitState = (circuit: Circuit, now: number): CircuitState =>
  circuit.openUntil === 0 ? "closed" : circuitAllows(circuit, now) || circuit.trial ? "half_open" : "open"
