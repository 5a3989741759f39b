/**
 * What the endpoints of keys answer.
 */
import * as Effect from "effect/Effect"
import type { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { ClientKeys, type ListedKey } from "../../admission/ClientKeys.ts"
import { ContractApi } from "../../api/gateway-api.ts"
import type { ClientKeyEntry } from "../../api/keys-api.ts"
import type { GatewayError } from "../../domain/errors.ts"
import type { RateLimits } from "../../domain/rate-limits.ts"
import type { MadeKey } from "../../admission/new-key.ts"

/** A key as the endpoints tell of it. */
export const keyEntryOf = ({ from, key, made, previousUntil }: ListedKey): ClientKeyEntry => {
  const {
    admin,
    backends,
    expires,
    labels,
    limits,
    metrics,
    models,
    name,
    networks,
    notBefore,
    owner,
    priority,
    zones
  } = key
  const some = ([first, ...others]: ReadonlyArray<string> = []) =>
    first === undefined ? undefined : ([first, ...others] as const)
  const [asked, servers, places, within] = [some(models), some(backends), some(networks), some(zones)]
  return {
    name,
    ...(owner === undefined ? {} : { owner }),
    ...(labels === undefined ? {} : { labels }),
    ...(asked === undefined ? {} : { models: asked }),
    ...(servers === undefined ? {} : { backends: servers }),
    ...(places === undefined ? {} : { networks: places }),
    ...(within === undefined ? {} : { zones: within }),
    ...(priority === undefined ? {} : { priority }),
    ...writtenLimits(limits),
    ...(admin === true ? { admin } : {}),
    ...(metrics === true ? { metrics } : {}),
    from,
    made_at: made ?? null,
    not_before: notBefore ?? null,
    expires: expires ?? null,
    previous_until: previousUntil ?? null
  }
}

const writtenLimits = ({ maxConcurrent, requestsPerMinute, tokensPerMinute }: RateLimits = {}) => ({
  ...(requestsPerMinute === undefined ? {} : { requests_per_minute: requestsPerMinute }),
  ...(tokensPerMinute === undefined ? {} : { tokens_per_minute: tokensPerMinute }),
  ...(maxConcurrent === undefined ? {} : { max_concurrent: maxConcurrent })
})

// A day, in which clients change over.
const usualOverlap = 86_400

/** A key that was made, as its maker is told of it. */
export const madeKeyOf = (name: string, { digest, key }: MadeKey) => ({
  name,
  key,
  sha256: Buffer.from(digest).toString("hex")
})

/** The handlers of the group; `refuse` answers in OpenAI's shape. */
export const keyHandlers = (refuse: (error: GatewayError) => Effect.Effect<HttpServerResponse.HttpServerResponse>) =>
  HttpApiBuilder.group(
    ContractApi,
    "keys",
    Effect.fnUntraced(function* (handlers) {
      const keys = yield* ClientKeys
      return handlers.handleAll({
        list: () => Effect.sync(() => ({ keys: keys.list().map(keyEntryOf), store: keys.isStored })),
        make: ({ payload }) =>
          Effect.catch(
            Effect.map(keys.add(payload), (made) => madeKeyOf(payload.name, made)),
            refuse
          ),
        revoke: ({ params: { name } }) => Effect.catch(Effect.as(keys.revoke(name), { name }), refuse),
        rotate: ({ params: { name }, query }) =>
          Effect.catch(
            Effect.map(keys.rotate(name, (query.overlap_seconds ?? usualOverlap) * 1000), (made) =>
              madeKeyOf(name, made)
            ),
            refuse
          )
      })
    })
  )
