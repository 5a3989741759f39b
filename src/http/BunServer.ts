/**
 * Bun.serve as a scoped resource: the only file that names it.
 */
import { Data, Effect, type Scope } from "effect"

/** The address cannot be listened on. */
export class ListenFailed extends Data.TaggedError("ListenFailed")<{
  readonly hostname: string
  readonly port: number
  readonly reason: string
}> {}

/** A server that is listening. */
export interface Listening {
  readonly hostname: string
  readonly port: number
  /** Sets the silence after which Bun closes this request's connection, in seconds; 0 is never. */
  readonly timeout: (request: Request, seconds: number) => void
  /** The address a request comes from; undefined when its connection has gone. */
  readonly peer: (request: Request) => string | undefined
  /** Requests whose answers have not ended. */
  readonly pending: () => number
  /** Stops accepting; resolves when the last answer has ended, or at once with `now`. */
  readonly stop: (now: boolean) => Promise<void>
}

/** What to listen on, and what answers. */
export interface ListenOptions {
  readonly hostname: string
  readonly port: number
  readonly fetch: (request: Request, server: Listening) => Response | Promise<Response>
  /** Called when `fetch` throws or rejects. */
  readonly onDefect?: (error: unknown) => Response
  /** Silence after which a connection without a request is closed, in seconds. */
  readonly idleSeconds?: number
  /** Several processes may share the port (Linux). */
  readonly reusePort?: boolean
}

const reasons: Readonly<Record<string, string>> = {
  EADDRINUSE: "the port is in use",
  EADDRNOTAVAIL: "the address is not one of this machine's",
  EACCES: "not permitted"
}

/** Keep-alive time of a connection between two requests, in seconds. */
export const keepAliveSeconds = 120

// Bodies are limited by http/body.ts while they are read, so that a refusal has OpenAI's shape.
const maxRequestBodySize = Number.MAX_SAFE_INTEGER

/** Listens until the scope closes; requests still under way are then cut. */
export const listen = (options: ListenOptions): Effect.Effect<Listening, ListenFailed, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.try({
      try: (): Listening => {
        const server = Bun.serve({
          hostname: options.hostname,
          port: options.port,
          development: false,
          idleTimeout: options.idleSeconds ?? keepAliveSeconds,
          maxRequestBodySize,
          reusePort: options.reusePort ?? false,
          fetch: (request) => options.fetch(request, listening),
          error: (error) => options.onDefect?.(error) ?? new Response(null, { status: 500 })
        })
        const listening: Listening = {
          hostname: options.hostname,
          port: server.port ?? options.port,
          timeout: (request, seconds) => server.timeout(request, seconds),
          peer: (request) => server.requestIP(request)?.address,
          pending: () => server.pendingRequests,
          stop: (now) => server.stop(now)
        }
        return listening
      },
      catch: (error) => {
        const code = error instanceof Error && "code" in error ? String(error.code) : ""
        return new ListenFailed({
          hostname: options.hostname,
          port: options.port,
          reason: reasons[code] ?? `the address cannot be used${code === "" ? "" : ` (${code})`}`
        })
      }
    }),
    (server) => Effect.promise(() => server.stop(true))
  )
