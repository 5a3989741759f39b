/**
 * Errors as OpenAI writes them: a failure of the gateway, and the error body of a backend made readable. What has OpenAI's
 * shape stays as it is, the rest gets its envelope and, where type or text says so, the codes that agents look for.
 */
import * as Predicate from "effect/Predicate"
import { isContextOverflow } from "../domain/context-overflow.ts"
import { shortened, readErrorText } from "../domain/error-text.ts"
import type { Documented } from "./Dialect.ts"
import type { Failure } from "./failures.ts"

const types = {
  request: "invalid_request_error",
  key: "authentication_error",
  rate: "rate_limit_error",
  quota: "insufficient_quota",
  server: "server_error"
} as const

/** The type of a failure, in OpenAI's words. */
export const typeOf = ({ fault }: Pick<Failure, "fault">): string => types[fault]

/** The JSON text of a failure. */
export const errorBody = (failure: Failure): string => {
  const { message, param, code } = failure
  return JSON.stringify({ error: { message, type: typeOf(failure), param, code } })
}

const decoder = new TextDecoder()
const encoder = new TextEncoder()

const text = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined)

type Fields = Readonly<Record<string, unknown>>

/** What an error says in fields, and what stands beside it. */
interface Found {
  readonly fields: Fields
  readonly beside: Fields
}

const nothing: Fields = {}

/** The error inside a body: under `error`, as `error` text, first of a list, or flat as SGLang and FastAPI write it. */
const errorIn = (json: unknown): Found => {
  if (Array.isArray(json)) {
    const { fields, beside } = errorIn(json.find(Predicate.isObject))
    return { fields, beside: json.length < 2 ? beside : { ...beside, errors: json } }
  }
  if (!Predicate.isObject(json)) return { fields: nothing, beside: nothing }
  const { error, ...beside } = json
  if (Predicate.isObject(error)) return { fields: error, beside }
  if (typeof error === "string" && !("message" in json)) return { fields: { message: error }, beside }
  return { fields: json, beside: nothing }
}

const modelWords =
  /model .*(not found|does not exist|not exist)|no such model|try pulling it first|no instance found for model|^model: \S+$/i

/** The code of an error, as OpenAI spells it; null when nothing says. */
const codeOf = (status: number, type: string, message: string): string | null => {
  if (isContextOverflow(status, type, message)) return "context_length_exceeded"
  if ((status === 404 || status === 400) && modelWords.test(message)) return "model_not_found"
  return null
}

const passedTypeOf = (status: number, type: string | undefined): string => {
  if (type !== undefined && /^[a-z_]+_error$/.test(type) && type !== "exceed_context_size_error") return type
  if (status === 401) return "authentication_error"
  if (status === 403) return "permission_error"
  if (status === 429) return "rate_limit_error"
  return status < 500 ? "invalid_request_error" : "server_error"
}

/** Whether a parsed error is written as OpenAI writes it. */
const isOpenAi = (json: unknown): boolean => {
  if (!Predicate.isObject(json) || !Predicate.isObject(json["error"])) return false
  const { message, code, param, type } = json["error"]
  const orNull = (value: unknown): boolean => typeof value === "string" || value === null
  return typeof message === "string" && message !== "" && typeof type === "string" && orNull(code) && orNull(param)
}

// Bodies up to this size are kept whole; of larger ones the sentence and the small fields.
const wholeBytes = 64 * 1024
const longestSentence = 4000
const smallField = 1000

const given = (value: unknown): boolean => value !== undefined && value !== null && value !== ""

const small = (fields: Fields): Fields =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => (JSON.stringify(value)?.length ?? 0) <= smallField))

/**
 * The body to send for a backend's error status. A body that has OpenAI's shape is returned itself, except that a null
 * code is filled in where type or text names the cause. Any other gets what that shape lacks and keeps all it has; what
 * had to be said otherwise stands under `original`.
 */
export const openAiErrorBody = (status: number, body: Uint8Array): Uint8Array => {
  const whole = body.byteLength <= wholeBytes
  const told = decoder.decode(body)
  const { json, sentence } = readErrorText(told)
  const { fields, beside } = errorIn(json)
  const unsaid = `The backend answered with status ${status}`
  const page = json === undefined && told.trimStart().startsWith("<") && sentence !== undefined
  const said = text(fields["message"]) ?? (page ? `${unsaid}: ${sentence}` : sentence) ?? unsaid
  const type = text(fields["type"])
  const cause = codeOf(status, type ?? "", said)
  const code = text(fields["code"])
  if (whole && isOpenAi(json) && (cause === null || code !== undefined)) return body
  const shape = {
    message: whole ? said : shortened(said, longestSentence),
    type: passedTypeOf(status, type),
    param: text(fields["param"]) ?? null,
    code: cause ?? code ?? null
  }
  const kept = whole ? fields : small(fields)
  const original = Object.entries(shape).flatMap(([name, value]) => {
    const before = kept[name]
    return given(before) && before !== value && !(name === "message" && !whole) ? [[name, before]] : []
  })
  const error = {
    ...shape,
    ...kept,
    ...shape,
    ...(original.length === 0 ? {} : { original: Object.fromEntries(original) })
  }
  return encoder.encode(JSON.stringify({ error, ...(whole ? beside : small(beside)) }))
}

/** The JSON schema of a failure: what a backend refuses keeps all that it says beside the fields of OpenAI. */
export const openAiFailure: Documented["failure"] = {
  type: "object",
  description: "A failure in OpenAI's shape; one that a backend told may say more",
  properties: {
    error: {
      type: "object",
      properties: {
        message: { type: "string" },
        type: { type: "string" },
        param: { type: ["string", "null"] },
        code: { type: ["string", "null"] }
      },
      required: ["message", "type", "param", "code"]
    }
  },
  required: ["error"]
}
