/**
 * Every failure once, as an example, with the words that tell when it comes.
 */
import { Dialects } from "../dialect/all.ts"
import {
  BackendNotFound,
  BadGateway,
  BadRequest,
  BudgetExceeded,
  Cancelled,
  ConfigRefused,
  Conflict,
  Forbidden,
  type GatewayError,
  GatewayTimeout,
  HookUnavailable,
  Internal,
  IssuerUnavailable,
  LoopDetected,
  ModelActionFailed,
  MethodNotAllowed,
  NotImplemented,
  ContextLengthExceeded,
  ModelCapabilityMismatch,
  ModelNotAllowed,
  ModelNotFound,
  NotFound,
  OutOfFiles,
  RateLimited,
  Overloaded,
  PayloadTooLarge,
  PolicyBlocked,
  RequestNotKept,
  RequestNotUnderWay,
  RequestTimeout,
  ServiceUnavailable,
  ZoneNotAllowed,
  Stopping,
  Unauthorized,
  UnsupportedMediaType,
  UriTooLong
} from "../domain/errors.ts"

/** The tag of a failure. */
export type ErrorTag = GatewayError["_tag"]

/** One failure of a kind, and when that kind comes. */
interface Example<T extends ErrorTag> {
  readonly when: string
  readonly error: Extract<GatewayError, { _tag: T }>
}

const id = "68e95496-5d54-4ec4-b0e0-b39928b055ac"
const model = "llama3:70b"
const failures = [{ backend: "local", model, reason: "connection refused" }]

/** An example of each failure, by tag. */
export const errorExamples: { readonly [T in ErrorTag]: Example<T> } = {
  BadRequest: {
    when: "The request is not what the endpoint takes",
    error: new BadRequest({ message: "The field 'model' is missing; the name of a model is expected", param: "model" })
  },
  Unauthorized: {
    when: "The gateway has keys, and the request none of them",
    error: new Unauthorized({ message: "The API key is not known" })
  },
  IssuerUnavailable: {
    when: "The token is of an issuer that cannot be reached, and whose keys are not known from before",
    error: new IssuerUnavailable({
      message: "Tokens of issuer 'corp' cannot be checked now: it has told no keys yet, or not for too long",
      retryAfterSeconds: 10
    })
  },
  Forbidden: {
    when: "The Host, or the browser page that asks, is not one that is let in; or the key is not for what is asked",
    error: new Forbidden({ message: "Without [auth] keys, administration is for this machine alone" })
  },
  ModelNotAllowed: {
    when: "The key is for other models, or for other backends than those that have the model",
    error: new ModelNotAllowed({ model: "gpt-9", by: "models", available: [model] })
  },
  ModelNotFound: {
    when: "No backend has ever listed the model",
    error: new ModelNotFound({ model: "gpt-9", available: [model] })
  },
  ModelCapabilityMismatch: {
    when: "No backend of the model can do what the request asks for",
    error: new ModelCapabilityMismatch({ model, missing: "vision", param: "messages" })
  },
  ContextLengthExceeded: {
    when: "The prompt is longer than the context of every backend of the model, however its tokens are counted",
    error: new ContextLengthExceeded({ model, has: 8192, needs: 11_000, param: "messages" })
  },
  ZoneNotAllowed: {
    when: "All backends that have the model are in zones that the request may not go to",
    error: new ZoneNotAllowed({
      model,
      reasons: [{ backend: "far", model, reason: "is in zone cloud, and the key 'team' allows local, lan" }]
    })
  },
  ServiceUnavailable: {
    when: "The model is known, and no backend that serves it is healthy",
    error: new ServiceUnavailable({ model, reasons: failures, retryAfterSeconds: 5 })
  },
  PolicyBlocked: {
    when: "A hook of `[[hooks]]` blocks a request or its answer, or has to see something of it that it cannot be shown",
    error: new PolicyBlocked({ hook: "pii", phase: "request", reason: "it names a customer" })
  },
  HookUnavailable: {
    when: 'A hook with `on_error = "block"` does not answer, or says nothing that is understood',
    error: new HookUnavailable({ hook: "pii", retryAfterSeconds: 5 })
  },
  BudgetExceeded: {
    when: "A budget of `[[budgets]]` has no room for the request",
    error: new BudgetExceeded({
      budget: "team",
      message:
        "The budget 'team' has no room for this request: $99.98 of $100.00 are spent this month; it begins anew at 2026-12-01T00:00Z",
      retryAfterSeconds: 86_400
    })
  },
  Overloaded: {
    when: "The gateway, or every backend of the model, has all it can take",
    error: new Overloaded({
      message: `Every backend for model '${model}' has all it can take; try again in 1 s`,
      retryAfterSeconds: 1
    })
  },
  RateLimited: {
    when: "A limit of the key, its owner or the model is reached",
    error: new RateLimited({
      message: "Rate limit reached for the key 'laptop': 60 requests per minute. Please try again in 1s",
      retryAfterSeconds: 1,
      left: { at: 0, requests: { limit: 60, left: 0, resetMs: 59_000 } }
    })
  },
  OutOfFiles: {
    when: "The gateway is at its limit of open files",
    error: new OutOfFiles({ retryAfterSeconds: 1 })
  },
  Stopping: { when: "The gateway is stopping", error: new Stopping({ retryAfterSeconds: 5 }) },
  Cancelled: { when: "An administrator has cancelled the request", error: new Cancelled({}) },
  BadGateway: {
    when: "Every backend that was asked failed",
    error: new BadGateway({ model, failures: [{ backend: "local", model, reason: "answered with an HTML page" }] })
  },
  LoopDetected: {
    when: "The request has passed more than 5 gateways, as it does when one is a backend of itself",
    error: new LoopDetected({ hops: 6 })
  },
  GatewayTimeout: {
    when: "A time limit for the backend or for the whole request ran out",
    error: new GatewayTimeout({
      message: "No answer began within first_byte_timeout_seconds (300 s)",
      limit: "first_byte"
    })
  },
  RequestTimeout: {
    when: "The client took too long to send the request",
    error: new RequestTimeout({ message: "The request body did not arrive within upload_timeout_seconds (60 s)" })
  },
  PayloadTooLarge: { when: "The body is too large", error: new PayloadTooLarge({ limitBytes: 52_428_800 }) },
  UriTooLong: { when: "The URL is too long", error: new UriTooLong({ limit: 8192 }) },
  UnsupportedMediaType: {
    when: "The body is compressed",
    error: new UnsupportedMediaType({ message: "Request bodies must not be compressed (content-encoding: gzip)" })
  },
  NotFound: { when: "There is nothing at the path", error: new NotFound({ method: "GET", path: "/chat" }) },
  RequestNotKept: {
    when: "The request is not remembered, or not any more",
    error: new RequestNotKept({ id, kept: 512 })
  },
  RequestNotUnderWay: {
    when: "No request of that id is under way",
    error: new RequestNotUnderWay({ id })
  },
  MethodNotAllowed: {
    when: "The path takes other methods",
    error: new MethodNotAllowed({
      method: "GET",
      path: Dialects.defaultValue()[0].operations[0].path,
      allowed: ["POST"]
    })
  },
  BackendNotFound: {
    when: "There is no backend of the name",
    error: new BackendNotFound({ name: "cloud", known: ["local"] })
  },
  Conflict: {
    when: "It goes against what is there",
    error: new Conflict({ message: "There is a backend 'local' already; remove it first, or choose another name" })
  },
  ConfigRefused: {
    when: "The config has mistakes; nothing is changed",
    error: new ConfigRefused({ message: "nexus.toml:3: server.port: expected a whole number from 0 to 65535" })
  },
  NotImplemented: {
    when: "What is asked for cannot be translated, and no backend that has the model speaks of it itself",
    error: new NotImplemented({ operation: "responses/compact", model: "llama3:70b" })
  },
  ModelActionFailed: {
    when: "A backend did not load, unload or pull a model: it has no room (507), has no such model (404), cannot (501), or fails (502)",
    error: new ModelActionFailed({
      action: "load",
      backend: "local",
      model,
      fault: "room",
      reason: "model requires more system memory (40.1 GiB) than is available (12.3 GiB)"
    })
  },
  Internal: { when: "The gateway itself failed", error: new Internal({ requestId: id }) }
}
