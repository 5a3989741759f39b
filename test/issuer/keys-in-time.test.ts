import { describe, expect, test } from "bun:test"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { addressesWithin } from "../../src/backend/zone.ts"
import type { Grant } from "../../src/domain/grant.ts"
import type { IssuedTokens, TokenIssuer, TokenRefusal } from "../../src/domain/token-issuer.ts"
import { Unreachable } from "../../src/domain/upstream-errors.ts"
import { fetchKeys } from "../../src/issuer/fetch-keys.ts"
import { Issuers } from "../../src/issuer/Issuers.ts"
import { Transport } from "../../src/upstream/Transport.ts"
import { Perimeter, perimeterGate } from "../../src/upstream/perimeter.ts"
import { effect } from "../kit/effect.ts"
import { audience, type OidcIssuer, startIssuer } from "../kit/oidc-issuer.ts"

const entry = ({ url }: Pick<OidcIssuer, "url">, more: Partial<TokenIssuer> = {}): TokenIssuer => ({
  name: "corp",
  issuer: url,
  audience: [audience],
  algorithms: ["ES256"],
  toleranceMs: 0,
  refreshMs: 300_000,
  keptMs: 3_600_000,
  claims: { name: "sub", labels: {} },
  required: {},
  terms: {},
  roles: [],
  ...more
})

const started = Effect.acquireRelease(
  Effect.promise(() => startIssuer()),
  (issuer) => Effect.promise(() => issuer[Symbol.asyncDispose]())
)

/** Asks for real, at once by the clock of the test; `up` says whether the issuer is there, `broken` whether asking itself fails. */
const asking = () => {
  const line = { up: true, broken: false, asked: 0 }
  const transport = Transport.layerOf({
    ask: ({ url }) => {
      if (line.broken) return Effect.die(new Error("a defect of ours"))
      if (url.endsWith("/jwks")) line.asked += 1
      if (!line.up) {
        if (!url.endsWith("/jwks")) line.asked += 1
        return Effect.fail(new Unreachable({ reason: "connection refused" }))
      }
      return Effect.promise(async () => {
        const answer = await fetch(url, { redirect: "manual" })
        return { status: answer.status, headers: answer.headers, text: await answer.text() }
      })
    },
    send: () => Promise.reject(new Error("only short questions are asked"))
  })
  return { line, transport }
}

/** An issuer that is the only one of the settings, until others are put in their place. */
interface World {
  readonly issuer: OidcIssuer
  readonly line: ReturnType<typeof asking>["line"]
  readonly put: (settings: ReadonlyArray<TokenIssuer>) => void
  readonly tokens: Issuers["Service"]["tokens"]
}

const withIssuer = (
  use: (world: World) => Effect.Effect<void>,
  more: (issuer: OidcIssuer) => Partial<TokenIssuer> = () => ({})
) =>
  Effect.gen(function* () {
    const issuer = yield* started
    const { line, transport } = asking()
    let settings: ReadonlyArray<TokenIssuer> = [entry(issuer, more(issuer))]
    const put = (others: ReadonlyArray<TokenIssuer>): void => {
      settings = others
    }
    yield* Effect.flatMap(Issuers, ({ tokens }) => use({ issuer, line, put, tokens })).pipe(
      Effect.provide(
        Layer.provide(
          Issuers.layer(() => settings),
          transport
        )
      )
    )
  })

const outcome = (found: Grant | TokenRefusal | undefined): string =>
  found === undefined ? "unchecked" : "name" in found ? found.name : found.refused._tag

const checked = (tokens: IssuedTokens | undefined, token: string) =>
  Effect.promise(async () => {
    const known = await tokens?.check([token])
    return outcome(known?.(token, 0))
  })

const later = 4_000_000_000

describe("the keys of an issuer", () => {
  effect("count on while it is away, for as long as is said and no longer, and are there again soon after it is", () =>
    withIssuer(({ issuer, line, tokens }) =>
      Effect.gen(function* () {
        const token = (nth: number) => Effect.promise(() => issuer.signed({ exp: later, nth }))
        expect(yield* checked(tokens(), yield* token(1))).toBe("corp:somebody")
        line.up = false
        yield* TestClock.adjust("50 minutes")
        expect(yield* checked(tokens(), yield* token(2))).toBe("corp:somebody")
        yield* TestClock.adjust("20 minutes")
        const first = yield* token(1)
        expect(outcome(tokens()?.known(first, 0))).toBe("unchecked")
        expect(yield* checked(tokens(), first)).toBe("IssuerUnavailable")
        line.up = true
        yield* TestClock.adjust("11 seconds")
        expect(yield* checked(tokens(), first)).toBe("corp:somebody")
      })
    )
  )

  effect("are asked for once in ten seconds at most, however many strangers come with keys of their own", () =>
    withIssuer(({ issuer, line, tokens }) =>
      Effect.gen(function* () {
        const good = yield* Effect.promise(() => issuer.signed({ exp: later }))
        expect(yield* checked(tokens(), good)).toBe("corp:somebody")
        yield* TestClock.adjust("11 seconds")
        const [, claims, signature] = good.split(".")
        const stranger = (nth: number): string =>
          `${Buffer.from(JSON.stringify({ alg: "ES256", kid: `k${nth}` })).toString("base64url")}.${claims}.${signature}`
        const before = line.asked
        const come = (from: number) =>
          Effect.forEach(
            Array.from({ length: 300 }, (_, nth) => stranger(from + nth)),
            (token) => checked(tokens(), token),
            { concurrency: "unbounded" }
          )
        expect(new Set(yield* come(0))).toEqual(new Set(["Unauthorized"]))
        expect(line.asked - before).toBe(1)
        yield* TestClock.adjust("9 seconds")
        yield* come(300)
        expect(line.asked - before).toBe(1)
        yield* TestClock.adjust("2 seconds")
        yield* come(600)
        expect(line.asked - before).toBe(2)
        line.up = false
        yield* TestClock.adjust("11 seconds")
        yield* come(900)
        yield* come(1200)
        expect(line.asked - before).toBe(3)
        expect(yield* checked(tokens(), good)).toBe("corp:somebody")
      })
    )
  )

  effect("are got anew by schedule, and tokens of those that are gone count no more, used before or not", () =>
    withIssuer(({ issuer, tokens }) =>
      Effect.gen(function* () {
        const token = yield* Effect.promise(() => issuer.signed({ exp: later }))
        expect(yield* checked(tokens(), token)).toBe("corp:somebody")
        expect(outcome(tokens()?.known(token, 0))).toBe("corp:somebody")
        yield* Effect.promise(() => issuer.rotate())
        yield* TestClock.adjust("301 seconds")
        // What is under way is a real question.
        const end = performance.now() + 60_000
        while (outcome(tokens()?.known(token, 0)) !== "unchecked" && performance.now() < end)
          yield* Effect.promise(() => Bun.sleep(1))
        expect(yield* checked(tokens(), token)).toBe("Unauthorized")
      })
    )
  )

  effect("are got anew by schedule after a defect too", () =>
    withIssuer(
      ({ issuer, line, tokens }) =>
        Effect.gen(function* () {
          yield* checked(tokens(), yield* Effect.promise(() => issuer.signed({ exp: later })))
          line.broken = true
          yield* TestClock.adjust("301 seconds")
          line.broken = false
          const before = line.asked
          yield* TestClock.adjust("311 seconds")
          expect(line.asked).toBeGreaterThan(before)
        }),
      (issuer) => ({ jwksUrl: `${issuer.url}/jwks` })
    )
  )

  effect("that are given are enough, and it is never asked", () =>
    withIssuer(
      ({ issuer, line, tokens }) =>
        Effect.gen(function* () {
          const token = yield* Effect.promise(() => issuer.signed({ exp: later }))
          expect(yield* checked(tokens(), token)).toBe("corp:somebody")
          yield* TestClock.adjust("5 hours")
          expect(yield* checked(tokens(), yield* Effect.promise(() => issuer.signed({ exp: later, nth: 2 })))).toBe(
            "corp:somebody"
          )
          yield* checked(tokens(), yield* Effect.promise(() => issuer.signed({ exp: later }, { kid: "other" })))
          expect(line.asked).toBe(0)
        }),
      (issuer) => ({ jwks: JSON.stringify(issuer.jwks()) })
    )
  )
})

effect("what a token lets do follows from the settings of the moment, also of one that was good before", () =>
  withIssuer(({ issuer, line, put, tokens }) =>
    Effect.gen(function* () {
      const token = yield* Effect.promise(() => issuer.signed({ exp: later, groups: ["a"] }))
      expect(yield* checked(tokens(), token)).toBe("corp:somebody")
      const { asked } = line
      put([entry(issuer, { required: { groups: ["b"] } })])
      expect(outcome(tokens()?.known(token, 0))).toBe("unchecked")
      expect(yield* checked(tokens(), token)).toBe("Forbidden")
      // The keys are the same ones.
      expect(line.asked).toBe(asked)
      put([])
      expect(tokens()).toBeUndefined()
    })
  )
)

test("an issuer that says it is another, or sends on to an address that is not encrypted, gives no keys", async () => {
  const ask =
    (said: unknown) =>
    ({ url }: { readonly url: string }) =>
      Effect.succeed({
        status: 200,
        headers: new Headers(),
        text: JSON.stringify(url.endsWith("/jwks") ? { keys: [] } : said)
      })
  const got = (said: unknown) =>
    Effect.runPromise(Effect.flip(fetchKeys({ ask: ask(said) }, entry({ url: "https://login.example/" }))))
  const at = "https://login.example/.well-known/openid-configuration"
  expect(await got({ issuer: "https://login.example" })).toBe(
    `${at}: it is of issuer 'https://login.example', which is another text than 'https://login.example/'`
  )
  expect(await got({ issuer: "https://login.example/", jwks_uri: "http://login.example/jwks" })).toBe(
    `${at}: its jwks_uri is not encrypted (https)`
  )
  expect(await got({ issuer: "https://login.example/" })).toBe(`${at}: it names no jwks_uri`)
  expect(await got([])).toBe(`${at}: it does not say of which issuer it is`)
})

test("an issuer whose name leads beyond what may be reached is not connected to", async () => {
  await Effect.runPromise(
    Effect.gen(function* () {
      const transport = yield* Transport
      const reason = yield* Effect.flip(fetchKeys(transport, entry({ url: "http://127.0.0.2:1" })))
      expect(reason).toContain("privacy.mode")
    }).pipe(
      Effect.provide(Transport.layer),
      Effect.provideService(
        Perimeter,
        perimeterGate(() => addressesWithin(["127.0.0.1/32"]))
      ),
      Effect.scoped
    )
  )
})
