/**
 * Tells the other replicas how this process stands with the backends, what these have computed for it and who waits and was
 * served here: four times a second as long as there is anything to tell, sooner while anybody waits. Takes over what they tell.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Backend } from "../backend/backend.ts"
import { ToldQueue } from "../admission/queues-elsewhere.ts"
import { Proxy } from "../proxy/Proxy.ts"
import { Replicas } from "../replicas/Replicas.ts"
import { SharedStore } from "../replicas/SharedStore.ts"
import { Registry } from "../registry/Registry.ts"
import { ComputedPrompts, takePrompts, ToldPrompt } from "../registry/told-prompts.ts"
import {
  type Adopted,
  nothingAdopted,
  standingToTell,
  takeStandings,
  ToldStanding
} from "../registry/replica-standings.ts"

const Said = Schema.Struct({
  id: Schema.String,
  gateway: Schema.String,
  backends: Schema.Array(
    Schema.Struct({
      name: Schema.String,
      where: Schema.String,
      ...ToldStanding.fields,
      /** What it has computed since that was last told. */
      prompts: Schema.optionalKey(Schema.Array(ToldPrompt))
    })
  ),
  queue: Schema.optionalKey(ToldQueue)
})

type Said = typeof Said.Type

const read = Schema.decodeUnknownOption(Schema.fromJsonString(Said))

/** What was said longer ago counts no more, in milliseconds: whoever said it has been killed, or cannot be heard. */
const forgottenMs = 2000

const channel = "standings"

// Replicas may have other servers under the same name: they have nothing to do with each other.
const whereOf = ({ address = "", type, url }: Backend): string => `${type} ${url} ${address}`

const nothing: ToldStanding = { in_flight: 0, circuits: [], cooling: [] }

/** What one process said last, and when. */
interface Heard {
  readonly at: number
  readonly gateway: string
  readonly of: ReadonlyMap<string, ToldStanding>
  readonly queue: ToldQueue | undefined
}

const keyOf = (name: string, where: string): string => `${name} ${where}`

const make = Effect.gen(function* () {
  const store = yield* SharedStore
  if (!store.isOn) return
  const replicas = yield* Replicas
  const registry = yield* Registry
  const { queues } = yield* Proxy
  const computed = new ComputedPrompts()
  const heard = new Map<string, Heard>()
  const adopted = new Map<string, Adopted>()
  let quiet = true

  const adoptedOf = (key: string): Adopted => {
    const known = adopted.get(key) ?? nothingAdopted()
    adopted.set(key, known)
    return known
  }
  const gateway = (): string => replicas.list().find(({ own }) => own)?.id ?? ""

  const take = (message: string | undefined): void => {
    const said = Option.getOrUndefined(read(message))
    if (said === undefined || said.id === replicas.id) return
    const of = new Map(said.backends.map(({ name, where, ...standing }) => [keyOf(name, where), standing]))
    heard.set(said.id, { at: performance.now(), gateway: said.gateway, of, queue: said.queue })
    // Those of this gateway tell each other themselves.
    if (said.gateway === gateway()) return
    const { backends } = registry.snapshot()
    for (const { name, prompts, where } of said.backends) {
      const state = backends.get(name)
      if (prompts !== undefined && state !== undefined && whereOf(state.backend) === where) takePrompts(state, prompts)
    }
  }

  const tell = Effect.suspend(() => {
    const now = performance.now()
    const snapshot = registry.snapshot()
    const { backends } = snapshot
    const own = gateway()
    computed.follows(snapshot)
    const fresh = computed.take()
    for (const [id, { at }] of heard) if (now - at > forgottenMs) heard.delete(id)
    const others = [...heard].filter(([, each]) => each.gateway !== own)
    const mine: Array<Said["backends"][number]> = []
    const keys = new Set<string>()
    for (const { backend, live } of backends.values()) {
      const where = whereOf(backend)
      const key = keyOf(backend.name, where)
      keys.add(key)
      const taken = adoptedOf(key)
      takeStandings(
        live,
        others.map(([from, { at, of }]) => ({ from, at, standing: of.get(key) })),
        taken,
        now
      )
      const standing = standingToTell(live, taken, now)
      const prompts = fresh.get(backend.name)
      if (prompts !== undefined) mine.push({ name: backend.name, where, ...(standing ?? nothing), prompts })
      else if (standing !== undefined) mine.push({ name: backend.name, where, ...standing })
    }
    const queue = queues.tells(now)
    queues.hears(
      "replicas",
      others.flatMap(([from, { queue: told }]) => (told === undefined ? [] : [{ from, told }]))
    )
    for (const key of adopted.keys()) if (!keys.has(key)) adopted.delete(key)
    // That there is nothing more to tell is told once.
    const isQuiet = mine.length === 0 && queue === undefined
    if (isQuiet && quiet) return Effect.void
    quiet = isQuiet
    const said: Said = { id: replicas.id, gateway: own, backends: mine, ...(queue === undefined ? {} : { queue }) }
    // It is told again in a moment.
    return Effect.ignore(store.publish(channel, JSON.stringify(said)))
  })

  yield* Effect.forkScoped(Stream.runForEach(store.messages(channel), (message) => Effect.sync(() => take(message))))
  const pause = Effect.suspend(() => Effect.sleep(queues.tellMs))
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(pause, tell)))
})

/** Runs for as long as its scope, where there is a shared store. */
export const layer: Layer.Layer<never, never, SharedStore | Replicas | Registry | Proxy> = Layer.effectDiscard(make)
