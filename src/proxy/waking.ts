/**
 * A request that nobody can answer but a backend that sleeps: has it woken, and waits for it.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { type GatewayError, GatewayTimeout } from "../domain/errors.ts"
import { zoneOf } from "../backend/zone.ts"
import { limitAgainst } from "../domain/zones.ts"
import type { RoutingNeeds } from "../domain/request.ts"
import type { Registry } from "../registry/Registry.ts"
import type { BackendState, Snapshot } from "../registry/snapshot.ts"
import { capabilityExclusion } from "../router/filter.ts"
import type { Plan } from "../router/plan.ts"
import { isAway } from "./asking.ts"
import type { GaveUp } from "./final-failure.ts"
import type { RequestRun } from "./request-run.ts"

/** How long it may take until it is known that a backend is being woken, in milliseconds. */
const begunMs = 500

const isAsleep = ({ backend, health, mode }: BackendState): boolean =>
  backend.wake !== undefined && mode === "enabled" && (health.status === "unhealthy" || health.status === "waking")

const first = (states: Iterable<BackendState>): BackendState | undefined =>
  [...states].filter(isAsleep).toSorted((a, b) => a.backend.priority - b.backend.priority)[0]

/** The backend that sleeps and could answer a request that nobody else can: one that has the model, or has never been heard. */
const sleeperFor = (
  refusal: GatewayError,
  plan: Plan,
  needs: RoutingNeeds,
  { backends }: Snapshot
): BackendState | undefined => {
  if (refusal._tag !== "ModelNotFound" && refusal._tag !== "ServiceUnavailable") return undefined
  const known = plan.targets.flatMap(({ candidates }) => candidates)
  if (known.length === 0) {
    const mayGo = ({ backend }: BackendState) => limitAgainst(needs.zones ?? [], zoneOf(backend)) === undefined
    return first([...backends.values()].filter((state) => !state.listed && mayGo(state)))
  }
  return first(
    known.filter((candidate) => capabilityExclusion(candidate, needs) === undefined).map(({ state }) => state)
  )
}

// A snapshot is never changed, and asked with each request.
const wakeable = new WeakMap<Snapshot, boolean>()

/** Whether any backend can be woken. */
export const canWake = (snapshot: Snapshot): boolean => {
  const known = wakeable.get(snapshot)
  if (known !== undefined) return known
  const found = [...snapshot.backends.values()].some(({ backend }) => backend.wake !== undefined)
  wakeable.set(snapshot, found)
  return found
}

/** Has a backend woken, and waits until it is clear what has come of it. */
const woken = (registry: Registry["Service"], name: string): Effect.Effect<void> => {
  const isWaking = ({ backends }: Snapshot) => backends.get(name)?.health.status === "waking"
  return Effect.gen(function* () {
    registry.want(name)
    // One that has just stayed away is not woken again so soon.
    const begun = yield* Effect.timeoutOption(registry.when(isWaking), begunMs)
    if (Option.isSome(begun)) yield* registry.when((snapshot) => !isWaking(snapshot))
  })
}

const late = (): GatewayTimeout =>
  new GatewayTimeout({
    message: "The backend was still waking up when the request exceeded request_timeout_seconds",
    limit: "request"
  })

const within = (run: RequestRun, waiting: Effect.Effect<void>): Effect.Effect<void, GatewayError> => {
  const left = run.record.clock.totalAt - performance.now()
  return left === Infinity
    ? waiting
    : Effect.timeoutOrElse(waiting, { duration: Math.max(0, left), orElse: () => Effect.fail(late()) })
}

/** Who is to be woken for a request that is refused, and the wait for that; undefined where there is nobody. */
export const wakenFor = (
  registry: Registry["Service"],
  run: RequestRun,
  refusal: GatewayError,
  considered: Plan,
  needs: RoutingNeeds
): Effect.Effect<void, GatewayError> | undefined => {
  const snapshot = registry.snapshot()
  if (!canWake(snapshot)) return undefined
  const sleeper = sleeperFor(refusal, considered, needs, snapshot)
  return sleeper === undefined ? undefined : within(run, woken(registry, sleeper.backend.name))
}

/** The same for one whose last attempt found nobody there. */
export const wakenAfter = (
  registry: Registry["Service"],
  run: RequestRun,
  { attempt, error }: GaveUp
): Effect.Effect<void, GatewayError> | undefined => {
  const { backend } = attempt.candidate.state
  return backend.wake === undefined || !isAway(error) ? undefined : within(run, woken(registry, backend.name))
}
