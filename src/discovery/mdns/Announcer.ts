/**
 * Announces Nexus on the local network by mDNS, and answers those who ask for LLM servers.
 */
import { hostname } from "node:os"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { monotonicMs } from "../../domain/monotonic.ts"
import { version } from "../../domain/version.ts"
import { announcement, answersTo, goodbye, type Identity, instanceName, isTaken } from "./announcement.ts"
import { type MdnsLink, LinkFailed, type OpenLink } from "./Link.ts"
import { readRecords } from "./records.ts"
import { keepOpen } from "./Sessions.ts"
import { bareHost } from "../../domain/url-host.ts"

/** What is announced. */
export interface AnnounceOptions {
  /** The address Nexus listens on. */
  readonly host: string
  readonly port: number
  /** The interface, by name or IPv4 address; all but loopback when undefined. */
  readonly interface: string | undefined
  readonly open: OpenLink
}

/** Questions to see whether the name is free, and the pause after each (RFC 6762, 8.1). */
const tries = 3
const tryFor = "250 millis"

/** At most one answer within this time: all who asked hear it (RFC 6762, 6). */
const answerEveryMs = 1000

const mostNames = 9

const lookAgainAfter = "60 seconds"

/** Of a link's addresses those that a server listening on `host` is reached by. */
export const addressesFor = (host: string, all: ReadonlyArray<string>): ReadonlyArray<string> => {
  const own = bareHost(host).toLowerCase()
  if (own === "::") return all
  if (own === "0.0.0.0") return all.filter((each) => !each.includes(":"))
  return /^[\d.]+$|:/.test(own) ? all.filter((each) => each === own) : all
}

/** Announces until the scope closes; then takes it back by a goodbye. */
export const announce = (options: AnnounceOptions): Effect.Effect<void, never, Scope.Scope> =>
  Effect.suspend(() => {
    let number = 1

    const rename = Effect.suspend(() => {
      number += 1
      if (number <= mostNames) return Effect.sleep("1 second")
      number = 1
      return Effect.fail(new LinkFailed({ reason: "others take every name that is tried" }))
    })

    const isFree = Effect.fnUntraced(function* (link: MdnsLink, identity: Identity) {
      const contested = link.next.pipe(
        Effect.repeat({ until: ({ isResponse, records }) => isResponse && isTaken(readRecords(records), identity) })
      )
      for (let asked = 0; asked < tries; asked++) {
        yield* link.query([{ name: instanceName(identity), type: "ANY" }])
        const taken = yield* Effect.race(Effect.as(Effect.sleep(tryFor), false), Effect.as(contested, true))
        if (taken) return false
      }
      return true
    })

    // Resolves when somebody else turns out to have the name.
    const answer = Effect.fnUntraced(function* (link: MdnsLink, identity: Identity) {
      let answeredAt = Number.NEGATIVE_INFINITY
      while (true) {
        const { isResponse, questions, records } = yield* link.next
        const read = readRecords(records)
        if (isResponse) {
          if (isTaken(read, identity)) return
          continue
        }
        const answers = answersTo(questions, read, identity)
        const now = yield* monotonicMs
        if (answers.length === 0 || now - answeredAt < answerEveryMs) continue
        answeredAt = now
        yield* link.respond(answers)
      }
    })

    const session = (link: MdnsLink): Effect.Effect<void, LinkFailed> =>
      Effect.gen(function* () {
        const addresses = addressesFor(options.host, link.addresses)
        if (addresses.length === 0) {
          return yield* new LinkFailed({ reason: `${options.host} is no address of the network interface` })
        }
        const identity: Identity = { hostname: hostname(), port: options.port, version, addresses, number }
        if (!(yield* isFree(link, identity))) return yield* rename
        yield* Effect.addFinalizer(() => Effect.ignore(Effect.timeout(link.respond(goodbye(identity)), "1 second")))
        yield* Effect.annotateLogs(Effect.logInfo("announced on the local network"), { name: instanceName(identity) })
        const say = link.respond(announcement(identity))
        const twice = say.pipe(Effect.andThen(Effect.sleep("1 second")), Effect.andThen(say))
        const contested = Effect.andThen(answer(link, identity), rename)
        const outdated = Effect.sleep(lookAgainAfter).pipe(Effect.repeat({ while: () => !link.isOutdated() }))
        yield* Effect.raceFirst(Effect.andThen(twice, Effect.never), Effect.raceFirst(contested, outdated))
      }).pipe(Effect.scoped, Effect.asVoid)

    return Effect.asVoid(Effect.forkScoped(keepOpen("mDNS cannot be used, Nexus is not announced", options, session)))
  })
