import { describe, expect } from "bun:test"
import { createSocket } from "node:dgram"
import { Effect, Logger } from "effect"
import { announce } from "../../../src/discovery/mdns/Announcer.ts"
import { browse } from "../../../src/discovery/mdns/Browser.ts"
import { type ReceivedPacket, openLink } from "../../../src/discovery/mdns/Link.ts"
import { readRecords } from "../../../src/discovery/mdns/records.ts"
import { live } from "../../kit/effect.ts"
import { hasMulticast, loopback, startAdvertiser } from "./loopback.ts"

// No other test, and nothing on the network, speaks of these.
const uniqueType = () => `_nx${Math.random().toString(36).slice(2, 10)}._tcp`

const when = <A, E>(ask: Effect.Effect<A, E>, holds: (value: A) => boolean) =>
  ask.pipe(Effect.delay("20 millis"), Effect.repeat({ until: holds }), Effect.timeout("20 seconds"))

const advertiser = (type: string, label: string) =>
  Effect.acquireRelease(
    Effect.promise(() => startAdvertiser(type, label)),
    (each) => Effect.promise(() => each[Symbol.asyncDispose]())
  )

/** Sends bytes to all who listen on loopback, from the port of mDNS. */
const shout = (datagrams: ReadonlyArray<Uint8Array>) =>
  Effect.promise(async () => {
    const socket = createSocket({ type: "udp4", reuseAddr: true })
    await new Promise<void>((done) => socket.bind(5353, "0.0.0.0", done))
    socket.setMulticastInterface(loopback)
    for (const each of datagrams)
      await new Promise<void>((done) => socket.send(each, 5353, "224.0.0.251", () => done()))
    await new Promise<void>((done) => socket.close(() => done()))
  })

const header = (questions: number, answers: number) => [0, 0, 0x84, 0, 0, questions, 0, answers, 0, 0, 0, 0]

/** A loop of names, records that are not there, lengths beyond the end, and noise. */
const hostile = [
  [],
  [1, 2, 3],
  [...header(0, 1), 0xc0, 0x0c],
  [...header(255, 255)],
  [...header(0, 1), 3, 97, 98],
  [...header(0, 1), 0, 0, 33, 0, 1, 0, 0, 0, 9, 0xff, 0xff],
  ...Array.from({ length: 50 }, (_, at) => [
    ...header(0, at),
    ...Array.from({ length: 400 }, (__, i) => (i * at * 31) % 256)
  ])
].map((bytes) => Uint8Array.from(bytes))

describe.skipIf(!hasMulticast)("mDNS over loopback (skipped where loopback carries no multicast)", () => {
  live("hears a server that announces itself, its move and its goodbye, through whatever else is sent", () =>
    Effect.gen(function* () {
      const type = uniqueType()
      const server = yield* advertiser(type, "Box")
      const { adverts } = yield* browse({ types: [type], interface: loopback, open: openLink })
      yield* shout(hostile)
      yield* Effect.promise(() => server.at(4001))
      const [found] = yield* when(adverts, (all) => all.length === 1)
      expect([found?.label, found?.addresses, found?.port, found?.state]).toEqual(["Box", [loopback], 4001, "live"])
      yield* shout(hostile)
      yield* Effect.promise(() => server.at(4002))
      yield* when(adverts, ([each]) => each?.port === 4002)
      yield* Effect.promise(() => server.goodbye())
      yield* when(adverts, ([each]) => each?.state === "withdrawn")
    }).pipe(Effect.provide(Logger.layer([])))
  )

  live("tells others of Nexus when they ask, and says goodbye", () =>
    Effect.gen(function* () {
      const port = 20_000 + Math.floor(Math.random() * 20_000)
      const link = yield* openLink(loopback)
      const about =
        (ttl: (ms: number) => boolean) =>
        ({ isResponse, records }: ReceivedPacket) =>
          isResponse &&
          readRecords(records).some((each) => each._tag === "Service" && each.port === port && ttl(each.ttlMs))
      const heard = (ttl: (ms: number) => boolean) => when(link.next, about(ttl))
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* announce({ host: "0.0.0.0", port, interface: loopback, open: openLink })
          yield* heard((ms) => ms > 0)
          yield* heard((ms) => ms > 0)
          yield* Effect.sleep("1 second")
          yield* link.query([{ name: "_llm._tcp.local", type: "PTR" }])
          yield* heard((ms) => ms > 0)
        })
      )
      yield* heard((ms) => ms === 0)
    }).pipe(Effect.provide(Logger.layer([])))
  )

  live("without such an interface says so", () =>
    Effect.gen(function* () {
      const failed = yield* Effect.flip(openLink("no-such-interface"))
      expect(failed.reason).toBe("there is no interface no-such-interface with IPv4")
    })
  )
})
