/**
 * What a base URL says of where a server's endpoints are: providers put them below `/v1`, or right below a path of their
 * own, with a query that belongs to every call.
 */

/** Where the endpoints of OpenAI's API are below a base URL. */
export const apiPaths = ["/v1", ""] as const

/** One of {@link apiPaths}. */
export type ApiPath = (typeof apiPaths)[number]

/** The parts of a base URL. */
export interface BaseUrl {
  /** With neither a trailing slash, nor a trailing `/v1`, nor an endpoint behind it, nor a query. */
  readonly url: string
  /** Sent with every call; with its question mark. */
  readonly query?: string
  /** Where the endpoints are until the server has been asked; absent where the URL says so by its `/v1`. */
  readonly apiPath?: ApiPath
}

// A version of its own, Google's place behind one, GitHub's and Databricks' places, Vertex', and deployments of Azure's.
const whole =
  /\/v\d+[a-z0-9.]*$|\/v\d+[a-z0-9.]*\/(?:[^?]*\/)?openai$|\/(?:inference|serving-endpoints|endpoints\/openapi)$|\/openai\/deployments\/[^/]+$/i

// What is copied from an example as a whole. Not /models, where Azure's Foundry has its endpoints.
const endpoint = /\/(?:chat\/completions|completions|embeddings)$/

const trimmed = (url: string): string => url.replace(/\/+$/, "")

/** Takes a base URL apart. A definite rule, for as long as the server has not been asked. */
export const parseBaseUrl = (text: string): BaseUrl => {
  const at = text.indexOf("?")
  const given = trimmed(at === -1 ? text : text.slice(0, at))
  const path = trimmed(given.replace(endpoint, ""))
  const url = trimmed(path.replace(/\/v1$/, ""))
  const query = at === -1 || at === text.length - 1 ? {} : { query: text.slice(at) }
  if (url !== path) return { url, ...query }
  return { url, ...query, apiPath: path !== given || whole.test(path) ? "" : "/v1" }
}

/** Whether a path below a base URL is one of OpenAI's API, and where it is when the endpoints are elsewhere. */
export const apiPathBelow = (path: string, apiPath: ApiPath): string =>
  apiPath === "" && path.startsWith("/v1/") ? path.slice("/v1".length) : path

/** The address of a path below a base URL, with its query. */
export const joinUrl = ({ query, url }: Pick<BaseUrl, "query" | "url">, path: string): string => {
  if (query === undefined) return url + path
  return url + path + (path.includes("?") ? `&${query.slice(1)}` : query)
}
