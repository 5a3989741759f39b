/**
 * The retry law: what the failure of an attempt leads to, and what it says of the backend.
 */
import type { UpstreamError } from "../domain/upstream.ts"

/** What an attempt's failure says of its backend. */
export type Blame =
  | {
      readonly _tag: "count"
      /** For how long it asked to be left alone besides, in milliseconds. */
      readonly coolMs?: number
    }
  | { readonly _tag: "cool"; readonly ms: number }
  | { readonly _tag: "config" }
  | { readonly _tag: "none" }

/** What is known when an attempt has failed. */
export interface FailureContext {
  readonly retriesLeft: number
  /** Whether the key the backend saw was the gateway's and not the client's. */
  readonly ownKey: boolean
  /** Whether the gateway may spend a retry now. */
  readonly budgetLeft: boolean
  /** Earlier attempts of this request that lost their connection after it was sent. */
  readonly lostBefore: number
}

/**
 * `next`: another candidate, the same one when there is
 * no other; `pass`: the backend's own answer is for the client; `fail`: nothing more is tried.
 */
export interface Verdict {
  readonly next: "next" | "pass" | "fail"
  readonly blame: Blame
  /** With `next`: whether the same candidate may be asked again when there is no other. */
  readonly again: boolean
}

/** Shortest and longest time a backend is left alone because it asked for it, in milliseconds. */
export const coolForMs = { least: 1000, most: 300_000 } as const

const count: Blame = { _tag: "count" }
const none: Blame = { _tag: "none" }
const config: Blame = { _tag: "config" }

const clamped = (ms: number): number => Math.min(coolForMs.most, Math.max(coolForMs.least, ms))

const cool = (ms: number | undefined): Blame => ({ _tag: "cool", ms: clamped(ms ?? coolForMs.least) })

const decoder = new TextDecoder()

// llama-server answers 500 to requests that are wrong (no projector for an image, a malformed tool or message).
const clientFault =
  /image input is not supported|Failed to parse (tools|messages)|"type"\s*:\s*"invalid_request_error"|invalid tool call arguments/

const isClientFault = (body: Uint8Array): boolean => clientFault.test(decoder.decode(body.subarray(0, 4096)))

/** Status of a gateway that refuses a request because it goes in a circle. */
export const loopStatus = 508

const statusVerdict = (
  error: UpstreamError & { readonly _tag: "ErrorStatus" },
  { ownKey }: FailureContext,
  may: boolean
): Verdict => {
  const { status } = error
  if (status === 429) return { next: may ? "next" : "pass", blame: cool(error.retryAfterMs), again: false }
  if ((status === 401 || status === 403) && ownKey) return { next: may ? "next" : "fail", blame: config, again: false }
  if (status === 408) return { next: may ? "next" : "fail", blame: none, again: true }
  // A gateway that found a circle is well; asked again, it finds it again.
  if (status === loopStatus) return { next: may ? "next" : "pass", blame: none, again: false }
  if (status < 500) return { next: "pass", blame: none, again: false }
  if (status === 501) return { next: "pass", blame: none, again: false }
  if (status === 500 && isClientFault(error.body)) return { next: "pass", blame: none, again: false }
  // Whoever says when to come back is not asked before.
  const { retryAfterMs } = error
  if (retryAfterMs === undefined) return { next: may ? "next" : "fail", blame: count, again: true }
  return { next: may ? "next" : "fail", blame: { _tag: "count", coolMs: clamped(retryAfterMs) }, again: false }
}

/** Backends that one request may break before it is taken to be what breaks them. */
const poisonAfter = 2

/**
 * Judges the failure of an attempt whose answer had not been committed. The budget holds back retries of work that a
 * backend may have done; one that could not be reached, or fell away, has done none, so that the death of a backend
 * under load loses nothing that another one could serve.
 */
export const verdict = (error: UpstreamError, context: FailureContext): Verdict => {
  const left = context.retriesLeft > 0
  const may = left && context.budgetLeft
  switch (error._tag) {
    case "ErrorStatus":
      return statusVerdict(error, context, may)
    case "TimedOut":
      // The total is the client's patience; it says nothing of the backend and leaves no time for another.
      return error.limit === "request"
        ? { next: "fail", blame: none, again: false }
        : { next: may ? "next" : "fail", blame: count, again: false }
    case "ConnectionLost":
      return { next: left && context.lostBefore + 1 < poisonAfter ? "next" : "fail", blame: count, again: true }
    case "Unreachable":
      return { next: left ? "next" : "fail", blame: count, again: true }
    default:
      return { next: may ? "next" : "fail", blame: count, again: true }
  }
}
