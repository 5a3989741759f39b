/**
 * One of several processes that share a port: answers requests, is told of the backends by its supervisor, and tells it
 * what requests show of them.
 */
import { AnswerCache } from "../cache/AnswerCache.ts"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { asMember } from "../backend/followed.ts"
import { defaultLimits } from "../config/compile.ts"
import {
  type ConfigInvalid,
  type ConfigOptions,
  NexusConfig,
  readForReload,
  readConfigText
} from "../config/NexusConfig.ts"
import { ownStanding } from "../operations/handlers/health-pages.ts"
import type { ListenFailed } from "../http/BunServer.ts"
import { listen } from "../http/listen.ts"
import { Gateway } from "../runtime/Gateway.ts"
import { Meters } from "../proxy/Meters.ts"
import { Operations } from "../operations/Operations.ts"
import { History } from "../proxy/History.ts"
import { Proxy } from "../proxy/Proxy.ts"
import type { ConfigStatus } from "../api/control-api.ts"
import { siblingQuestions, Siblings } from "../operations/Siblings.ts"
import { Registry } from "../registry/Registry.ts"
import type { BackendState } from "../registry/snapshot.ts"
import { answeringAt } from "../registry/replica-standings.ts"
import { ComputedPrompts, takePrompts } from "../registry/told-prompts.ts"
import { contactedHosts, HostContacts } from "../upstream/perimeter.ts"
import { OpenFiles } from "../upstream/OpenFiles.ts"
import { listenForAdmin } from "../runtime/admin-listener.ts"
import { sendByOtlpAs } from "../runtime/otlp-switch.ts"
import { drainServer } from "../runtime/shutdown.ts"
import { type OwnDoctor, type ProcessPart, workerLayer } from "../runtime/layers.ts"
import { Calls, replyOf, type CallHandler, handling } from "./calls.ts"
import { delegatedControl } from "./delegation.ts"
import { noteSiblings, noteToldWork } from "./sibling-standings.ts"
import { ToWorker, pingWorker, type ToSupervisor } from "./messages.ts"
import { replayUnder } from "../operations/replay-config.ts"
import { contractOf, siblingsOver } from "./sibling-questions.ts"

// Places that are scarce are told of so soon, all together that were taken and freed meanwhile.
const urgentMs = 10

const decodeDown = Schema.decodeUnknownOption(ToWorker)

const say = (message: ToSupervisor): void => {
  if (process.connected === true) process.send?.(message)
}

const send = (message: ToSupervisor): Effect.Effect<void> => Effect.sync(() => say(message))

/** Messages of the supervisor, and the end of it as one more wish to stop; `ended` is called then. */
const inbox = Effect.fnUntraced(function* (
  ended: () => void
): Effect.fn.Return<Queue.Queue<ToWorker>, never, Scope.Scope> {
  const queue = yield* Queue.unbounded<ToWorker>()
  const onMessage = (message: unknown) => {
    const read = decodeDown(message)
    if (Option.isSome(read)) Queue.offerUnsafe(queue, read.value)
  }
  const onDisconnect = () => {
    ended()
    Queue.offerUnsafe(queue, { _tag: "Stop" })
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      process.on("message", onMessage)
      process.on("disconnect", onDisconnect)
      if (process.connected === false) onDisconnect()
    }),
    () =>
      Effect.sync(() => {
        process.off("message", onMessage)
        process.off("disconnect", onDisconnect)
      })
  )
  return queue
})

// The one that all calls go to.
const supervisor = "supervisor"

/** What a worker answers that its siblings ask of it. */
// Of answers that all processes have, the one that is asked tells.
const ofOne = (kept: AnswerCache["Service"]["standing"]) =>
  Effect.match(kept, { onFailure: () => [], onSuccess: (standing) => [standing] })

const answering = (
  recent: History["Service"],
  meters: Meters["Service"],
  contacts: typeof HostContacts.Service,
  cache: AnswerCache["Service"]
): ReadonlyArray<CallHandler> => [
  handling(pingWorker, () => Effect.succeed({})),
  handling(contractOf(siblingQuestions.requests), ({ since }) => Effect.sync(() => recent.list(since))),
  handling(contractOf(siblingQuestions.request), ({ id }) =>
    Effect.sync(() => Option.toArray(Option.fromUndefinedOr(recent.find(id))))
  ),
  handling(contractOf(siblingQuestions.underWay), () => Effect.sync(() => recent.underWay.list())),
  handling(contractOf(siblingQuestions.oneUnderWay), ({ id }) => Effect.sync(() => recent.underWay.find(id))),
  handling(contractOf(siblingQuestions.cancel), ({ id }) => Effect.sync(() => recent.underWay.cancel(id))),
  handling(contractOf(siblingQuestions.replay), ({ settings, since_ms: sinceMs }) =>
    Effect.sync(() => {
      const replay = replayUnder(settings)
      return Result.isSuccess(replay) ? recent.replay(replay.success, sinceMs) : []
    })
  ),
  handling(contractOf(siblingQuestions.contacts), () => Effect.sync(() => contactedHosts(contacts, performance.now()))),
  handling(contractOf(siblingQuestions.cached), () => ofOne(cache.standing)),
  handling(contractOf(siblingQuestions.clearCache), () => ofOne(cache.clear)),
  handling(contractOf(siblingQuestions.measures), () => Effect.sync(() => [meters.measures()]))
]

const age = (now: number, at: number): number => (at === 0 ? -1 : Math.max(0, now - at))

const figuresOf = ({ backend, live }: BackendState, now: number) => ({
  name: backend.name,
  ...ownStanding(live, now),
  answering: answeringAt(live),
  aliveAgoMs: age(now, live.aliveAt),
  failedAgoMs: age(now, live.failedAt)
})

/** Whether a backend has only so many places. */
const isScarce = ({ backend, live, models }: BackendState): boolean => {
  if (backend.maxConcurrent !== undefined) return true
  for (const { slots } of live.standings.values()) if (slots.seen !== undefined) return true
  for (const { slots } of models.values()) if (slots !== undefined) return true
  return false
}

/** The config a worker starts with: the first thing it is told. */
const firstConfig = Effect.fnUntraced(function* (
  messages: Queue.Queue<ToWorker>,
  overrides: ConfigOptions["overrides"]
): Effect.fn.Return<NexusConfig["Service"] | undefined, ConfigInvalid> {
  while (true) {
    const message = yield* Queue.take(messages)
    if (message._tag === "Stop") return undefined
    if (message._tag !== "Config") continue
    return NexusConfig.holding((yield* readConfigText(message.file ?? undefined, overrides)).loaded)
  }
})

/** Runs until the supervisor, a signal or the end of the supervisor asks it to stop; then drains. */
export const runWorker = (
  overrides: ConfigOptions["overrides"],
  part: ProcessPart,
  port: number,
  doctor: OwnDoctor,
  signal: Effect.Effect<unknown>
): Effect.Effect<void, ListenFailed | ConfigInvalid, Scope.Scope> =>
  Effect.gen(function* () {
    // A hang-up is for the supervisor; this process is told what comes of it.
    process.on("SIGHUP", () => undefined)
    const calls = new Calls<typeof supervisor>((_, call) => say(call))
    const ask = calls.askOf(supervisor)
    const messages = yield* inbox(() => calls.lost(supervisor))
    const nexus = yield* firstConfig(messages, overrides)
    if (nexus === undefined) return
    const config = nexus.current()
    let status: ConfigStatus = { generation: 0, loaded_at: 0, path: null, needs_restart: [], failure: null }
    const control = delegatedControl(ask, () => status)
    const ports = { models: () => port, administration: () => undefined }
    const services = yield* Layer.build(workerLayer(nexus, part, control, ports, doctor)).pipe(
      Effect.provideService(Siblings, siblingsOver(ask))
    )
    const registry = Context.get(services, Registry)
    const proxy = Context.get(services, Proxy)
    const api = Context.get(services, Gateway)
    const served = answering(
      Context.get(services, History),
      Context.get(services, Meters),
      Context.get(services, HostContacts),
      Context.get(services, AnswerCache)
    )
    const { server: settings } = config.settings
    for (const backend of config.backends) yield* registry.put(backend)

    const resend = yield* Effect.provideContext(sendByOtlpAs({ worker: part.number, ageMs: part.ageMs }), services)
    const onConfig = ({ file }: ToWorker & { readonly _tag: "Config" }) =>
      readConfigText(file ?? undefined, overrides).pipe(
        Effect.flatMap((read) => readForReload(config, read, overrides)),
        Effect.flatMap((next) => {
          nexus.replace(next)
          return Effect.asVoid(registry.reconcile(next.backends, new Map()))
        }),
        Effect.andThen(resend),
        Effect.catch(({ message }) =>
          Effect.annotateLogs(Effect.logError("config not taken over by this worker"), { reason: message })
        ),
        Effect.provideContext(services)
      )
    const scarce = Latch.makeUnsafe(false)
    const placeTurns = (name: string): void => {
      const state = registry.snapshot().backends.get(name)
      if (state !== undefined && isScarce(state)) scarce.openUnsafe()
    }
    const onState = ({
      name,
      mode,
      status,
      streak,
      reason,
      models,
      listed,
      apiPath,
      served,
      probeMs
    }: ToWorker & { readonly _tag: "State" }) => {
      const live = registry.snapshot().backends.get(name)?.live
      if (live !== undefined) {
        live.probeMs = probeMs
        live.turns = () => placeTurns(name)
      }
      return registry.adopt(name, { mode, health: { status, streak, reason }, models, listed, apiPath, served })
    }
    const onPut = ({
      name,
      url,
      address,
      memberOf,
      query,
      apiPath,
      type,
      zone,
      priority,
      origin,
      key,
      insecure,
      maxConcurrent
    }: ToWorker & { readonly _tag: "Put" }) => {
      const followed = nexus.current().followed.find(({ backend }) => backend.name === memberOf)
      if (followed !== undefined && address !== undefined)
        return registry.put(asMember(followed.backend, { name, url, address, priority }))
      return registry.put({
        name,
        url,
        ...(query === undefined ? {} : { query }),
        ...(apiPath === undefined ? {} : { apiPath }),
        type,
        ...(zone === undefined ? {} : { zone }),
        priority,
        origin,
        apiKey: key === undefined ? undefined : Redacted.make(key),
        ...(insecure === true ? { tls: { insecure } } : {}),
        forwardAuthorization: false,
        maxConcurrent,
        limits: defaultLimits(nexus.current().settings),
        models: []
      })
    }
    // True when it was the wish to stop.
    const apply = Effect.fnUntraced(function* (message: ToWorker) {
      switch (message._tag) {
        case "Config":
          yield* onConfig(message)
          return false
        case "Status":
          ;({ status } = message)
          return false
        case "Put":
          yield* onPut(message)
          return false
        case "Removed":
          yield* registry.remove(message.name)
          return false
        case "State":
          yield* onState(message)
          return false
        case "Others":
          noteSiblings(registry.snapshot(), message.backends, performance.now())
          noteToldWork(registry.snapshot(), message.told ?? [], performance.now())
          for (const { name, prompts } of message.prompts ?? []) {
            const state = registry.snapshot().backends.get(name)
            if (state !== undefined) takePrompts(state, prompts)
          }
          for (const [who, mark] of message.tries ?? []) api.tries.note({ who, mark }, performance.now())
          proxy.queues.hears("workers", message.queues ?? [])
          proxy.stir()
          return false
        case "Call":
          yield* Effect.flatMap(replyOf(served, message) ?? Effect.undefined, (reply) =>
            reply === undefined ? Effect.void : send(reply)
          )
          return false
        case "Reply":
          calls.replied(supervisor, message)
          return false
        case "Start":
          return false
        case "Stop":
          return true
      }
    })

    let first: ToWorker = yield* Queue.take(messages)
    while (first._tag !== "Start") {
      if (yield* apply(first)) return
      first = yield* Queue.take(messages)
    }
    const listening = yield* listen({
      hostname: settings.host,
      port,
      fetch: api.handle,
      plainPaths: api.paths,
      socketPaths: api.socketPaths,
      unread: api.unread,
      reusePort: true,
      wire: settings.wire
    }).pipe(Effect.tapError(({ reason }) => send({ _tag: "Failed", reason })))
    Context.get(services, OpenFiles).relieve(listening.closeIdle)
    // A socket cannot be shared, and one worker reaches them all.
    if (part.number === 1) {
      yield* listenForAdmin(config, api).pipe(
        Effect.tapError(({ reason }) => send({ _tag: "Failed", reason: `[admin] listen: ${reason}` }))
      )
    }
    yield* send({ _tag: "Listening", port: listening.port })
    yield* Context.get(services, Operations).warm

    const computed = new ComputedPrompts()
    const report = (urgent: boolean) => {
      const now = performance.now()
      const snapshot = registry.snapshot()
      const states = [...snapshot.backends.values()]
      computed.follows(snapshot)
      const prompts = [...computed.take()].map(([name, prompts]) => ({ name, prompts }))
      const queue = proxy.queues.tells(now)
      const tries = api.tries.take().map(({ mark, who }) => [who, mark] as const)
      return send({
        _tag: "Figures",
        ...(urgent || proxy.queues.isContended || tries.length > 0 ? { urgent: true } : {}),
        backends: states.map((state) => figuresOf(state, now)),
        ...(queue === undefined ? {} : { queue }),
        ...(prompts.length === 0 ? {} : { prompts }),
        ...(tries.length === 0 ? {} : { tries })
      })
    }
    const pause = Effect.suspend(() => Effect.sleep(proxy.queues.tellMs))
    const next = Effect.raceFirst(
      Effect.as(pause, false),
      Effect.as(Effect.andThen(scarce.await, Effect.sleep(urgentMs)), true)
    )
    yield* next.pipe(
      Effect.flatMap((urgent) => {
        scarce.closeUnsafe()
        return report(urgent)
      }),
      Effect.forever,
      Effect.forkScoped
    )
    yield* registry.nextSuspect.pipe(
      Effect.flatMap((name) => send({ _tag: "Suspect", name })),
      Effect.forever,
      Effect.forkScoped
    )
    yield* registry.nextWanted.pipe(
      Effect.flatMap(({ name }) => send({ _tag: "Wanted", name })),
      Effect.forever,
      Effect.forkScoped
    )
    const stopped = Queue.take(messages).pipe(Effect.flatMap(apply), Effect.repeat({ until: (stop) => stop }))
    yield* Effect.race(stopped, signal)
    // What is told meanwhile counts for the requests that still come.
    yield* Queue.take(messages).pipe(Effect.flatMap(apply), Effect.forever, Effect.forkScoped)
    yield* drainServer(services, listening)
  })
