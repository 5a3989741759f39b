/**
 * A real issuer of tokens (oidc-provider) on loopback, and whatever else can come from the place where one stands.
 */
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http"
import { exportJWK, generateKeyPair, type JWK, SignJWT } from "jose"
// @ts-expect-error -- reason: the package has no types, and what is used of it is said below
import Untyped from "oidc-provider"

interface ProviderClass {
  new (
    issuer: string,
    configuration: Readonly<Record<string, unknown>>
  ): { readonly callback: () => (request: IncomingMessage, response: ServerResponse) => void }
}

const Provider: ProviderClass = Untyped

/** What its tokens are for. */
export const audience = "nexus"

/** An issuer under test. */
export interface OidcIssuer extends AsyncDisposable {
  readonly url: string
  /** A token with these claims, as its token endpoint gives it to a client. */
  readonly token: (claims?: Readonly<Record<string, unknown>>, of?: string) => Promise<string>
  /** One that is signed with its key and says what it never would. */
  readonly signed: (
    claims: Readonly<Record<string, unknown>>,
    header?: Readonly<Record<string, unknown>>
  ) => Promise<string>
  /** Has it sign with another key; the one before is not published any more. */
  readonly rotate: (algorithm?: string) => Promise<void>
  readonly jwks: () => { readonly keys: ReadonlyArray<JWK> }
  /** Answers in its place; undefined lets it answer again. */
  readonly instead: (listener: RequestListener | undefined) => void
  /** How often its keys were asked for. */
  readonly asked: () => number
}

const keyPair = async (algorithm: string, kid: string) => {
  const { privateKey } = await generateKeyPair(algorithm, { extractable: true })
  return { privateKey, algorithm, kid, jwk: { ...(await exportJWK(privateKey)), kid, alg: algorithm, use: "sig" } }
}

const secretParts = new Set(["d", "p", "q", "dp", "dq", "qi"])

const publicOf = (jwk: JWK): JWK =>
  Object.fromEntries(Object.entries(jwk).filter(([name]) => !secretParts.has(name))) as JWK // reason: what is left of one is one

/** Starts one. */
export const startIssuer = async (algorithm = "ES256"): Promise<OidcIssuer> => {
  let listener: RequestListener = () => undefined
  let own: RequestListener = listener
  let asked = 0
  const server = createServer((request, response) => {
    if (request.url?.startsWith("/jwks") === true) asked += 1
    listener(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  const url = `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`
  let serial = 0
  let claims: Readonly<Record<string, unknown>> = {}
  let key: Awaited<ReturnType<typeof keyPair>>

  const rotate = async (next = algorithm): Promise<void> => {
    serial += 1
    key = await keyPair(next, `key-${serial}`)
    const provider = new Provider(url, {
      jwks: { keys: [key.jwk] },
      clients: [
        {
          client_id: "app",
          client_secret: "not-much-of-a-secret",
          grant_types: ["client_credentials"],
          redirect_uris: [],
          response_types: [],
          id_token_signed_response_alg: next
        }
      ],
      extraTokenClaims: () => claims,
      features: {
        devInteractions: { enabled: false },
        clientCredentials: { enabled: true },
        resourceIndicators: {
          enabled: true,
          getResourceServerInfo: (_: unknown, resource: string) => ({
            scope: "ask",
            audience: resource.replace(/^urn:/, ""),
            accessTokenFormat: "jwt",
            accessTokenTTL: 600,
            jwt: { sign: { alg: next } }
          })
        }
      }
    })
    own = provider.callback()
    listener = own
  }
  await rotate()

  return {
    url,
    token: async (told = {}, of = audience) => {
      claims = told
      const answer = await fetch(`${url}/token`, {
        method: "POST",
        headers: {
          "content-type": "application/x-www-form-urlencoded",
          authorization: `Basic ${btoa("app:not-much-of-a-secret")}`
        },
        body: new URLSearchParams({ grant_type: "client_credentials", resource: `urn:${of}`, scope: "ask" }).toString()
      })
      const json: unknown = await answer.json()
      const token: unknown = typeof json === "object" && json !== null ? Reflect.get(json, "access_token") : undefined
      if (typeof token !== "string") throw new Error(`the issuer gave no token: ${JSON.stringify(json)}`)
      return token
    },
    signed: (told, header = {}) =>
      new SignJWT({ iss: url, aud: audience, sub: "somebody", ...told })
        .setProtectedHeader({ alg: key.algorithm, kid: key.kid, ...header })
        .sign(key.privateKey),
    rotate,
    jwks: () => ({ keys: [publicOf(key.jwk)] }),
    instead: (other) => {
      listener = other ?? own
    },
    asked: () => asked,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    }
  }
}
