/**
 * A dialect that is nothing like OpenAI's: texts in place of JSON, lines in place of events.
 *
 * A request is `model: NAME`, perhaps `stream: yes`, `tools: yes` and `room: N`, a blank line and the words. A whole answer
 * is `by NAME`, the words, and `took P+C`. A stream is lines: `+` and a word, `~` for nothing, `took P+C`, `!` and a
 * failure, and at the end a line of a dot.
 */
import { Result } from "effect"
import { BadRequest } from "../../../src/domain/errors.ts"
import { BadAnswer, ErrorStatus } from "../../../src/domain/upstream-errors.ts"
import type { Dialect, Operation, ReadRequest, AnswerIdentity, WholeAnswer } from "../../../src/dialect/Dialect.ts"
import { unknownIdentity } from "../../../src/dialect/Dialect.ts"
import type { DialectPage } from "../../../src/dialect/pages.ts"
import { ToyWatch, usageIn } from "./toy-watch.ts"

const decoder = new TextDecoder()
const encoder = new TextEncoder()

const textOf = (bytes: Uint8Array): string => decoder.decode(bytes)

const asked = {
  name: "toy/say",
  fields: { text: "words", vision: "words", tools: "tools", json_mode: "words", embeddings: "model" }
}

const fieldOf = (head: string, name: string): string | undefined =>
  new RegExp(`^${name}: (.*)$`, "m").exec(head)?.[1]?.trim()

const needs = (body: Uint8Array): Result.Result<ReadRequest, BadRequest> => {
  const [head = "", words = ""] = textOf(body).split("\n\n")
  const model = fieldOf(head, "model")
  if (model === undefined) return Result.fail(new BadRequest({ message: "Say which model", param: "model" }))
  const promptTokens = Math.floor(words.length / 4)
  return Result.succeed({
    needs: {
      operation: asked,
      model,
      stream: fieldOf(head, "stream") === "yes",
      abilities: fieldOf(head, "tools") === "yes" ? ["tools"] : [],
      promptTokens,
      atLeastTokens: promptTokens,
      outputTokens: Number(fieldOf(head, "room") ?? 0)
    },
    model: undefined
  })
}

const saidIn = (bytes: Uint8Array): AnswerIdentity => {
  const model = /^by (.*)$/m.exec(textOf(bytes))?.[1]
  return model === undefined ? unknownIdentity : { model, fingerprint: undefined }
}

const whole = (body: Uint8Array): Result.Result<WholeAnswer, BadAnswer | ErrorStatus> => {
  const text = textOf(body)
  if (text.startsWith("by ")) return Result.succeed({ said: saidIn(body), usage: usageIn(text) })
  return Result.fail(new BadAnswer({ reason: "words by nobody", body }))
}

const say: Operation = { ...asked, path: "/toy/say", generates: true, needs, whole }

const failureOf = (line: string): BadAnswer | ErrorStatus => {
  const [, status, message = ""] = /^!(\d{3})? ?(.*)$/m.exec(line) ?? []
  const body = encoder.encode(message)
  return status === undefined
    ? new BadAnswer({ reason: "a failure in place of words", body })
    : new ErrorStatus({
        status: Number(status),
        contentType: "text/x-toy",
        body,
        retryAfterMs: undefined,
        underGood: true
      })
}

const lines = (body: string) => Result.succeed({ status: 200, type: "text/x-toy", body })

const pages: ReadonlyArray<DialectPage> = [
  {
    method: "GET",
    path: "/toy/models",
    answer: (models) =>
      lines(
        models
          .all()
          .map(({ id }) => `${id}\n`)
          .join("")
      )
  },
  {
    method: "GET",
    path: "/toy/models/{model}",
    answer: (models, { model, query }) =>
      Result.map(models.find(model), ({ id, loaded }) => ({
        status: 203,
        type: "text/x-toy",
        body: `${id} ${query.get("as")} ${loaded ? "ready" : "asleep"}`
      }))
  },
  { method: "POST", path: "/toy/ask", answer: (models, { body }) => lines(`${models.all().length} ${textOf(body)}`) },
  { method: "GET", path: "/", shared: true, answer: () => lines("a toy") }
]

/** The dialect. */
export const toy: Dialect = {
  id: "toy",
  operations: [say],
  hint: "The toy is at /toy/say",
  canonicalPath: (method, path) => (method === "POST" && path === "/toy/speak" ? "/toy/say" : path),
  suggestedPath: (path) => (path.startsWith("/toy") ? "It is said at /toy/say" : undefined),
  headers: { asked: ["x-toy-mood"], answered: ["x-toy-weather"] },
  withModel: (body, model) => [encoder.encode(textOf(body).replace(/^model: .*$/m, `model: ${model}`))],
  types: { request: "text/x-toy", whole: "text/x-toy", stream: "text/x-toy-lines" },
  kindOf: (bytes) => {
    const first = textOf(bytes.subarray(0, 1))
    if (first === "") return "untold"
    return "+~!.t".includes(first) ? "events" : "document"
  },
  said: saidIn,
  watch: () => new ToyWatch(),
  faultOf: (bytes) => failureOf(textOf(bytes)),
  keepAlive: encoder.encode("~\n"),
  brokenBody: "cut",
  redacted: (lines, redact) => lines.replace(/^!.*$/gm, (line) => redact(line)),
  errorBody: ({ code, message }) => `oops ${code}: ${message}`,
  speaksTo: (headers) => headers.has("x-toy-mood"),
  pages,
  passedError: (status, body) => encoder.encode(`oops ${status}: ${textOf(body)}`)
}
