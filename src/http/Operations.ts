/**
 * The operational endpoints behind one function from Request to Response; whatever is no such endpoint is answered in
 * OpenAI's shape too, so that it can stand at the end of the list of routes.
 */
import { Clock, Context, Effect, Layer } from "effect"
import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { type GatewayError, Internal, MethodNotAllowed, ModelNotFound, NotFound } from "../domain/errors.ts"
import { endpoints } from "../domain/request.ts"
import { version } from "../domain/version.ts"
import { Registry } from "../registry/Registry.ts"
import type { Snapshot } from "../registry/snapshot.ts"
import { Api } from "./api.ts"
import { Drain } from "./Drain.ts"
import { describeBackend, notReady, summary } from "./health.ts"
import { findModel, listModels } from "./models.ts"
import { render } from "./openai-error.ts"

const modelPrefix = "/v1/models/"

const reads: ReadonlyArray<string> = ["GET", "HEAD"]

const paths: ReadonlyMap<string, ReadonlyArray<string>> = new Map([
  ...Object.values(Api.groups.gateway.endpoints).map(({ path }) => [path, reads] as const),
  ["/openapi.json", reads] as const,
  ...endpoints.map((endpoint) => [`/v1/${endpoint}`, ["POST"]] as const)
])

const RequestId = Context.Reference<string>("nexus/http/Operations/RequestId", { defaultValue: () => "" })

const namesInNotFound = 20

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

const logged = <A, E, R>(answer: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.tapDefect(answer, (defect) =>
    Effect.flatMap(RequestId, (request_id) =>
      Effect.annotateLogs(Effect.logError("internal error", defect), { request_id })
    )
  )

const makeHandlers = (sinceMs: number) =>
  HttpApiBuilder.group(
    Api,
    "gateway",
    Effect.fnUntraced(function* (handlers) {
      const registry = yield* Registry
      const drain = yield* Drain
      const created = Math.floor(sinceMs / 1000)
      const started = sinceMs - performance.timeOrigin
      let listed: { readonly snapshot: Snapshot; readonly body: string } | undefined
      const list = (): string => {
        const snapshot = registry.snapshot()
        if (listed !== undefined && listed.snapshot === snapshot) return listed.body
        const body = JSON.stringify({ object: "list", data: listModels(snapshot, created) })
        listed = { snapshot, body }
        return body
      }
      const refuse = (error: GatewayError) =>
        Effect.map(RequestId, (requestId) => HttpServerResponse.fromWeb(render(error, requestId)))
      return handlers.handleAll({
        health: () => {
          const now = performance.now()
          const { status, ...counts } = summary(registry.snapshot(), now)
          const uptime_seconds = Math.floor((now - started) / 1000)
          return status === "unhealthy"
            ? Effect.fail({ status, uptime_seconds, ...counts })
            : Effect.succeed({ status, uptime_seconds, ...counts })
        },
        live: () => Effect.succeed({ status: "alive" }),
        ready: () => {
          const reason = notReady(registry.snapshot(), drain.draining())
          return reason === undefined
            ? Effect.succeed({ status: "ready" })
            : Effect.fail({ status: "not_ready", reason })
        },
        models: () => Effect.succeed(HttpServerResponse.text(list(), { contentType: "application/json" })),
        model: ({ params: { id } }) => {
          const snapshot = registry.snapshot()
          const entry = findModel(snapshot, id, created)
          if (entry !== undefined) return Effect.succeed(entry)
          const available = listModels(snapshot, created).slice(0, namesInNotFound)
          return refuse(new ModelNotFound({ model: id, available: available.map((model) => model.id) }))
        },
        backends: () => {
          const now = performance.now()
          const backends = [...registry.snapshot().backends.values()].map((state) => describeBackend(state, now))
          return Effect.succeed({ version, backends })
        }
      })
    })
  )

/** Answers everything that is no forwarded OpenAI endpoint. */
export class Operations extends Context.Service<
  Operations,
  {
    /** `requestId` is put into errors and the `x-request-id` header; a new one is made when it is absent. */
    readonly handle: (request: Request, requestId?: string) => Promise<Response>
  }
>()("nexus/http/Operations") {
  /** The real one, over the registry; `since` is when the gateway began, in milliseconds since 1970, now when absent. */
  static readonly layer = (since?: number) =>
    Layer.effect(
      Operations,
      Effect.gen(function* () {
        const services = yield* Effect.context<Registry | Drain>()
        const sinceMs = since ?? (yield* Clock.currentTimeMillis)
        const routes = HttpApiBuilder.layer(Api, { openapiPath: "/openapi.json" }).pipe(
          Layer.provide(makeHandlers(sinceMs)),
          Layer.provide(HttpServer.layerServices),
          Layer.provide(Layer.succeedContext(services))
        )
        const web = yield* Effect.acquireRelease(
          Effect.sync(() => HttpRouter.toWebHandler(routes, { disableLogger: true, middleware: logged })),
          ({ dispose }) => Effect.promise(dispose)
        )
        const route = async (request: Request, requestId: string): Promise<Response> => {
          const { method } = request
          const url = new URL(request.url)
          let path = url.pathname
          if (path.startsWith(modelPrefix) && path.length > modelPrefix.length) {
            // One path segment, however the client wrote the id: ids hold slashes and colons.
            url.pathname = modelPrefix + encodeURIComponent(decoded(path.slice(modelPrefix.length)))
            path = "/v1/models/:id"
          }
          const allowed = paths.get(path)
          if (allowed === undefined) {
            return render(new NotFound({ method, path: url.pathname }), requestId)
          }
          if (allowed !== reads || !reads.includes(method)) {
            return render(new MethodNotAllowed({ method, path: url.pathname, allowed: [...allowed] }), requestId)
          }
          const response = await web.handler(
            new Request(url.href, { method, signal: request.signal }),
            Context.make(RequestId, requestId) as Context.Context<never> // reason: a reference is never required
          )
          if (response.status === 500) return render(new Internal({ requestId }), requestId)
          response.headers.set("x-request-id", requestId)
          // By this another Nexus knows that it must not take this one for a backend.
          response.headers.set("x-nexus-version", version)
          return response
        }
        return Operations.of({ handle: (request, requestId = crypto.randomUUID()) => route(request, requestId) })
      })
    )
}
