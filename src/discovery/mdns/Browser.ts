/**
 * Listens for servers that announce themselves by mDNS, and asks who is there.
 */
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Ref from "effect/Ref"
import type * as Scope from "effect/Scope"
import { monotonicMs } from "../../domain/monotonic.ts"
import { addRecords, type Advert, advertsOf, noAdverts, questionsOf } from "./adverts.ts"
import type { ReceivedPacket, MdnsLink, LinkFailed, OpenLink } from "./Link.ts"
import { readRecords } from "./records.ts"
import { keepOpen } from "./Sessions.ts"

/** What to look for. */
export interface BrowseOptions {
  /** Service types in lower case, such as `_llm._tcp`. */
  readonly types: ReadonlyArray<string>
  /** The interface, by name or IPv4 address; all but loopback when undefined. */
  readonly interface: string | undefined
  readonly open: OpenLink
}

/** What has been heard so far. */
export interface Browsing {
  readonly adverts: Effect.Effect<ReadonlyArray<Advert>>
  /** Waits until they have changed since it was last waited for; meant for one who waits. */
  readonly changed: Effect.Effect<void>
}

/** Seconds between questions: soon after a start or a change, then ever later. */
const pauses = [1, 3, 9, 27, 60] as const

/** Listens until the scope closes; when mDNS cannot be used, says so once and tries again later. */
export const browse = (options: BrowseOptions): Effect.Effect<Browsing, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { types } = options
    const known = yield* Ref.make(noAdverts)
    const news = yield* Latch.make(false)
    const askSoon = yield* Latch.make(false)

    const take = Effect.fnUntraced(function* (link: MdnsLink, { isResponse, records, from }: ReceivedPacket) {
      if (!isResponse) return
      const now = yield* monotonicMs
      // What is this machine's own is for this machine to say.
      const isUsable = (address: string) => (link.isOwn(address) ? link.isOwn(from) : link.isNear(address))
      const before = Ref.getUnsafe(known)
      const after = addRecords(before, readRecords(records), { now, types, isUsable })
      if (after === before) return
      yield* Ref.set(known, after)
      const isNews = JSON.stringify(advertsOf(before, now)) !== JSON.stringify(advertsOf(after, now))
      if (isNews) news.openUnsafe()
      if (isNews || after.instances.size > before.instances.size) askSoon.openUnsafe()
    })

    const ask = Effect.fnUntraced(function* (link: MdnsLink) {
      let asked = 0
      while (!link.isOutdated()) {
        const now = yield* monotonicMs
        askSoon.closeUnsafe()
        yield* link.query(questionsOf(Ref.getUnsafe(known), types, now))
        yield* Effect.sleep("1 second")
        const rest = (pauses[Math.min(asked, pauses.length - 1)] ?? 60) - 1
        const soon = Effect.as(askSoon.await, true)
        const isSoon = yield* Effect.race(Effect.as(Effect.sleep(rest * 1000), false), soon)
        asked = isSoon ? 0 : asked + 1
      }
    })

    const session = (link: MdnsLink): Effect.Effect<void, LinkFailed> =>
      Effect.raceFirst(
        ask(link),
        link.next.pipe(
          Effect.flatMap((heard) => take(link, heard)),
          Effect.forever
        )
      )

    yield* Effect.forkScoped(keepOpen("mDNS cannot be used, nothing is found by it", options, session))
    return {
      adverts: Effect.map(monotonicMs, (now) => advertsOf(Ref.getUnsafe(known), now)),
      changed: Effect.asVoid(Effect.andThen(news.await, news.close))
    }
  })
