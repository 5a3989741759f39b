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
import type { Dialect, DialectRoute, ReadRequest } from "../dialect/Dialect.ts"
import { pagesAt } from "../dialect/page-routes.ts"
import type { Catalogue, ListedModel } from "../dialect/pages.ts"
import { refuse } from "../dialect/refuse.ts"
import { Routes } from "../dialect/routes.ts"
import { type GatewayError, MethodNotAllowed, ModelNotFound, NotFound, NotImplemented } from "../domain/errors.ts"
import { EventLoopTurns } from "../domain/EventLoopTurns.ts"
import type { Listening } from "../http/BunServer.ts"
import { vectorOf } from "./answers.ts"
import { FaultChooser } from "./fault-rules.ts"
import { type Answering, plainAnswer, textAnswer, type Writing } from "./mock-answer.ts"
import { faultWords, type MockModel, type MockScript } from "./mock-script.ts"
import { promptTokensOf, saidTo, turnOf } from "./mock-text.ts"
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

/** Answers a request. */
export type MockHandler = (request: Request, server: Listening) => Promise<Response>

const usualContext = 32_768

/** Numbers of a vector, unless its client wants others. */
const usualDimensions = 64

/** Longest vector that is made. */
const mostDimensions = 4096

const textCompletions = "completions"

const listed = ({ context_length: contextLength = usualContext, embeddings, name }: MockModel): ListedModel => ({
  id: name,
  created: 0,
  contextLength,
  abilities: embeddings === undefined ? {} : { embeddings },
  types: [],
  loaded: true,
  about: {}
})

const catalogueOf = (models: ReadonlyArray<MockModel>): Catalogue => ({
  all: () => models.map(listed),
  find: (name) => {
    const found = models.find((each) => each.name === name)
    if (found !== undefined) return Result.succeed(listed(found))
    return Result.fail(new ModelNotFound({ model: name, available: models.map((each) => each.name) }))
  }
})

const pathOf = (url: string): { readonly path: string; readonly query: URLSearchParams } => {
  const { pathname, searchParams } = new URL(url)
  return { path: pathname, query: searchParams }
}

/** The list in the shape of the first dialect, which has no page for it. */
const modelList = ({ owner, script }: MockOptions): Response =>
  Response.json({
    object: "list",
    data: script.models.map(({ context_length: context = usualContext, name }) => ({
      id: name,
      object: "model",
      created: 0,
      owned_by: owner,
      context_length: context
    }))
  })

/** What answers the requests of one server, for as long as a scope is open. */
export const makeMock = (options: MockOptions): Effect.Effect<MockHandler> =>
  Effect.gen(function* () {
    const { dialects, name, onAnswer, script } = options
    const random = yield* Random.Random
    const clock = yield* Clock.Clock
    const run = Effect.runPromiseWith(yield* Effect.context<never>())
    const routes = new Routes(dialects)
    const turns = new EventLoopTurns()
    const faults = new FaultChooser(script.faults, () => random.nextDoubleUnsafe())
    const catalogue = catalogueOf(script.models)
    const slots = new Map<string, Semaphore.Semaphore>()
    for (const { name: model, slots: count } of script.models) {
      if (count !== undefined) slots.set(model, yield* Semaphore.make(count))
    }

    const routeOf = (method: string, path: string): DialectRoute | undefined => {
      const direct = routes.find(path)
      if (direct !== undefined) return direct
      for (const dialect of dialects) {
        const meant = dialect.canonicalPath(method, path)
        if (meant !== path) return routes.find(meant)
      }
      return undefined
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

    const asked = (route: DialectRoute, body: Uint8Array, id: string): Effect.Effect<Response, GatewayError> =>
      Effect.gen(function* () {
        const reading = { turns, model: route.model }
        const needs = yield* Effect.promise(async () => route.operation.needs(body, reading))
        if (Result.isFailure(needs)) return yield* Effect.fail(needs.failure)
        const { model: called } = needs.success.needs
        const model = script.models.find((each) => each.name === called)
        if (model === undefined)
          return yield* new ModelNotFound({ model: called, available: script.models.map((each) => each.name) })
        return yield* answered(route, needs.success, model, body, id)
      })

    const paged = (request: Request, path: string, query: URLSearchParams, body: Uint8Array) => {
      const method = request.method === "HEAD" ? "GET" : request.method
      const found = pagesAt(dialects, path, request.headers)
      const page = found.find((each) => each.page.method === method)
      if (page === undefined) return undefined
      const { dialect, model } = page
      return { dialect, answer: page.page.answer(catalogue, { model, query, body }) }
    }

    return (request, server) => {
      server.timeout(request, 0)
      const { path, query } = pathOf(request.url)
      const id = crypto.randomUUID()
      const route = routeOf(request.method, path)
      const speaker: Dialect =
        route?.dialect ?? dialects.find(({ speaksTo }) => speaksTo?.(request.headers, path) === true) ?? dialects[0]
      const refused = (error: GatewayError): Response => refuse(speaker, error, id)
      const answer = Effect.gen(function* () {
        const body = new Uint8Array(yield* Effect.promise(() => request.arrayBuffer()))
        if (route !== undefined && route.passage === undefined && route.socket !== true) {
          if (request.method === "POST") return yield* asked(route, body, id)
          return yield* new MethodNotAllowed({ method: request.method, path, allowed: ["POST"] })
        }
        const page = paged(request, path, query, body)
        if (page !== undefined) {
          if (Result.isFailure(page.answer)) return refuse(page.dialect, page.answer.failure, id)
          const { body: text, status, type } = page.answer.success
          return new Response(text, { status, headers: { "content-type": type } })
        }
        if (request.method === "GET" && path === "/v1/models") return modelList(options)
        if (request.method === "GET" && path === "/") return new Response(`${name}: no model runs here\n`)
        return yield* new NotFound({
          method: request.method,
          path: path.slice(0, 200),
          instead: [speaker, ...dialects.filter((each) => each !== speaker)].map(({ hint }) => hint).join("; ")
        })
      })
      // Whoever leaves frees the slot.
      return run(
        Effect.catch(answer, (error) => Effect.succeed(refused(error))),
        { signal: request.signal }
      ).catch(() => new Response(null, { status: 499 }))
    }
  })
