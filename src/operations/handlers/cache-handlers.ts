/**
 * What is answered of the answers that are kept to be given again, in all processes.
 */
import * as Effect from "effect/Effect"
import type { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import type { CacheState } from "../../api/cache-api.ts"
import { ContractApi } from "../../api/gateway-api.ts"
import { AnswerCache, type CacheStanding } from "../../cache/AnswerCache.ts"
import type { GatewayError } from "../../domain/errors.ts"
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

/** The handlers of the group; `refuse` answers with a failure. */
export const cacheHandlers = (refuse: (error: GatewayError) => Effect.Effect<HttpServerResponse.HttpServerResponse>) =>
  HttpApiBuilder.group(
    ContractApi,
    "cache",
    Effect.fnUntraced(function* (handlers) {
      const cache = yield* AnswerCache
      const siblings = yield* Siblings
      // Each process keeps its own, and is asked for it, unless all have the same ones.
      const whole = (own: typeof cache.standing, question: typeof siblingQuestions.cached) =>
        Effect.catch(
          Effect.zipWith(own, cache.isShared ? Effect.succeed([]) : siblings.ask(question, {}), together),
          refuse
        )
      return handlers.handleAll({
        kept: () => whole(cache.standing, siblingQuestions.cached),
        // All of them drop theirs at once: nobody is to be given what has been cleared elsewhere.
        clear: () => whole(cache.clear, siblingQuestions.clearCache)
      })
    })
  )
