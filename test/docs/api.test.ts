import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { type Gateway, startGateway } from "../kit/gateway.ts"

const page = readFileSync(join(import.meta.dir, "../../docs/api.md"), "utf8")

/** The endpoints that the page names, such as `GET /health`. */
const named = new Set(
  [...page.matchAll(/\b(GET|POST|PUT|PATCH|DELETE) (\/[\w./{}-]*(?::\w+)?)/g)].map(([text]) => text)
)

/** Endpoints whose bodies are not this API's own: they may stand in its document and need not. */
const ofAnotherForm: ReadonlySet<string> = new Set([
  "POST /v1/chat/completions",
  "POST /v1/completions",
  "POST /v1/embeddings",
  "GET /metrics",
  "GET /v1/stats",
  "GET /openapi.json"
])

let gateway: Gateway
let described: ReadonlySet<string>

beforeAll(async () => {
  gateway = await startGateway({})
  const { paths } = (await (await fetch(`${gateway.url}/openapi.json`)).json()) as {
    readonly paths: Readonly<Record<string, object>>
  } // reason: an OpenAPI document always has these
  described = new Set(
    Object.entries(paths).flatMap(([path, methods]) =>
      // What Google has at two versions is told of at one.
      Object.keys(methods).map(
        (method) => `${method.toUpperCase()} ${path.replace(/^\/v1(?=\/models\/.+:)/, "/v1beta")}`
      )
    )
  )
})
afterAll(() => gateway[Symbol.asyncDispose]())

describe("docs/api.md", () => {
  test("names every endpoint of /openapi.json", () => {
    expect(described.size).toBeGreaterThan(10)
    expect([...described].filter((endpoint) => !named.has(endpoint))).toEqual([])
  })

  test("names no endpoint that is not there", () => {
    const unknown = [...named].filter((endpoint) => !described.has(endpoint) && !ofAnotherForm.has(endpoint))
    expect(unknown).toEqual([])
  })

  test("has a heading for every endpoint that it names, and no heading twice", () => {
    const headings = [...page.matchAll(/^#{2,3} ((?:GET|POST|DELETE) \S+)$/gm)].map(([, endpoint = ""]) => endpoint)
    expect(headings.toSorted()).toEqual([...named].toSorted())
  })
})
