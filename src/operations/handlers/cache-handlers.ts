/**
 * What is answered of the answers that are kept to be given again, in all processes.
 */
import * as Effect from "effect/Effect"
import { HttpApiBuilder } from "effect/http-api"
import type { CacheState } from "../../api/cache-api.ts"
import { ContractApi } from "../../api/gateway-api.ts"
import { AnswerCache, type CacheStanding } from "../../cache/AnswerCache.ts"
import { siblingQuestions, Siblings } from "../Siblings.ts"

// Of all processes together.
const sum = (all: ReadonlyArray<CacheStanding>, figure: keyof CacheStanding): number =>
  all.reduce((before, each) => before + each[figure], 0)

/** What all processes keep; `others` is undefined where one of them has not told in time. */
const together = (own: CacheStanding, others: ReadonlyArray<CacheStanding> | undefined): CacheState => {
  const all = [own, ...(others ?? [])]
  return {
    entries: sum(all, "entries"),
    bytes: sum(all, "bytes"),
    complete: others !== undefined
  }
}

/** The handlers of the group. */
export const cacheHandlers = HttpApiBuilder.group(
  ContractApi,
  "cache",
  Effect.fnUntraced(function* (handlers) {
    const cache = yield* AnswerCache
    const siblings = yield* Siblings

    return handlers.handleAll({
      // Each process keeps its own, and is asked for it.
      kept: () => Effect.map(siblings.ask(siblingQuestions.cached, {}), (others) => together(cache.standing(), others)),
      // All of them drop theirs at once: nobody is to be given what has been cleared elsewhere.
      clear: () => Effect.zipWith(cache.clear, siblings.ask(siblingQuestions.clearCache, {}), together)
    })
  })
)
