/**
 * Answers whatever is not forwarded; what is no endpoint at all is refused in the shape of the first dialect, so that this
 * can stand at the end of the list of routes.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { MethodNotAllowed } from "../domain/errors.ts"
import { version } from "../domain/version.ts"
import { Registry } from "../registry/Registry.ts"
import { type IncomingRequest, incomingRequest } from "./incoming-request.ts"
import type { Contract, ContractServices } from "./endpoints.ts"
import { Control } from "./Control.ts"
import { Drain } from "../admission/Drain.ts"
import { notReadyReason } from "./handlers/health-pages.ts"
import { derived } from "../config/derived.ts"
import { NexusConfig } from "../config/NexusConfig.ts"
import { sharedDigest } from "./cluster-status.ts"
import { Replicas } from "../replicas/Replicas.ts"
import { Dialects } from "../dialect/all.ts"
import { refuse } from "../dialect/refuse.ts"

/** What the operational endpoints tell beside the state of the backends. */
export interface OperationsOptions {
  /** Attempts that may follow the first, at the moment. */
  readonly maxRetries: () => number
  /** When the gateway began, in milliseconds since 1970; now when absent. */
  readonly since?: number | undefined
  /** How long it has run already, in milliseconds; 0 when absent. */
  readonly ageMs?: number | undefined
}

/** Answers everything that is not forwarded. */
export class Operations extends Context.Service<
  Operations,
  {
    /** `requestId` is put into errors and the `x-request-id` header; a new one is made when it is absent. */
    readonly handle: (request: Request, requestId?: string, asked?: IncomingRequest) => Promise<Response>
    /** Loads what the first request would otherwise wait for. */
    readonly warm: Effect.Effect<void>
  }
>()("nexus/operations/Operations") {
  /** The real one, over the registry. */
  static readonly layer = ({ maxRetries, since, ageMs = 0 }: OperationsOptions) =>
    Layer.effect(
      Operations,
      Effect.gen(function* () {
        const services = yield* Effect.context<ContractServices>()
        const registry = yield* Registry
        const drain = yield* Drain
        const control = yield* Control
        const replicas = yield* Replicas
        replicas.tell("config_generation", () => control.status().generation)
        replicas.tell(
          "config_digest",
          derived((yield* NexusConfig).current, ({ settings }) => sharedDigest(settings))
        )
        const dialects = yield* Dialects
        const sinceMs = since ?? (yield* Clock.currentTimeMillis)
        const started = performance.now() - ageMs
        let loading: Promise<Contract> | undefined
        const contract = (): Promise<Contract> =>
          (loading ??= import("./endpoints.ts").then(({ makeContract }) =>
            makeContract(services, { dialects, maxRetries, sinceMs, started })
          ))
        yield* Effect.addFinalizer(() => Effect.promise(async () => (await loading)?.dispose()))

        // Whoever watches a process asks these often, and soon after its start: they are answered here.
        const probes: ReadonlyMap<string, () => Response> = new Map([
          ["/livez", () => Response.json({ status: "alive" })],
          [
            "/readyz",
            () => {
              const reason = notReadyReason(registry.snapshot(), drain.stopping())
              return reason === undefined
                ? Response.json({ status: "ready" })
                : Response.json({ status: "not_ready", reason }, { status: 503 })
            }
          ]
        ])
        const route = (request: Request, requestId: string, asked: IncomingRequest): Response | Promise<Response> => {
          const { path } = asked
          const { method } = request
          const probe = probes.get(path)
          if (probe === undefined) return contract().then(({ handle }) => handle(request, requestId, asked))
          return method === "GET" || method === "HEAD"
            ? probe()
            : refuse(dialects[0], new MethodNotAllowed({ method, path, allowed: ["GET", "HEAD"] }), requestId)
        }
        const handle = async (
          request: Request,
          requestId: string = crypto.randomUUID(),
          asked: IncomingRequest = incomingRequest(request)
        ): Promise<Response> => {
          const response = await route(request, requestId, asked)
          response.headers.set("x-request-id", requestId)
          // By this another Nexus knows that it must not take this one for a backend.
          response.headers.set("x-nexus-version", version)
          return response
        }
        return Operations.of({ handle, warm: Effect.asVoid(Effect.promise(contract)) })
      })
    )
}
