/**
 * Wrong keys that replicas tell each other of: whoever guesses is slowed at all of them. Nothing waits for that: what was tried is
 * told together with others soon after, to those who are there.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { SharedStore } from "../replicas/SharedStore.ts"
import type { FailedTries, Try } from "./failed-tries.ts"

// How long tries are gathered, and how many are told at a time: whoever tries more is known well enough.
const togetherMs = 50
const mostTold = 500

const Told = Schema.Struct({
  from: Schema.String,
  tries: Schema.Array(Schema.Tuple([Schema.String, Schema.Finite])).check(Schema.isMaxLength(mostTold))
})

const read = Schema.decodeUnknownOption(Schema.fromJsonString(Told))

const channel = "failed-tries"

/** Notes the wrong keys that others tell of; gives what tells them of one. */
export const sharedTries = Effect.fnUntraced(function* (tries: FailedTries) {
  const store = yield* SharedStore
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const from = crypto.randomUUID()
  let waiting: Array<readonly [string, number]> = []
  const telling = Effect.suspend(() => {
    const told = waiting
    waiting = []
    return Effect.ignore(store.publish(channel, JSON.stringify({ from, tries: told })))
  })
  const heard = (message: unknown): void => {
    const told = Option.getOrUndefined(read(message))
    if (told === undefined || told.from === from) return
    const now = performance.now()
    for (const [who, mark] of told.tries) tries.note({ who, mark }, now)
  }
  yield* Effect.forkScoped(Stream.runForEach(store.messages(channel), (message) => Effect.sync(() => heard(message))))
  return ({ mark, who }: Try): void => {
    if (store.isAway() || waiting.length >= mostTold) return
    waiting.push([who, mark])
    if (waiting.length === 1) fork(Effect.andThen(Effect.sleep(togetherMs), telling))
  }
})
