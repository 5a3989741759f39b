/**
 * The smallest requests that show whether a backend really answers: a handful of tokens each.
 */
import * as Effect from "effect/Effect"
import { jsonAt, parseBoundedJson } from "../domain/bounded-json.ts"
import { kindNamed } from "../backend/all.ts"
import { type Backend, isOriginal } from "../backend/backend.ts"
import type { Model } from "../domain/server.ts"
import { printable } from "../domain/printable.ts"
import type { UpstreamError } from "../domain/upstream-errors.ts"
import { isAddressMissing } from "../domain/not-found.ts"
import { reachOf } from "../upstream/perimeter.ts"
import { Abort } from "../wire/abort.ts"
import { bodyFor, callHeaders, prepareBackend, urlFor } from "../upstream/endpoint.ts"
import { addressFor } from "../dialect/routes.ts"
import type { Dialect, TrialResult, ServerTrial, TrialName } from "../dialect/Dialect.ts"
import type { Transport } from "../upstream/Transport.ts"
import { error, type Finding, info, ok, warning } from "./finding.ts"

/** An answer with the times of its pieces, in milliseconds since it was asked for. */
interface Heard {
  readonly status: number
  readonly contentType: string
  readonly text: string
  readonly firstMs: number
  readonly lastMs: number
}

/** Answers larger than this are cut, in bytes. */
const maxBytes = 256 * 1024

const encoder = new TextEncoder()

const say = (
  transport: Transport["Service"],
  backend: Backend,
  url: string,
  body: Uint8Array,
  timeoutMs: number
): Effect.Effect<Heard, UpstreamError | "timeout"> =>
  Effect.callback<Heard, UpstreamError>((resume) => {
    const began = performance.now()
    const abort = new Abort()
    const decoder = new TextDecoder()
    let size = 0
    let text = ""
    let firstMs = 0
    let lastMs = 0
    const prepared = prepareBackend(backend)
    transport
      .send({
        url,
        trust: prepared.trust,
        reach: reachOf(backend),
        fixed: prepared.headers,
        headers: callHeaders(backend, new Headers(), crypto.randomUUID()),
        body,
        abort,
        fresh: true
      })
      .then(
        (arrival) =>
          arrival.body.start({
            piece: (piece) => {
              lastMs = performance.now() - began
              if (size === 0) firstMs = lastMs
              size += piece.byteLength
              if (size <= maxBytes) text += decoder.decode(piece, { stream: true })
            },
            end: () =>
              resume(
                Effect.succeed({
                  status: arrival.status,
                  contentType: arrival.header("content-type") ?? "",
                  text,
                  firstMs,
                  lastMs
                })
              ),
            fail: (failure) => resume(Effect.fail(failure))
          }),
        (failure: UpstreamError) => resume(Effect.fail(failure))
      )
    return Effect.sync(() => abort.abort(new Error("no longer wanted")))
  }).pipe(Effect.timeoutOrElse({ duration: timeoutMs, orElse: () => Effect.fail("timeout" as const) }))

/** What a server says of a failure, short and safe to show. */
const wordsOf = ({ status, text }: Heard): string => {
  const json = parseBoundedJson(text)
  const said =
    jsonAt(json, "error", "message") ?? jsonAt(json, "error") ?? jsonAt(json, "message") ?? jsonAt(json, "detail")
  const words = typeof said === "string" ? `: ${printable(said.slice(0, 200))}` : ""
  return `status ${status}${words}`
}

const seconds = (ms: number): string => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`)

const failed = (check: string, why: UpstreamError | "timeout", timeoutMs: number): Finding => {
  if (why === "timeout") {
    const fix = "load the model beforehand, or give it time: first_byte_timeout_seconds in its [[backends]] entry"
    return error(check, `no answer within ${seconds(timeoutMs)}`, fix)
  }
  return error(check, "reason" in why ? why.reason : "no answer in time")
}

/** The means of one backend's questions. */
export interface InferenceTarget {
  readonly dialect: Dialect
  /** What is tried in that dialect. */
  readonly trials: Readonly<Record<TrialName, ServerTrial>>
  readonly transport: Transport["Service"]
  readonly backend: Backend
  readonly model: Model
  readonly timeoutMs: number
}

const pathOf = ({ dialect, trials }: InferenceTarget, name: TrialName): string => {
  const { path } = dialect.operations.find((each) => each.name === trials[name].endpoint) ?? dialect.operations[0]
  return path
}

const addressOf = (target: InferenceTarget, name: TrialName): string => {
  const { backend, model } = target
  return addressFor(urlFor(prepareBackend(backend), backend, pathOf(target, name), undefined), model.id)
}

const ask = (
  target: InferenceTarget,
  name: TrialName,
  judge: (heard: Heard, shown: TrialResult) => Finding
): Effect.Effect<Finding> => {
  const { backend, model, timeoutMs, transport, trials } = target
  const { body, shows } = trials[name]
  const asked = encoder.encode(JSON.stringify(body(model.id, isOriginal(backend))))
  const told = bodyFor(backend, pathOf(target, name), asked)
  return say(transport, backend, addressOf(target, name), told, timeoutMs).pipe(
    Effect.map((heard) => judge(heard, shows(heard.text))),
    Effect.catch((why) => Effect.succeed(failed(name, why, timeoutMs)))
  )
}

/** The same, with the address where there is nothing at it. */
const told = (heard: Heard, target: InferenceTarget): string => {
  const url = addressOf(target, "chat").replace(/\?.*/, "")
  return isAddressMissing(heard.status, heard.text) ? `${url} answers ${wordsOf(heard)}` : wordsOf(heard)
}

const adviceFor = ({ status, text }: Heard, { backend: { type }, model }: InferenceTarget): string => {
  const { logs = "the output of the server", missing } = kindNamed(type).advice
  if (isAddressMissing(status, text)) return "the base URL that its provider gives for OpenAI's clients, in url"
  if (status === 401 || status === 403) return "a key that may use this model, where api_key_env or api_key_file points"
  if (status === 404 && missing !== undefined) return missing(model.id)
  if (status === 429) return "wait, or raise the limit of this key with its provider"
  if (status < 500) return "look at what the server says against the request; it may not be a model for chats"
  return `look at ${logs}; often the memory is too small for the model`
}

/** One token of a chat answer. */
export const checkChat = (target: InferenceTarget): Effect.Effect<Finding> => {
  const { model } = target
  return ask(target, "chat", (heard, { good, note }) => {
    if (heard.status >= 300) return error("chat", `${model.id}: ${told(heard, target)}`, adviceFor(heard, target))
    return good ? ok("chat", `${model.id} answers in ${seconds(heard.lastMs)}`) : error("chat", `${model.id}: ${note}`)
  })
}

/** Shortest wait and longest spread, in ms, that speak of an answer held back somewhere, and the events it needs. */
const buffered = { waitMs: 150, spreadMs: 5, events: 4 } as const

const bufferedAdvice =
  "if there is a proxy, switch its buffering off (nginx: proxy_buffering off;); if there is none, see whether the server can stream"

/** A few tokens of a streamed chat answer: whether they come one by one. */
export const checkStream = (target: InferenceTarget): Effect.Effect<Finding> =>
  ask(target, "stream", (heard, { good, note, pieces }) => {
    if (heard.status >= 300) return error("stream", wordsOf(heard))
    if (target.dialect.kindOf(encoder.encode(heard.text)) !== "events") {
      return error("stream", `asked for a stream it answers ${heard.contentType || "without a content type"}`)
    }
    if (!good) return error("stream", note)
    const spread = heard.lastMs - heard.firstMs
    if (heard.firstMs >= buffered.waitMs && spread <= buffered.spreadMs && pieces >= buffered.events) {
      const seen = `all ${note} came at once after ${seconds(heard.firstMs)}: the server made them all before it sent any, or a proxy before it holds them back`
      return warning("stream", seen, bufferedAdvice)
    }
    return ok("stream", `${note}, the first after ${seconds(heard.firstMs)}`)
  })

const override = (model: Model, key: string): string => `[[backends.models]] id = "${model.id}", ${key} = false`

/** A round with a tool: whether it is called. */
export const checkTools = (target: InferenceTarget): Effect.Effect<Finding> => {
  const { model } = target
  const said = model.capabilities.tools
  return ask(target, "tools", (heard, { good }) => {
    if (heard.status >= 300) return warning("tools", `requests with tools: ${wordsOf(heard)}`, override(model, "tools"))
    if (good) return ok("tools", "the tool is called")
    const seen = "it answered in words instead of calling the tool"
    return said === true ? info("tools", seen) : info("tools", seen, override(model, "tools"))
  })
}

/** A round in JSON mode: whether the answer is JSON. */
export const checkJsonMode = (target: InferenceTarget): Effect.Effect<Finding> => {
  const { model } = target
  return ask(target, "json", (heard, { good }) => {
    if (heard.status >= 300) return warning("json", `JSON mode: ${wordsOf(heard)}`, override(model, "json_mode"))
    return good
      ? ok("json", "JSON mode gives JSON")
      : warning("json", "JSON mode gives something else than a JSON object", override(model, "json_mode"))
  })
}

/** One embedding. */
export const checkEmbeddings = (target: InferenceTarget): Effect.Effect<Finding> => {
  const { model } = target
  return ask(target, "embeddings", (heard, { good, note }) => {
    if (heard.status >= 300) return error("embeddings", `${model.id}: ${wordsOf(heard)}`)
    return good ? ok("embeddings", `${model.id} makes ${note}`) : error("embeddings", `${model.id}: ${note}`)
  })
}
