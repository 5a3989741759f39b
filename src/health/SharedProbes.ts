/**
 * Probes that replicas share: whoever is due first asks the server, and the others take over what came of it, so that a server is
 * asked by all of them about as often as by one.
 */
import { createHash } from "node:crypto"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redis from "effect/persistence/Redis"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Backend } from "../backend/backend.ts"
import { apiPaths } from "../domain/base-url.ts"
import type { ProbeOutcome } from "../domain/backend-health.ts"
import { ModelShape, ServedShape } from "../domain/model-shapes.ts"
import { SharedStore, type StoreFailed } from "../replicas/SharedStore.ts"

/** How often a backend is probed, and how long that may take, in milliseconds. */
interface ProbeTimes {
  readonly intervalMs: number
  readonly timeoutMs: number
}

/** Makes a probe that is due, or finds out what another replica has just made of one. */
type ShareProbe = (
  backend: Backend,
  probe: Effect.Effect<ProbeOutcome>,
  times: () => ProbeTimes
) => Effect.Effect<ProbeOutcome>

/** How probes are shared; everybody makes their own unless there is a shared store. */
export const ProbeSharing = Context.Reference<ShareProbe>("nexus/health/ProbeSharing", {
  defaultValue: () => (_, probe) => probe
})

const Load = Schema.Struct({
  running: Schema.optionalKey(Schema.Int),
  waiting: Schema.optionalKey(Schema.Int),
  slots: Schema.optionalKey(Schema.Int)
})

const Told = Schema.Struct({
  stamp: Schema.String,
  outcome: Schema.Union([
    Schema.TaggedStruct("Up", {
      models: Schema.NullOr(Schema.Array(ModelShape)),
      latencyMs: Schema.Finite,
      apiPath: Schema.optionalKey(Schema.Literals(apiPaths)),
      served: Schema.optionalKey(ServedShape),
      loads: Schema.optionalKey(Schema.Array(Schema.Tuple([Schema.String, Load])))
    }),
    Schema.TaggedStruct("Down", { reason: Schema.String }),
    Schema.TaggedStruct("Refused", { reason: Schema.String })
  ])
})

type Told = typeof Told.Type

const read = Schema.decodeUnknownResult(Schema.fromJsonString(Told))

const written = (stamp: string, outcome: ProbeOutcome): Told => {
  if (outcome._tag !== "Up") return { stamp, outcome }
  const { loads, models, ...up } = outcome
  return { stamp, outcome: { ...up, models: models ?? null, ...(loads === undefined ? {} : { loads: [...loads] }) } }
}

const outcomeOf = ({ outcome }: Told): ProbeOutcome => {
  if (outcome._tag !== "Up") return outcome
  const { loads, models, ...up } = outcome
  return { ...up, models: models ?? undefined, ...(loads === undefined ? {} : { loads: new Map(loads) }) }
}

// What is found is news to whoever is due within this part of the interval: the one that made it is not due again by then.
const freshShare = 0.75

// One that is down is looked at again soon, by each that has to be sure.
const downFreshMs = 1000

/** Between two looks at what another one is about to find, in milliseconds. */
const lookMs = 200

// How often the store is asked again that is there and was late.
const tries = 5

// Whoever was killed in the middle of a probe keeps the others from it for no longer.
const spareMs = 1000

const claimScript = Redis.script(
  (keys: ReadonlyArray<string>, id: string, seen: string, lockMs: string) => [...keys, id, seen, lockMs],
  {
    numberOfKeys: 2,
    lua: `
local told = redis.call("GET", KEYS[1])
if told then
  local stamp = cjson.decode(told)["stamp"]
  if stamp ~= ARGV[2] and string.sub(stamp, 1, string.len(ARGV[1])) ~= ARGV[1] then return {"told", told} end
end
if redis.call("SET", KEYS[2], ARGV[1], "NX", "PX", ARGV[3]) then return {"go", ""} end
if redis.call("GET", KEYS[2]) == ARGV[1] then return {"go", ""} end
return {"wait", ""}`
  }
).withReturnType<readonly [word: string, told: string]>()

const tellScript = Redis.script(
  (keys: ReadonlyArray<string>, id: string, told: string, freshMs: string) => [...keys, id, told, freshMs],
  {
    numberOfKeys: 2,
    lua: `
redis.call("SET", KEYS[1], ARGV[2], "PX", ARGV[3])
if redis.call("GET", KEYS[2]) == ARGV[1] then redis.call("DEL", KEYS[2]) end
return 1`
  }
).withReturnType<number>()

// The same for definitions that lead to the same server with the same key: what is found of the one holds for the other.
const markOf = ({ address, apiKey, name, query, tls, type, url }: Backend): string =>
  createHash("sha256")
    .update(
      JSON.stringify([
        name,
        type,
        url,
        query,
        address,
        apiKey === undefined ? null : Redacted.value(apiKey),
        tls === undefined ? null : [tls.ca, tls.cert, tls.insecure]
      ])
    )
    .digest("hex")
    .slice(0, 32)

const make = Effect.gen(function* () {
  const store = yield* SharedStore
  const alone: ShareProbe = (_, probe) => probe
  if (!store.isOn) return alone
  const id = crypto.randomUUID()
  // A probe is in no hurry: an answer of the store that was late once is no reason to go without it.
  const patiently = <A>(ask: Effect.Effect<A, StoreFailed>): Effect.Effect<A, StoreFailed> =>
    Effect.retry(ask, {
      times: tries,
      while: () => Effect.as(Effect.sleep(lookMs), !store.isAway())
    })
  const claim = store.run(claimScript)
  const tell = store.run(tellScript)
  const seen = new Map<string, string>()
  let made = 0

  const share: ShareProbe = (backend, probe, times) => {
    // Why it is not asked is a matter of this replica alone.
    if (backend.barred !== undefined || backend.keyFault !== undefined) return probe
    const mark = markOf(backend)
    const keys = [store.key(`probed:${mark}`), store.key(`probing:${mark}`)]
    const lockMs = () => times().timeoutMs + spareMs
    const ask = Effect.gen(function* () {
      const outcome = yield* probe
      made += 1
      const stamp = `${id} ${made}`
      const freshMs = freshShare * times().intervalMs
      const heldMs = Math.max(1, Math.round(outcome._tag === "Up" ? freshMs : Math.min(freshMs, downFreshMs)))
      yield* Effect.ignore(patiently(tell(keys, id, JSON.stringify(written(stamp, outcome)), String(heldMs))))
      return outcome
    })
    const turn: Effect.Effect<ProbeOutcome> = Effect.gen(function* () {
      while (true) {
        const claimed = yield* Effect.result(patiently(claim(keys, id, seen.get(mark) ?? "", String(lockMs()))))
        // While the store is away each makes its own.
        if (Result.isFailure(claimed)) return yield* probe
        const [word, text] = claimed.success
        if (word === "wait") {
          yield* Effect.sleep(lookMs)
          continue
        }
        const told = word === "told" ? read(text) : undefined
        if (told === undefined || Result.isFailure(told)) return yield* ask
        seen.set(mark, told.success.stamp)
        return outcomeOf(told.success)
      }
    })
    return turn
  }
  return share
})

/** Shares probes by the shared store, where there is one. */
export const layer: Layer.Layer<never, never, SharedStore> = Layer.effect(ProbeSharing, make)
