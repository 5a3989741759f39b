/**
 * The network as mDNS uses it: one group of all who listen on the links of this machine. The package that speaks the
 * protocol is loaded when the first link is opened.
 */
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type { default as openSocket, Responder } from "multicast-dns"
import type { DnsQuestion } from "./adverts.ts"
import { addressesNow, addressesOn, chosenInterfaces, localNetwork, type LocalNetwork } from "./local-network.ts"

/** mDNS cannot be used, or no longer. */
export class LinkFailed extends Data.TaggedError("LinkFailed")<{ readonly reason: string }> {}

/** A packet, none of whose contents has been checked. */
export interface ReceivedPacket {
  readonly questions: ReadonlyArray<unknown>
  readonly records: ReadonlyArray<unknown>
  /** Whether it is an answer or an announcement. */
  readonly isResponse: boolean
  /** Address of the sender, which is this machine or one beside it. */
  readonly from: string
}

/** A record that is sent, as the package takes it. */
export interface SentRecord {
  readonly name: string
  readonly type: "PTR" | "SRV" | "TXT" | "A" | "AAAA"
  /** In seconds. */
  readonly ttl: number
  readonly flush?: boolean
  readonly data: unknown
}

/** An open link. */
export interface MdnsLink extends LocalNetwork {
  /** Addresses of this machine on the interfaces of the link. */
  readonly addresses: ReadonlyArray<string>
  /** The next packet; those that nobody took in time are lost, as they are on a network. */
  readonly next: Effect.Effect<ReceivedPacket, LinkFailed>
  readonly query: (questions: ReadonlyArray<DnsQuestion>) => Effect.Effect<void, LinkFailed>
  readonly respond: (records: ReadonlyArray<SentRecord>) => Effect.Effect<void, LinkFailed>
  /** Whether the interfaces are others now than when it was opened. */
  readonly isOutdated: () => boolean
}

/** Opens a link on an interface, by name or IPv4 address; on all but loopback without one. */
export type OpenLink = (wanted: string | undefined) => Effect.Effect<MdnsLink, LinkFailed, Scope.Scope>

const port = 5353
const packetsWaiting = 256

const words = (error: unknown): string => {
  if (!(error instanceof Error)) return "it failed"
  const code = "code" in error && typeof error.code === "string" ? error.code : ""
  if (code === "EADDRINUSE") return `UDP port ${port} is taken by a program that does not share it`
  if (code === "EACCES" || code === "EPERM") return "the system does not allow it"
  if (code === "ENETUNREACH" || code === "ENODEV") return "there is no route for multicast"
  return error.message.replace(/\s+/g, " ").slice(0, 200)
}

const failure = (error: unknown) => new LinkFailed({ reason: words(error) })

const close = (socket: Responder): Effect.Effect<void> =>
  Effect.ignore(Effect.tryPromise({ try: () => new Promise<void>((done) => socket.destroy(done)), catch: failure }))

const socketOn = (
  open: typeof openSocket,
  address: string,
  heard: Queue.Queue<ReceivedPacket, LinkFailed>,
  near: LocalNetwork
) =>
  Effect.acquireRelease(
    Effect.callback<Responder, LinkFailed>((resume) => {
      const socket = open({ port, interface: address, bind: "0.0.0.0" })
      let isReady = false
      socket.on("ready", () => {
        isReady = true
        resume(Effect.succeed(socket))
      })
      socket.on("error", (error) => {
        if (isReady) return void Queue.failCauseUnsafe(heard, Cause.fail(failure(error)))
        resume(Effect.andThen(close(socket), Effect.fail(failure(error))))
      })
      socket.on("packet", ({ type, questions, answers, additionals }, from) => {
        if (from.port !== port || !(near.isNear(from.address) || near.isOwn(from.address))) return
        const records = [...answers, ...additionals]
        Queue.offerUnsafe(heard, { questions, records, isResponse: type === "response", from: from.address })
      })
      return close(socket)
    }),
    close
  )

type Send = (socket: Responder, done: (error?: Error | null) => void) => void

const sendOne = (socket: Responder, send: Send) =>
  Effect.callback<void, LinkFailed>((resume) =>
    send(socket, (error) => resume(error === null || error === undefined ? Effect.void : Effect.fail(failure(error))))
  )

/** The real network. */
export const openLink: OpenLink = (wanted) =>
  Effect.gen(function* () {
    const interfaces = chosenInterfaces(addressesNow(), wanted)
    if (interfaces.length === 0) {
      const reason = wanted === undefined ? "no network interface is up" : `there is no interface ${wanted} with IPv4`
      return yield* new LinkFailed({ reason })
    }
    const { default: open } = yield* Effect.tryPromise({ try: () => import("multicast-dns"), catch: failure })
    const near = localNetwork(addressesNow())
    const heard = yield* Queue.sliding<ReceivedPacket, LinkFailed>(packetsWaiting)
    const opened = yield* Effect.forEach(interfaces, (each) => Effect.result(socketOn(open, each, heard, near)))
    const sockets = opened.flatMap((each) => (Result.isSuccess(each) ? [each.success] : []))
    const [first] = opened
    if (sockets.length === 0 && first !== undefined && Result.isFailure(first)) return yield* first.failure
    // One interface that works is enough: others may come and go.
    const toAll = Effect.fnUntraced(function* (send: Send) {
      const sent = yield* Effect.forEach(sockets, (socket) => Effect.result(sendOne(socket, send)))
      const [one] = sent
      if (one !== undefined && sent.every(Result.isFailure) && Result.isFailure(one)) return yield* one.failure
    })
    const link: MdnsLink = {
      ...near,
      addresses: addressesOn(addressesNow(), interfaces),
      next: Queue.take(heard),
      query: (questions) => toAll((socket, done) => socket.query(questions, done)),
      respond: (records) => toAll((socket, done) => socket.respond(records, done)),
      isOutdated: () => chosenInterfaces(addressesNow(), wanted).join() !== interfaces.join()
    }
    return link
  })
