/**
 * Calls between processes: what waits for a reply, and whom it came from. The one place where a reply finds its question,
 * whatever carries both: a pipe between processes of this machine, or anything else that delivers messages.
 */
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

/** Something that one process can ask of another one. */
export interface CallContract<Payload, Success, Failure = never> {
  readonly name: string
  readonly payload: Schema.Codec<Payload, unknown>
  readonly success: Schema.Codec<Success, unknown>
  readonly failure: Schema.Codec<Failure, unknown>
  /** Milliseconds after which nobody waits for the reply any more. */
  readonly withinMs: number
}

/** A call on its way; `id` is the caller's number for it. */
export const CallMessage = Schema.TaggedStruct("Call", { id: Schema.Int, name: Schema.String, payload: Schema.Unknown })

/** Type of {@link CallMessage}. */
export type CallMessage = typeof CallMessage.Type

/** What became of the call of that number; `broken` says that whoever was asked could not make anything of it. */
export const ReplyMessage = Schema.TaggedStruct("Reply", {
  id: Schema.Int,
  outcome: Schema.Literals(["done", "refused", "broken"]),
  value: Schema.Unknown
})

/** Type of {@link ReplyMessage}. */
export type ReplyMessage = typeof ReplyMessage.Type

/** The reply that says of a call that nothing could be made of it. */
export const brokenReply = (id: number): ReplyMessage => ({ _tag: "Reply", id, outcome: "broken", value: null })

/** A call has no reply: it is late, who was asked has ended, or what came cannot be read. */
export class NoReply extends Data.TaggedError("NoReply")<{ readonly why: "late" | "lost" | "broken" }> {}

/** Asks a certain peer for what a contract says. */
export type Ask = <Payload, Success, Failure>(
  contract: CallContract<Payload, Success, Failure>,
  payload: Payload
) => Effect.Effect<Success, Failure | NoReply>

const broken = () => new NoReply({ why: "broken" })

const readReply = <Success, Failure>(
  { success, failure }: Pick<CallContract<never, Success, Failure>, "success" | "failure">,
  { outcome, value }: ReplyMessage
): Effect.Effect<Success, Failure | NoReply> => {
  switch (outcome) {
    case "done":
      return Effect.mapError(Schema.decodeUnknownEffect(success)(value), broken)
    case "refused":
      return Effect.flatMap(Effect.mapError(Schema.decodeUnknownEffect(failure)(value), broken), Effect.fail)
    case "broken":
      return Effect.fail(broken())
  }
}

interface Pending<Peer> {
  readonly peer: Peer
  readonly end: (reply: ReplyMessage | undefined) => void
}

/** The calls of this process that wait for their replies; `send` tells a peer, who may be gone. */
export class Calls<Peer> {
  private readonly pending = new Map<number, Pending<Peer>>()
  private readonly send: (peer: Peer, call: CallMessage) => void
  private last = 0

  constructor(send: (peer: Peer, call: CallMessage) => void) {
    this.send = send
  }

  /** How many wait. */
  get size(): number {
    return this.pending.size
  }

  /** Passes on a call as it came; the reply is as it came, too. */
  passOn(peer: Peer, name: string, payload: unknown, withinMs: number): Effect.Effect<ReplyMessage, NoReply> {
    return Effect.callback<ReplyMessage, NoReply>((resume) => {
      this.last += 1
      const id = this.last
      const end = (reply: ReplyMessage | undefined) =>
        resume(reply === undefined ? Effect.fail(new NoReply({ why: "lost" })) : Effect.succeed(reply))
      this.pending.set(id, { peer, end })
      this.send(peer, { _tag: "Call", id, name, payload })
      return Effect.sync(() => this.pending.delete(id))
    }).pipe(Effect.timeoutOrElse({ duration: withinMs, orElse: () => Effect.fail(new NoReply({ why: "late" })) }))
  }

  /** Asks this peer, and waits for its replies. */
  askOf(peer: Peer): Ask {
    return (contract, payload) =>
      Effect.suspend(() =>
        this.passOn(peer, contract.name, Schema.encodeSync(contract.payload)(payload), contract.withinMs)
      ).pipe(Effect.flatMap((reply) => readReply(contract, reply)))
  }

  /** Takes a reply; one that nobody waits for, or that comes from somebody else than was asked, is dropped. */
  replied(from: Peer, reply: ReplyMessage): void {
    const call = this.pending.get(reply.id)
    if (call === undefined || call.peer !== from) return
    this.pending.delete(reply.id)
    call.end(reply)
  }

  /** A peer has ended: nobody waits for it any more. */
  lost(peer: Peer): void {
    for (const [id, call] of this.pending) {
      if (call.peer !== peer) continue
      this.pending.delete(id)
      call.end(undefined)
    }
  }
}

/** A contract and who fulfils it. */
export interface CallHandler<R = never> {
  readonly name: string
  readonly reply: (call: CallMessage) => Effect.Effect<ReplyMessage, never, R>
}

/** Fulfils a contract. */
export const handling = <Payload, Success, Failure, R>(
  { name, payload, success, failure }: CallContract<Payload, Success, Failure>,
  handle: (payload: Payload) => Effect.Effect<Success, Failure, R>
): CallHandler<R> => {
  const read = Schema.decodeUnknownOption(payload)
  const done = Schema.encodeSync(success)
  const refused = Schema.encodeSync(failure)
  return {
    name,
    reply: ({ id, payload }) => {
      const broken = brokenReply(id)
      const asked = read(payload)
      if (Option.isNone(asked)) return Effect.succeed(broken)
      return handle(asked.value).pipe(
        Effect.match({
          onSuccess: (value): ReplyMessage => ({ _tag: "Reply", id, outcome: "done", value: done(value) }),
          onFailure: (value): ReplyMessage => ({ _tag: "Reply", id, outcome: "refused", value: refused(value) })
        }),
        Effect.catchCause((cause) =>
          Cause.hasInterruptsOnly(cause)
            ? Effect.succeed(broken)
            : Effect.as(Effect.annotateLogs(Effect.logError("call failed", cause), { call: name }), broken)
        )
      )
    }
  }
}

/** The reply to a call by whoever of these fulfils its contract; undefined when none of them does. */
export const replyOf = <R>(
  served: ReadonlyArray<CallHandler<R>>,
  call: CallMessage
): Effect.Effect<ReplyMessage, never, R> | undefined => served.find(({ name }) => name === call.name)?.reply(call)
