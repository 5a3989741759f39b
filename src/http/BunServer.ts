/**
 * Bun.serve as a scoped resource: the only file that names it.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { isAmbiguous, segmentPatterns } from "./raw-target.ts"
import { RepeatedHeaders } from "./repeated-headers.ts"
import { isUpgraded, upgradeHandlers, type SocketOwner, upgradedAnswer } from "./upgrades.ts"

/** The address cannot be listened on. */
export class ListenFailed extends Data.TaggedError("ListenFailed")<{
  readonly hostname: string
  readonly port: number
  readonly reason: string
}> {}

/** Where the body of an answer goes. */
export type ReplyOutput = Pick<
  ReadableStreamDefaultController<Uint8Array>,
  "close" | "desiredSize" | "enqueue" | "error"
>

/** Where the body of an answer comes from. */
interface ReplySource {
  readonly start: (output: ReplyOutput) => void
  /** Nothing of what was given waits for the client any more. */
  readonly pull: () => void
  readonly cancel: () => void
}

/** A server that is listening. */
export interface Listening {
  readonly hostname: string
  readonly port: number
  /** Sets the silence after which Bun closes this request's connection, in seconds; 0 is never. */
  readonly timeout: (request: Request, seconds: number) => void
  /** The address a request comes from; undefined when its connection has gone. */
  readonly peer: (request: Request) => string | undefined
  /** The address that all requests come from; undefined where each may come from another one. */
  readonly onlyPeer: string | undefined
  /** Makes a WebSocket of a request, with these headers of its answer; gives the answer, undefined when it is none. */
  readonly upgrade: (
    request: Request,
    owner: SocketOwner,
    headers: Readonly<Record<string, string>>
  ) => Response | undefined
  /** Sets what is to be called when the client of this request leaves before its answer is whole; at once when it has. */
  readonly onGone: (request: Request, left: () => void) => void
  /** An answer to a request of this server; nothing of it is to be looked at but its status and headers. */
  readonly reply: (
    body: Uint8Array<ArrayBuffer> | ReplySource,
    head: { readonly status: number; readonly headers: Readonly<Record<string, string>> }
  ) => Response
  /** Requests whose answers have not ended. */
  readonly pending: () => number
  /** Closes the connections on which no request is under way. */
  readonly closeIdle: () => void
  /** Stops accepting; resolves when the last answer has ended, or at once with `now`. */
  readonly stop: (now: boolean) => Promise<void>
}

/** What to listen on, and what answers. */
export interface ListenOptions {
  readonly hostname: string
  readonly port: number
  /** The path of a Unix socket to listen on in place of host and port; only the user of this process may open it. */
  readonly socket?: string | undefined
  /** `isOdd` when the path as it came is another one for some readers than for others. */
  readonly fetch: (request: Request, server: Listening, isOdd: boolean) => Response | Promise<Response>
  /** Paths that are asked most: they are matched whole, and nothing about them can be odd. */
  readonly plainPaths?: ReadonlyArray<string>
  /** Paths whose requests may become WebSockets. */
  readonly socketPaths?: ReadonlyArray<string>
  /** Called when `fetch` throws or rejects. */
  readonly onDefect?: (error: unknown) => Response
  /** What is told, on our own listener, of a request that cannot be read, for a reason; that alone when absent. */
  readonly unread?: (reason: string) => { readonly type: string; readonly text: string }
  /** Silence after which a connection without a request is closed, in seconds. */
  readonly idleSeconds?: number
  /** Several processes may share the port (Linux). */
  readonly reusePort?: boolean
  /** What speaks HTTP: Bun's server, or our own listener; Bun's when absent. */
  readonly wire?: "bun" | "own"
}

/** Why nothing can listen where another program does. */
export const portInUse = "the port is in use"

const reasons: Readonly<Record<string, string>> = {
  EADDRINUSE: portInUse,
  EADDRNOTAVAIL: "the address is not one of this machine's",
  EACCES: "not permitted"
}

const socketReasons: Readonly<Record<string, string>> = {
  EADDRINUSE: "something is there already",
  EACCES: "not permitted",
  ENOENT: "there is no such directory"
}

// Whoever may open a socket of ours, or has reached this address, is on this machine.
const ownAddress = "127.0.0.1"

// What a new file may not allow: reading, writing and running by anybody but its owner, and running by that one.
const privately = 0o177

/** Does something whose new files are this user's alone. */
export const inPrivate = <A>(make: () => A): A => {
  const before = process.umask(privately)
  try {
    return make()
  } finally {
    process.umask(before)
  }
}

/** Why an address cannot be listened on. */
export const listenFailed = (
  { hostname, port, socket }: Pick<ListenOptions, "hostname" | "port" | "socket">,
  error: unknown
): ListenFailed => {
  const code = error instanceof Error && "code" in error ? String(error.code) : ""
  const reason = (socket === undefined ? reasons : socketReasons)[code]
  return new ListenFailed({
    hostname,
    port,
    reason: reason ?? `the address cannot be used${code === "" ? "" : ` (${code})`}`
  })
}

/**
 * Keep-alive time of a connection between two requests, in seconds: longer than proxies keep theirs (nginx 60, Traefik 90, Caddy
 * 120), so that none sends a request into a connection that is just being closed.
 */
export const keepAliveSeconds = 150

// Bodies are limited by http/body.ts while they are read, so that a refusal has the shape of its dialect.
const maxRequestBodySize = Number.MAX_SAFE_INTEGER

/** Listens until the scope closes; requests still under way are then cut. */
export const listenOnBun = (options: ListenOptions): Effect.Effect<Listening, ListenFailed, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.try({
      try: (): Listening => {
        const plain = (request: Request) => options.fetch(request, listening, false)
        const judged = (request: Request & { readonly params: Readonly<Record<string, string>> }) =>
          options.fetch(request, listening, isAmbiguous(Object.values(request.params)))
        const odd = (request: Request) => options.fetch(request, listening, true)
        const socketed = async (request: Request) => {
          const answer = await options.fetch(request, listening, false)
          return isUpgraded(answer) ? undefined : answer
        }
        const { plainPaths = [], socket, socketPaths = [] } = options
        const repeated = new RepeatedHeaders()
        const shared = {
          development: false,
          maxRequestBodySize,
          websocket: upgradeHandlers,
          // Routes are matched by the path as it came; those that are asked most are matched whole.
          routes: {
            ...Object.fromEntries(segmentPatterns.map((pattern) => [pattern, judged])),
            ...Object.fromEntries(["/", ...plainPaths].map((path) => [path, plain])),
            ...Object.fromEntries(socketPaths.map((path) => [path, socketed])),
            "/*": odd
          },
          fetch: odd,
          error: (error: Error) => options.onDefect?.(error) ?? new Response(null, { status: 500 })
        }
        const { hostname, port, reusePort = false, idleSeconds: idleTimeout = keepAliveSeconds } = options
        const onSocket = { ...shared, idleTimeout, unix: socket } as unknown as Bun.Serve.Options<SocketOwner> // reason: a socket takes the time as well, which its types leave out
        const server =
          socket === undefined
            ? Bun.serve<SocketOwner, string>({ ...shared, idleTimeout, hostname, port, reusePort })
            : inPrivate(() => Bun.serve<SocketOwner>(onSocket))
        const listening: Listening = {
          hostname: options.hostname,
          port: server.port ?? options.port,
          timeout: (request, seconds) => server.timeout(request, seconds),
          peer: (request) => (socket === undefined ? server.requestIP(request)?.address : ownAddress),
          onlyPeer: socket !== undefined || hostname === ownAddress ? ownAddress : undefined,
          upgrade: (request, data, headers) =>
            server.upgrade(request, { data, headers: { ...headers } }) ? upgradedAnswer() : undefined,
          onGone: ({ signal }, left) => (signal.aborted ? left() : signal.addEventListener("abort", left)),
          reply: (body, { headers, status }) =>
            new Response(body instanceof Uint8Array ? body : new ReadableStream(body), {
              status,
              headers: repeated.of(headers)
            }),
          pending: () => server.pendingRequests,
          closeIdle: () => void server.closeIdleConnections(),
          stop: (now) => server.stop(now)
        }
        return listening
      },
      catch: (error) => listenFailed(options, error)
    }),
    (server) => Effect.promise(() => server.stop(true))
  )
