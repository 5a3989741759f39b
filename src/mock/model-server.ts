/**
 * A server of models as all dialects see one: where their paths lead, their lists of models, their errors. What is answered of
 * a model is somebody else's to say.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { DialectList } from "../dialect/all.ts"
import type { Dialect, DialectRoute, ReadRequest } from "../dialect/Dialect.ts"
import { pagesAt } from "../dialect/page-routes.ts"
import type { Catalogue, ListedModel } from "../dialect/pages.ts"
import { refuse } from "../dialect/refuse.ts"
import { Routes } from "../dialect/routes.ts"
import { type GatewayError, MethodNotAllowed, ModelNotFound, NotFound } from "../domain/errors.ts"
import { EventLoopTurns } from "../domain/EventLoopTurns.ts"
import type { Listening } from "../http/BunServer.ts"

/** Answers a request. */
export type ModelHandler = (request: Request, server: Listening) => Promise<Response>

/** A model that is served, as lists tell of it. */
export interface ModelOnShow {
  readonly name: string
  readonly context_length?: number
  readonly embeddings?: boolean
}

/** A request for a model. */
export interface ModelRequest {
  readonly route: DialectRoute
  readonly read: ReadRequest
  readonly body: Uint8Array
  readonly id: string
  readonly request: Request
}

/** Who is served, and how. */
export interface ModelServer {
  /** What it calls itself. */
  readonly name: string
  /** Who its lists of models say owns them. */
  readonly owner: string
  readonly models: ReadonlyArray<ModelOnShow>
  readonly dialects: DialectList
  readonly answer: (asked: ModelRequest) => Effect.Effect<Response, GatewayError>
}

const usualContext = 32_768

const listed = ({ context_length: contextLength = usualContext, embeddings, name }: ModelOnShow): ListedModel => ({
  id: name,
  created: 0,
  contextLength,
  abilities: embeddings === undefined ? {} : { embeddings },
  types: [],
  loaded: true,
  about: {}
})

/** Nothing is known of a model. */
export const unknownModel = (model: string, known: ReadonlyArray<ModelOnShow>): ModelNotFound =>
  new ModelNotFound({ model, available: known.map(({ name }) => name) })

const catalogueOf = (models: ReadonlyArray<ModelOnShow>): Catalogue => ({
  all: () => models.map(listed),
  find: (name) => {
    const found = models.find((each) => each.name === name)
    return found === undefined ? Result.fail(unknownModel(name, models)) : Result.succeed(listed(found))
  }
})

/** The list in the shape of the first dialect, which has no page for it. */
const modelList = ({ models, owner }: ModelServer): Response =>
  Response.json({
    object: "list",
    data: models.map(({ context_length: context = usualContext, name }) => ({
      id: name,
      object: "model",
      created: 0,
      owned_by: owner,
      context_length: context
    }))
  })

/** Where a path leads in some dialects, be it written amiss. */
export const routeFinder = (dialects: DialectList): ((method: string, path: string) => DialectRoute | undefined) => {
  const routes = new Routes(dialects)
  return (method, path) => {
    const direct = routes.find(path)
    if (direct !== undefined) return direct
    for (const dialect of dialects) {
      const meant = dialect.canonicalPath(method, path)
      if (meant !== path) return routes.find(meant)
    }
    return undefined
  }
}

const turns = new EventLoopTurns()

/** What is to be known of a request for a model. */
export const readOperation = (
  { model, operation }: DialectRoute,
  body: Uint8Array
): Effect.Effect<ReadRequest, GatewayError> =>
  Effect.flatMap(
    Effect.promise(async () => operation.needs(body, { turns, model })),
    Effect.fromResult
  )

/** Whether a path leads to something that is asked of a model. */
export const isOperation = (route: DialectRoute | undefined): route is DialectRoute =>
  route !== undefined && route.passage === undefined && route.socket !== true

/** What answers the requests of one server. */
export const serveModels = (served: ModelServer): Effect.Effect<ModelHandler> =>
  Effect.map(Effect.context<never>(), (context) => {
    const { dialects, name } = served
    const run = Effect.runPromiseWith(context)
    const routeOf = routeFinder(dialects)
    const catalogue = catalogueOf(served.models)

    const paged = (request: Request, path: string, query: URLSearchParams, body: Uint8Array) => {
      const method = request.method === "HEAD" ? "GET" : request.method
      const found = pagesAt(dialects, path, request.headers).find((each) => each.page.method === method)
      if (found === undefined) return undefined
      const { dialect, model, page } = found
      return { dialect, answer: page.answer(catalogue, { model, query, body }) }
    }

    return (request, server) => {
      server.timeout(request, 0)
      const { pathname: path, searchParams: query } = new URL(request.url)
      const id = crypto.randomUUID()
      const route = routeOf(request.method, path)
      const speaker: Dialect =
        route?.dialect ?? dialects.find(({ speaksTo }) => speaksTo?.(request.headers, path) === true) ?? dialects[0]
      const answer = Effect.gen(function* () {
        const body = new Uint8Array(yield* Effect.promise(() => request.arrayBuffer()))
        if (isOperation(route)) {
          if (request.method !== "POST")
            return yield* new MethodNotAllowed({ method: request.method, path, allowed: ["POST"] })
          return yield* served.answer({ route, read: yield* readOperation(route, body), body, id, request })
        }
        const page = paged(request, path, query, body)
        if (page !== undefined) {
          if (Result.isFailure(page.answer)) return refuse(page.dialect, page.answer.failure, id)
          const { body: text, status, type } = page.answer.success
          return new Response(text, { status, headers: { "content-type": type } })
        }
        if (request.method === "GET" && path === "/v1/models") return modelList(served)
        if (request.method === "GET" && path === "/") return new Response(`${name}: no model runs here\n`)
        const hints = [speaker, ...dialects.filter((each) => each !== speaker)].map(({ hint }) => hint)
        return yield* new NotFound({ method: request.method, path: path.slice(0, 200), instead: hints.join("; ") })
      })
      // Whoever leaves frees what was taken for the answer.
      return run(
        Effect.catch(answer, (error) => Effect.succeed(refuse(speaker, error, id))),
        { signal: request.signal }
      ).catch(() => new Response(null, { status: request.signal.aborted ? 499 : 500 }))
    }
  })
