/**
 * The operational endpoints that are answered by their contract. Loaded when the first of them is asked for: the contract is
 * a quarter of what a start would take, and a gateway that has just begun forwards requests first.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as SchemaIssue from "effect/SchemaIssue"
import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import { HttpApiBuilder, HttpApiError } from "effect/http-api"
import { type GatewayError, Internal, MethodNotAllowed, NotFound, BadRequest } from "../domain/errors.ts"
import { percentDecoded } from "../domain/url-host.ts"
import { version } from "../domain/version.ts"
import { Drain } from "../admission/Drain.ts"
import type { ClientKeys } from "../admission/ClientKeys.ts"
import type { Limiter } from "../admission/Limiter.ts"
import type { Issuers } from "../issuer/Issuers.ts"
import { Registry } from "../registry/Registry.ts"
import type { RoutingSettings } from "../domain/routing.ts"
import type { Lifecycle } from "../lifecycle/Lifecycle.ts"
import type { Snapshot } from "../registry/snapshot.ts"
import { Router } from "../router/Router.ts"
import { RequestClock } from "../upstream/Upstream.ts"
import { adminHandlers } from "./handlers/admin.ts"
import { docsPath, frontPath, isProbeElsewhere } from "../admission/access.ts"
import { isUi } from "../admission/own-page.ts"
import type { KeyBounds } from "../router/zoned-targets.ts"
import { type IncomingRequest, IsLetIn, KeyOfRequest, publicOrigin } from "./incoming-request.ts"
import { explainedToken } from "../api/admin-api.ts"
import { Api, ContractApi } from "../api/gateway-api.ts"
import { type BodyLimits, type BodyCounter, readBody } from "../proxy/request-body.ts"
import { makeChanges } from "./handlers/changes.ts"
import { catalogueHandlers } from "./handlers/catalogue.ts"
import { Control } from "./Control.ts"
import { keyHandlers } from "./handlers/key-handlers.ts"
import { lifecycleHandlers } from "./handlers/lifecycle-handlers.ts"
import { doctorHandlers } from "./handlers/doctor-handlers.ts"
import type { Doctor } from "./DoctorService.ts"
import { eventHandlers } from "./handlers/event-handlers.ts"
import { controlHandlers } from "./handlers/control-handlers.ts"
import { docsPage } from "./pages/docs-page.ts"
import { uiAnswer } from "./pages/live-page.ts"
import { frontPage } from "./pages/front-page.ts"
import { backendEntry, healthSummary } from "./handlers/health-pages.ts"
import { answerWith, type Page } from "./pages/html.ts"
import { catalogueOf, findModel, listModels, unlistedModel } from "./handlers/model-list.ts"
import type { Meters } from "../proxy/Meters.ts"
import type { DialectList } from "../dialect/all.ts"
import { pageMethods, type PageRoute, pagesAt } from "../dialect/page-routes.ts"
import { pathsOf, Routes } from "../dialect/routes.ts"
import { placesOf, refuse, requestIdHeaders } from "../dialect/refuse.ts"
import type { History } from "../proxy/History.ts"
import { EventLoopTurns } from "../domain/EventLoopTurns.ts"
import { statsHandlers } from "./handlers/stats-handlers.ts"
import { captureHandlers } from "./handlers/capture-handlers.ts"
import type { Captures } from "../capture/Captures.ts"
import { cacheHandlers } from "./handlers/cache-handlers.ts"
import type { AnswerCache } from "../cache/AnswerCache.ts"
import { auditHandlers } from "./handlers/audit-handlers.ts"
import { usageHandlers } from "./handlers/usage-handlers.ts"
import type { Budgets } from "../usage/Budgets.ts"
import type { NexusConfig } from "../config/NexusConfig.ts"
import { UsageLedger } from "../usage/UsageLedger.ts"
import { printable } from "../domain/printable.ts"
import type { Replicas } from "../replicas/Replicas.ts"
import type { SharedStore } from "../replicas/SharedStore.ts"
import { clusterStatus } from "./cluster-status.ts"

const format = SchemaIssue.makeFormatterStandardSchemaV1()

const places = { Params: "path", Query: "query", Headers: "headers", Payload: "request body" } as const

const isPlace = (kind: string): kind is keyof typeof places => Object.hasOwn(places, kind)

/** What is wrong with the request; undefined when the defect is none of the request's. */
const undecodable = (defect: unknown): BadRequest | undefined => {
  if (!HttpApiError.HttpApiSchemaError.is(defect) || !isPlace(defect.kind)) return undefined
  const [first] = format(defect.cause.issue).issues
  const path = (first?.path ?? []).map((key) => String(typeof key === "object" ? key.key : key)).join(".")
  const reason = printable(first?.message ?? "it does not decode").slice(0, 500)
  const where =
    path === "" ? `The ${places[defect.kind]}` : `'${printable(path).slice(0, 100)}' in the ${places[defect.kind]}`
  return new BadRequest({ message: `${where} is not what is expected: ${reason}`, param: path === "" ? null : path })
}

/** Paths whose last part is an id; whatever it holds, it is one part. */
const byId: ReadonlyArray<string> = [
  "/v1/models/",
  "/admin/v1/decisions/",
  "/admin/v1/requests/",
  "/admin/v1/captures/"
]

const reads: ReadonlyArray<string> = ["GET", "HEAD"]
// Answered before the operational endpoints are asked.
const forwarded: ReadonlyArray<string> = ["POST"]

const methodsOf = (path: string, known: ReadonlyArray<{ readonly path: string; readonly method: string }>) =>
  known.filter((each) => each.path === path).flatMap(({ method }) => (method === "GET" ? reads : [method]))

const contracted = Object.values(Api.groups).flatMap(
  ({ endpoints }): ReadonlyArray<{ readonly path: string; readonly method: string }> => Object.values(endpoints)
)

/** Every path that is served, with its methods. */
export const servedPathsOf = (dialects: DialectList): ReadonlyMap<string, ReadonlyArray<string>> =>
  new Map([
    ...contracted.map(({ path }) => [path, methodsOf(path, contracted)] as const),
    ...[frontPath, docsPath, "/openapi.json"].map((path) => [path, reads] as const),
    ...dialects.flatMap(({ operations }) => operations.flatMap(pathsOf).map((path) => [path, forwarded] as const)),
    ...dialects.flatMap(({ changes = [] }) =>
      // Of what is passed on, only that is told of which clients get an answer to in any case.
      changes.flatMap(({ methods, operation: { path }, present }) =>
        present === undefined ? [] : [[path, methods] as const]
      )
    ),
    ...dialects.flatMap(({ pages = [] }) =>
      pages.flatMap(({ method, path, shared }) =>
        shared === true ? [] : [[path.replace("{model}", ":model"), method === "GET" ? reads : [method]] as const]
      )
    )
  ])

// Names of backends, and of keys that are kept, are plain.
const ofBackend = /^\/admin\/v1\/backends\/[^/]+(\/[^/]+)?$/
const ofKey = /^\/admin\/v1\/keys\/[^/]+(\/rotate)?$/
const ofRevocation = /^\/admin\/v1\/revocations\/[^/]+$/

const RequestId = Context.Reference<string>("nexus/operations/Operations/RequestId", { defaultValue: () => "" })

const probesHere = "Probes ask /livez (Nexus runs) and /readyz (requests can be routed), both without a key"

// What bounds the body of an operational endpoint: few of them come at a time.
const bodyLimits: BodyLimits = { maxBodyBytes: 16 * 1024 * 1024, uploadMs: 0 }
const uncounted: BodyCounter = { crowded: undefined, grow: () => undefined }

/** Answers with a failure. */
type Refuse = (error: GatewayError) => Effect.Effect<HttpServerResponse.HttpServerResponse>

const logged = <A, E, R>(answer: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.tapDefect(answer, (defect) =>
    // So the library has it that nobody waits for the answer any more.
    HttpServerResponse.isHttpServerResponse(defect)
      ? Effect.void
      : Effect.flatMap(RequestId, (request_id) =>
          Effect.annotateLogs(Effect.logError("internal error", defect), { request_id })
        )
  )

/** Refuses what does not decode in words, where the library would say nothing. */
const guard = (refuse: Refuse) =>
  HttpRouter.middleware(
    (answer) =>
      Effect.catchDefect(answer, (defect) => {
        const error = undecodable(defect)
        return error === undefined ? Effect.die(defect) : refuse(error)
      }),
    { global: true }
  )

const ledgerState = ({ isOn, standing }: UsageLedger["Service"]) => {
  if (!isOn) return {}
  const { dropped, failure = null, waiting } = standing()
  return { usage: { waiting, dropped, failure } }
}

const makeHandlers = ({ sinceMs, started }: Pick<ContractOptions, "sinceMs" | "started">, refuse: Refuse) =>
  HttpApiBuilder.group(
    ContractApi,
    "gateway",
    Effect.fnUntraced(function* (handlers) {
      const registry = yield* Registry
      const control = yield* Control
      const cluster = yield* clusterStatus
      const ledger = yield* UsageLedger
      const router = yield* Router
      const changes = yield* makeChanges
      const created = Math.floor(sinceMs / 1000)
      let listed: { readonly snapshot: Snapshot; readonly names: RoutingSettings; readonly body: string } | undefined
      const list = (key: KeyBounds | undefined): string => {
        const snapshot = registry.snapshot()
        const names = router.names()
        if (key?.scope !== undefined || key?.zones !== undefined)
          return JSON.stringify({ object: "list", data: listModels(snapshot, created, { names, key }) })
        if (listed?.snapshot === snapshot && listed.names === names) return listed.body
        const body = JSON.stringify({ object: "list", data: listModels(snapshot, created, { names, key: undefined }) })
        listed = { snapshot, names, body }
        return body
      }
      const backends = () => {
        const now = performance.now()
        return {
          version,
          backends: [...registry.snapshot().backends.values()].map((state) => backendEntry(state, now))
        }
      }
      return handlers.handleAll({
        health: () => {
          const config = control.status()
          const now = performance.now()
          const { status, ...counts } = healthSummary(registry.snapshot(), now)
          const uptime_seconds = Math.floor((now - started) / 1000)
          const together = cluster()
          const all = {
            uptime_seconds,
            ...counts,
            config,
            ...(together === undefined ? {} : { cluster: together }),
            ...ledgerState(ledger)
          }
          return status === "unhealthy" ? Effect.fail({ status, ...all }) : Effect.succeed({ status, ...all })
        },
        models: () =>
          Effect.map(KeyOfRequest, (key) => HttpServerResponse.text(list(key), { contentType: "application/json" })),
        model: Effect.fnUntraced(function* ({ params: { id } }) {
          const snapshot = registry.snapshot()
          const listing = { names: router.names(), key: yield* KeyOfRequest }
          const entry = findModel(snapshot, id, created, listing)
          return entry ?? (yield* refuse(unlistedModel(snapshot, id, listing)))
        }),
        backends: () => Effect.sync(backends),
        changes: ({ query }) => changes(query),
        administered: () => Effect.sync(backends)
      })
    })
  )

const nothing = new Uint8Array(0)

// Whatever the client calls it.
const jsonBody = { "content-type": "application/json" }

/** What the handlers draw on. */
export type ContractServices =
  | Drain
  | ClientKeys
  | Limiter
  | Issuers
  | Registry
  | Router
  | History
  | Control
  | Doctor
  | Meters
  | Lifecycle
  | UsageLedger
  | Budgets
  | NexusConfig
  | AnswerCache
  | Captures
  | Replicas
  | SharedStore

/** What the contract's endpoints tell beside the state of the backends. */
export interface ContractOptions {
  /** What is served beside; failures have the shape of the first. */
  readonly dialects: DialectList
  /** Attempts that may follow the first. */
  readonly maxRetries: () => number
  /** When the gateway began, in milliseconds since 1970. */
  readonly sinceMs: number
  /** The same in monotonic milliseconds. */
  readonly started: number
}

/** The endpoints of the contract, behind one function. */
export interface Contract {
  readonly handle: (request: Request, requestId: string, asked: IncomingRequest) => Promise<Response>
  readonly dispose: () => Promise<void>
}

/** Makes the handlers of the contract over the services they draw on. */
export const makeContract = (services: Context.Context<ContractServices>, options: ContractOptions): Contract => {
  const { dialects, maxRetries, started } = options
  const servedPaths = servedPathsOf(dialects)
  const routes = new Routes(dialects)
  const refusal = (error: GatewayError, requestId: string, path = "", asker = dialects[0]): Response =>
    refuse(routes.find(path)?.dialect ?? asker, error, requestId)
  const refusing: Refuse = (error) =>
    Effect.map(RequestId, (requestId) => HttpServerResponse.fromWeb(refusal(error, requestId)))
  const suggestedPath = (path: string, origin: string): string | undefined => {
    for (const dialect of dialects) {
      const instead = dialect.suggestedPath(path, servedPaths.keys(), origin)
      if (instead !== undefined) return instead
    }
    return isProbeElsewhere(path) ? probesHere : undefined
  }
  const handlers = Layer.merge(HttpApiBuilder.layer(ContractApi), guard(refusing)).pipe(
    Layer.provide(makeHandlers(options, refusing)),
    Layer.provide(adminHandlers(dialects, refusing, maxRetries)),
    Layer.provide(controlHandlers(refusing)),
    Layer.provide(keyHandlers(refusing)),
    Layer.provide(lifecycleHandlers(refusing)),
    Layer.provide(catalogueHandlers),
    Layer.provide(statsHandlers(started)),
    Layer.provide(usageHandlers(refusing)),
    Layer.provide(doctorHandlers(refusing)),
    Layer.provide(eventHandlers(refusing, started)),
    Layer.provide(auditHandlers),
    Layer.provide(cacheHandlers(refusing)),
    Layer.provide(captureHandlers(refusing)),
    Layer.provide(HttpServer.layerServices),
    Layer.provide(Layer.succeedContext(services))
  )
  const web = HttpRouter.toWebHandler(handlers, {
    disableLogger: true,
    middleware: logged,
    // Names of models and ids of requests are as long as they are; the library takes a hundred characters.
    routerConfig: { maxParamLength: Infinity }
  })
  const turns = new EventLoopTurns()
  const registry = Context.get(services, Registry)
  const router = Context.get(services, Router)
  let document: Promise<{ readonly json: string; readonly page: Page }> | undefined
  const described = () =>
    (document ??= import("./openapi.ts").then(async ({ openApi }) => {
      const said = await openApi(dialects)
      return { json: JSON.stringify(said), page: docsPage(said) }
    }))
  const front = (request: Request, { needsKey, isTrusted, isAdministration }: IncomingRequest): Page => {
    const snapshot = registry.snapshot()
    const now = performance.now()
    const backends = [...snapshot.backends.values()].map((state) => backendEntry(state, now))
    const state = isTrusted
      ? { backends, models: listModels(snapshot, 0, { names: router.names(), key: undefined }) }
      : undefined
    return frontPage({ version, origin: publicOrigin(request), needsKey, isAdministration, state })
  }

  const bodyOf = (request: Request): Promise<Uint8Array | GatewayError> =>
    Effect.runPromise(
      Effect.catch(readBody(request, new RequestClock(0, 0), bodyLimits, uncounted, turns), Effect.succeed)
    )
  const created = Math.floor(options.sinceMs / 1000)
  const answerPage = async (
    pages: ReadonlyArray<PageRoute>,
    request: Request,
    requestId: string,
    { pathname, searchParams: query }: URL,
    key: KeyBounds | undefined
  ): Promise<Response> => {
    const { method } = request
    const found = pages.find(({ page }) => page.method === (method === "HEAD" ? "GET" : method))
    const { dialect } = found ?? pages[0] ?? { dialect: dialects[0] }
    if (found === undefined) {
      const allowed = pageMethods(pages)
      return refuse(dialect, new MethodNotAllowed({ method, path: pathname, allowed }), requestId)
    }
    const body = method === "POST" ? await bodyOf(request) : nothing
    if (!(body instanceof Uint8Array)) return refuse(dialect, body, requestId)
    const models = catalogueOf(registry.snapshot(), created, { names: router.names(), key })
    const answer = found.page.answer(models, { model: found.model, query, body })
    if (Result.isFailure(answer)) return refuse(dialect, answer.failure, requestId)
    const { status, type } = answer.success
    const headers = { "content-type": type, ...requestIdHeaders(dialect, requestId) }
    return new Response(method === "HEAD" ? null : answer.success.body, { status, headers })
  }

  const handle = async (request: Request, requestId: string, asked: IncomingRequest): Promise<Response> => {
    const { method } = request
    const query = request.url.indexOf("?")
    const url = new URL(`http://nexus${asked.path}${query < 0 ? "" : request.url.slice(query)}`)
    let path = url.pathname
    const speaker = dialects.find(({ speaksTo }) => speaksTo?.(request.headers, path))
    const pages = pagesAt(dialects, asked.path, request.headers)
    if (pages.length > 0) return answerPage(pages, request, requestId, url, asked.key)
    const prefix = byId.find((each) => path.startsWith(each) && path.length > each.length)
    if (prefix !== undefined) {
      // One path segment, however the client wrote the id: ids hold slashes and colons.
      url.pathname = prefix + encodeURIComponent(percentDecoded(path.slice(prefix.length)))
      path = `${prefix}:id`
    }
    const ofOne = ofBackend.exec(path)
    if (ofOne !== null) path = `/admin/v1/backends/:name${ofOne[1] === undefined ? "" : "/:action"}`
    const ofKeys = ofKey.exec(path)
    if (ofKeys !== null) path = `/admin/v1/keys/:name${ofKeys[1] ?? ""}`
    if (ofRevocation.test(path)) path = "/admin/v1/revocations/:id"
    if (isUi(path) && reads.includes(method)) {
      const answer = await uiAnswer(request, path)
      if (answer !== undefined) return answer
    }
    const allowed = servedPaths.get(routes.find(path)?.operation.path ?? path)
    if (allowed === undefined) {
      const instead = suggestedPath(url.pathname, publicOrigin(request))
      const found = { method, path: url.pathname, instead: instead ?? placesOf(dialects, speaker) }
      return refusal(new NotFound(found), requestId, path, speaker)
    }
    if (allowed === forwarded || !allowed.includes(method)) {
      return refusal(
        new MethodNotAllowed({ method, path: url.pathname, allowed: [...allowed] }),
        requestId,
        path,
        speaker
      )
    }
    if (path === "/openapi.json") return new Response((await described()).json, { headers: jsonBody })
    if (path === docsPath) return answerWith(request, (await described()).page)
    if (path === frontPath) return answerWith(request, front(request, asked))
    // What a browser says by itself when it comes back, and others in the address; that stays what it was at first.
    const after = request.headers.get("last-event-id")
    if (after !== null) url.searchParams.set("after", after)
    const body = method === "POST" ? await bodyOf(request) : undefined
    if (body !== undefined && !(body instanceof Uint8Array)) return refusal(body, requestId)
    // Everything has one form but the metrics, which have two.
    const accepted = path === "/metrics" ? { headers: { accept: request.headers.get("accept") ?? "" } } : {}
    // A request that is asked about may come with a token.
    const token = path === "/admin/v1/route" ? request.headers.get(explainedToken) : null
    const told = token === null ? jsonBody : { ...jsonBody, [explainedToken]: token }
    const sent = body === undefined ? accepted : { body: new Uint8Array(body), headers: told }
    const { isLetIn = () => true, key } = asked
    const about = Context.make(RequestId, requestId).pipe(Context.add(KeyOfRequest, key), Context.add(IsLetIn, isLetIn))
    const response = await web.handler(
      new Request(url.href, { method, signal: request.signal, ...sent }),
      about as Context.Context<never> // reason: a reference is never required
    )
    if (response.status === 500) return refusal(new Internal({ requestId }), requestId)
    return response
  }
  return { handle, dispose: web.dispose }
}
