/**
 * What the endpoints of keys answer.
 */
import * as Effect from "effect/Effect"
import type { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { ClientKeys, type ListedKey } from "../../admission/ClientKeys.ts"
import { ContractApi } from "../../api/gateway-api.ts"
import type { ClientKeyEntry, RevocationEntry } from "../../api/keys-api.ts"
import type { GatewayError } from "../../domain/errors.ts"
import type { RateLimits } from "../../domain/rate-limits.ts"
import type { TokenRevocation } from "../../domain/revoked-tokens.ts"
import type { MadeKey } from "../../admission/new-key.ts"
import { limitsNow, totalNow } from "../whole-figures.ts"

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

/** How the endpoints tell of revoked tokens. */
export const revocationTeller =
  ({ issuerName }: Pick<ClientKeys["Service"], "issuerName">) =>
  ({ by, id, issuedBefore, issuer, made, of, until }: TokenRevocation): RevocationEntry => {
    const name = issuerName(issuer)
    return {
      id,
      name: by === "subject" ? `${name}:${of}` : by === "everybody" ? `${name}:*` : name,
      issuer,
      token_id: by === "token_id" ? of : null,
      issued_before: issuedBefore ?? null,
      revoked_at: made,
      until: until ?? null
    }
  }

/** The handlers of the group; `refuse` answers in OpenAI's shape. */
export const keyHandlers = (refuse: (error: GatewayError) => Effect.Effect<HttpServerResponse.HttpServerResponse>) =>
  HttpApiBuilder.group(
    ContractApi,
    "keys",
    Effect.fnUntraced(function* (handlers) {
      const keys = yield* ClientKeys
      const told = revocationTeller(keys)
      const total = yield* totalNow
      const limitsOf = yield* limitsNow
      return handlers.handleAll({
        list: () => Effect.sync(() => ({ keys: keys.list().map(keyEntryOf), store: keys.isStored })),
        make: ({ payload }) =>
          Effect.catch(
            Effect.map(keys.add(payload), (made) => madeKeyOf(payload.name, made)),
            refuse
          ),
        limits: () => Effect.map(Effect.flatMap(total, limitsOf), (limits) => ({ limits })),
        revocations: () => Effect.sync(() => ({ revoked: keys.revocations().map(told), issuers: keys.issuers() })),
        revokeTokens: ({ payload }) => Effect.catch(Effect.map(keys.revokeTokens(payload), told), refuse),
        lift: ({ params: { id } }) => Effect.catch(Effect.map(keys.lift(id), told), refuse),
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
