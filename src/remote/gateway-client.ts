/**
 * The typed client of a running gateway, made from the contract of its operational endpoints.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { HttpClient, HttpClientError, HttpClientRequest, HttpClientResponse } from "effect/http"
import { HttpApiClient } from "effect/http-api"
import type { KeyToSend } from "../config/NexusConfig.ts"
import { explainedToken } from "../api/admin-api.ts"
import type {
  Explained,
  ExplainedUnderWay,
  ReplayAnswer,
  ReplayQuery,
  RequestsUnderWayList,
  Route,
  RouteOrigin,
  RouteQuery
} from "../api/admin-api.ts"
import type { AliasList } from "../api/catalogue-api.ts"
import { Api, type BackendList, type Health, type Unhealthy } from "../api/gateway-api.ts"
import type { modeActions, BackendChange, ReloadChanges, ConfigStatus, NewBackend } from "../api/control-api.ts"
import type { ClientKeyEntry, MadeClientKey, NewClientKey, NewRevocation, RevocationEntry } from "../api/keys-api.ts"
import type { Stats } from "../api/stats-api.ts"
import type { CaptureList, DeletedCaptures, WholeCapture } from "../api/captures-api.ts"
import type { CacheState } from "../api/cache-api.ts"
import type { Audit } from "../api/audit-api.ts"
import type { UsageReport } from "../api/usage-api.ts"
import { printable } from "../domain/printable.ts"
import { Transport } from "../upstream/Transport.ts"
import type { ShortCall } from "../upstream/ask.ts"

/** Nothing that could be a gateway answers at the address. */
export class NoGateway extends Data.TaggedError("NoGateway")<{
  readonly url: string
  readonly reason: string
  /** How to ask another one. */
  readonly hint?: string
}> {
  override get message(): string {
    return `No gateway answers at ${this.url}: ${this.reason}${this.hint === undefined ? "" : `; ${this.hint}`}`
  }
}

/** Why an address is no gateway's though something answers. */
export const notNexus = "what answers there is not Nexus"

const locked = (from: KeyToSend["keyFrom"]): string => {
  switch (from) {
    case undefined:
      return "it wants a key, and this config holds none; set NEXUS_KEY to one of its keys"
    case "NEXUS_KEY":
      return "the key in NEXUS_KEY is refused; it is none of those that this gateway takes"
    case "config":
      return "the key that this config holds is refused; set NEXUS_KEY to one that it takes"
  }
}

const refusals: ReadonlyMap<number, string> = new Map([
  [403, "it does not take requests from here"],
  [414, "what it is asked for is too long a name"],
  [429, "it has too much to do"],
  [500, "it failed"],
  [503, "it takes no requests now"]
])

/** A gateway answers, and does not say what it was asked. */
export class GatewayRefused extends Data.TaggedError("GatewayRefused")<{
  readonly url: string
  readonly status: number
  /** Where the key came from that was sent; undefined when none was. */
  readonly keyFrom?: KeyToSend["keyFrom"]
  /** What it said itself, where that is told. */
  readonly words?: string | undefined
}> {
  override get message(): string {
    const { keyFrom, status, words } = this
    const why = status === 401 ? locked(keyFrom) : (words ?? refusals.get(status) ?? `status ${status}`)
    return `The gateway at ${this.url} refuses: ${why}`
  }
}

/** Where a gateway is looked for, and the key it may want. */
export interface GatewayAddress {
  /** Base URL without a trailing slash. */
  readonly url: string
  readonly key: Redacted.Redacted<string> | undefined
  readonly keyFrom?: KeyToSend["keyFrom"]
  /** The path of a Unix socket that takes questions in place of the host of its URL. */
  readonly socket?: string | undefined
  /** Where its administration is asked, when that has a place of its own. */
  readonly admin?: Pick<GatewayAddress, "url" | "socket"> | undefined
}

/** The state of a gateway, as `/health` tells it. */
export type GatewayHealth = typeof Health.Type | typeof Unhealthy.Type

const timeoutMs = 5000

/** A change may have to look at a server first. */
const changeMs = 30_000

const methods = { GET: "GET", POST: "POST", DELETE: "DELETE" } as const

const methodOf = ({ method }: HttpClientRequest.HttpClientRequest): ShortCall["method"] =>
  method === "POST" || method === "DELETE" ? methods[method] : "GET"

const questionOf = (
  request: HttpClientRequest.HttpClientRequest
): Pick<ShortCall, "method" | "body" | "timeoutMs"> => ({
  method: methodOf(request),
  timeoutMs: methodOf(request) === "GET" ? timeoutMs : changeMs,
  ...(request.body._tag === "Uint8Array" ? { body: new TextDecoder().decode(request.body.body) } : {})
})

const httpClient = (transport: Transport["Service"], socket: string | undefined): HttpClient.HttpClient =>
  HttpClient.make((request, url) =>
    transport
      .ask({
        ...questionOf(request),
        url: url.href,
        headers: { ...request.headers },
        ...(socket === undefined ? {} : { socket })
      })
      .pipe(
        Effect.map(({ status, headers, text }) =>
          HttpClientResponse.fromWeb(request, new Response(text === "" ? null : text, { status, headers }))
        ),
        Effect.mapError(
          (error) =>
            new HttpClientError.HttpClientError({
              reason: new HttpClientError.TransportError({
                request,
                description: "reason" in error ? error.reason : "no answer in time"
              })
            })
        )
      )
  )

const connect = Effect.fnUntraced(function* ({ url, key, socket }: GatewayAddress) {
  const transport = yield* Transport
  const authorized = HttpClientRequest.setHeaders(
    key === undefined ? {} : { authorization: `Bearer ${Redacted.value(key)}` }
  )
  return yield* HttpApiClient.makeWith(Api, {
    baseUrl: socket === undefined ? url : "http://localhost",
    httpClient: HttpClient.mapRequest(httpClient(transport, socket), authorized)
  })
})

/** Where what only the administration answers is asked. */
const adminOf = (address: GatewayAddress): GatewayAddress => ({ ...address, ...address.admin })

const OwnWords = Schema.Struct({ error: Schema.Struct({ message: Schema.String }) })

/** Why a gateway lets nobody do this, in its own words. */
const wordsOf = (response: HttpClientResponse.HttpClientResponse): Effect.Effect<string | undefined> =>
  response.status === 403
    ? HttpClientResponse.schemaBodyJson(OwnWords)(response).pipe(
        Effect.map(({ error: { message } }) => printable(message)),
        Effect.orElseSucceed(() => undefined)
      )
    : Effect.succeed(undefined)

// What answers, and speaks another language, is some other server: then no gateway runs at that address.
const explain =
  ({ url, keyFrom }: GatewayAddress) =>
  (error: unknown): Effect.Effect<never, NoGateway | GatewayRefused> => {
    const reason = HttpClientError.isHttpClientError(error) ? error.reason : undefined
    if (reason?._tag === "TransportError")
      return Effect.fail(new NoGateway({ url, reason: reason.description ?? "no answer" }))
    if (
      reason !== undefined &&
      "response" in reason &&
      (reason.response.status === 401 || refusals.has(reason.response.status))
    ) {
      const { response } = reason
      const refused = (words: string | undefined) =>
        new GatewayRefused({ url, status: response.status, keyFrom, words })
      return Effect.flatMap(wordsOf(response), (words) => Effect.fail(refused(words)))
    }
    return Effect.fail(new NoGateway({ url, reason: notNexus }))
  }

/** The backends of the gateway at this address. */
export const askBackends = (
  address: GatewayAddress
): Effect.Effect<typeof BackendList.Type, NoGateway | GatewayRefused, Transport> =>
  Effect.flatMap(connect(address), (client) => client.gateway.backends()).pipe(Effect.catch(explain(address)))

/** How long the gateway may keep back its answer about changes, in seconds; less than it has for any answer. */
const changesWait = 4

/** The state of the backends of the gateway at this address, in a word; with `since` as soon as it is another one, or after a while. */
export const askChanges = (
  address: GatewayAddress,
  since: string | undefined
): Effect.Effect<string, NoGateway | GatewayRefused, Transport> =>
  Effect.flatMap(connect(address), (client) =>
    client.gateway.changes({ query: since === undefined ? {} : { since, wait: changesWait } })
  ).pipe(
    Effect.map(({ state }) => state),
    Effect.catch(explain(address))
  )

/** The figures of the gateway at this address. */
export const askStats = (address: GatewayAddress): Effect.Effect<Stats, NoGateway | GatewayRefused, Transport> =>
  Effect.flatMap(connect(address), (client) => client.work.stats()).pipe(Effect.catch(explain(address)))

const isHealth = (value: unknown): value is typeof Unhealthy.Type =>
  typeof value === "object" && value !== null && "status" in value && value.status === "unhealthy"

/** The health of the gateway at this address; an unhealthy one is an answer as well. */
export const askHealth = (
  address: GatewayAddress
): Effect.Effect<GatewayHealth, NoGateway | GatewayRefused, Transport> =>
  Effect.flatMap(connect(address), (client) => client.gateway.health()).pipe(
    Effect.catchIf(
      (error) => isHealth(error),
      (unhealthy) => Effect.succeed(unhealthy as GatewayHealth) // reason: isHealth has checked it
    ),
    Effect.catch(explain(address))
  )

const isRefusal = (value: unknown): value is { readonly error: { readonly message: string } } =>
  typeof value === "object" && value !== null && "error" in value

/** What the gateway has no answer to, in its own words. */
export class Unanswerable extends Data.TaggedError("Unanswerable")<{ readonly message: string }> {}

// A refusal in OpenAI's shape is the gateway's own word.
const told =
  (address: GatewayAddress) =>
  (error: unknown): Effect.Effect<never, NotDone> =>
    isRefusal(error) ? Effect.fail(new Unanswerable({ message: error.error.message })) : explain(address)(error)

/** Why a gateway did not do what it was asked. */
export type NotDone = NoGateway | GatewayRefused | Unanswerable

// As a part of a path these would lead elsewhere.
const unnamed: ReadonlySet<string> = new Set(["", ".", ".."])

/** Asks for what is called so. */
const byName = <A>(
  name: string,
  question: Effect.Effect<A, NotDone, Transport>
): Effect.Effect<A, NotDone, Transport> =>
  unnamed.has(name) ? Effect.fail(new Unanswerable({ message: `Nothing is called '${name}'` })) : question

/** Asks what only the administration answers. */
const asked = <A, E>(
  address: GatewayAddress,
  question: (client: Effect.Success<ReturnType<typeof connect>>) => Effect.Effect<A, E>
): Effect.Effect<A, NotDone, Transport> =>
  Effect.flatMap(connect(adminOf(address)), question).pipe(Effect.catch(told(adminOf(address))))

/** Has the gateway at this address take over its config; `only` has it tell what that would change, and change nothing. */
export const askReload = (
  address: GatewayAddress,
  only: "compare" | undefined
): Effect.Effect<ReloadChanges, NotDone, Transport> =>
  asked(address, ({ control }) => (only === "compare" ? control.compare() : control.reload()))

/** Which config the gateway at this address goes by. */
export const askConfig = (address: GatewayAddress): Effect.Effect<ConfigStatus, NotDone, Transport> =>
  asked(address, ({ control }) => control.config())

/** Adds a backend to the gateway at this address. */
export const askAddBackend = (
  address: GatewayAddress,
  payload: NewBackend
): Effect.Effect<BackendChange, NotDone, Transport> => asked(address, ({ control }) => control.add({ payload }))

/** Takes a backend out of the gateway at this address, and with `save` out of its config file. */
export const askRemoveBackend = (
  address: GatewayAddress,
  name: string,
  save: boolean
): Effect.Effect<BackendChange, NotDone, Transport> =>
  byName(
    name,
    asked(address, ({ control }) => control.remove({ params: { name }, query: save ? { save: "true" } : {} }))
  )

/** Has the gateway at this address enable, drain, disable or wake a backend. */
export const askSetMode = (
  address: GatewayAddress,
  name: string,
  action: keyof typeof modeActions | "wake"
): Effect.Effect<BackendChange, NotDone, Transport> =>
  byName(
    name,
    asked(address, ({ control }) => control.act({ params: { name, action } }))
  )

/** What would become of a chat request at the gateway of this address; `token` is what it would come with. */
export const askRoute = (
  address: GatewayAddress,
  payload: RouteQuery,
  query: RouteOrigin,
  token?: string
): Effect.Effect<Route, NotDone, Transport> =>
  asked(address, ({ admin }) =>
    admin.route({ payload, query, headers: token === undefined ? {} : { [explainedToken]: token } })
  )

/** What would have become of the last requests at the gateway of this address under another config. */
export const askReplay = (
  address: GatewayAddress,
  payload: ReplayQuery
): Effect.Effect<ReplayAnswer, NotDone, Transport> => asked(address, ({ admin }) => admin.replay({ payload }))

/** What became of a request at the gateway of this address, by its id. */
export const askDecision = (address: GatewayAddress, id: string): Effect.Effect<Explained, NotDone, Transport> =>
  byName(
    id,
    asked(address, ({ admin }) => admin.decision({ params: { id } }))
  )

/** The requests that are under way at the gateway of this address. */
export const askUnderWay = (address: GatewayAddress): Effect.Effect<RequestsUnderWayList, NotDone, Transport> =>
  asked(address, ({ admin }) => admin.underWay())

/** One of them, by its id. */
export const askOneUnderWay = (
  address: GatewayAddress,
  id: string
): Effect.Effect<ExplainedUnderWay, NotDone, Transport> =>
  byName(
    id,
    asked(address, ({ admin }) => admin.oneUnderWay({ params: { id } }))
  )

/** Has the gateway at this address end the requests under way with an id. */
export const askCancel = (
  address: GatewayAddress,
  id: string
): Effect.Effect<RequestsUnderWayList, NotDone, Transport> =>
  byName(
    id,
    asked(address, ({ admin }) => admin.cancel({ params: { id } }))
  )

/** The aliases and fallbacks of the gateway at this address. */
export const askAliases = (address: GatewayAddress): Effect.Effect<AliasList, NoGateway | GatewayRefused, Transport> =>
  Effect.flatMap(connect(adminOf(address)), (client) => client.catalogue.aliases()).pipe(
    Effect.catch(explain(adminOf(address)))
  )

/** The prompts and answers that the gateway of this address has stored last. */
export const askCaptures = (address: GatewayAddress): Effect.Effect<CaptureList, NotDone, Transport> =>
  asked(address, ({ captures }) => captures.list({ query: {} }))

/** One of them. */
export const askCapture = (address: GatewayAddress, id: number): Effect.Effect<WholeCapture, NotDone, Transport> =>
  asked(address, ({ captures }) => captures.show({ params: { id: String(id) } }))

/** Has it delete one, or all. */
export const askDeleteCaptures = (
  address: GatewayAddress,
  id: number | undefined
): Effect.Effect<DeletedCaptures, NotDone, Transport> =>
  asked(address, ({ captures }) =>
    id === undefined ? captures.removeAll() : captures.remove({ params: { id: String(id) } })
  )

/** The answers that the gateway of this address keeps to be given again. */
export const askCache = (address: GatewayAddress): Effect.Effect<CacheState, NotDone, Transport> =>
  asked(address, ({ cache }) => cache.kept())

/** Has it drop those. */
export const askClearCache = (address: GatewayAddress): Effect.Effect<CacheState, NotDone, Transport> =>
  asked(address, ({ cache }) => cache.clear())

/** Which hosts the gateway of this address may contact, and has. */
export const askAudit = (address: GatewayAddress): Effect.Effect<Audit, NotDone, Transport> =>
  asked(address, ({ audit }) => audit.audit())

/** What a report of usage is asked with; times in milliseconds since 1970. */
export interface UsageQuestion {
  readonly by: string
  readonly since?: number
  readonly until?: number
  readonly shadows?: "true"
}

/** What requests took at the gateway of this address. */
export const askUsage = (
  address: GatewayAddress,
  query: UsageQuestion
): Effect.Effect<UsageReport, NotDone, Transport> => asked(address, ({ usage }) => usage.report({ query }))

/** The keys of clients of the gateway at this address. */
export const askKeys = (address: GatewayAddress): Effect.Effect<ReadonlyArray<ClientKeyEntry>, NotDone, Transport> =>
  Effect.map(
    asked(address, ({ keys }) => keys.list()),
    ({ keys }) => keys
  )

/** Has the gateway at this address make a key. */
export const askNewKey = (
  address: GatewayAddress,
  payload: NewClientKey
): Effect.Effect<MadeClientKey, NotDone, Transport> => asked(address, ({ keys }) => keys.make({ payload }))

/** Has the gateway at this address revoke a key. */
export const askRevokeKey = (
  address: GatewayAddress,
  name: string
): Effect.Effect<{ readonly name: string }, NotDone, Transport> =>
  byName(
    name,
    asked(address, ({ keys }) => keys.revoke({ params: { name } }))
  )

/** The tokens of issuers that were revoked at the gateway of this address. */
export const askRevocations = (
  address: GatewayAddress
): Effect.Effect<ReadonlyArray<RevocationEntry>, NotDone, Transport> =>
  Effect.map(
    asked(address, ({ keys }) => keys.revocations()),
    ({ revoked }) => revoked
  )

/** Has the gateway at this address revoke tokens. */
export const askRevokeTokens = (
  address: GatewayAddress,
  payload: NewRevocation
): Effect.Effect<RevocationEntry, NotDone, Transport> => asked(address, ({ keys }) => keys.revokeTokens({ payload }))

/** Has it let revoked tokens count again. */
export const askLift = (address: GatewayAddress, id: string): Effect.Effect<RevocationEntry, NotDone, Transport> =>
  byName(
    id,
    asked(address, ({ keys }) => keys.lift({ params: { id } }))
  )

/** Has the gateway at this address make another key in the place of one, which counts for so many seconds more. */
export const askRotateKey = (
  address: GatewayAddress,
  name: string,
  overlap_seconds: number
): Effect.Effect<MadeClientKey, NotDone, Transport> =>
  byName(
    name,
    asked(address, ({ keys }) => keys.rotate({ params: { name }, query: { overlap_seconds } }))
  )
