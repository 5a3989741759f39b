/**
 * The HTTP surface, readable top to bottom: who is let in, then forwarded endpoints, then everything else.
 */
import { Context, Effect, Layer } from "effect"
import { NotFound, BadRequest } from "../domain/errors.ts"
import { endpoints, type Endpoint } from "../domain/request.ts"
import { corsHeaders, preflight, refusalOf, type Admission } from "./admit.ts"
import type { Listening } from "./BunServer.ts"
import { Operations } from "./Operations.ts"
import { render } from "./openai-error.ts"
import { Proxy } from "./Proxy.ts"

const forwarded: ReadonlyMap<string, Endpoint> = new Map(endpoints.map((endpoint) => [`/v1/${endpoint}`, endpoint]))

// A client's own id is kept when it is short and plain.
const saneId = /^[A-Za-z0-9._:-]{1,128}$/

/** The path of a request target as it is routed and logged; undefined when the target is none that is served. */
export const pathOf = (url: string): string | undefined => {
  const from = url.indexOf("/", url.indexOf("://") + 3)
  if (!/^https?:\/\//.test(url) || from < 0) return undefined
  const query = url.indexOf("?", from)
  const path = query < 0 ? url.slice(from) : url.slice(from, query)
  return path
}

// Only plain paths are served: no backslash, no empty segment, no control or non-ASCII byte, no encoded dot or slash
// outside of model ids.
const plainPath = /^(\/[A-Za-z0-9._~:@!$&'()*+,;=%-]+)+\/?$|^\/$/

const maxUrlLength = 8192

/** Answers every request. */
export class HttpApi extends Context.Service<
  HttpApi,
  {
    readonly handle: (request: Request, server: Listening) => Promise<Response> | Response
  }
>()("nexus/http/HttpApi") {
  /** The surface under the given rules of admission. */
  static readonly layer = (rules: Admission) =>
    Layer.effect(
      HttpApi,
      Effect.gen(function* () {
        const proxy = yield* Proxy
        const operations = yield* Operations

        const route = (request: Request, server: Listening, path: string, id: string): Promise<Response> | Response => {
          if (request.method === "OPTIONS" && rules.origins.size > 0) return preflight(rules, request)
          const endpoint = request.method === "POST" ? forwarded.get(path) : undefined
          return endpoint === undefined ? operations.handle(request, id) : proxy.handle(endpoint, request, id, server)
        }

        const handle = (request: Request, server: Listening): Promise<Response> | Response => {
          const given = request.headers.get("x-request-id")
          const id = given !== null && saneId.test(given) ? given : crypto.randomUUID()
          const path = pathOf(request.url)
          if (path === undefined)
            return render(new BadRequest({ message: "The Host header is not valid", param: null }), id)
          const refusal = refusalOf(rules, request, path)
          if (refusal !== undefined) return render(refusal, id, corsHeaders(rules, request))
          if (request.url.length > maxUrlLength || !plainPath.test(path)) {
            return render(new NotFound({ method: request.method, path: path.slice(0, 200) }), id)
          }
          const answer = route(request, server, path, id)
          if (rules.origins.size === 0) return answer
          return Promise.resolve(answer).then((response) => {
            for (const [name, value] of Object.entries(corsHeaders(rules, request))) response.headers.set(name, value)
            return response
          })
        }
        return HttpApi.of({ handle })
      })
    )
}
