/**
 * Tells the other replicas how this process stands with the backends, four times a second as long as there is anything to tell,
 * and takes over what they tell.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Backend } from "../backend/backend.ts"
import { Replicas } from "../replicas/Replicas.ts"
import { SharedStore } from "../replicas/SharedStore.ts"
import { Registry } from "../registry/Registry.ts"
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
  backends: Schema.Array(Schema.Struct({ name: Schema.String, where: Schema.String, ...ToldStanding.fields }))
})

type Said = typeof Said.Type

const read = Schema.decodeUnknownOption(Schema.fromJsonString(Said))

const tellMs = 250

/** What was said longer ago counts no more, in milliseconds: whoever said it has been killed, or cannot be heard. */
const forgottenMs = 2000

const channel = "standings"

// Replicas may have other servers under the same name: they have nothing to do with each other.
const whereOf = ({ address = "", type, url }: Backend): string => `${type} ${url} ${address}`

const keyOf = (name: string, where: string): string => `${name} ${where}`

const make = Effect.gen(function* () {
  const store = yield* SharedStore
  if (!store.isOn) return
  const replicas = yield* Replicas
  const registry = yield* Registry
  const heard = new Map<
    string,
    { readonly at: number; readonly gateway: string; readonly of: ReadonlyMap<string, ToldStanding> }
  >()
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
    heard.set(said.id, { at: performance.now(), gateway: said.gateway, of })
  }

  const tell = Effect.suspend(() => {
    const now = performance.now()
    const { backends } = registry.snapshot()
    const own = gateway()
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
      if (standing !== undefined) mine.push({ name: backend.name, where, ...standing })
    }
    for (const key of adopted.keys()) if (!keys.has(key)) adopted.delete(key)
    // That there is nothing more to tell is told once.
    if (mine.length === 0 && quiet) return Effect.void
    quiet = mine.length === 0
    const said: Said = { id: replicas.id, gateway: own, backends: mine }
    // It is told again in a moment.
    return Effect.ignore(store.publish(channel, JSON.stringify(said)))
  })

  yield* Effect.forkScoped(Stream.runForEach(store.messages(channel), (message) => Effect.sync(() => take(message))))
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(tellMs), tell)))
})

/** Runs for as long as its scope, where there is a shared store. */
export const layer: Layer.Layer<never, never, SharedStore | Replicas | Registry> = Layer.effectDiscard(make)
