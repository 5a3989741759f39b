/**
 * Keeps the registry in step with the servers behind the names of those backends whose names are followed.
 */
import { dirname, resolve } from "node:path"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import type { Backend } from "../../backend/backend.ts"
import type { Followed } from "../../backend/followed.ts"
import type { KubernetesApi } from "../../config/kubernetes-api.ts"
import { type LoadedConfig, NexusConfig } from "../../config/NexusConfig.ts"
import { monotonicMs } from "../../domain/monotonic.ts"
import { Registry } from "../../registry/Registry.ts"
import { Transport } from "../../upstream/Transport.ts"
import { type DnsQuestions, dnsQuestions, lookUpMembers, type NameCompletion, systemCompletion } from "./dns.ts"
import { watchSlices } from "./kubernetes.ts"
import { adopted, decideMembers, type MemberNews } from "./member-news.ts"

/** How names are followed, times in milliseconds. */
export interface MemberSettings {
  readonly followed: ReadonlyArray<Followed>
  /** How long a name may lead nowhere before its members are taken out. */
  readonly graceMs: number
  /** Longest time that addresses are relied on, whatever their records say. */
  readonly keptMs: number
  readonly questions: DnsQuestions
  readonly completion: Effect.Effect<NameCompletion>
  readonly kubernetes: KubernetesApi | undefined
}

/** The start waits no longer than this for what is heard first, in milliseconds. */
const firstLookMs = 1500

/** Names are not asked for more often than this, in milliseconds. */
const leastMs = 5000

/** How long to wait before a name is asked for again. */
export const nextLookMs = (ttlMs: number | undefined, keptMs: number): number =>
  ttlMs === undefined ? leastMs : Math.max(leastMs, Math.min(ttlMs, keptMs))

const noCluster =
  "there is no API of Kubernetes to ask: outside of a cluster discovery.kubernetes.url names one, such as http://127.0.0.1:8001 of kubectl proxy"

const mostShown = 8

const shown = (names: ReadonlyArray<string>): string =>
  names.slice(0, mostShown).join(", ") + (names.length > mostShown ? ` and ${names.length - mostShown} more` : "")

/** What listens for news of one backend's members, and does what follows from them. */
const makeListener = Effect.fnUntraced(function* (followed: Followed, graceMs: number) {
  const registry = yield* Registry
  const { name } = followed.backend
  const about = Effect.annotateLogs({ backend: name })
  let nowhereSince: number | undefined
  let complaint = ""

  const all = () => [...registry.snapshot().backends.values()].map(({ backend }) => backend)
  const present = () => all().filter(({ memberOf }) => memberOf === name)
  const isTaken = (wanted: string): boolean => {
    const there = registry.snapshot().backends.get(wanted)
    return there !== undefined && there.backend.memberOf !== name
  }
  // Told once, until it is another or over.
  const complain = (words: string, reason: string): Effect.Effect<void> => {
    if (complaint === words + reason) return Effect.void
    complaint = words + reason
    return about(Effect.annotateLogs(Effect.logWarning(words), { reason }))
  }
  const complaintOf = (news: MemberNews): Effect.Effect<void> => {
    switch (news._tag) {
      case "All":
        complaint = ""
        return Effect.void
      case "Nowhere":
        return complain("the name of a backend leads nowhere", `${followed.host} has no addresses`)
      case "Failed":
        return complain("the servers behind a name cannot be found out, the last ones stay", news.reason)
    }
  }

  for (const backend of adopted(followed, present())) yield* registry.put(backend)
  return Effect.fnUntraced(function* (news: MemberNews) {
    yield* complaintOf(news)
    const standing = { present: present(), isTaken, nowhereSince }
    const changes = decideMembers(followed, standing, news, yield* monotonicMs, graceMs)
    ;({ nowhereSince } = changes)
    const known = new Set(standing.present.map((backend) => backend.name))
    for (const backend of changes.put) yield* registry.put(backend)
    for (const gone of changes.remove) yield* registry.remove(gone)
    if (changes.put.length + changes.remove.length === 0) return
    const added = changes.put.flatMap((backend) => (known.has(backend.name) ? [] : [backend.name]))
    yield* about(
      Effect.annotateLogs(Effect.logInfo("the servers behind a name have changed"), {
        servers: present().length,
        ...(added.length === 0 ? {} : { added: shown(added) }),
        ...(changes.remove.length === 0 ? {} : { removed: shown(changes.remove) })
      })
    )
  })
})

/** Hears of the servers behind one name for as long as it runs. */
const hear = (
  settings: MemberSettings,
  transport: Transport["Service"],
  followed: Followed,
  tell: (news: MemberNews) => Effect.Effect<void>
): Effect.Effect<never> => {
  const { completion, keptMs, kubernetes, questions } = settings
  if (followed.by === "kubernetes") {
    return kubernetes === undefined
      ? Effect.andThen(tell({ _tag: "Failed", reason: noCluster }), Effect.never)
      : watchSlices(transport, kubernetes, followed, tell)
  }
  return Effect.flatMap(completion, (how) => lookUpMembers(questions, followed, how)).pipe(
    Effect.tap(({ news }) => tell(news)),
    Effect.flatMap(({ ttlMs }) => Effect.sleep(nextLookMs(ttlMs, keptMs))),
    Effect.forever
  )
}

const make = (settings: MemberSettings) =>
  Effect.gen(function* () {
    const registry = yield* Registry
    const transport = yield* Transport
    const names = new Set(settings.followed.map(({ backend }) => backend.name))
    for (const { backend } of registry.snapshot().backends.values()) {
      if (backend.memberOf !== undefined && !names.has(backend.memberOf)) yield* registry.remove(backend.name)
    }
    const heard = yield* Effect.forEach(settings.followed, (followed) =>
      Effect.gen(function* () {
        const first = yield* Latch.make(false)
        const listen = yield* makeListener(followed, settings.graceMs)
        const hearing = hear(settings, transport, followed, (news) => Effect.andThen(listen(news), first.open))
        // A defect of ours is no word on the servers: it is told, they stay, and the name is looked at anew.
        const guarded = Effect.catchCause(hearing, (cause) =>
          Cause.hasInterruptsOnly(cause)
            ? Effect.failCause(cause)
            : Effect.annotateLogs(Effect.logError("following a name failed", cause), { backend: followed.backend.name })
        )
        yield* Effect.forkScoped(Effect.forever(Effect.andThen(guarded, Effect.sleep(leastMs))))
        return first.await
      })
    )
    yield* Effect.timeoutOption(Effect.all(heard, { concurrency: "unbounded", discard: true }), firstLookMs)
  })

/** Follows names from now on (built once something was heard of each, or it took too long) until the scope closes. */
export const layerOf = (settings: MemberSettings): Layer.Layer<never, never, Registry | Transport> =>
  Layer.effectDiscard(make(settings))

const filesOf = ({ caFile, tokenFile }: KubernetesApi, path: string | undefined) => {
  const at = (file: string | undefined) => (file === undefined ? undefined : resolve(dirname(path ?? "."), file))
  return { caFile: at(caFile), tokenFile: at(tokenFile) }
}

const settingsOf = ({ followed, kubernetes, path, settings }: LoadedConfig): MemberSettings => ({
  followed,
  kubernetes: kubernetes === undefined ? undefined : { ...kubernetes, ...filesOf(kubernetes, path) },
  graceMs: settings.discovery.grace_seconds * 1000,
  keptMs: settings.server.dns_refresh_seconds * 1000,
  questions: dnsQuestions(settings.discovery.dns_servers),
  completion: systemCompletion
})

/** The same as the config asks for it at the moment. */
export const layer: Layer.Layer<never, never, NexusConfig | Registry | Transport> = Layer.unwrap(
  NexusConfig.useSync(({ current }) => layerOf(settingsOf(current())))
)

/** What one look at a name has shown. */
export interface MembersFound {
  readonly followed: Followed
  readonly members: ReadonlyArray<Backend>
  /** Why there are none. */
  readonly fault: string | undefined
}

const patience = "5 seconds"

const namesAtATime = 16

/** Looks once behind every name that the config has followed. */
export const findMembers = (loaded: LoadedConfig): Effect.Effect<ReadonlyArray<MembersFound>, never, Transport> =>
  Effect.flatMap(Transport, (transport) =>
    Effect.forEach(
      loaded.followed,
      (followed) =>
        Effect.gen(function* () {
          const heard = yield* Deferred.make<MemberNews>()
          const hearing = hear(settingsOf(loaded), transport, followed, (news) =>
            Effect.asVoid(Deferred.succeed(heard, news))
          )
          const news = yield* Effect.race(Deferred.await(heard), hearing).pipe(
            Effect.timeoutOrElse({
              duration: patience,
              orElse: () => Effect.succeed<MemberNews>({ _tag: "Failed", reason: "nobody has answered in time" })
            })
          )
          const nobody = { present: [], isTaken: () => false, nowhereSince: undefined }
          const { put: members } = decideMembers(followed, nobody, news, 0, 0)
          const fault =
            news._tag === "Failed" ? news.reason : members.length === 0 ? "there is no server behind it" : undefined
          return { followed, members, fault }
        }),
      { concurrency: namesAtATime }
    )
  )
