/**
 * Paths as people write them by mistake: those that can only mean one endpoint lead to it, for the others there are words.
 */
import { endpoints } from "./openai-endpoints.ts"
import { passedEndpoints } from "./passed-endpoints.ts"

const passed = passedEndpoints.map(({ path }) => path)

const below = "/v1"

// What has a place of its own without the version is not meant by another one that has it.
const versioned = passed.filter((path) => path.startsWith(`${below}/`) && !passed.includes(path.slice(below.length)))

const asking = [...endpoints.map((endpoint) => `/${endpoint}`), ...versioned.map((path) => path.slice(below.length))]

const list = "/models"

// What is taken for the base URL: the address alone, one whose client adds a further /v1, Azure's, and that of an endpoint.
const bases = ["", "/v1/v1", "/openai", "/openai/v1", ...asking.flatMap((endpoint) => [endpoint, `/v1${endpoint}`])]

const leading = (path: string, from: ReadonlyArray<string>): ReadonlyArray<readonly [string, string]> => {
  const meant = `/v1${path}`
  return [
    [`${meant}/`, meant],
    ...from.flatMap((base) => ["", "/"].map((end) => [`${base}${path}${end}`, meant] as const))
  ]
}

const meantBy = passedEndpoints.flatMap(({ meantBy: others, path }) =>
  [`${path}/`, ...others.flatMap((other) => [other, `${other}/`])].map((other) => [other, path] as const)
)

// Read, a path below /v1/models names a model.
const posted = new Map([...asking.flatMap((path) => leading(path, [...bases, list, `/v1${list}`])), ...meantBy])

const read = new Map(leading(list, bases))

const ofModel = /^(?:(?:\/v1){0,2}|\/openai(?:\/v1)?)\/models\/(.*[^/])\/?$/

/**
 * The path of the endpoint that a request means. Only those of models have others that lead to them: whatever else a proxy
 * in front keeps to itself has one path.
 */
export const canonicalPath = (method: string, path: string): string => {
  if (method === "POST") return posted.get(path) ?? path
  if (method !== "GET" && method !== "HEAD") return path
  const meant = read.get(path)
  if (meant !== undefined) return meant
  const id = ofModel.exec(path)?.[1]
  return id === undefined ? path : `/v1${list}/${id}`
}

const forModels: ReadonlySet<string> = new Set([...asking, list].map((path) => `/v1${path}`))

/** What to write in place of a path where nothing is; undefined when nobody can know. `known` are the paths that are served. */
export const suggestedPath = (path: string, known: Iterable<string>, origin: string): string | undefined => {
  const plain = path.toLowerCase().replace(/\/+$/, "")
  if (plain === "/v1") return "It is the base URL of clients, who add to it, as in /v1/chat/completions"
  const [meant] = [...known]
    .filter((each) => each.length > 1 && !each.includes(":"))
    .filter((each) => plain.endsWith(each.replace(/^\/v1/, "")))
    .sort((a, b) => b.length - a.length)
  if (meant === undefined) return undefined
  return plain !== meant && forModels.has(meant)
    ? `It is served at ${meant}: set the client's base URL to ${origin}/v1`
    : `It is served at ${meant}`
}
