/**
 * The servers behind a Service by its EndpointSlices: listed, then watched from there on, as Kubernetes' own clients do it.
 */
import { readFile } from "node:fs/promises"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Followed } from "../../backend/followed.ts"
import type { KubernetesApi } from "../../config/kubernetes-api.ts"
import { monotonicMs } from "../../domain/monotonic.ts"
import { version } from "../../domain/version.ts"
import { openAnswer } from "../../upstream/open-answer.ts"
import type { Transport } from "../../upstream/Transport.ts"
import { makeTrust } from "../../wire/tls.ts"
import { ApiStatus, EndpointSlice, endpointsOf, SliceList, Versioned, WatchEvent } from "./endpoint-slices.ts"
import type { MemberNews } from "./member-news.ts"

/** Why nothing is heard; `gone` when it is only that the history asked for is no longer kept. */
class NothingHeard extends Data.TaggedError("NothingHeard")<{ readonly reason: string; readonly gone?: boolean }> {}

/** What the API is asked for in one page, and for how long a watch is asked for; it ends that by itself. */
const asked = { pageItems: 500, watchSeconds: 120, connectMs: 5000, listMs: 10_000 } as const

// A watch that has not ended by then is no longer one.
const watchMs = (asked.watchSeconds + 15) * 1000

// One that ends sooner, with nothing said, is not asked for again at once.
const shortMs = 1000

/** Between two tries, in milliseconds: from the first to the last, twice as late each time. */
const again = { firstMs: 1000, lastMs: 30_000 } as const

const readText = (file: string | undefined): Effect.Effect<string | undefined, NothingHeard> =>
  file === undefined
    ? Effect.undefined
    : Effect.tryPromise({
        try: () => readFile(file, "utf8"),
        catch: () => new NothingHeard({ reason: `${file} cannot be read` })
      })

const parsed = <S extends Schema.Top & { readonly DecodingServices: never }>(schema: S) => {
  const decode = Schema.decodeUnknownResult(Schema.fromJsonString(schema))
  return (text: string): Result.Result<S["Type"], NothingHeard> =>
    Result.mapError(
      decode(text),
      () => new NothingHeard({ reason: "the API of Kubernetes answers in a way that makes no sense" })
    )
}

const listIn = parsed(SliceList)
const eventIn = parsed(WatchEvent)
const statusIn = parsed(ApiStatus)
const sliceOf = Schema.decodeUnknownResult(EndpointSlice)
const versionOf = Schema.decodeUnknownResult(Versioned)
const statusOf = Schema.decodeUnknownResult(ApiStatus)

const refusal = (status: number, text: string): NothingHeard => {
  const said = Result.getOrUndefined(statusIn(text))?.message ?? ""
  const words = said === "" ? `the API of Kubernetes answers with status ${status}` : said.slice(0, 300)
  return new NothingHeard({ reason: words, gone: status === 410 })
}

/** Follows the slices of a Service for as long as it runs, and tells what comes of them. */
export const watchSlices = (
  transport: Transport["Service"],
  api: KubernetesApi,
  followed: Followed,
  tell: (news: MemberNews) => Effect.Effect<void>
): Effect.Effect<never> => {
  const [service = "", named] = followed.host.split(".")
  const selector = encodeURIComponent(`kubernetes.io/service-name=${service}`)

  // The token of a pod is another one every hour, and so may the others be.
  const access = Effect.gen(function* () {
    const token = (yield* readText(api.tokenFile))?.trim()
    const ca = yield* readText(api.caFile)
    const namespace =
      named ??
      api.namespace ??
      (yield* Effect.orElseSucceed(readText(api.namespaceFile), () => undefined))?.trim() ??
      "default"
    return {
      url: `${api.url}/apis/discovery.k8s.io/v1/namespaces/${encodeURIComponent(namespace)}/endpointslices?labelSelector=${selector}`,
      headers: {
        accept: "application/json",
        "user-agent": `nexus/${version}`,
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` })
      },
      ...(ca === undefined ? {} : { trust: makeTrust({ ca }) })
    }
  })

  const unreachable = (error: { readonly _tag: string; readonly reason?: string }) =>
    new NothingHeard({ reason: `the API of Kubernetes cannot be asked: ${error.reason ?? error._tag}` })

  const list = Effect.gen(function* () {
    const { headers, trust, url } = yield* access
    const slices = new Map<string, EndpointSlice>()
    let next = ""
    while (true) {
      const page = `${url}&limit=${asked.pageItems}${next === "" ? "" : `&continue=${encodeURIComponent(next)}`}`
      const question = {
        method: "GET",
        url: page,
        headers,
        timeoutMs: asked.listMs,
        ...(trust === undefined ? {} : { trust })
      } as const
      const { status, text } = yield* Effect.mapError(transport.ask(question), unreachable)
      if (status !== 200) return yield* refusal(status, text)
      const { items, metadata } = yield* Effect.fromResult(listIn(text))
      for (const slice of items ?? []) slices.set(slice.metadata.name, slice)
      next = metadata.continue ?? ""
      if (next === "") return { slices, from: metadata.resourceVersion }
    }
  })

  const tellOf = (slices: ReadonlyMap<string, EndpointSlice>): Effect.Effect<void> =>
    Result.match(endpointsOf(slices.values(), followed), {
      onSuccess: (endpoints) => tell({ _tag: "All", endpoints, complete: true }),
      onFailure: (reason) => tell({ _tag: "Failed", reason })
    })

  // Takes in one line; gives the version to go on from.
  const takeIn = (slices: Map<string, EndpointSlice>, line: string) =>
    Effect.gen(function* () {
      const { object, type } = yield* Effect.fromResult(eventIn(line))
      if (type === "ERROR") {
        const { code = null, message = null } = Result.getOrUndefined(statusOf(object)) ?? {}
        return yield* new NothingHeard({ reason: message ?? "the watch has failed", gone: code === 410 })
      }
      const from = Result.getOrUndefined(versionOf(object))?.metadata.resourceVersion
      if (type === "BOOKMARK") return from
      const slice = sliceOf(object)
      if (Result.isFailure(slice)) return from
      if (type === "DELETED") slices.delete(slice.success.metadata.name)
      else slices.set(slice.success.metadata.name, slice.success)
      yield* tellOf(slices)
      return from
    })

  const watchFrom = (slices: Map<string, EndpointSlice>, from: string, heard: (version: string) => void) =>
    Effect.gen(function* () {
      const { headers, trust, url } = yield* access
      const answer = yield* Effect.mapError(
        openAnswer(transport, {
          method: "GET",
          url: `${url}&watch=1&allowWatchBookmarks=true&timeoutSeconds=${asked.watchSeconds}&resourceVersion=${encodeURIComponent(from)}`,
          headers,
          trust,
          connectMs: asked.connectMs
        }),
        unreachable
      )
      const lines = answer.pieces.pipe(Stream.mapError(unreachable), Stream.decodeText(), Stream.splitLines)
      if (answer.status !== 200) {
        const text = yield* Stream.runFold(
          Stream.take(lines, 100),
          () => "",
          (all, line) => all + line
        )
        return yield* refusal(answer.status, text)
      }
      yield* Stream.runForEach(
        Stream.filter(lines, (line) => line.trim() !== ""),
        (line) => Effect.map(takeIn(slices, line), (version) => (version === undefined ? undefined : heard(version)))
      )
    }).pipe(Effect.scoped, Effect.timeoutOption(watchMs))

  // Failures in a row, which any line that is heard ends.
  let failures = 0
  const later = Effect.suspend(() => {
    failures += 1
    return Effect.flatMap(Random.next, (random) => Effect.sleep(waitMs(failures, random)))
  })
  const failed = ({ reason }: NothingHeard) => Effect.andThen(tell({ _tag: "Failed", reason }), later)

  // Watches from a list on, again and again, until its history is no longer kept.
  const watchOn = ({ from, slices }: { readonly from: string; readonly slices: Map<string, EndpointSlice> }) =>
    Effect.gen(function* () {
      let at = from
      const heard = (version: string): void => {
        at = version
        failures = 0
      }
      while (true) {
        const began = yield* monotonicMs
        const ended = yield* Effect.result(watchFrom(slices, at, heard))
        if (Result.isFailure(ended)) {
          if (ended.failure.gone === true) return
          yield* failed(ended.failure)
        } else if ((yield* monotonicMs) - began < shortMs) yield* later
        else failures = 0
      }
    })

  const round = Effect.gen(function* () {
    const listed = yield* list
    yield* tellOf(listed.slices)
    yield* watchOn(listed)
    // A list that is too old at once is not asked for again at once.
    if (failures > 0) yield* later
    else failures = 1
  })
  return Effect.forever(Effect.catch(round, failed))
}

/** The wait before another try, after so many failures in a row, in milliseconds; `random` lies in [0, 1). */
export const waitMs = (failures: number, random: number): number =>
  Math.min(again.lastMs, again.firstMs * 2 ** Math.min(failures - 1, 10)) * (0.5 + random / 2)
