/**
 * The error body of a backend as an OpenAI client can read it: what has OpenAI's shape stays as it is, the rest gets its
 * envelope and, where type or text says so, the codes that agents look for.
 */
import { Predicate } from "effect"

const decoder = new TextDecoder()
const encoder = new TextEncoder()

const parse = (body: Uint8Array): unknown => {
  try {
    return JSON.parse(decoder.decode(body))
  } catch {
    return undefined
  }
}

const text = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined)

/** The error object inside a body: under `error`, as `error` text, or flat as SGLang and old vLLM write it. */
const errorIn = (json: unknown): Record<PropertyKey, unknown> | undefined => {
  if (!Predicate.isObject(json)) return undefined
  const { error } = json
  if (Predicate.isObject(error)) return error
  if (typeof error === "string") return { message: error }
  return typeof json["message"] === "string"
    ? json
    : typeof json["detail"] === "string"
      ? { message: json["detail"] }
      : undefined
}

const contextWords =
  /exceed_context_size|context_length_exceeded|maximum context length|exceeds the available context|context (size|length|window).*(exceed|too)|(exceed|too long).*context|input length .*exceeds/i
const modelWords =
  /model .*(not found|does not exist|not exist)|no such model|try pulling it first|no instance found for model/i

/** The code of an error, as OpenAI spells it; null when nothing says. */
const codeOf = (status: number, type: string, message: string): string | null => {
  if (contextWords.test(type) || (status < 500 && contextWords.test(message))) return "context_length_exceeded"
  if ((status === 404 || status === 400) && modelWords.test(message)) return "model_not_found"
  return null
}

const typeOf = (status: number, type: string | undefined): string => {
  if (type !== undefined && /^[a-z_]+_error$/.test(type) && type !== "exceed_context_size_error") return type
  if (status === 401) return "authentication_error"
  if (status === 403) return "permission_error"
  if (status === 429) return "rate_limit_error"
  return status < 500 ? "invalid_request_error" : "server_error"
}

/** Whether a parsed error is written as OpenAI writes it. */
const isOpenAi = (json: unknown): boolean => {
  if (!Predicate.isObject(json) || !Predicate.isObject(json["error"])) return false
  const { message, code, type } = json["error"]
  return typeof message === "string" && typeof type === "string" && (typeof code === "string" || code === null)
}

/** The words of a backend's error, for logs and for its envelope; undefined when it says nothing readable. */
export const messageOf = (body: Uint8Array): string | undefined =>
  text(errorIn(parse(body))?.["message"])?.slice(0, 4000)

/**
 * The body to send for a backend's error status. A body that has OpenAI's shape is returned itself, except that a null
 * code is filled in where type or text names the cause.
 */
export const openAiErrorBody = (status: number, body: Uint8Array): Uint8Array => {
  const json = parse(body)
  const error = errorIn(json)
  const message = text(error?.["message"]) ?? `The backend answered with status ${status}`
  const type = text(error?.["type"])
  const code = codeOf(status, type ?? "", message)
  if (isOpenAi(json) && (code === null || typeof error?.["code"] === "string")) return body
  const param = text(error?.["param"]) ?? null
  const given = text(error?.["code"]) ?? null
  return encoder.encode(JSON.stringify({ error: { message, type: typeOf(status, type), param, code: code ?? given } }))
}
