/**
 * An LLM server without a model, in every dialect that has a codec: its answers, its speeds and its faults are told
 * beforehand.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import * as Semaphore from "effect/Semaphore"
import type { DialectList } from "../dialect/all.ts"
import type { AnswerContext } from "../dialect/chat.ts"
import type { DialectRoute, ReadRequest } from "../dialect/Dialect.ts"
import { type GatewayError, NotImplemented } from "../domain/errors.ts"
import { vectorOf } from "./answers.ts"
import { FaultChooser } from "./fault-rules.ts"
import { type Answering, plainAnswer, textAnswer, type Writing } from "./mock-answer.ts"
import { faultWords, type MockModel, type MockScript } from "./mock-script.ts"
import { promptTokensOf, saidTo, turnOf } from "./mock-text.ts"
import { type ModelHandler, serveModels, unknownModel } from "./model-server.ts"
import { readTextRequest } from "./text-completions.ts"

/** What becomes of a request, for whoever watches. */
export interface MockEvent {
  readonly operation: string
  readonly model: string
  readonly stream: boolean
  /** The tokens that are written. */
  readonly tokens: number
  readonly fault: string | undefined
}

/** How a mock is made. */
export interface MockOptions {
  /** What it calls itself where it makes up an answer. */
  readonly name: string
  /** Who its lists of models say owns them. */
  readonly owner: string
  readonly script: MockScript
  readonly dialects: DialectList
  /** Called when the answer to a request has been written, or broke. */
  readonly onAnswer: (event: MockEvent) => Effect.Effect<void>
}

/** Numbers of a vector, unless its client wants others. */
const usualDimensions = 64

/** Longest vector that is made. */
const mostDimensions = 4096

const textCompletions = "completions"

/** What answers the requests of one server, for as long as a scope is open. */
export const makeMock = (options: MockOptions): Effect.Effect<ModelHandler> =>
  Effect.gen(function* () {
    const { dialects, name, onAnswer, owner, script } = options
    const random = yield* Random.Random
    const clock = yield* Clock.Clock
    const faults = new FaultChooser(script.faults, () => random.nextDoubleUnsafe())
    const slots = new Map<string, Semaphore.Semaphore>()
    for (const { name: model, slots: count } of script.models) {
      if (count !== undefined) slots.set(model, yield* Semaphore.make(count))
    }

    const contextOf = (model: string): AnswerContext => {
      const now = clock.currentTimeMillisUnsafe()
      return { model, now, id: `simulated${crypto.randomUUID().replaceAll("-", "")}`, callIds: new Set() }
    }

    const answered = (
      { dialect, operation }: DialectRoute,
      read: ReadRequest,
      model: MockModel,
      body: Uint8Array,
      id: string
    ): Effect.Effect<Response, GatewayError> => {
      const { needs } = read
      const fault = faults.next(model.name)
      const answering: Answering = { dialect, model, fault, id, slots: slots.get(model.name) }
      const told = (tokens: number): Effect.Effect<void> =>
        onAnswer({
          operation: operation.name,
          model: model.name,
          stream: needs.stream,
          tokens,
          fault: fault === undefined ? undefined : faultWords(fault)
        })
      const plainly = (bytes: Uint8Array): Effect.Effect<Response> =>
        Effect.ensuring(plainAnswer(answering, bytes), told(0))
      const written = (writing: Omit<Writing, keyof Answering | "context">): Effect.Effect<Response> =>
        textAnswer({ ...answering, ...writing, context: contextOf(needs.model) }, told(writing.said.usage.completion))
      const { client, embeds, estimate } = operation
      if (estimate !== undefined) return plainly(new TextEncoder().encode(estimate(needs).body))
      if (embeds?.client !== undefined) {
        const decoded = embeds.client.decode(body, needs.model)
        if (Result.isFailure(decoded)) return Effect.fail(decoded.failure)
        const { answer, embed } = decoded.success
        const { dimensions = usualDimensions, texts } = embed
        const vectors = texts.map((text) => vectorOf(text, Math.min(dimensions, mostDimensions)))
        return plainly(answer({ vectors, promptTokens: promptTokensOf(0, texts.join("")) }, needs.model))
      }
      const decoded = client?.decode(body, needs.model, read.parsed)
      if (decoded !== undefined) {
        if (Result.isFailure(decoded)) return Effect.fail(decoded.failure)
        const { answers, chat, instead } = decoded.success
        if (instead !== undefined) return plainly(instead(contextOf(needs.model)))
        const turn = turnOf(chat)
        const promptTokens = promptTokensOf(needs.promptTokens, turn.last)
        const json = chat.format?.type === "json"
        const said = saidTo(name, script.answers, { ...turn, model, promptTokens, maxTokens: chat.maxTokens, json })
        return written({ answers, said, stream: chat.stream })
      }
      if (operation.name !== textCompletions)
        return Effect.fail(
          new NotImplemented({
            operation: operation.name,
            model: model.name,
            why: `The mock plays no ${operation.name}`
          })
        )
      const request = readTextRequest(body)
      if (Result.isFailure(request)) return Effect.fail(request.failure)
      const { answers, maxTokens, prompt, stream } = request.success
      const promptTokens = promptTokensOf(needs.promptTokens, prompt)
      const asked = { model, last: prompt, turn: 1, promptTokens, maxTokens, json: false }
      return written({ answers, said: saidTo(name, script.answers, asked), stream })
    }

    return yield* serveModels({
      name,
      owner,
      dialects,
      models: script.models,
      answer: ({ body, id, read, route }) => {
        const model = script.models.find((each) => each.name === read.needs.model)
        return model === undefined
          ? Effect.fail(unknownModel(read.needs.model, script.models))
          : answered(route, read, model, body, id)
      }
    })
  })
