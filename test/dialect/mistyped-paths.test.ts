import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { endpoints } from "../../src/dialect/openai/openai-endpoints.ts"
import { passedEndpoints } from "../../src/dialect/openai/passed-endpoints.ts"
import { canonicalPath, suggestedPath } from "../../src/dialect/openai/mistyped-paths.ts"

const exact = [
  ...endpoints.map((endpoint) => `/v1/${endpoint}`),
  ...passedEndpoints.map(({ path }) => path),
  "/v1/models",
  "/v1/models/org/name:1"
]

const parts = [
  "v1",
  "v2",
  "chat",
  "completions",
  "embeddings",
  "rerank",
  "audio",
  "speech",
  "tokenize",
  "models",
  "admin",
  "livez",
  "metrics",
  "x",
  ""
]

const paths = fc.array(fc.constantFrom(...parts), { maxLength: 7 }).map((all) => `/${all.join("/")}`)

const methods = fc.constantFrom("GET", "HEAD", "POST", "OPTIONS", "DELETE")

describe("the path that is meant", () => {
  test("is the path itself where something is", () => {
    for (const path of exact)
      for (const method of ["GET", "HEAD", "POST"]) expect(canonicalPath(method, path)).toBe(path)
  })

  test("is the path itself, or that of models: no slip leads to anything that a proxy may keep to itself", () => {
    fc.assert(
      fc.property(methods, paths, (method, path) => {
        const meant = canonicalPath(method, path)
        if (meant === path) return true
        if (method === "POST") return exact.includes(meant)
        return meant === "/v1/models" || meant.startsWith("/v1/models/")
      })
    )
  })

  test("is meant by itself", () => {
    fc.assert(
      fc.property(methods, paths, (method, path) => {
        const meant = canonicalPath(method, path)
        return canonicalPath(method, meant) === meant
      })
    )
  })

  test("of a model stays below /v1/models, whatever its id is called", () => {
    for (const id of ["models", "chat/completions", "embeddings", "v1/models"]) {
      expect(canonicalPath("GET", `/v1/models/${id}`)).toBe(`/v1/models/${id}`)
    }
  })
})

describe("the way out", () => {
  const known = ["/", "/health", "/metrics", "/docs", "/v1/models/:id", ...exact.slice(0, -1), "/admin/v1/backends"]
  for (const [path, said] of [
    ["/api/v1/chat/completions", "/v1/chat/completions: set the client's base URL to http://box:8000/v1"],
    ["/openai/deployments/gpt/embeddings", "/v1/embeddings: set the client's base URL to http://box:8000/v1"],
    ["/V1/Models", "/v1/models"],
    ["/Health/", "/health"],
    ["/v1/health", "/health"],
    ["/v1/admin/v1/backends", "/admin/v1/backends"]
  ] as const) {
    test(`of ${path}`, () => expect(suggestedPath(path, known, "http://box:8000")).toEndWith(said))
  }

  test("is not made up where nobody can know it", () => {
    for (const path of ["/api/tags", "/v1/responses", "/favicon.ico", "/nothing/"]) {
      expect(suggestedPath(path, known, "http://box:8000")).toBeUndefined()
    }
  })
})
