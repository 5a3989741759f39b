/**
 * The public keys of an issuer, got from where it says they are: within a time and a size, and with no redirect.
 */
import * as Effect from "effect/Effect"
import { jsonTextAt, parseBoundedJson } from "../domain/bounded-json.ts"
import type { TokenIssuer } from "../domain/token-issuer.ts"
import type { UpstreamError } from "../domain/upstream-errors.ts"
import { version } from "../domain/version.ts"
import type { TextAnswer } from "../upstream/ask.ts"
import type { Transport } from "../upstream/Transport.ts"
import { makeTrust } from "../wire/tls.ts"

/** For each of its answers. */
const answerMs = 5000
const mostBytes = 512 * 1024

/** Keys of an issuer, as it gave them. */
export interface FetchedKeys {
  /** A JWKS in JSON. */
  readonly text: string
  /** Where they are. */
  readonly url: string
  /** The time that its answer bears, in milliseconds since 1970; not a number where there is none. */
  readonly date: number
}

const why = (error: UpstreamError): string => {
  if (error._tag === "TimedOut") return `it did not answer within ${Math.round(error.afterMs / 1000)} s`
  return error._tag === "ErrorStatus" ? `it answered with status ${error.status}` : error.reason
}

/** Where an issuer tells of itself. */
export const discoveryUrl = ({ issuer }: Pick<TokenIssuer, "issuer">): string =>
  `${issuer.replace(/\/+$/, "")}/.well-known/openid-configuration`

/** Gets the keys; fails with why there are none, in words for a person. */
export const fetchKeys = (
  { ask }: Pick<Transport["Service"], "ask">,
  issuer: TokenIssuer
): Effect.Effect<FetchedKeys, string> => {
  const trust = issuer.tls === undefined ? undefined : makeTrust(issuer.tls)
  const got = (url: string): Effect.Effect<TextAnswer, string> =>
    ask({
      method: "GET",
      url,
      headers: { accept: "application/json", "user-agent": `nexus/${version}` },
      timeoutMs: answerMs,
      maxBytes: mostBytes,
      ...(trust === undefined ? {} : { trust })
    }).pipe(
      Effect.mapError((error) => `${url}: ${why(error)}`),
      Effect.flatMap((answer) => {
        const { status } = answer
        if (status === 200) return Effect.succeed(answer)
        const told = status >= 300 && status < 400 ? "it leads elsewhere, which is not followed" : "it answered"
        return Effect.fail(`${url}: ${told} (status ${status})`)
      })
    )

  const discovered = Effect.gen(function* () {
    const url = discoveryUrl(issuer)
    const json = parseBoundedJson((yield* got(url)).text)
    const says = jsonTextAt(json, "issuer")
    if (says !== issuer.issuer) {
      return yield* Effect.fail(
        says === undefined
          ? `${url}: it does not say of which issuer it is`
          : `${url}: it is of issuer '${says.slice(0, 300)}', which is another text than '${issuer.issuer}'`
      )
    }
    const at = jsonTextAt(json, "jwks_uri")
    if (at === undefined || !URL.canParse(at)) return yield* Effect.fail(`${url}: it names no jwks_uri`)
    if (!/^https?:/.test(at) || (url.startsWith("https:") && !at.startsWith("https:")))
      return yield* Effect.fail(`${url}: its jwks_uri is not encrypted (https)`)
    return at
  })

  return Effect.gen(function* () {
    const url = issuer.jwksUrl ?? (yield* discovered)
    const { headers, text } = yield* got(url)
    return { text, url, date: Date.parse(headers.get("date") ?? "") }
  })
}
