/**
 * Wakes backends that requests want and that sleep (Wake-on-LAN): sends a packet with the address of the network card sixteen
 * times, which it listens for while it sleeps, and looks until they answer or have had their time.
 */
import type { Socket } from "node:dgram"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type { Wake } from "../domain/server.ts"
import { monotonicMs } from "../domain/monotonic.ts"
import { admitted, Perimeter } from "../upstream/perimeter.ts"
import type { Gate } from "../wire/call.ts"
import { Registry } from "../registry/Registry.ts"
import type { BackendState } from "../registry/snapshot.ts"

const repetitions = 16

const bytesOf = (hex: string): ReadonlyArray<number> => [...Buffer.from(hex, "hex")]

// The packet for a network card, by the 12 digits of its address; with the 12 of its SecureOn password where it wants one.
const magicPacket = (mac: string, password = ""): Uint8Array => {
  const address = bytesOf(mac)
  return Uint8Array.from([
    ...Array.from({ length: 6 }, () => 0xff),
    ...Array.from({ length: repetitions }, () => address).flat(),
    ...bytesOf(password)
  ])
}

const sentBy = (socket: Socket, { address, mac, password, port }: Wake): Effect.Effect<void, string> =>
  Effect.callback((resume) => {
    const fail = (error: Error): void => {
      resume(Effect.fail("code" in error ? String(error.code) : error.message))
    }
    socket.on("error", fail)
    socket.bind(0, () => {
      // Without it the system refuses to send to all.
      socket.setBroadcast(true)
      const packet = magicPacket(mac, password === undefined ? "" : Redacted.value(password))
      socket.send(packet, port, address, (error) => (error === null ? resume(Effect.void) : fail(error)))
    })
  })

/** Sends a packet to everybody of the network; nobody answers. Fails with words for a person. */
const sendMagicPacket = (gate: Gate, wake: Wake): Effect.Effect<void, string> =>
  admitted(gate, wake.address).pipe(
    Effect.mapError((reason) => (reason === "host name not found" ? "the name of wake_address is not found" : reason)),
    Effect.flatMap((address) =>
      // A start does not wait for what few need.
      Effect.flatMap(
        Effect.promise(() => import("node:dgram")),
        ({ createSocket }) =>
          Effect.acquireUseRelease(
            Effect.sync(() => createSocket("udp4")),
            (socket) => sentBy(socket, { ...wake, address }),
            (socket) => Effect.sync(() => void socket.close())
          )
      )
    ),
    Effect.timeoutOrElse({ duration: "5 seconds", orElse: () => Effect.fail("it could not be sent in time") })
  )

/** Time between two packets to one backend, in milliseconds: one may get lost. */
const packetEveryMs = 10_000

/** Time between two looks at a backend that is waking, in milliseconds. */
const lookEveryMs = 1500

// Whether somebody who wants a backend has it woken now; `restUntil` is for how long one that stayed away is left alone.
const isToBeWoken = ({ backend, mode }: BackendState, forced: boolean, restUntil: number, now: number): boolean =>
  backend.wake !== undefined && mode !== "disabled" && (forced || now >= restUntil)

const make = Effect.gen(function* () {
  const registry = yield* Registry
  const gate = yield* Perimeter
  const waking = new Set<string>()
  const rests = new Map<string, number>()
  const statusOf = (name: string) => registry.snapshot().backends.get(name)?.health.status

  const packets = (name: string, wake: Wake) =>
    sendMagicPacket(gate, wake).pipe(
      Effect.catch((reason) =>
        Effect.annotateLogs(Effect.logWarning("wake-up packet not sent"), { backend: name, reason })
      ),
      Effect.andThen(Effect.sleep(packetEveryMs)),
      Effect.forever
    )

  const looks = (name: string) =>
    Effect.sync(() => registry.suspect(name)).pipe(Effect.andThen(Effect.sleep(lookEveryMs)), Effect.forever)

  const wakeUp = Effect.fnUntraced(function* (name: string, wake: Wake) {
    const about = { backend: name }
    const began = yield* monotonicMs
    const seconds = Math.round(wake.timeoutMs / 1000)
    yield* Effect.annotateLogs(Effect.logInfo("waking backend"), { ...about, address: wake.address })
    yield* registry.noteWaking(name, `woken over the network, and given ${seconds} s to answer`)
    const up = registry.when(({ backends }) => backends.get(name)?.health.status !== "waking")
    const ended = yield* up.pipe(
      Effect.raceFirst(packets(name, wake)),
      Effect.raceFirst(looks(name)),
      Effect.timeoutOption(wake.timeoutMs)
    )
    const took = Math.round((yield* monotonicMs) - began) / 1000
    if (Option.isSome(ended) && statusOf(name) === "healthy") {
      rests.delete(name)
      return yield* Effect.annotateLogs(Effect.logInfo("backend woke up"), { ...about, seconds: took })
    }
    rests.set(name, (yield* monotonicMs) + wake.timeoutMs)
    yield* registry.noteNotWoken(name, `was woken over the network, and has not answered within ${seconds} s`)
  })

  yield* registry.nextWanted.pipe(
    Effect.flatMap(({ forced, name }) =>
      Effect.gen(function* () {
        const state = registry.snapshot().backends.get(name)
        const wake = state?.backend.wake
        if (state === undefined || wake === undefined || waking.has(name)) return
        if (!isToBeWoken(state, forced, rests.get(name) ?? 0, yield* monotonicMs)) return
        waking.add(name)
        yield* wakeUp(name, wake).pipe(Effect.ensuring(Effect.sync(() => waking.delete(name))), Effect.forkScoped)
      })
    ),
    Effect.forever,
    Effect.forkScoped
  )
})

/** Wakes those that are wanted. */
export const layer: Layer.Layer<never, never, Registry> = Layer.effectDiscard(make)
