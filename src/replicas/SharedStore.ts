/**
 * The Valkey or Redis that replicas share what they know through. Nobody waits for it: what is asked of it while it is away fails
 * at once, a command has 50 ms for its answer, and nothing is sent a second time. A command that failed may have been
 * carried out all the same.
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redis from "effect/persistence/Redis"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import type { Redis as Client } from "ioredis"
import type { StoreSettings } from "../config/cluster.ts"
import { RequestLog } from "../telemetry/logging.ts"
import { StorePatience } from "./patience.ts"
import { type FindAddress, isAnswer, openClient, pingOver, sendOver } from "./store-client.ts"

/** Why something that was asked of the store came to nothing. */
export class StoreFailed extends Data.TaggedError("StoreFailed")<{
  readonly message: string
  /** Whether it answered: it refused what it was asked, and has done nothing. */
  readonly answered: boolean
}> {}

/** How the link to the store stands. */
export interface StoreStanding {
  readonly connected: boolean
  /** For how many milliseconds it has been connected, or away. */
  readonly forMs: number
  /** Why it is away; undefined while it is not. */
  readonly reason: string | undefined
  /** How often it went away since this process began. */
  readonly losses: number
}

/** The store, and the link to it. */
export class SharedStore extends Context.Service<
  SharedStore,
  {
    /** Whether there is one in the settings. */
    readonly isOn: boolean
    /** Whether it does not answer now: a plain read, for the request path. */
    readonly isAway: () => boolean
    /** The whole name of a key or channel; all of them have one hash tag, so that scripts may use any of them together. */
    readonly key: (name: string) => string
    /** Sends one command. */
    readonly send: <A = unknown>(command: string, ...args: ReadonlyArray<string>) => Effect.Effect<A, StoreFailed>
    /** Runs a script, which is loaded when it is first run, and again after the store has forgotten it. */
    readonly run: <Config extends { readonly params: ReadonlyArray<unknown>; readonly result: unknown }>(
      script: Redis.Script<Config>
    ) => (...params: Config["params"]) => Effect.Effect<Config["result"], StoreFailed>
    /** Tells all who listen to a channel; nobody is told twice, and who is away then is not told. */
    readonly publish: (channel: string, message: string) => Effect.Effect<void, StoreFailed>
    /** What is told over a channel, and undefined each time that it begins to be listened to: what was told before that is missing. */
    readonly messages: (channel: string) => Stream.Stream<string | undefined>
    /** An element now if it is there, and one whenever it is there again. */
    readonly returns: Stream.Stream<void>
    readonly standing: () => StoreStanding
  }
>()("nexus/replicas/SharedStore") {
  /** None: a gateway that is alone. */
  static readonly none = Layer.sync(SharedStore, () => {
    const failed = Effect.fail(new StoreFailed({ message: "there is no [cluster] in the settings", answered: false }))
    return SharedStore.of({
      isOn: false,
      isAway: () => true,
      key: (name) => name,
      send: () => failed,
      run: () => () => failed,
      publish: () => failed,
      messages: () => Stream.never,
      returns: Stream.never,
      standing: () => ({ connected: false, forMs: 0, reason: undefined, losses: 0 })
    })
  })

  /** The one of these settings; `findAddress` says where its name leads, or that it may not be connected to. */
  static readonly layer = (settings: StoreSettings, findAddress: FindAddress) =>
    Layer.effect(SharedStore, makeStore(settings, findAddress))
}

// How often it is looked whether the other side is there, and how long the start of the gateway waits for it.
const pingMs = 300
const firstMs = 1000

// What is no news: the gateway stood still, or the link was lost for a moment.
const blinkMs = 400

// How soon it is tried again to listen where that came to nothing.
const listenMs = 200

const sentinelWords =
  "it is a Sentinel, which keeps nothing for others: give the address of the master, or a name that leads to it"

// What is handed on when a channel begins to be listened to, which is no message of it.
const begin: Redis.RedisMessage = { channel: "", message: "" }

const wordsOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

const makeStore = Effect.fnUntraced(function* (settings: StoreSettings, findAddress: FindAddress) {
  const log = yield* RequestLog
  const waits = yield* StorePatience
  const runFork = Effect.runForkWith(yield* Effect.context<never>())
  const place = `${settings.host}:${settings.port}`
  const opened = Effect.acquireRelease(
    Effect.promise(() => openClient(settings, findAddress, waits)),
    (client) => Effect.sync(() => client.disconnect())
  )
  const client = yield* opened
  const listener = yield* opened
  const isThere = yield* SubscriptionRef.make(false)

  let reason: string | undefined = "it has not been connected to yet"
  let lastError: string | undefined
  let since = performance.now()
  let told = false
  let losses = 0
  let checking = false
  // Kinds of what it refuses that have been told.
  const refusals = new Set<string>()

  const away = (why: string): void => {
    reason = why
    if (!SubscriptionRef.getUnsafe(isThere)) return
    since = performance.now()
    losses += 1
    runFork(SubscriptionRef.set(isThere, false))
  }

  const back = (): void => {
    reason = undefined
    lastError = undefined
    if (SubscriptionRef.getUnsafe(isThere)) return
    refusals.clear()
    since = performance.now()
    if (told) log.write("info", "the shared store is there again", { store: place })
    told = false
    runFork(SubscriptionRef.set(isThere, true))
  }

  const heard = (error: Error): void => {
    lastError = wordsOf(error)
  }
  for (const each of [client, listener]) each.on("error", heard)
  client.on("close", () => away(lastError ?? "the connection was closed"))

  const raw = sendOver(client)

  // One answer that is late tells of a gateway that stood still as well; a second one does not.
  const check = (first: unknown): void => {
    if (checking || !SubscriptionRef.getUnsafe(isThere)) return
    checking = true
    runFork(
      Effect.match(raw("PING"), {
        onFailure: ({ cause }) => {
          checking = false
          if (!isAnswer(cause))
            away(wordsOf(first) === wordsOf(cause) ? `no answer within ${waits.commandMs} ms` : wordsOf(cause))
        },
        onSuccess: () => {
          checking = false
        }
      })
    )
  }

  const failed = ({ cause }: Redis.RedisError): StoreFailed => {
    const answered = isAnswer(cause)
    if (!answered) check(cause)
    const reason = wordsOf(cause)
    const [kind = ""] = reason.split(" ", 1)
    if (answered && kind !== "MOVED" && !refusals.has(kind)) {
      refusals.add(kind)
      log.write("warn", "the shared store refuses what this replica asks of it", { store: place, reason })
    }
    return new StoreFailed({ message: reason, answered })
  }

  const absent = Effect.suspend(() =>
    Effect.fail(new StoreFailed({ message: reason ?? "it is away", answered: false }))
  )
  const isAway = (): boolean => !SubscriptionRef.getUnsafe(isThere)

  const listens = Effect.callback<void>((resume) => {
    const go = (): void => resume(Effect.void)
    if (listener.status === "ready") return go()
    listener.once("ready", go)
    return Effect.sync(() => listener.off("ready", go))
  })
  let isRefused = false
  const refused = ({ cause }: Redis.RedisError) =>
    Effect.sync(() => {
      if (isRefused || !isAnswer(cause)) return
      isRefused = true
      const about = { store: place, reason: wordsOf(cause) }
      log.write("warn", "the shared store does not let this replica listen to the others", about)
    })

  const redis = yield* Redis.make({
    send: raw,
    subscribe: Effect.fnUntraced(function* (channel, onMessage) {
      yield* listens
      const lost = Deferred.makeUnsafe<void, Redis.RedisError>()
      const end = (): void => {
        Deferred.doneUnsafe(lost, Effect.fail(new Redis.RedisError({ cause: "the connection was closed" })))
      }
      const take = (from: string, message: string): void => {
        if (from === channel) onMessage({ channel, message })
      }
      yield* Effect.acquireRelease(
        Effect.sync(() => listener.on("message", take).once("close", end)),
        () => Effect.sync(() => listener.off("message", take).off("close", end))
      )
      yield* Effect.tryPromise({
        try: () => listener.subscribe(channel),
        catch: (cause) => new Redis.RedisError({ cause })
      }).pipe(Effect.tapError(refused))
      onMessage(begin)
      return Deferred.await(lost)
    }),
    connect: Effect.map(
      Effect.promise(() => openClient(settings, findAddress, waits)),
      (own: Client) => ({ send: sendOver(own), close: Effect.sync(() => own.disconnect()) })
    )
  })

  // What it is is asked of each connection once; who may not ask, or asks what cannot tell, goes by its answers.
  let isGreeted = false
  client.on("close", () => {
    isGreeted = false
  })
  const greet = Effect.match(raw<ReadonlyArray<unknown>>("HELLO"), {
    onFailure: ({ cause }) => {
      isGreeted = isAnswer(cause)
      return true
    },
    onSuccess: (said) => {
      const isSentinel = said[said.indexOf("mode") + 1] === "sentinel"
      isGreeted = !isSentinel
      if (isSentinel) away(sentinelWords)
      return !isSentinel
    }
  })
  const pinged = Effect.match(pingOver(client, waits), {
    onFailure: ({ cause }) => (isAnswer(cause) ? away(wordsOf(cause)) : check(cause)),
    onSuccess: back
  })
  const ping = Effect.flatMap(
    Effect.suspend(() => (isGreeted ? Effect.succeed(true) : greet)),
    (isFit) => (isFit ? pinged : Effect.void)
  )
  // Each link by itself: one may be lost without a word while the other is not.
  const listening = Effect.ignore(pingOver(listener, waits))
  const looking = Effect.gen(function* () {
    if (client.status === "ready") yield* ping
    else away(lastError ?? reason ?? "it is not connected")
    if (listener.status === "ready") yield* listening
    if (isAway() && !told && performance.now() - since > blinkMs) {
      told = true
      log.write("warn", "the shared store is away; this replica goes on by itself", { store: place, reason })
    }
  })
  client.on("ready", () => runFork(ping))
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(looking, Effect.sleep(pingMs))))
  const returns = SubscriptionRef.changes(isThere).pipe(
    Stream.filter((there) => there),
    Stream.map(() => undefined)
  )
  yield* Effect.timeoutOption(Stream.runHead(returns), firstMs)

  const key = (name: string): string => `{${settings.name}}:${name}`
  const guarded = <A>(ask: Effect.Effect<A, Redis.RedisError>): Effect.Effect<A, StoreFailed> =>
    Effect.suspend(() => (isAway() ? absent : Effect.mapError(ask, failed)))

  return SharedStore.of({
    isOn: true,
    isAway,
    key,
    send: <A = unknown>(command: string, ...args: ReadonlyArray<string>) => guarded(raw<A>(command, ...args)),
    run: (script) => {
      const run = redis.eval(script)
      return (...params) => guarded(run(...params))
    },
    publish: (channel, message) => Effect.asVoid(guarded(raw("PUBLISH", key(channel), message))),
    messages: (channel) =>
      Stream.unwrap(Effect.map(redis.subscribe(key(channel)), Stream.fromQueue)).pipe(
        Stream.retry(Schedule.spaced(listenMs)),
        Stream.map((said) => (said === begin ? undefined : said.message)),
        Stream.orDie // reason: it is tried again for as long as somebody listens
      ),
    returns,
    standing: () => ({ connected: !isAway(), forMs: performance.now() - since, reason, losses })
  })
})
