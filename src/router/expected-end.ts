/**
 * When the answer to a request is to be expected whole, at each of those who could give it: what the smart strategy goes by.
 */
import { locality, mayLoad, showsSlots, slotsAtFirst, slotFieldOf } from "../backend/backend.ts"
import type { Weights } from "../domain/routing.ts"
import type { PromptChain } from "../fleet/prompt-chain.ts"
import { isCrowdedBy, isCrowdedByAny, type Work } from "../fleet/running.ts"
import type { ExpectedEnd, Standing } from "../fleet/standing.ts"
import { type LiveState, standingOf } from "../registry/live-state.ts"
import { type BackendState, type Candidate, inRotation } from "../registry/snapshot.ts"
import { isLatencyIgnored } from "./candidate-columns.ts"

/** One of which nothing is known. */
export const noEnd = (): ExpectedEnd => ({ wait: 0, load: 0, read: 0, hindrance: 0, write: 0, cached: 0 })

/** The best speeds that are known of some servers: what was never measured counts as good as they are. */
export interface BestSpeeds {
  readonly readMs: number
  readonly baseMs: number
  readonly writeMs: number
  /** What a token takes them to read and to write on average, in milliseconds. */
  readonly usual: { readonly readMs: number; readonly writeMs: number }
  /** Tokens that their answers have had, on average; Infinity where there was none. */
  readonly answer: number
  /** The least that any of them is known to take to load a model; undefined while none was seen to. */
  readonly loadMs: number | undefined
  /** The same of this very model. */
  readonly itsLoadMs: number | undefined
  /** Whether one of them has had a turn of the conversation. */
  readonly continues: boolean
  /** Whether any of them has a slot of which it is known that it holds no conversation. */
  readonly hasEmpty: boolean
  /** How long it is from an answer to the next turn of its conversation, on average; undefined while none was seen. */
  readonly pauseMs: number | undefined
  /** Tokens that a further turn of a conversation has to read, on average; undefined while none was seen. */
  readonly turnTokens: number | undefined
}

/** What a decision goes by beside the candidates. */
export interface Moment {
  readonly now: number
  readonly work: Work
  /** The turn of the decision: in some of them measured speeds are looked past, so that they are measured anew. */
  readonly turn: number
  /** How many wait for a slot there already. */
  readonly ahead: (standing: Standing) => number
}

const least = (known: number | undefined, best: number): number => (known === undefined ? best : Math.min(known, best))

const orNone = (best: number): number => (best === Infinity ? 0 : best)

// Where nothing is known of the model alone, what all of a server's answers took counts.
export const baseOf = ({ firstByteMs }: LiveState, { recalled, speeds }: Standing): number | undefined =>
  recalled !== undefined ? recalled.baseMs : (speeds.baseMs ?? (speeds.readMs === undefined ? firstByteMs : undefined))

/** Candidates, each with how its server is and how it stands. */
interface SideBySide {
  readonly candidates: ReadonlyArray<Candidate>
  readonly lives: ReadonlyArray<LiveState>
  readonly standings: ReadonlyArray<Standing>
}

/** The best speeds of these, for a turn of a conversation. */
export const bestSpeeds = (
  { candidates, lives, standings }: SideBySide,
  chain: PromptChain | undefined
): BestSpeeds => {
  let continues = chain?.known === true
  let readMs = Infinity
  let baseMs = Infinity
  let writeMs = Infinity
  let loadMs = Infinity
  let itsLoadMs = Infinity
  let writes = 0
  let writing = 0
  let reads = 0
  let reading = 0
  let answers = 0
  let answering = 0
  let hasEmpty = false
  let pauses = 0
  let paused = 0
  let tokens = 0
  let further = 0
  for (let at = 0; at < standings.length; at += 1) {
    const standing = standings[at]
    const live = lives[at]
    if (standing === undefined || live === undefined) continue
    const { answer } = standing.tokens
    const { running, speeds, turns } = standing
    const { leastLoadMs } = live.residency
    if (leastLoadMs !== undefined) {
      loadMs = Math.min(leastLoadMs, loadMs)
      itsLoadMs = least(live.residency.ownLoadMs(candidates[at]?.model.id ?? ""), itsLoadMs)
    }
    if (turns.pauseMs !== undefined) {
      pauses += turns.pauseMs
      paused += 1
    }
    if (turns.tokens !== undefined) {
      tokens += turns.tokens
      further += 1
    }
    if (answer !== undefined) {
      answers += answer
      answering += 1
    }
    if (speeds.readMs !== undefined) {
      readMs = Math.min(speeds.readMs, readMs)
      reads += speeds.readMs
      reading += 1
    }
    baseMs = least(baseOf(live, standing), baseMs)
    const ownMs = speeds.writeMs(running.length + 1)
    if (ownMs !== undefined) {
      writeMs = Math.min(ownMs, writeMs)
      writes += ownMs
      writing += 1
    }
    continues ||= chain !== undefined && turns.has(chain.root)
    hasEmpty ||= standing.pins?.hasEmpty === true
  }
  return {
    readMs: orNone(readMs),
    baseMs: orNone(baseMs),
    writeMs: orNone(writeMs),
    usual: { readMs: reading === 0 ? 0 : reads / reading, writeMs: writing === 0 ? 0 : writes / writing },
    answer: answering === 0 ? Infinity : answers / answering,
    loadMs: loadMs === Infinity ? undefined : loadMs,
    itsLoadMs: itsLoadMs === Infinity ? undefined : itsLoadMs,
    continues,
    hasEmpty,
    pauseMs: paused === 0 ? undefined : pauses / paused,
    turnTokens: further === 0 ? undefined : tokens / further
  }
}

/** What a request claims of the slots of servers. */
export interface Claim {
  /** How many slots of each server it and its like leave free. */
  readonly leaves?: number | undefined
  /** Whose it is; absent where nobody is told apart. */
  readonly key?: string | undefined
  /**
   * Whether other keys may ask: while slots are looked for, what is found beyond the first few goes to keys that
   * do not have half of a server; once they are known, further ones are looked for by those that do.
   */
  readonly shares?: boolean
  /** Whether they have of late: while slots are looked for, who has half of a server leaves these a share of what was seen. */
  readonly spares?: boolean
}

/** What some servers can do together: requests at a time, and their best speeds in milliseconds for a token. */
export interface Capacity {
  /** Infinity where nothing bounds them. */
  readonly places: number
  readonly readMs: number
  /** 0 where it is not known. */
  readonly writeMs: number
  /** Tokens of an answer, on average; Infinity while none was seen. */
  readonly answer: number
  /** Whether the places of any of them are no more than a guess: neither told nor seen. */
  readonly isGuess: boolean
}

/** What those of a list can do who are healthy. */
export const capacityOf = (candidates: ReadonlyArray<Candidate>, claim: Claim): Capacity => {
  const healthy = candidates.filter(({ state }) => inRotation(state))
  const standings = healthy.map(({ model, state }) => standingOf(state.live, model.id))
  const lives = healthy.map(({ state }) => state.live)
  const { answer, readMs, writeMs } = bestSpeeds({ candidates: healthy, lives, standings }, undefined)
  const places = healthy.reduce((sum, candidate, at) => {
    const standing = standings[at]
    const own = standing === undefined ? 0 : placesAt(candidate, standing, claim)
    return sum + Math.min(own, candidate.state.backend.maxConcurrent ?? Infinity)
  }, 0)
  const isGuess = healthy.some(
    ({ model, state }, at) =>
      model.slots === undefined && state.backend.maxConcurrent === undefined && standings[at]?.slots.seen === undefined
  )
  return { places, readMs, writeMs, answer, isGuess }
}

/** The slots of some servers, and how many of them are free; undefined while those of one are not known. */
export const roomOf = (
  candidates: ReadonlyArray<Candidate>
): { readonly slots: number; readonly free: number } | undefined => {
  let slots = 0
  let free = 0
  for (const { model, state } of candidates) {
    const { running, slots: found } = standingOf(state.live, model.id)
    const own = Math.max(model.slots ?? 0, found.seen ?? 0)
    if (own === 0) return undefined
    if (!inRotation(state)) continue
    slots += own
    free += Math.max(0, own - running.length - state.live.siblings.inFlight)
  }
  return { slots, free }
}

// What is pushed out of a cache is missed with this chance.
const missed = 0.5

/**
 * How many requests of a model a server has at most once it is given one more of these needs: its slots, and some more where
 * only that can show further ones; while nothing is known, as many as it has shown to begin at once. Clouds have no bound but
 * what they are told to have, or show by refusing more. Where keys share it, and for batches, see \`Claim\`.
 */
export const placesAt = ({ model, state }: Candidate, standing: Standing, claim: Claim): number => {
  if (standing.recalled !== undefined) return standing.recalled.places
  const { leaves = 0 } = claim
  const { slots: told, slotsConfigured } = model
  const { type } = state.backend
  const { slots } = standing
  const crowds = claim.shares === true && claim.key !== undefined && isCrowdedBy(standing.running, claim.key)
  const isTold = told !== undefined && (slotsConfigured === true || !showsSlots(type))
  if (told !== undefined && crowds && leaves === 0)
    return Math.min(slots.calm, isTold ? told : Math.max(told, slots.seen ?? 0))
  if (isTold) return without(standing, told, leaves)
  if (told === undefined && locality(type) === "cloud" && !(slots.refuses && slots.seen !== undefined)) return Infinity
  if (told === undefined && slots.seen === undefined) {
    if (crowds && claim.spares === true && leaves === 0) return slots.sparing
    if (crowds || leaves > 0) return slots.calm
    if (claim.shares === true && standing.leaving === 0 && isCrowdedByAny(standing.running)) return slots.shown
    return Math.max(slots.places(false), slots.refuses ? 0 : slotsAtFirst(type))
  }
  return without(standing, Math.max(slots.places(claim.shares === true && !crowds), told ?? 0), leaves)
}

// Those that leave slots free have all but these among themselves.
const without = ({ leaving, running }: Standing, places: number, leaves: number): number =>
  leaves === 0 ? places : Math.min(places, running.length - leaving + Math.max(1, places - leaves))

// So many answers say as much of how fast a server is as those with the model are on average, where it is about as fast: what a few took
// may be by chance. What is apart by more is another machine.
const alone = { answers: 4, apart: 4 / 3 } as const

const trusted = (own: number | undefined, samples: number, usual: number, unknown: number): number => {
  if (own === undefined) return unknown
  if (own > usual * alone.apart || usual > own * alone.apart) return own
  return usual + (samples / (samples + alone.answers)) * (own - usual)
}

/** Works out, into `end`, when the answer is to be expected whole at one of them. */
export const expectEnd = (
  end: ExpectedEnd,
  candidate: Candidate,
  standing: Standing,
  places: number,
  best: BestSpeeds,
  moment: Moment
): ExpectedEnd => {
  if (standing.recalled !== undefined) return Object.assign(end, standing.recalled.end)
  const { now, turn, work } = moment
  const { speeds } = standing
  const { backend, live } = candidate.state
  const past = isLatencyIgnored(live, turn, now)
  const readMs = past ? best.readMs : trusted(speeds.readMs, speeds.read, best.usual.readMs, best.readMs)
  const baseMs = (past ? undefined : baseOf(live, standing)) ?? (speeds.readMs === undefined ? best.baseMs : 0)
  const atOnce = Math.min(places, standing.running.length + 1)
  const ownMs = past ? undefined : speeds.writeMs(atOnce)
  const writeMs = trusted(ownMs, speeds.written, best.usual.writeMs, best.writeMs)
  const prompt = standing.tokens.ofPrompt(work)
  const place = standing.placeOf(work, now)
  const cached = Math.min(prompt, place?.cached ?? standing.cachedOf(work))
  const { cache } = standing
  const overflow = Math.min(prompt - cached, Math.max(0, cache.tokens + prompt - cached - cache.capacity)) * missed
  // Where each slot has a conversation, what is not held takes the place of about as much; while one has none, of nothing.
  const pushedOut =
    place?.lost ??
    (slotFieldOf(backend.type) === undefined
      ? overflow
      : work.chain === undefined || standing.turns.others(work.chain) >= (candidate.model.slots ?? 1)
        ? prompt - cached
        : 0)
  // Those of other processes hold places as well.
  const wait =
    places === Infinity ? 0 : standing.forecast.freeIn(places - live.siblings.inFlight, moment.ahead(standing), now)
  end.wait = Math.max(
    wait,
    drainMs(candidate, now),
    live.marked ? (live.cooling.get(candidate.model.id) ?? 0) - now : 0
  )
  end.load = loadMs(candidate, best, now)
  end.read =
    (standing.toRead(now) + prompt - cached + pushedOut) * readMs + baseMs + (past ? 0 : standing.lateness.by(now))
  end.hindrance = hindranceOf(candidate, standing, work.chain, prompt - cached, place?.lost ?? 0, readMs, best, now)
  // How long an answer is depends on what is asked, and not on who is.
  end.write = Math.min(work.output, best.answer) * writeMs
  end.cached = cached
  return end
}

/** Whether a model is not in memory where it would have to be loaded. */
const isCold = ({ model, state }: Candidate): boolean =>
  mayLoad(state.backend.type, model) && state.live.residency.isCold(model.id, model.loaded)

/** How long a model is expected to take to be loaded that is not in memory, in milliseconds; undefined where it is. */
export const coldFor = (candidate: Candidate): number | undefined =>
  isCold(candidate) ? candidate.state.live.residency.loadMs(candidate.model.id) : undefined

// A machine that loads a model does nothing else.
const burden = 1.5

const loadMs = (candidate: Candidate, best: BestSpeeds, now: number): number => {
  if (!isCold(candidate)) return 0
  const { residency } = candidate.state.live
  const { id } = candidate.model
  return burden * residency.loadMs(id, best.loadMs, best.itsLoadMs) + residency.costOf(residency.victimFor(id), now)
}

/** Whether a server works with a model that has to go before this one can be loaded. */
export const busyWithAnother = (candidate: Candidate): boolean => {
  const { live } = candidate.state
  if (!live.residency.tight || !isCold(candidate)) return false
  const victim = live.residency.victimFor(candidate.model.id)
  return victim !== undefined && (live.standings.get(victim)?.running.length ?? 0) > 0
}

/** What has to end before a model can make room for another one. */
const drainMs = (candidate: Candidate, now: number): number => {
  if (!isCold(candidate)) return 0
  const { live } = candidate.state
  const victim = live.residency.victimFor(candidate.model.id)
  return victim === undefined ? 0 : (live.standings.get(victim)?.forecast.idleIn(now) ?? 0)
}

// The weights that the parts are told with by default: with them they count as they are.
const usual: Weights = { priority: 50, load: 30, latency: 20 }

const share = (weights: Weights, part: keyof Weights): number => {
  const sum = weights.priority + weights.load + weights.latency
  return sum === 0 ? 0 : ((weights[part] / sum) * 100) / usual[part]
}

// So much, in milliseconds, is common to all: a few milliseconds outweigh no priority.
const common = 100

// What a server has to read keeps all waiting that it works on, and takes room in its cache. So what it reads anew of a conversation counts
// so many times more, and for a new one, which comes back, a turn of each that was there of late does, as far as conversations go on at all:
// it is to stay where it begins. Both keep those waiting whose next turns come meanwhile, as does what a slot gives up while another one is
// empty, since that is read again: that counts as often as there is of it, and as much again. On simulated agents (bench/fleet --virtual, A
// and G) the slowest twentieth of the first tokens came in half the time by the first, sooner by a seventh by the second, and by a fifth on
// G by the third.
const burdens = { anew: 2, turns: 6, waiting: 2 } as const

/** How long a turn is likely to wait for one of `slots` beside so many conversations whose turns come `pauseMs` after the answers. */
export const waitBeside = ({ speeds, tokens }: Standing, count: number, slots: number, pauseMs: number): number => {
  if (count < slots || tokens.answer === undefined) return 0
  const writing = tokens.answer * (speeds.writeMs(Math.min(count, slots)) ?? 0)
  const busy = (count * writing) / Math.max(1, writing + pauseMs)
  return (Math.max(0, busy - slots + 1) / slots) * writing
}

// Conversations of late that are likely to come back, with any of its models: one machine works on all of them, but for clouds.
const othersAt = ({ backend, live: { standings } }: BackendState, standing: Standing, chain: PromptChain): number => {
  let count = standing.turns.likelyBack(chain)
  if (standings.size > 1 && locality(backend.type) === "local")
    for (const each of standings.values()) if (each !== standing) count += each.turns.likelyBack(chain)
  return count
}

const hindranceOf = (
  { model, state }: Candidate,
  standing: Standing,
  chain: PromptChain | undefined,
  unread: number,
  lost: number,
  readMs: number,
  { continues, hasEmpty, pauseMs, turnTokens }: BestSpeeds,
  now: number
): number => {
  if (chain === undefined) return 0
  const { continuing = 0 } = chain
  // Nobody loads a model for turns of which none has ever come.
  if (turnTokens === undefined && !continues && mayLoad(state.backend.type, model)) return 0
  const count = othersAt(state, standing, chain)
  if (count === 0) return continues ? burdens.anew * unread * readMs : 0
  const from = standing.toRead(now) * readMs
  const own = unread * readMs
  // Where each slot has a conversation, some one is pushed out wherever this one goes.
  const again = hasEmpty ? lost : 0
  const all = own + again * readMs
  const waiting =
    burdens.waiting * continuing * standing.forecast.keepsWaiting(count, from, from + all, pauseMs ?? all, now)
  if (continues) return waiting + burdens.anew * own
  const slots = model.slots ?? standing.slots.seen ?? Infinity
  const each = count * (turnTokens ?? unread + again) * readMs + waitBeside(standing, count, slots, pauseMs ?? 0)
  return waiting + burdens.turns * continuing * each
}

/** An expected end as one number, in milliseconds, with the parts as the weights have them. */
export const weighedTime = ({ hindrance, load, read, wait, write }: ExpectedEnd, weights: Weights): number =>
  common + share(weights, "load") * wait + share(weights, "latency") * (load + read + hindrance + write)

/** By how much a time counts for more at a priority that is not the best at hand. */
export const aversion = (priority: number, best: number, weights: Weights): number =>
  priority === best ? 1 : ((1 + priority) / (1 + best)) ** share(weights, "priority")
