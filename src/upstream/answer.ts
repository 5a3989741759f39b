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
import { type Came, type Intake, type Judge, take } from "./intake.ts"
import { unpack } from "./unpack.ts"

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

// Comments before a first event are kept up to this size.
const errorBytes = 64 * 1024

// Of an error's body this much is read, compressed or not.
const mostOfAnError = 256 * 1024

// JSON up to this size is parsed to see that it is whole; larger bodies are judged by their ends.
const parsedBytes = 1024 * 1024

// A date in `retry-after` is wall-clock time.
const wallClock = (): number => performance.timeOrigin + performance.now()

const decoder = new TextDecoder()
const encoder = new TextEncoder()

const nothing = (): void => undefined

const bad = (reason: string): BadAnswer => new BadAnswer({ reason })

class ErrorJudge implements Judge<never> {
  private readonly head: Arrival
  private came: Came | undefined

  constructor(head: Arrival) {
    this.head = head
  }

  enough(size: number, body: Came): boolean {
    this.came = body
    // Its beginning says enough, and the rest is not waited for.
    if (size > mostOfAnError) throw this.error(body.bytes())
    return false
  }

  judge(intake: Intake): never {
    throw this.error(intake._tag === "Whole" ? intake.bytes : new Uint8Array(0))
  }

  dropped(): void {}

  /** The error as far as it has come. */
  soFar(): ErrorStatus {
    return this.error(this.came?.bytes() ?? new Uint8Array(0))
  }

  private error(body: Uint8Array): ErrorStatus {
    const { head } = this
    return new ErrorStatus({
      status: head.status,
      contentType: head.header("content-type") ?? "",
      body: unpack(head.header("content-encoding"), body.subarray(0, mostOfAnError), mostOfAnError),
      retryAfterMs: retryAfterOf(head.header, wallClock(), head.status)
    })
  }
}

const readError = (head: Arrival): Promise<never> => {
  const judge = new ErrorJudge(head)
  return take(head.body, judge).catch((error: unknown) => {
    // The status has come; that its text broke off changes nothing.
    throw error instanceof ErrorStatus ? error : judge.soFar()
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

class EventsJudge implements Judge<Answer> {
  private readonly head: Arrival
  private readonly plain: boolean
  private readonly progress: () => void

  constructor(head: Arrival, { progress }: Expectation) {
    this.head = head
    this.plain = isIdentity(head)
    this.progress = progress
  }

  enough(size: number, body: Came): boolean {
    const opening = this.plain ? openingOf(body.bytes()) : undefined
    if (opening?._tag === "Error") throw errorEventOf(opening.data)
    if (opening?._tag === "Waiting") {
      if (size > errorBytes) throw bad("an event stream without an event")
      return false
    }
    this.progress()
    return true
  }

  judge(intake: Intake): Answer {
    const { head, plain } = this
    if (intake._tag === "Part") return { _tag: "Flow", head, events: plain, attach: intake.attach, taken: nothing }
    throw bad(intake.bytes.byteLength === 0 ? "an empty event stream" : "an event stream without an event")
  }

  dropped(): void {}
}

class BodyJudge implements Judge<Answer> {
  private readonly head: Arrival
  private readonly wanted: Expectation
  private counted = 0

  constructor(head: Arrival, wanted: Expectation) {
    this.head = head
    this.wanted = wanted
  }

  enough(size: number): boolean {
    const { holding, maxBytes, progress } = this.wanted
    progress()
    this.counted = holding.grow(this.counted, size)
    return size > maxBytes || holding.isTooMuch(this.counted)
  }

  judge(intake: Intake): Answer {
    const { head } = this
    if (intake._tag === "Part") {
      return { _tag: "Flow", head, events: false, attach: intake.attach, taken: () => this.dropped() }
    }
    this.dropped()
    const fault = isIdentity(head) ? checkJson(intake.bytes) : undefined
    if (fault !== undefined) throw fault
    return { _tag: "Whole", head, body: intake.bytes }
  }

  dropped(): void {
    this.wanted.holding.release(this.counted)
    this.counted = 0
  }
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
  return take(head.body, events ? new EventsJudge(head, expectation) : new BodyJudge(head, expectation))
}
