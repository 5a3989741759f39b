/**
 * What `/admin/v1/events` answers: a stream of what changes, made once for all who follow, and only while somebody does.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as RcRef from "effect/RcRef"
import * as Schedule from "effect/Schedule"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { Drain } from "../../admission/Drain.ts"
import type { BackendEntry } from "../../api/backend-entry.ts"
import { ContractApi } from "../../api/gateway-api.ts"
import { type GatewayError, Overloaded } from "../../domain/errors.ts"
import { History } from "../../proxy/History.ts"
import { Registry } from "../../registry/Registry.ts"
import { Router } from "../../router/Router.ts"
import { Control } from "../Control.ts"
import { IsLetIn, type StillLetIn } from "../incoming-request.ts"
import { LiveFeed, mostEnded, type SentEvent, type FeedMoment } from "../live-feed.ts"
import { siblingQuestions, Siblings } from "../Siblings.ts"
import { totalNow } from "../whole-figures.ts"
import { backendEntry } from "./health-pages.ts"
import { statsOf } from "./stats.ts"

/** From one look at what has changed to the next, in milliseconds. */
const everyMs = 500

/** Backends that are told of before others are let work. */
const backendsAtOnce = 20

/** Who follow at a time. */
const mostFollowers = 64

// Requests are told of by several processes, each by its own moment; those of this one by the clock alone.
const overlapMs = { own: 50, others: 2000 } as const

// Headers of a stream leave with its first byte; a browser comes back after this.
const opening = ": hello\nretry: 2000\n\n"

const written = ({ event, id, json }: SentEvent): string => `id: ${id}\nevent: ${event}\ndata: ${json}\n\n`

const settled = (isLetIn: boolean | Promise<boolean>): Effect.Effect<boolean> =>
  typeof isLetIn === "boolean" ? Effect.succeed(isLetIn) : Effect.promise(() => isLetIn)

/** The handlers of the group; `started` is when the gateway began, in monotonic milliseconds. */
export const eventHandlers = (
  refuse: (error: GatewayError) => Effect.Effect<HttpServerResponse.HttpServerResponse>,
  started: number
) =>
  HttpApiBuilder.group(
    ContractApi,
    "events",
    Effect.fnUntraced(function* (handlers) {
      const registry = yield* Registry
      const router = yield* Router
      const recent = yield* History
      const control = yield* Control
      const siblings = yield* Siblings
      const total = yield* totalNow
      const { begun } = yield* Drain
      let followers = 0

      const look = Effect.fnUntraced(function* (since: number | undefined) {
        const asked = since === undefined ? {} : { since: since - overlapMs.others }
        const ended = yield* siblings.ask(siblingQuestions.requests, asked)
        const underWay = yield* siblings.ask(siblingQuestions.underWay, {})
        const whole = yield* total
        const snapshot = registry.snapshot()
        const now = performance.now()
        const backends: Array<BackendEntry> = []
        for (const state of snapshot.backends.values()) {
          backends.push(backendEntry(state, now))
          // What is under way does not wait until all of a large fleet has been told of.
          if (backends.length % backendsAtOnce === 0) yield* Effect.yieldNow
        }
        const found: FeedMoment = {
          backends,
          config: control.status(),
          underWay: [...recent.underWay.list(), ...(underWay ?? [])].toSorted((a, b) => a.at - b.at),
          ended: [
            ...recent.list(since === undefined ? undefined : since - overlapMs.own, mostEnded),
            ...(ended ?? [])
          ].slice(0, since === undefined ? mostEnded : undefined),
          figures: statsOf(whole, snapshot, router.names(), (now - started) / 1000)
        }
        return found
      })

      const made = Effect.gen(function* () {
        const feed = new LiveFeed(crypto.randomUUID().slice(0, 8))
        let since = yield* Clock.currentTimeMillis
        feed.take(yield* look(undefined))
        const latest = yield* SubscriptionRef.make(feed.latest)
        const turn = yield* Semaphore.make(1)
        let isOld = false
        const looks = Effect.gen(function* () {
          const from = since
          const now = yield* Clock.currentTimeMillis
          feed.take(yield* look(from))
          since = now
          isOld = false
          yield* SubscriptionRef.set(latest, feed.latest)
        })
        const beat = Effect.suspend(() => {
          // What was begun is kept for a while for those who come back.
          isOld = followers === 0
          return isOld ? Effect.void : looks
        })
        // Who comes when nobody has followed for a while is told how things are now, however soon he goes again.
        const current = turn.withPermits(1)(Effect.suspend(() => (isOld ? looks : Effect.void)))
        yield* Effect.forkScoped(Effect.schedule(turn.withPermits(1)(beat), Schedule.spaced(everyMs)))
        return { current, feed, latest }
      })
      const shared = yield* RcRef.make({ acquire: made, idleTimeToLive: Duration.seconds(5) })

      const following = (after: string | undefined, isLetIn: StillLetIn): Stream.Stream<string> =>
        Stream.unwrap(
          Effect.gen(function* () {
            const { current, feed, latest } = yield* RcRef.get(shared)
            yield* current
            let at = feed.numberOf(after)
            return SubscriptionRef.changes(latest).pipe(
              // Who does not keep up is told how things are, not how they came to be so.
              Stream.buffer({ capacity: 1, strategy: "sliding" }),
              // A key may end while somebody follows.
              Stream.takeWhileEffect(() => settled(isLetIn())),
              Stream.map(() => {
                const events = feed.after(at)
                at = feed.latest
                return events.map(written).join("")
              }),
              Stream.filter((text) => text !== "")
            )
          })
        )

      const counted = Effect.acquireRelease(
        Effect.sync(() => void (followers += 1)),
        () => Effect.sync(() => void (followers -= 1))
      )
      return handlers.handleRaw("events", ({ query }) =>
        Effect.flatMap(IsLetIn, (isLetIn) => {
          if (followers >= mostFollowers) {
            const message = `${mostFollowers} follow the events of this gateway already`
            return refuse(new Overloaded({ message, retryAfterSeconds: 5 }))
          }
          const body = Stream.unwrap(
            Effect.as(counted, Stream.concat(Stream.make(opening), following(query.after, isLetIn)))
          ).pipe(Stream.interruptWhen(begun), Stream.encodeText)
          const headers = { "cache-control": "no-store", "x-accel-buffering": "no" }
          return Effect.succeed(HttpServerResponse.stream(body, { contentType: "text/event-stream", headers }))
        })
      )
    })
  )
