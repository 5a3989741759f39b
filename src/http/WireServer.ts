/**
 * Our own listener as a scoped resource, in place of Bun's server.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { HttpListener, lookEveryMs, usualLimits } from "../listener/HttpListener.ts"
import { answerFields } from "../listener/response-head.ts"
import type { ServerConnection } from "../listener/server-connection.ts"
import { openWebSocket } from "../listener/server-web-socket.ts"
import type { ServerExchange } from "../listener/server-exchange.ts"
import { isUpgraded, maxMessageBytes, socketIdleSeconds, upgradedAnswer } from "./upgrades.ts"
import {
  inPrivate,
  type Listening,
  type ListenOptions,
  listenFailed,
  type ListenFailed,
  keepAliveSeconds
} from "./BunServer.ts"
import { isAmbiguousTarget } from "./raw-target.ts"
import { sendResponse, WireReply } from "./wire-reply.ts"
import { WireRequest } from "./wire-request.ts"
import { bareHost } from "../domain/url-host.ts"

const asRequest = (request: WireRequest) => request as unknown as Request // reason: all that is looked at of a request is there
const asResponse = (reply: WireReply) => reply as unknown as Response // reason: nothing but its status and headers is looked at

const socketLimits = { messageBytes: maxMessageBytes, idleMs: socketIdleSeconds * 1000 }

const nothing = new Uint8Array(0)

/** Listens until the scope closes; requests still under way are then cut. */
export const listenOnWire = (options: ListenOptions): Effect.Effect<Listening, ListenFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const { hostname, onDefect, port, reusePort = false, socket, idleSeconds = keepAliveSeconds } = options
    const isOurs = (request: Request): request is Request & WireRequest => request instanceof WireRequest
    const send = (exchange: ServerExchange, answer: Response | WireReply): void => {
      if (answer instanceof WireReply) answer.sendTo(exchange)
      else if (!isUpgraded(answer))
        void sendResponse(exchange, answer).catch((error: unknown) => fails(exchange, error))
    }
    const fails = (exchange: ServerExchange, error: unknown): void => {
      if (exchange.isAnswered) return exchange.error()
      void sendResponse(exchange, onDefect?.(error) ?? new Response(null, { status: 500 }))
    }
    const handle = (exchange: ServerExchange, connection: ServerConnection): void => {
      const { path } = exchange.head
      if (path === "*") return exchange.respond(204, answerFields({}), nothing)
      const request = new WireRequest(exchange, connection)
      try {
        const answer: Response | WireReply | Promise<Response | WireReply> = options.fetch(
          asRequest(request),
          listening,
          isAmbiguousTarget(path)
        )
        if (answer instanceof Promise)
          answer.then(
            (given) => send(exchange, given),
            (error: unknown) => fails(exchange, error)
          )
        else send(exchange, answer)
      } catch (error) {
        fails(exchange, error)
      }
    }
    const begin = () =>
      new HttpListener({
        hostname: bareHost(hostname),
        port,
        socket,
        reusePort,
        limits: { ...usualLimits, idleMs: idleSeconds * 1000 },
        ...(options.unread === undefined ? {} : { told: options.unread }),
        wallMs: () => clock.currentTimeMillisUnsafe(),
        handle
      })
    const server = yield* Effect.acquireRelease(
      Effect.try({
        try: () => (socket === undefined ? begin() : inPrivate(begin)),
        catch: (error) => listenFailed(options, error)
      }),
      (opened) => Effect.promise(() => opened.stop(true))
    )
    yield* Effect.sleep(lookEveryMs).pipe(
      Effect.andThen(Effect.sync(() => server.look())),
      Effect.forever,
      Effect.forkScoped
    )
    const listening: Listening = {
      hostname,
      port: socket === undefined ? server.port : port,
      timeout: (request, seconds) => {
        if (isOurs(request)) request.silentFor(seconds === 0 ? Infinity : seconds * 1000)
      },
      peer: (request) => (isOurs(request) ? request.peer : undefined),
      onlyPeer: undefined,
      upgrade: (request, owner, headers) =>
        isOurs(request) && openWebSocket(request.exchange, owner, answerFields(headers).lines, socketLimits)
          ? upgradedAnswer()
          : undefined,
      onGone: (request, left) => {
        if (isOurs(request)) request.exchange.onGone(left)
      },
      reply: (body, { headers, status }) => asResponse(new WireReply(body, status, headers)),
      pending: () => server.pending,
      closeIdle: () => server.closeIdle(),
      stop: (now) => server.stop(now)
    }
    return listening
  })
