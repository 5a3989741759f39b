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
import { Router } from "../router/Router.ts"
import { RequestClock } from "../upstream/Upstream.ts"
import { adminHandlers } from "./admin.ts"
import { Api } from "./api.ts"
import { readBody } from "./body.ts"
import { Drain } from "./Drain.ts"
import { describeBackend, notReady, summary } from "./health.ts"
import { findModel, listModels } from "./models.ts"
import { render } from "./openai-error.ts"
import { Recent } from "./Recent.ts"

/** Paths whose last part is an id; whatever it holds, it is one part. */
const byId: ReadonlyArray<string> = ["/v1/models/", "/admin/v1/decisions/"]

const reads: ReadonlyArray<string> = ["GET", "HEAD"]
const writes: ReadonlyArray<string> = ["POST"]
// Answered before the operational endpoints are asked.
const forwarded: ReadonlyArray<string> = ["POST"]

const paths: ReadonlyMap<string, ReadonlyArray<string>> = new Map([
  ...Object.values(Api.groups)
    .flatMap(({ endpoints }): ReadonlyArray<{ readonly path: string; readonly method: string }> =>
      Object.values(endpoints)
    )
    .map(({ path, method }) => [path, method === "GET" ? reads : writes] as const),
  ["/openapi.json", reads] as const,
  ...endpoints.map((endpoint) => [`/v1/${endpoint}`, forwarded] as const)
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

/** Largest body of an operational endpoint, in bytes. */
const maxBodyBytes = 16 * 1024 * 1024

const refuse = (error: GatewayError) =>
  Effect.map(RequestId, (requestId) => HttpServerResponse.fromWeb(render(error, requestId)))

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

// Whatever the client calls it.
const jsonBody = { "content-type": "application/json" }

/** What the operational endpoints tell beside the state of the backends. */
export interface OperationsOptions {
  /** Attempts that may follow the first. */
  readonly maxRetries: number
  /** When the gateway began, in milliseconds since 1970; now when absent. */
  readonly since?: number | undefined
}

/** Answers everything that is no forwarded OpenAI endpoint. */
export class Operations extends Context.Service<
  Operations,
  {
    /** `requestId` is put into errors and the `x-request-id` header; a new one is made when it is absent. */
    readonly handle: (request: Request, requestId?: string) => Promise<Response>
  }
>()("nexus/http/Operations") {
  /** The real one, over the registry. */
  static readonly layer = ({ maxRetries, since }: OperationsOptions) =>
    Layer.effect(
      Operations,
      Effect.gen(function* () {
        const services = yield* Effect.context<Registry | Drain | Router | Recent>()
        const sinceMs = since ?? (yield* Clock.currentTimeMillis)
        const routes = HttpApiBuilder.layer(Api, { openapiPath: "/openapi.json" }).pipe(
          Layer.provide(makeHandlers(sinceMs)),
          Layer.provide(adminHandlers(refuse, maxRetries)),
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
          const prefix = byId.find((each) => path.startsWith(each) && path.length > each.length)
          if (prefix !== undefined) {
            // One path segment, however the client wrote the id: ids hold slashes and colons.
            url.pathname = prefix + encodeURIComponent(decoded(path.slice(prefix.length)))
            path = `${prefix}:id`
          }
          const allowed = paths.get(path)
          if (allowed === undefined) {
            return render(new NotFound({ method, path: url.pathname }), requestId)
          }
          if (allowed === forwarded || !allowed.includes(method)) {
            return render(new MethodNotAllowed({ method, path: url.pathname, allowed: [...allowed] }), requestId)
          }
          const body = allowed === writes ? await readBody(request, new RequestClock(0, 0), maxBodyBytes, 0) : undefined
          if (body !== undefined && !(body instanceof Uint8Array)) return render(body, requestId)
          const sent = body === undefined ? {} : { body: new Uint8Array(body), headers: jsonBody }
          const response = await web.handler(
            new Request(url.href, { method, signal: request.signal, ...sent }),
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
