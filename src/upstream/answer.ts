/**
 * From the head of a backend's answer to the moment it can be sent on: what is good is committed, what is not becomes an
 * upstream error while another backend can still be asked.
 */
import { Predicate } from "effect"
import { BadAnswer, ErrorStatus } from "../domain/upstream.ts"
import { retryAfterOf } from "../domain/retry-after.ts"
import type { Arrival, Sink } from "./arrival.ts"
import { openingOf } from "./framing.ts"
import type { Holding } from "./holding.ts"
import { type Enough, type Intake, take } from "./intake.ts"

/** A committed answer: whole, or as a flow whose first bytes have come and whose rest waits for `attach`. */
export type Answer =
  | { readonly _tag: "Whole"; readonly head: Arrival; readonly body: Uint8Array }
  | {
      readonly _tag: "Flow"
      readonly head: Arrival
      /** True for an event stream that can be read: one that came compressed is passed on as bytes. */
      readonly events: boolean
      /** Starts the flow; the first bytes are delivered from inside the call. */
      readonly attach: (sink: Sink) => void
      /** To be called when the client has taken the first bytes, or never will; further calls do nothing. */
      readonly taken: () => void
    }

/** What the caller wants of an answer. */
export interface Expectation {
  readonly stream: boolean
  /** Answers up to this size are held back and checked. */
  readonly maxBytes: number
  /** What is held back of all answers. */
  readonly holding: Holding
  /** Called for each piece that is progress. */
  readonly progress: () => void
}

// Error bodies and comments before a first event are kept up to this size.
const errorBytes = 64 * 1024

// JSON up to this size is parsed to see that it is whole; larger bodies are judged by their ends.
const parsedBytes = 1024 * 1024

// A date in `retry-after` is wall-clock time.
const wallClock = (): number => performance.timeOrigin + performance.now()

const decoder = new TextDecoder()
const encoder = new TextEncoder()

const nothing = (): void => undefined

const bad = (reason: string): BadAnswer => new BadAnswer({ reason })

const readError = (head: Arrival): Promise<never> => {
  const failed = (body: Uint8Array): never => {
    throw new ErrorStatus({
      status: head.status,
      contentType: head.header("content-type") ?? "",
      body,
      retryAfterMs: retryAfterOf(head.header, wallClock())
    })
  }
  const tooLong = (size: number): boolean => size > errorBytes
  return take(head.body, tooLong, (intake) => {
    if (intake._tag === "Whole") return failed(intake.bytes)
    head.body.abort()
    return failed(new Uint8Array(0))
  }).catch((error: unknown) => {
    // The status has come; that its text broke off changes nothing.
    if (error instanceof ErrorStatus) throw error
    return failed(new Uint8Array(0))
  })
}

const errorUnderGoodStatus = (json: object): ErrorStatus | BadAnswer | undefined => {
  if (!("error" in json) || json.error === null || json.error === undefined || "choices" in json || "data" in json) {
    return "object" in json && json.object === "error" ? bad("an error under a good status") : undefined
  }
  const { error } = json
  const code = Predicate.isObject(error) ? Number(error["code"]) : Number.NaN
  if (!(code >= 400 && code <= 599)) return bad("an error under a good status")
  return new ErrorStatus({
    status: code,
    contentType: "application/json",
    body: encoder.encode(JSON.stringify(json)),
    retryAfterMs: undefined
  })
}

const checkJson = (body: Uint8Array): ErrorStatus | BadAnswer | undefined => {
  let last = body.byteLength - 1
  while (last >= 0 && (body[last] ?? 0) <= 0x20) last -= 1
  if (last < 0) return bad("an empty body")
  if (body.byteLength > parsedBytes) return body[last] === 0x7d ? undefined : bad("JSON that is cut short")
  try {
    const json: unknown = JSON.parse(decoder.decode(body))
    return Predicate.isObject(json) ? errorUnderGoodStatus(json) : bad("JSON that is no object")
  } catch {
    return bad(body[0] === 0x3c ? "an HTML page" : "a body that is not whole JSON")
  }
}

const isIdentity = (head: Arrival): boolean => {
  const encoding = head.header("content-encoding")
  return encoding === null || encoding === "" || encoding === "identity"
}

const errorEventOf = (data: string): ErrorStatus | BadAnswer => {
  if (data === "[DONE]") return bad("an event stream without an event")
  try {
    const json: unknown = JSON.parse(data)
    const found = Predicate.isObject(json) ? errorUnderGoodStatus(json) : undefined
    return found instanceof ErrorStatus ? found : bad("an error as its first event")
  } catch {
    return bad("an error as its first event")
  }
}

const commitEvents = (head: Arrival, { progress }: Expectation): Promise<Answer> => {
  const plain = isIdentity(head)
  const enough: Enough = (size, bytes) => {
    const opening = plain ? openingOf(bytes()) : { _tag: "Good" as const }
    if (opening._tag === "Error") throw errorEventOf(opening.data)
    if (opening._tag === "Waiting") {
      if (size > errorBytes) throw bad("an event stream without an event")
      return false
    }
    progress()
    return true
  }
  return take(head.body, enough, (intake) => {
    if (intake._tag === "Part") return { _tag: "Flow", head, events: plain, attach: intake.attach, taken: nothing }
    throw bad(intake.bytes.byteLength === 0 ? "an empty event stream" : "an event stream without an event")
  })
}

const commitBody = (head: Arrival, { maxBytes, holding, progress }: Expectation): Promise<Answer> => {
  let counted = 0
  const enough: Enough = (size) => {
    progress()
    counted = holding.grow(counted, size)
    return size > maxBytes || holding.isTooMuch(counted)
  }
  const taken = (): void => {
    holding.release(counted)
    counted = 0
  }
  const judge = (intake: Intake): Answer => {
    if (intake._tag === "Part") return { _tag: "Flow", head, events: false, attach: intake.attach, taken }
    taken()
    const fault = isIdentity(head) ? checkJson(intake.bytes) : undefined
    if (fault !== undefined) throw fault
    return { _tag: "Whole", head, body: intake.bytes }
  }
  return take(head.body, enough, judge, taken)
}

/**
 * Reads an answer as far as it takes to know that it is good. Rejects with a {@link BadAnswer}, an {@link ErrorStatus},
 * or with what ended the body.
 */
export const commit = (head: Arrival, expectation: Expectation): Promise<Answer> => {
  if (head.status >= 400) return readError(head)
  const fault =
    head.status >= 300
      ? "a redirect, which is not followed"
      : head.status === 204 || head.status === 205
        ? "an empty body"
        : undefined
  const type = (head.header("content-type") ?? "").toLowerCase()
  const events = type.startsWith("text/event-stream")
  const unasked = events && !expectation.stream ? "an event stream although none was asked for" : undefined
  if (fault !== undefined || unasked !== undefined) {
    head.body.abort()
    return Promise.reject(bad(fault ?? unasked ?? ""))
  }
  return events ? commitEvents(head, expectation) : commitBody(head, expectation)
}
