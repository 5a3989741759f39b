/**
 * A proxy that records: it passes on whatever comes, as it comes, and notes what is asked of the models that are meant. What it
 * notes of a stream is a time and the very bytes that are passed on; nothing is waited for, and nothing is written before the
 * end.
 */
import * as Effect from "effect/Effect"
import type { DialectList } from "../dialect/all.ts"
import type { DialectRoute } from "../dialect/Dialect.ts"
import { refuse } from "../dialect/refuse.ts"
import { BadGateway } from "../domain/errors.ts"
import { matchesAny } from "../domain/glob.ts"
import type { Listening } from "../http/BunServer.ts"
import { connectMs, whyUnanswered } from "../load/timed-call.ts"
import { isOperation, type ModelHandler, readOperation, routeFinder } from "../mock/model-server.ts"
import { ofConnection } from "../upstream/passage-headers.ts"
import type { Transport } from "../upstream/Transport.ts"
import { Abort } from "../wire/abort.ts"
import type { ReceivedAnswer } from "../wire/received-answer.ts"
import type { PassedExchange } from "./recording-format.ts"

/** What is recorded, and where it goes. */
export interface RecorderOptions {
  readonly transport: Transport["Service"]
  readonly dialects: DialectList
  /** Where everything is passed on to, without a trailing slash. */
  readonly target: string
  /** The models that are meant, as globs; all of them when there are none. */
  readonly models: ReadonlyArray<string>
  /** An exchange that is larger is passed on and not recorded, in bytes. */
  readonly mostBytes: number
  /** Whether anything is still to be recorded. */
  readonly isOpen: () => boolean
  readonly onExchange: (exchange: PassedExchange) => void
  /** Called where an exchange was too large to be recorded. */
  readonly onTooLarge: () => void
}

// What belongs to one connection, and what the client of this process says itself.
const unpassed: ReadonlySet<string> = new Set([...ofConnection, "accept-encoding"])

const passedOn = (headers: Iterable<readonly [string, string]>): Record<string, string> =>
  Object.fromEntries([...headers].filter(([name]) => !unpassed.has(name)))

const headersOf = (arrival: ReceivedAnswer): ReadonlyArray<readonly [string, string]> =>
  [...new Set(arrival.names())].map((name) => [name, arrival.header(name) ?? ""] as const)

/** What is noted of one exchange while it passes. */
class Noting {
  readonly pieces: Array<readonly [number, Uint8Array]> = []
  private bytes: number
  private tooLarge = false
  private over = false
  private answer: PassedExchange["answer"]
  private readonly started = performance.now()
  private readonly options: RecorderOptions
  private readonly about: Omit<PassedExchange, "answer" | "ended" | "ms">

  constructor(options: RecorderOptions, about: Omit<PassedExchange, "answer" | "ended" | "ms">) {
    this.options = options
    this.about = about
    this.bytes = about.body.byteLength
  }

  head(arrival: ReceivedAnswer): void {
    const headMs = performance.now() - this.started
    this.answer = { status: arrival.status, headers: headersOf(arrival), headMs, pieces: this.pieces }
  }

  piece(bytes: Uint8Array): void {
    if (this.tooLarge) return
    this.bytes += bytes.byteLength
    if (this.bytes <= this.options.mostBytes) this.pieces.push([performance.now() - this.started, bytes])
    else {
      this.tooLarge = true
      this.pieces.length = 0
    }
  }

  end(ended: PassedExchange["ended"]): void {
    if (this.over) return
    this.over = true
    const { about, answer, options } = this
    if (this.tooLarge || this.bytes > options.mostBytes) options.onTooLarge()
    else options.onExchange({ ...about, answer, ended, ms: performance.now() - this.started })
  }
}

/** The body of an answer on its way, which is noted by the way. */
const passedBody = (arrival: ReceivedAnswer, noting: Noting | undefined): ReadableStream<Uint8Array> => {
  const { body } = arrival
  let held = false
  return new ReadableStream<Uint8Array>(
    {
      start: (output) => {
        body.start({
          piece: (bytes) => {
            noting?.piece(bytes)
            output.enqueue(bytes)
            if ((output.desiredSize ?? 1) > 0 || held) return
            held = true
            body.pause()
          },
          end: () => {
            output.close()
            noting?.end("whole")
          },
          fail: () => {
            output.error(new Error("the answer broke"))
            noting?.end("cut")
          }
        })
      },
      pull: () => {
        if (!held) return
        held = false
        body.resume()
      },
      cancel: () => {
        noting?.end("left")
        body.abort()
      }
    },
    { highWaterMark: 64 }
  )
}

/** What answers the requests of a recording proxy. */
export const makeRecorder = (options: RecorderOptions): Effect.Effect<ModelHandler> =>
  Effect.map(Effect.context<never>(), (context) => {
    const { dialects, target, transport } = options
    const run = Effect.runPromiseWith(context)
    const routeOf = routeFinder(dialects)
    const began = performance.now()

    const noted = async (
      request: Request,
      path: string,
      route: DialectRoute,
      body: Uint8Array
    ): Promise<Noting | undefined> => {
      if (!options.isOpen()) return undefined
      const at = performance.now() - began
      const read = await run(Effect.option(readOperation(route, body)))
      if (read._tag === "None") return undefined
      const { model, stream } = read.value.needs
      if (options.models.length > 0 && !matchesAny(options.models, model)) return undefined
      const { dialect, operation } = route
      const about = { at, path, dialect: dialect.id, operation: operation.name, model, stream }
      return new Noting(options, { ...about, headers: request.headers, body })
    }

    return async (request: Request, server: Listening): Promise<Response> => {
      server.timeout(request, 0)
      const { pathname, search } = new URL(request.url)
      const route = routeOf(request.method, pathname)
      const body = new Uint8Array(await request.arrayBuffer())
      const isMeant = request.method === "POST" && isOperation(route)
      const noting = isMeant ? await noted(request, pathname + search, route, body) : undefined
      const abort = new Abort()
      const leave = (): void => {
        noting?.end("left")
        abort.abort("the client has left")
      }
      request.signal.addEventListener("abort", leave)
      try {
        const arrival = await transport.send({
          method: request.method,
          url: target + pathname + search,
          headers: { "accept-encoding": "identity", ...passedOn(request.headers) },
          body,
          abort,
          fresh: false,
          connectMs
        })
        request.signal.removeEventListener("abort", leave)
        noting?.head(arrival)
        const headers = passedOn(headersOf(arrival))
        // A body that is compressed for all that was passes on so, with what says it.
        return new Response(passedBody(arrival, noting), { status: arrival.status, headers })
      } catch (error) {
        noting?.end("unanswered")
        if (request.signal.aborted) return new Response(null, { status: 499 })
        const dialect = route?.dialect ?? dialects[0]
        const failure = { backend: "target", model: "", reason: whyUnanswered(error) }
        return refuse(dialect, new BadGateway({ model: "", failures: [failure] }), crypto.randomUUID())
      }
    }
  })
