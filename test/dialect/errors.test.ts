import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import {
  BackendNotFound,
  BadGateway,
  BadRequest,
  BudgetExceeded,
  Cancelled,
  ConfigRefused,
  Conflict,
  Forbidden,
  GatewayTimeout,
  HookUnavailable,
  type GatewayError,
  Internal,
  LoopDetected,
  ModelActionFailed,
  MethodNotAllowed,
  ContextLengthExceeded,
  ModelCapabilityMismatch,
  IssuerUnavailable,
  ModelNotAllowed,
  ModelNotFound,
  NotImplemented,
  NotFound,
  Overloaded,
  PayloadTooLarge,
  PolicyBlocked,
  RequestNotKept,
  RequestNotUnderWay,
  RequestTimeout,
  ServiceUnavailable,
  ZoneNotAllowed,
  OutOfFiles,
  RateLimited,
  Stopping,
  Unauthorized,
  UriTooLong,
  UnsupportedMediaType
} from "../../src/domain/errors.ts"
import { ConnectionLost } from "../../src/domain/upstream-errors.ts"
import { openAiErrorBody } from "../../src/dialect/openai-error.ts"
import { gatewayErrorFor } from "../../src/proxy/final-failure.ts"
import { failureTable } from "../../src/dialect/failures.ts"
import { formOf, render } from "../kit/refusals.ts"

test("a failure names the backend and then, apart from it, what became of its answer", () => {
  const failures = [{ backend: "a", model: "m", reason: "the stream ended before its answer was complete" }]
  const lost = new ConnectionLost({ reason: "the stream ended before its answer was complete", answered: true })
  expect(formOf(gatewayErrorFor(lost, "m", failures)).message).toBe(
    "No good answer from a backend for model 'm': backend 'a': the stream ended before its answer was complete"
  )
})

const reasons = [{ backend: "a", model: "x", reason: "connection refused" }]

// One of each tag: the type demands that none is missing.
const samples: { readonly [T in GatewayError["_tag"]]: [Extract<GatewayError, { _tag: T }>, number, string] } = {
  BadRequest: [new BadRequest({ message: "no model", param: "model" }), 400, "bad_request"],
  Unauthorized: [new Unauthorized({ message: "no key" }), 401, "invalid_api_key"],
  IssuerUnavailable: [new IssuerUnavailable({ message: "x", retryAfterSeconds: 10 }), 503, "service_unavailable"],
  Forbidden: [new Forbidden({ message: "no" }), 403, "forbidden"],
  ModelNotAllowed: [new ModelNotAllowed({ model: "x", by: "models", available: ["a"] }), 403, "model_not_allowed"],
  ModelNotFound: [new ModelNotFound({ model: "x", available: ["a", "b"] }), 404, "model_not_found"],
  ContextLengthExceeded: [
    new ContextLengthExceeded({ model: "x", has: 8192, needs: 11_000, param: "messages" }),
    400,
    "context_length_exceeded"
  ],
  ModelCapabilityMismatch: [
    new ModelCapabilityMismatch({ model: "x", missing: "tools", param: "tools" }),
    400,
    "model_capability_mismatch"
  ],
  ServiceUnavailable: [
    new ServiceUnavailable({ model: "x", reasons, retryAfterSeconds: 4.2 }),
    503,
    "service_unavailable"
  ],
  ZoneNotAllowed: [new ZoneNotAllowed({ model: "x", reasons }), 403, "zone_not_allowed"],
  PolicyBlocked: [new PolicyBlocked({ hook: "h", phase: "request", reason: "no" }), 400, "content_policy_violation"],
  HookUnavailable: [new HookUnavailable({ hook: "h", retryAfterSeconds: 5 }), 503, "hook_unavailable"],
  BudgetExceeded: [
    new BudgetExceeded({ budget: "team", message: "spent", retryAfterSeconds: 60 }),
    402,
    "insufficient_quota"
  ],
  Overloaded: [new Overloaded({ message: "full", retryAfterSeconds: 1 }), 429, "rate_limit_exceeded"],
  RateLimited: [new RateLimited({ message: "x", retryAfterSeconds: 3, left: { at: 0 } }), 429, "rate_limit_exceeded"],
  OutOfFiles: [new OutOfFiles({ retryAfterSeconds: 1 }), 503, "service_unavailable"],
  Stopping: [new Stopping({ retryAfterSeconds: 5 }), 503, "service_unavailable"],
  Cancelled: [new Cancelled({}), 499, "request_cancelled"],
  BadGateway: [new BadGateway({ model: "x", failures: reasons }), 502, "bad_gateway"],
  GatewayTimeout: [new GatewayTimeout({ message: "late", limit: "idle" }), 504, "gateway_timeout"],
  LoopDetected: [new LoopDetected({ hops: 6 }), 508, "loop_detected"],
  RequestTimeout: [new RequestTimeout({ message: "slow" }), 408, "request_timeout"],
  PayloadTooLarge: [new PayloadTooLarge({ limitBytes: 1_048_576 }), 413, "payload_too_large"],
  UriTooLong: [new UriTooLong({ limit: 8192 }), 414, "uri_too_long"],
  UnsupportedMediaType: [new UnsupportedMediaType({ message: "gzip" }), 415, "unsupported_media_type"],
  NotFound: [new NotFound({ method: "GET", path: "/x" }), 404, "not_found"],
  RequestNotKept: [new RequestNotKept({ id: "r", kept: 512 }), 404, "not_found"],
  RequestNotUnderWay: [new RequestNotUnderWay({ id: "r" }), 404, "not_found"],
  MethodNotAllowed: [new MethodNotAllowed({ method: "GET", path: "/x", allowed: ["POST"] }), 405, "method_not_allowed"],
  BackendNotFound: [new BackendNotFound({ name: "x", known: ["a", "b"] }), 404, "backend_not_found"],
  Conflict: [new Conflict({ message: "taken" }), 409, "conflict"],
  ConfigRefused: [new ConfigRefused({ message: "nexus.toml:1: no" }), 422, "config_invalid"],
  NotImplemented: [new NotImplemented({ operation: "responses/compact", model: "x" }), 501, "not_implemented"],
  ModelActionFailed: [
    new ModelActionFailed({ action: "load", backend: "a", model: "x", fault: "room", reason: "no memory" }),
    507,
    "not_enough_room"
  ],
  Internal: [new Internal({ requestId: "id-1" }), 500, "internal_error"]
}

test("the error table is total: every failure has a status, type, code, param and message", async () => {
  expect(Object.keys(failureTable).sort()).toEqual(Object.keys(samples).sort())
  for (const [error, status, code] of Object.values(samples)) {
    const response = render(error, "req-1")
    expect(response.status).toBe(status)
    expect(response.headers.get("x-request-id")).toBe("req-1")
    const body = (await response.json()) as { error: Record<string, unknown> }
    expect(Object.keys(body)).toEqual(["error"])
    expect(Object.keys(body.error)).toEqual(["message", "type", "param", "code"])
    expect(body.error["code"]).toBe(code)
    expect(String(body.error["message"]).length).toBeGreaterThan(0)
  }
})

test("a missing model is answered with what is available, in the documented words", () => {
  expect(formOf(new ModelNotFound({ model: "nope", available: ["mistral:7b", "llama3:70b"] })).message).toBe(
    "Model 'nope' not found. Available: mistral:7b, llama3:70b"
  )
  expect(formOf(new ModelNotFound({ model: "nope", available: [] })).message).toBe(
    "Model 'nope' not found. No models available"
  )
})

test("no healthy backend is answered in the documented words, with the reasons in a header and a time to retry", () => {
  const response = render(samples.ServiceUnavailable[0], "id")
  expect(formOf(samples.ServiceUnavailable[0]).message).toBe(
    "No healthy backends available for model 'x': backend 'a': connection refused"
  )
  expect(response.headers.get("retry-after")).toBe("5")
  expect(response.headers.get("x-nexus-rejection-reasons")).toBe("a: connection refused")
})

test("the reason of a model other than the one asked for names it", () => {
  const two = [...reasons, { backend: "b", model: "m2", reason: "answered with status 503" }]
  for (const error of [
    new ServiceUnavailable({ model: "x", reasons: two, retryAfterSeconds: 1 }),
    new BadGateway({ model: "x", failures: two })
  ]) {
    expect(render(error, "id").headers.get("x-nexus-rejection-reasons")).toBe(
      "a: connection refused; b (m2): answered with status 503"
    )
  }
})

describe("the error body of a backend", () => {
  const convert = (status: number, body: string) =>
    new TextDecoder().decode(openAiErrorBody(status, new TextEncoder().encode(body)))
  const errorOf = (status: number, body: string) => JSON.parse(convert(status, body)).error

  test("in OpenAI's shape stays byte for byte", () => {
    const body =
      '{ "error":{"message":"bad temperature","type":"invalid_request_error","param":null,"code":null}, "x":1.0}'
    expect(convert(400, body)).toBe(body)
    const coded = '{"error":{"message":"maximum context length","type":"t","param":null,"code":"own_code"}}'
    expect(convert(400, coded)).toBe(coded)
  })

  test("of llama-server gets a code that agents know", () => {
    const body =
      '{"error":{"code":400,"message":"request (6007 tokens) exceeds the available context size (4096 tokens), try increasing it","type":"exceed_context_size_error","n_prompt_tokens":6007,"n_ctx":4096}}'
    expect(errorOf(400, body)).toMatchObject({ type: "invalid_request_error", code: "context_length_exceeded" })
  })

  test("of vLLM and Ollama for a missing model gets the code model_not_found", () => {
    expect(
      errorOf(
        404,
        '{"error":{"message":"The model `x` does not exist.","type":"NotFoundError","param":null,"code":404}}'
      )
    ).toMatchObject({ type: "invalid_request_error", code: "model_not_found", param: null })
    expect(
      errorOf(404, '{"error":{"message":"model \'nope\' not found","type":"not_found_error","param":null,"code":null}}')
    ).toMatchObject({ code: "model_not_found" })
  })

  test("without an envelope gets one", () => {
    expect(
      errorOf(400, '{"object":"error","message":"bad tool","type":"BadRequestError","param":null,"code":400}')
    ).toEqual({
      message: "bad tool",
      type: "invalid_request_error",
      param: null,
      code: null,
      object: "error",
      original: { type: "BadRequestError", code: 400 }
    })
    expect(errorOf(422, '{"detail":"no"}').message).toBe("no")
    expect(errorOf(404, '{"error":"model not found"}').code).toBe("model_not_found")
  })

  test("keeps what stands beside the message", () => {
    const metadata = { raw: '{"error":"flagged"}', provider_name: "p" }
    expect(
      JSON.parse(convert(403, JSON.stringify({ error: { message: "no", code: 403, metadata }, user_id: "u" })))
    ).toEqual({
      error: { message: "no", type: "permission_error", param: null, code: null, metadata, original: { code: 403 } },
      user_id: "u"
    })
    const innererror = { code: "ResponsibleAIPolicyViolation", content_filter_result: { hate: { filtered: true } } }
    expect(
      errorOf(400, JSON.stringify({ error: { message: "filtered", code: "content_filter", innererror } }))
    ).toEqual({
      message: "filtered",
      type: "invalid_request_error",
      param: null,
      code: "content_filter",
      innererror
    })
    const exceeded = { code: 400, message: "exceeds the available context size", type: "x", n_prompt_tokens: 6007 }
    expect(errorOf(400, JSON.stringify({ error: exceeded }))).toMatchObject({ n_prompt_tokens: 6007 })
  })

  test("of FastAPI tells which field is wrong, and keeps its list", () => {
    const detail = [{ type: "missing", loc: ["body", "messages"], msg: "Field required" }]
    expect(errorOf(422, JSON.stringify({ detail }))).toEqual({
      message: "messages: Field required",
      type: "invalid_request_error",
      param: null,
      code: null,
      detail
    })
  })

  test("that is a list, plain text or an event keeps its words", () => {
    expect(errorOf(400, '[{"error":{"code":400,"message":"bad","status":"INVALID_ARGUMENT"}}]')).toMatchObject({
      message: "bad",
      status: "INVALID_ARGUMENT"
    })
    expect(errorOf(413, "prompt too large\n").message).toBe("prompt too large")
    expect(errorOf(400, 'data: {"error":{"message":"no slot","type":"t"}}\n\n').message).toBe("no slot")
  })

  test("with a message that is no text has one, and keeps what it had", () => {
    expect(errorOf(400, '{"error":{"message":{"detail":"no"},"param":["a"]}}')).toMatchObject({
      message: "no",
      param: null,
      original: { message: { detail: "no" }, param: ["a"] }
    })
  })

  test("above 64 KB is cut, with a mark, and keeps its small fields", () => {
    const long = "y".repeat(100_000)
    for (const body of [
      { error: { message: long, type: "t", code: null, n: 7, copy: long } },
      { detail: long },
      long
    ]) {
      const error = errorOf(400, typeof body === "string" ? body : JSON.stringify(body))
      expect(error.message).toMatch(/^y{3000,4000} … \(cut\)$/)
      expect(JSON.stringify(error).length).toBeLessThan(10_000)
    }
    expect(errorOf(400, JSON.stringify({ error: { message: "short", n: 7, copy: long } }))).toMatchObject({
      message: "short",
      n: 7
    })
  })

  test("that is a page is told by its title alone", () => {
    expect(errorOf(404, "<html><title>404 Not Found</title><body>http://10.0.0.1</body></html>").message).toBe(
      'The backend answered with status 404: an HTML page, "404 Not Found"'
    )
  })

  test("always has OpenAI's shape, and loses no field that it had (law)", () =>
    fc.assert(
      fc.property(fc.integer({ min: 400, max: 599 }), fc.jsonValue({ maxDepth: 5 }), (status, json) => {
        const { error } = JSON.parse(convert(status, JSON.stringify(json))) as {
          readonly error: Record<string, unknown>
        } // reason: checked next
        expect(typeof error["message"]).toBe("string")
        expect(typeof error["type"]).toBe("string")
        expect(error["code"] === null || typeof error["code"] === "string").toBe(true)
        const fields = fc.dictionary(fc.string(), fc.jsonValue())
        fc.assert(
          fc.property(fields, (more) => {
            const kept = JSON.parse(convert(status, JSON.stringify({ error: { message: "m", ...more } }))).error
            for (const name of Object.keys(more)) expect(Object.hasOwn(kept, name)).toBe(true)
          }),
          { numRuns: 3 }
        )
      })
    ))

  test("that is no JSON is not shown", () => {
    expect(errorOf(404, "<html>http://10.0.0.1 nginx</html>")).toEqual({
      message: "The backend answered with status 404",
      type: "invalid_request_error",
      param: null,
      code: null
    })
    expect(errorOf(400, "").message).toBe("The backend answered with status 400")
  })
})
