/**
 * A recording that is served: a request gets what the same one got, else what another one for its model got.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { DialectList } from "../dialect/all.ts"
import { NotImplemented } from "../domain/errors.ts"
import { monotonicMs } from "../domain/monotonic.ts"
import { parted, sleepUntil } from "../mock/mock-answer.ts"
import { type ModelHandler, type ModelRequest, serveModels, unknownModel } from "../mock/model-server.ts"
import { keepingRules, keptExchange, piecesIn, type RecordedExchange, requestKey } from "./recording-format.ts"

/** How a request was answered, for whoever watches. */
export interface ReplayedAnswer {
  readonly operation: string
  readonly model: string
  /** Whether the very request was recorded, another one for the model, or none. */
  readonly match: "exact" | "model" | "none"
}

/** What is served, and how. */
export interface RecordingServer {
  readonly exchanges: ReadonlyArray<RecordedExchange>
  readonly dialects: DialectList
  /** How many times as fast as it was; infinite is at once. */
  readonly speed: number
  readonly onAnswer: (answer: ReplayedAnswer) => Effect.Effect<void>
}

/** Those of a kind, one after the other, and again from the first. */
class Rounds {
  private readonly byKey = new Map<string, { at: number; readonly all: Array<RecordedExchange> }>()

  add(key: string, exchange: RecordedExchange): void {
    const found = this.byKey.get(key)
    if (found === undefined) this.byKey.set(key, { at: 0, all: [exchange] })
    else found.all.push(exchange)
  }

  next(key: string): RecordedExchange | undefined {
    const found = this.byKey.get(key)
    if (found === undefined) return undefined
    const next = found.all[found.at % found.all.length]
    found.at += 1
    return next
  }
}

/** Whether an exchange shows what a server answers. */
export const isServable = ({ answer, ended }: RecordedExchange): boolean =>
  answer !== undefined && (ended === "whole" || ended === "cut")

const kindOf = ({ model, operation, stream }: Pick<RecordedExchange, "model" | "operation" | "stream">): string =>
  JSON.stringify([operation, model, stream])

const bodyOf = (exchange: RecordedExchange, speed: number): Stream.Stream<Uint8Array, Error> =>
  Stream.unwrap(
    Effect.map(monotonicMs, (began) =>
      Stream.fromIterable(piecesIn(exchange)).pipe(
        Stream.mapEffect(([ms, bytes]) => Effect.as(sleepUntil(began + ms / speed), bytes)),
        Stream.concat(exchange.ended === "cut" ? parted : Stream.empty)
      )
    )
  )

/** What answers the requests. */
export const serveRecording = (options: RecordingServer): Effect.Effect<ModelHandler> => {
  const { dialects, exchanges, onAnswer, speed } = options
  const exact = new Rounds()
  const alike = new Rounds()
  const servable = exchanges.filter(isServable)
  for (const exchange of servable) {
    exact.add(requestKey(exchange), exchange)
    alike.add(kindOf(exchange), exchange)
  }
  const models = [...new Set(servable.map(({ model }) => model))].map((name) => ({ name }))
  const rules = keepingRules(dialects)

  // What was taken out of what was recorded is taken out of what is looked for.
  const keyOf = ({ body, read, request, route }: ModelRequest): string => {
    const { pathname, search } = new URL(request.url)
    const asked = {
      at: 0,
      path: pathname + search,
      dialect: route.dialect.id,
      operation: route.operation.name,
      model: read.needs.model,
      stream: read.needs.stream,
      headers: request.headers,
      body,
      answer: undefined,
      ended: "unanswered" as const,
      ms: 0
    }
    return requestKey(keptExchange(asked, rules))
  }

  return serveModels({
    name: "nexus replay",
    owner: "nexus-replay",
    dialects,
    models,
    answer: (asked) =>
      Effect.gen(function* () {
        const { model, stream } = asked.read.needs
        const operation = asked.route.operation.name
        const same = exact.next(keyOf(asked))
        const found = same ?? alike.next(kindOf({ model, operation, stream }))
        const match = same !== undefined ? "exact" : found === undefined ? "none" : "model"
        yield* onAnswer({ operation, model, match })
        if (found?.answer === undefined) {
          if (!models.some(({ name }) => name === model)) return yield* unknownModel(model, models)
          const why = `The recording holds no ${stream ? "streamed " : ""}answer of ${operation} for model '${model}'`
          return yield* new NotImplemented({ operation, model, why })
        }
        const { headers, status } = found.answer
        return new Response(yield* Stream.toReadableStreamEffect(bodyOf(found, speed)), {
          status,
          headers: { ...headers, "x-nexus-replay": match }
        })
      })
  })
}
