/**
 * The retry law: what the failure of an attempt leads to, and what it says of the backend.
 */
import { isAddressMissing, isModelMissing } from "../domain/not-found.ts"
import { isContextOverflow } from "../domain/context-overflow.ts"
import type { UpstreamError } from "../domain/upstream-errors.ts"
import { isFull, pauseOf, type Refusing } from "./full-server.ts"

/** What an attempt's failure says of its backend. */
export type Blame =
  | {
      readonly _tag: "count"
      /** For how long it asked to be left alone besides, in milliseconds. */
      readonly coolMs?: number
    }
  | { readonly _tag: "cool"; readonly ms: number }
  /** It has all it can work on: waited for, and for so long by itself when nothing ends there. */
  | { readonly _tag: "full"; readonly ms: number }
  /** It says that its key is bad: counted, and for a probe to confirm. */
  | { readonly _tag: "key" }
  /** `probe`: whether a probe should look all the same. */
  | { readonly _tag: "none"; readonly probe?: true }

/** What is known when an attempt has failed. */
export interface FailureContext {
  readonly retriesLeft: number
  /** Whether the key the backend saw was the gateway's and not the client's. */
  readonly ownKey: boolean
  /** Whether a probe with that key was refused as well. */
  readonly keyRefused: boolean
  /** Whether the gateway may spend a retry now. */
  readonly budgetLeft: boolean
  /** Earlier attempts of this request that lost their connection after it was sent. */
  readonly lostBefore: number
  /** Whether there is somebody with a longer context, when the prompt did not fit. */
  readonly roomier?: boolean
  /** Where requests wait for servers that are full: what is known of this one. */
  readonly refusing?: Refusing | undefined
}

/**
 * `next`: another candidate, the same one when there is
 * no other; `pass`: the backend's own answer is for the client; `fail`: nothing more is tried.
 */
export interface Verdict {
  readonly next: "next" | "pass" | "fail"
  readonly blame: Blame
  /** With `next`: whether the backend's own answer is for the client when there is nobody else. */
  readonly own?: true
  /** With `next`: whether the same candidate may be asked again when there is no other. */
  readonly again: boolean
}

/** Shortest and longest time a backend is left alone because it asked for it, in milliseconds. */
export const cooldownMs = { least: 1000, most: 300_000 } as const

const count: Blame = { _tag: "count" }
const none: Blame = { _tag: "none" }
const doubt: Blame = { _tag: "none", probe: true }
const badKey: Blame = { _tag: "key" }

const clamped = (ms: number): number => Math.min(cooldownMs.most, Math.max(cooldownMs.least, ms))

const cool = (ms: number | undefined): Blame => ({ _tag: "cool", ms: clamped(ms ?? cooldownMs.least) })

const decoder = new TextDecoder()

// llama-server answers 500 to requests that are wrong (no projector for an image, a malformed tool or message).
const clientFault =
  /image input is not supported|Failed to parse (tools|messages)|"type"\s*:\s*"invalid_request_error"|invalid tool call arguments/

const isClientFault = (body: Uint8Array): boolean => clientFault.test(decoder.decode(body.subarray(0, 4096)))

const secret = String.raw`(?:(?:(?:x-)?api|access|auth\w*|bearer|subscription|secret)[\s_-]*(?:key|token|credential)s?|credentials)`
const wrong =
  "(?:invalid|incorrect|wrong|bad|unknown|expired|revoked|missing|malformed|unrecogni[sz]ed|deactivated|disabled|required)"
const between = String.raw`(?:(?:is|was|are|were|has|have|been|not|you|provided|supplied|given|\S*\d\S*|\[\w+\])[\s:,'"]+){0,5}`

// What servers say of a key that is no good, or is not there; not of one that may not do this.
const keyFault = new RegExp(
  [
    String.raw`${wrong}[\s_-]+(?:or[\s_-]+${wrong}[\s_-]+)?(?:\w+[\s_-]+)?${secret}`,
    String.raw`${secret}[\s:,'"]+${between}(?:${wrong}|valid|found|authorized)\b`,
    String.raw`\bno (?:valid )?(?:${secret}|authorization)`,
    String.raw`(?:provide|supply|include|pass)\w*\s+(?:(?:a|an|your|the|any|valid)\s+)*${secret}`,
    String.raw`(?:invalid|incorrect|missing|required)[\s_-]+auth(?:entication|orization)|not authenticated`,
    String.raw`could not validate credentials`
  ].join("|"),
  "i"
)
const tokenFault = /(?:invalid|expired|revoked)[\s_-]+token|token (?:is |has )?(?:invalid|expired|revoked)/i

const saysKeyIsBad = (status: number, text: string): boolean =>
  keyFault.test(text) || (status === 401 && tokenFault.test(text))

// A refusal without a sentence, such as the page of a proxy, is no word on this request.
const isMute = (text: string): boolean => /^\s*(?:<|$|\{\s*\}\s*$)/.test(text)

/** A refusal of the gateway's own key, or of this one request: the words tell, or a probe that was refused as well. */
const refusal = (status: number, body: Uint8Array, keyRefused: boolean, may: boolean): Verdict => {
  const text = decoder.decode(body.subarray(0, 4096))
  if (keyRefused || saysKeyIsBad(status, text)) return { next: may ? "next" : "fail", blame: badKey, again: false }
  if (status === 401 || isMute(text)) return { next: may ? "next" : "pass", blame: doubt, own: true, again: false }
  return { next: "pass", blame: none, again: false }
}

/** Status of a gateway that refuses a request because it goes in a circle. */
const loopStatus = 508

/** Whether a backend says that it has no such model. */
export const isMissingModel = (error: UpstreamError): boolean =>
  error._tag === "ErrorStatus" && isModelMissing(error.status, decoder.decode(error.body.subarray(0, 4096)))

/** Whether a backend has nothing where a request was sent: what it says is of the address, and of no model. */
export const isMissingEndpoint = (error: UpstreamError): boolean =>
  error._tag === "ErrorStatus" && isAddressMissing(error.status, decoder.decode(error.body.subarray(0, 4096)))

/** Whether the prompt did not fit into the context of the model. */
export const isTooLong = (error: UpstreamError): boolean =>
  error._tag === "ErrorStatus" && isContextOverflow(error.status, "", decoder.decode(error.body.subarray(0, 4096)))

const statusVerdict = (
  error: UpstreamError & { readonly _tag: "ErrorStatus" },
  { ownKey, keyRefused, refusing, roomier = false }: FailureContext,
  may: boolean
): Verdict => {
  const { status } = error
  // It has not begun, so that it is no retry.
  if (refusing !== undefined && isFull(error, refusing)) {
    return { next: "next", blame: { _tag: "full", ms: pauseOf(error) }, own: true, again: false }
  }
  if (status === 429) return { next: may ? "next" : "pass", blame: cool(error.retryAfterMs), own: true, again: false }
  if ((status === 401 || status === 403) && ownKey) return refusal(status, error.body, keyRefused, may)
  if (status === 408) return { next: may ? "next" : "fail", blame: none, again: true }
  // A gateway that found a circle is well; asked again, it finds it again.
  if (status === loopStatus) return { next: may ? "next" : "pass", blame: none, own: true, again: false }
  if (roomier && isTooLong(error)) return { next: may ? "next" : "pass", blame: none, own: true, again: false }
  // It was asked because it listed the model: others may have it still.
  if (isMissingModel(error) || isMissingEndpoint(error)) {
    return { next: may ? "next" : "pass", blame: none, own: true, again: false }
  }
  if (status < 500) return { next: "pass", blame: none, again: false }
  if (status === 501) return { next: "pass", blame: none, again: false }
  if (status === 500 && isClientFault(error.body)) return { next: "pass", blame: none, again: false }
  // Whoever says when to come back is not asked before.
  const { retryAfterMs } = error
  // Under a good status it has done its work.
  if (retryAfterMs === undefined) {
    return { next: may ? "next" : "fail", blame: count, again: error.underGood !== true }
  }
  return { next: may ? "next" : "fail", blame: { _tag: "count", coolMs: clamped(retryAfterMs) }, again: false }
}

/** Backends that one request may break before it is taken to be what breaks them. */
const poisonAfter = 2

/**
 * Judges the failure of an attempt whose answer had not been committed. The budget holds back retries of work that a
 * backend may have done; one that could not be reached, or fell away, has done none, so that the death of a backend
 * under load loses nothing that another one could serve.
 */
export const judgeFailure = (error: UpstreamError, context: FailureContext): Verdict => {
  const left = context.retriesLeft > 0
  const may = left && context.budgetLeft
  switch (error._tag) {
    case "ErrorStatus":
      return statusVerdict(error, context, may)
    case "TimedOut":
      // The total is the client's patience; it says nothing of the backend and leaves no time for another.
      return error.limit === "request"
        ? { next: "fail", blame: none, again: false }
        : { next: (error.limit === "connect" ? left : may) ? "next" : "fail", blame: count, again: false }
    case "ConnectionLost":
      return { next: left && context.lostBefore + 1 < poisonAfter ? "next" : "fail", blame: count, again: true }
    case "Unreachable":
      // Nor could Nexus connect to any other.
      if (error.own === true) return { next: "fail", blame: none, again: false }
      return { next: left ? "next" : "fail", blame: count, again: true }
    case "BadAnswer":
      // It has done its work, to whatever end: asked again, it would do it again.
      return { next: may ? "next" : "fail", blame: count, again: false }
  }
}

/** Whether the backend refused in words that it would take the request later: it has done nothing for it. */
export const asksToRetryLater = (error: UpstreamError): boolean =>
  error._tag === "ErrorStatus" &&
  (error.status === 429 || ((error.status === 503 || error.status === 529) && error.retryAfterMs !== undefined))

/** Whether a failed attempt can have made its backend work. */
export const mayHaveDoneWork = (error: UpstreamError): boolean =>
  error._tag === "TimedOut" ? error.limit !== "connect" : error._tag !== "Unreachable" && !asksToRetryLater(error)
