/**
 * Who can take a request, and for everyone else the reason why not.
 */
import { contextOf, type Mode } from "../domain/server.ts"
import { beyondWords, type ZoneLimit } from "../domain/zones.ts"
import { circuitAllows } from "../domain/circuit.ts"
import type { AttemptFailure } from "../domain/errors.ts"
import { spellingsOf } from "../backend/spelling.ts"
import type { Ability, RoutingNeeds } from "../domain/request.ts"
import type { Standing } from "../fleet/standing.ts"
import { type CooldownReason, type LiveState, standingOf } from "../registry/live-state.ts"
import type { BackendState, Candidate, Snapshot } from "../registry/snapshot.ts"
import { type Claim, busyWithAnother, placesAt } from "./expected-end.ts"

/** Why a candidate is left out. */
export type Exclusion =
  | { readonly _tag: "RuledOut"; readonly rule: string }
  | { readonly _tag: "Forbidden"; readonly by: "models" | "backends" }
  | { readonly _tag: "BeyondZones"; readonly zone: string; readonly limit: ZoneLimit }
  | { readonly _tag: "OutOfService"; readonly mode: Exclude<Mode, "enabled"> }
  | { readonly _tag: "Unhealthy"; readonly reason: string }
  | { readonly _tag: "Misconfigured"; readonly reason: string }
  | { readonly _tag: "Unable"; readonly ability: Ability }
  | { readonly _tag: "ContextTooShort"; readonly has: number; readonly needs: number }
  | { readonly _tag: "Full"; readonly limit: number; readonly by: "max_concurrent" | "slots" | "another model" }
  | { readonly _tag: "CircuitOpen"; readonly untilMs: number }
  | { readonly _tag: "Cooling"; readonly untilMs: number; readonly rest: CooldownReason | undefined }

/** A candidate that is left out of a plan. */
export interface Excluded {
  readonly candidate: Candidate
  readonly why: Exclusion
}

/** What a candidate can never do for a request, whatever its health. */
export const capabilityExclusion = ({ model }: Candidate, needs: RoutingNeeds): Exclusion | undefined => {
  for (const ability of needs.abilities) {
    if (model.capabilities[ability] === false) return { _tag: "Unable", ability }
  }
  const has = model.context_length
  return has !== undefined && needs.atLeastTokens > has
    ? { _tag: "ContextTooShort", has, needs: needs.atLeastTokens }
    : undefined
}

const roomOf = ({ model }: Candidate): number => contextOf(model) ?? Infinity

/** Whether it has room for the prompt, as it is estimated, and for all the output that is asked for. */
export const hasContextFor = (candidate: Candidate, { outputTokens, promptTokens }: RoutingNeeds): boolean =>
  promptTokens + outputTokens <= roomOf(candidate)

/**
 * Those with room for the prompt, as it is estimated, and for all the output that is asked for; where there is none, those
 * with the most room.
 */
export const withMostContext = (all: ReadonlyArray<Candidate>, needs: RoutingNeeds): ReadonlyArray<Candidate> => {
  const wanted = needs.promptTokens + needs.outputTokens
  const most = Math.min(
    wanted,
    all.reduce((best, each) => Math.max(best, roomOf(each)), 0)
  )
  return all.filter((each) => roomOf(each) >= most)
}

/** Why an able candidate is out of rotation by its probes or its own limit. */
export const availabilityExclusion = ({ state }: Candidate): Exclusion | undefined => {
  const { mode, health, backend, live } = state
  if (mode !== "enabled") return { _tag: "OutOfService", mode }
  if (health.status === "config_error") return { _tag: "Misconfigured", reason: health.reason }
  if (health.status !== "healthy") return { _tag: "Unhealthy", reason: health.reason }
  return backend.maxConcurrent !== undefined && live.inFlight + live.siblings.inFlight >= backend.maxConcurrent
    ? { _tag: "Full", limit: backend.maxConcurrent, by: "max_concurrent" }
    : undefined
}

/**
 * Why there is no slot for a request at a candidate that is in rotation: where requests wait for a slot, no server is given
 * more than it works on at once, nor another model than the one that it is busy with where it has no room for both.
 */
export const slotExclusion = (candidate: Candidate, claim: Claim): Exclusion | undefined => {
  const { model, state } = candidate
  const standing = standingOf(state.live, model.id)
  const places = placesAt(candidate, standing, claim)
  if (!isWithoutSlot(candidate, standing, places)) return undefined
  const isBusy = standing.recalled === undefined && !isTaken(state.live, standing, places)
  return isBusy ? { _tag: "Full", limit: 1, by: "another model" } : { _tag: "Full", limit: places, by: "slots" }
}

const isTaken = ({ siblings }: LiveState, { running }: Standing, places: number): boolean =>
  running.length + siblings.inFlight >= places

/** Whether a candidate that is given so many at a time has no slot now. */
export const isWithoutSlot = (candidate: Candidate, standing: Standing, places: number): boolean =>
  standing.recalled?.isFull ?? (isTaken(candidate.state.live, standing, places) || busyWithAnother(candidate))

/** Those that are at work on all that they are given at a time (`max_concurrent`). */
export const fullOf = (all: ReadonlyArray<Candidate>): ReadonlyArray<Candidate> =>
  all.filter((candidate) => availabilityExclusion(candidate)?._tag === "Full")

/** Whether any of the others is preferred by its priority. */
export const isBehind = ({ state }: Candidate, others: ReadonlyArray<Candidate>): boolean => {
  for (const other of others) if (other.state.backend.priority < state.backend.priority) return true
  return false
}

/** What its recent answers say against a healthy candidate; `now` in monotonic milliseconds. */
export const circuitExclusion = ({ state, model }: Candidate, now: number): Exclusion | undefined => {
  const { live } = state
  if (!live.marked) return undefined
  const coolUntil = live.cooling.get(model.id)
  if (coolUntil !== undefined && coolUntil > now) {
    return { _tag: "Cooling", untilMs: coolUntil, rest: live.rests.get(model.id) }
  }
  const circuit = live.circuits.get(model.id)
  return circuit === undefined || circuitAllows(circuit, now)
    ? undefined
    : { _tag: "CircuitOpen", untilMs: circuit.openUntil }
}

/** Whether a candidate that is in rotation lacks nothing but a slot: by its limits, by `slotless`, or since it has just refused one for that. */
export const lacksSlotOnly = (candidate: Candidate, slotless: Exclusion | undefined, now: number): boolean => {
  const limit = availabilityExclusion(candidate) ?? slotless
  if (limit !== undefined && limit._tag !== "Full") return false
  const why = circuitExclusion(candidate, now)
  return why === undefined ? limit !== undefined : why._tag === "Cooling" && why.rest?.full === true
}

const abilityWords: Readonly<Record<Ability, string>> = {
  vision: "vision (image input)",
  tools: "tools",
  json_mode: "JSON mode",
  embeddings: "embeddings"
}

/** Why a backend that is not enabled gets no requests. */
export const modeWords: Readonly<Record<Exclude<Mode, "enabled">, string>> = {
  draining: "is being drained by the administrator",
  disabled: "is disabled by the administrator"
}

/** What is missing, in words that end "it lacks …". */
export const missingWords = (why: Exclusion): string => {
  if (why._tag === "Unable") return abilityWords[why.ability]
  return why._tag === "ContextTooShort"
    ? `a context of ${why.needs} tokens or more (it has ${why.has})`
    : reasonWords(why, 0)
}

/** An exclusion in words for a person. */
export const reasonWords = (why: Exclusion, now: number): string => {
  switch (why._tag) {
    case "RuledOut":
      return `is none of those that rule '${why.rule}' names`
    case "Forbidden":
      return `is none of the ${why.by} that the key is for`
    case "BeyondZones":
      return beyondWords(why.zone, why.limit)
    case "OutOfService":
      return modeWords[why.mode]
    case "Unhealthy":
    case "Misconfigured":
      return why.reason
    case "Unable":
      return `lacks ${abilityWords[why.ability]}`
    case "ContextTooShort":
      return `context of ${why.has} tokens is too short for ${why.needs} or more`
    case "Full":
      return why.by === "another model"
        ? "is busy with another model, and has no room for both"
        : `has its ${why.limit} request${why.limit === 1 ? "" : "s"} in flight (${why.by})`
    case "CircuitOpen":
      return `left alone for ${Math.ceil(Math.max(0, why.untilMs - now) / 1000)} s after failures in a row`
    case "Cooling":
      return `${why.rest === undefined ? "" : `${why.rest.reason}; `}asked to be left alone for ${Math.ceil(Math.max(0, why.untilMs - now) / 1000)} s`
  }
}

const wordsWithout = ({ health, listed, mode }: BackendState): string => {
  if (mode !== "enabled") return modeWords[mode]
  if (health.reason !== "") return health.reason
  return listed ? "does not list the model now" : "answers, and has not listed its models"
}

/** Whether anybody has ever listed a model, in whatever spelling of its name. */
export const isKnownModel = (model: string, { known }: Snapshot): boolean =>
  known.has(model) || spellingsOf(model).some((spelling) => known.has(spelling))

/** Why each backend does not serve a model that none of them lists. */
export const notServing = (model: string, { backends }: Pick<Snapshot, "backends">): ReadonlyArray<AttemptFailure> =>
  [...backends.values()].map((state) => ({ backend: state.backend.name, model, reason: wordsWithout(state) }))

/** The same of those alone that have never listed their models: any of them may have it. */
export const neverListed = (model: string, of: Pick<Snapshot, "backends">): ReadonlyArray<AttemptFailure> =>
  notServing(model, of).filter(({ backend }) => of.backends.get(backend)?.listed === false)
