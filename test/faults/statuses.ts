/**
 * Error statuses of a backend: whose mistake they are, and who is told.
 */
import { head, json, llamacppTooLong, whole } from "../kit/answers.ts"
import type { Step } from "../kit/rawServer.ts"
import { badGateway, type Fault, refused } from "./fault.ts"

const openai = (message: string, type = "invalid_request_error", code: string | null = null) => ({
  error: { message, type, param: null, code }
})

/** The client's own mistake: passed on, asked nobody else, held against nobody. */
const theirs = (
  name: string,
  status: number,
  body: unknown,
  seen: { readonly code?: string | null; readonly message?: string }
): Fault => ({
  name,
  steps: () => [json(body, status)],
  alone: refused(status, seen.code, seen.message),
  failover: false,
  blame: "nothing"
})

/** The backend has no such model, though it listed it: another one may have it. */
const notThere: typeof theirs = (...row) => ({ ...theirs(...row), failover: true })

/** The backend's failure. */
const failing = (
  name: string,
  steps: () => Iterable<Step>,
  alone: Fault["alone"],
  more: Partial<Fault> = {}
): Fault => ({
  name,
  steps,
  alone,
  failover: true,
  again: true,
  blame: "counted",
  ...more
})

const status = (code: number, alone: Fault["alone"], more: Partial<Fault> = {}): Fault =>
  failing(`${code} comes`, () => [json(openai("backend says no", "server_error"), code)], alone, more)

const unavailable = refused(503, "service_unavailable", "model 'm'")

const html = "<html><head><title>503 Service Unavailable</title></head><body>nginx at 10.1.2.3</body></html>"

const noHtml: Fault["headers"] = (header) => {
  if (header("content-type") !== "application/json") throw new Error("an error must be JSON")
}

/** A 429, for how long (in seconds) its backend is left alone, and the wait the client must be told. */
const limited = (
  name: string,
  headers: () => ReadonlyArray<string>,
  cools: number | undefined,
  seconds: (value: number) => boolean
): Fault => ({
  ...(cools === undefined ? {} : { cools }),
  name: `429 comes with ${name}`,
  steps: () => [json(openai("slow down", "rate_limit_error"), 429, headers())],
  alone: refused(429, null, "slow down"),
  failover: true,
  blame: "cooled",
  headers: (header) => {
    const value = header("retry-after")
    if (value !== undefined && !/^\d+$/.test(value)) throw new Error(`retry-after must be whole seconds: ${value}`)
    if (value !== undefined && !seconds(Number(value))) throw new Error(`retry-after is ${value}`)
    if (value === undefined && !seconds(Number.NaN)) throw new Error("retry-after is missing")
  }
})

/** A date as a server says it whose clock is so many hours from ours. */
const inSeconds =
  (seconds: number, hoursOff = 0) =>
  (): ReadonlyArray<string> => {
    const now = Date.now() + hoursOff * 3_600_000
    return [`Date: ${new Date(now).toUTCString()}`, `Retry-After: ${new Date(now + seconds * 1000).toUTCString()}`]
  }

const anyWait = (value: number): boolean => Number.isNaN(value) || (value >= 1 && value <= 60)

/** The client is asked to wait that long or somewhat longer, so that not all of them come back at once. */
const spread =
  (least: number, most = least + Math.max(2, Math.ceil(least / 2))) =>
  (value: number): boolean =>
    value >= least && value <= most

const redirect = (code: number): Fault =>
  failing(
    `a redirect with ${code} comes`,
    () => [head(code, ["Location: /v1/elsewhere", "Content-Length: 0"])],
    badGateway
  )

/** The rows. */
export const statuses: ReadonlyArray<Fault> = [
  theirs("400 comes in OpenAI's shape", 400, openai("bad temperature"), { code: null, message: "bad temperature" }),
  notThere("404 comes", 404, openai("The model `m` does not exist.", "NotFoundError"), { code: "model_not_found" }),
  theirs("404 comes for something else", 404, openai("no such file", "NotFoundError"), { message: "no such file" }),
  theirs("413 comes", 413, openai("too large"), { message: "too large" }),
  theirs("422 comes", 422, openai("unprocessable"), { message: "unprocessable" }),
  theirs(
    "501 comes",
    501,
    { error: { code: 501, message: "no embeddings here", type: "not_supported_error" } },
    {
      message: "no embeddings here"
    }
  ),
  theirs(
    "a numeric code comes",
    400,
    { error: { code: 400, message: "Field 'n' is wrong", type: "invalid_request_error" } },
    { message: "Field 'n' is wrong" }
  ),
  theirs(
    "a flat error without an envelope comes",
    400,
    { object: "error", message: "top_p must be in (0, 1]", type: "BadRequestError", param: null, code: 400 },
    { message: "top_p must be in (0, 1]" }
  ),
  theirs("an error that is a text comes", 400, { error: "invalid option" }, { message: "invalid option" }),
  theirs("a validation detail comes", 422, { detail: "field required" }, { message: "field required" }),
  theirs("llama-server's context is too short", 400, llamacppTooLong, {
    code: "context_length_exceeded",
    message: "6007 tokens"
  }),
  theirs(
    "vLLM's context is too short",
    400,
    {
      error: {
        message: "This model's maximum context length is 16384 tokens. However, …",
        type: "BadRequestError",
        param: null,
        code: 400
      }
    },
    { code: "context_length_exceeded" }
  ),
  notThere(
    "Ollama does not have the model",
    404,
    {
      error: { message: 'model "m" not found, try pulling it first', type: "not_found_error", param: null, code: null }
    },
    { code: "model_not_found" }
  ),
  theirs(
    "llama-server blames itself for an image it cannot see",
    500,
    { error: { code: 500, message: "image input is not supported - hint: provide the mmproj", type: "server_error" } },
    { message: "image input is not supported" }
  ),
  status(408, badGateway, { blame: "nothing" }),
  status(500, refused(502, "bad_gateway", "backend says no")),
  status(502, badGateway),
  status(503, unavailable),
  status(504, refused(504, "gateway_timeout")),
  status(529, unavailable),
  failing("500 comes with an empty body", () => [whole(500, "")], badGateway),
  failing("an HTML page comes with 502", () => [whole(502, html, "text/html")], badGateway, { headers: noHtml }),
  failing("an HTML page comes with 503", () => [whole(503, html, "text/html")], unavailable, { headers: noHtml }),
  failing(
    "a model is being loaded",
    () => [json({ error: { message: "Loading model", type: "unavailable_error", code: 503 } }, 503)],
    unavailable,
    {
      headers: (header) => {
        if (!(Number(header("retry-after")) >= 1)) throw new Error("503 must say when to come back")
      }
    }
  ),
  failing(
    "503 asks for a pause",
    () => [json(openai("later", "server_error"), 503, ["Retry-After: 17"])],
    unavailable,
    {
      again: false,
      blame: "both",
      cools: 17,
      headers: (header) => {
        if (!spread(17)(Number(header("retry-after")))) throw new Error(`retry-after is ${header("retry-after")}`)
      }
    }
  ),
  redirect(301),
  redirect(302),
  redirect(307),
  redirect(308),
  {
    name: "401 comes for our own key",
    steps: () => [json(openai("Incorrect API key provided: sk-inner", "authentication_error", "invalid_api_key"), 401)],
    alone: refused(502),
    failover: true,
    blame: "counted",
    headers: noHtml
  },
  {
    name: "401 comes and does not say why",
    steps: () => [json(openai("unauthorized", "api_error"), 401)],
    alone: refused(401, null, "unauthorized"),
    failover: true,
    blame: "nothing"
  },
  {
    name: "403 comes with a page of a proxy",
    steps: () => [whole(403, html, "text/html")],
    alone: refused(403),
    failover: true,
    blame: "nothing",
    headers: noHtml
  },
  theirs("403 comes for the words of this request", 403, openai("flagged by moderation", "permission_error"), {
    message: "flagged by moderation"
  }),
  {
    name: "401 comes for the client's own key",
    backend: { forward_authorization: true },
    steps: () => [json(openai("Incorrect API key", "invalid_request_error", "invalid_api_key"), 401)],
    alone: refused(401, "invalid_api_key", "Incorrect API key"),
    failover: false,
    blame: "nothing"
  },
  limited("seconds", () => ["Retry-After: 7"], 7, spread(7)),
  limited("a date", inSeconds(45), 45, spread(45, 60)),
  limited("a date of a clock two days behind", inSeconds(45, -48), 45, spread(45, 60)),
  limited("a date of a clock a year ahead", inSeconds(45, 8760), 45, spread(45, 60)),
  limited("a date in the past", inSeconds(-600), 1, anyWait),
  limited("zero seconds", () => ["Retry-After: 0"], 1, anyWait),
  limited("negative seconds", () => ["Retry-After: -5"], 1, anyWait),
  limited("a billion seconds", () => ["Retry-After: 1000000000"], 300, spread(50, 60)),
  limited("no number", () => ["Retry-After: soon"], 1, anyWait),
  limited("milliseconds", () => ["Retry-After-Ms: 2500"], 2.5, spread(3)),
  limited("the reset of a quota", () => ["X-Ratelimit-Reset-Requests: 12s"], 12, anyWait),
  limited("no wait", () => [], 1, anyWait)
]
