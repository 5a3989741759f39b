/**
 * A call as its caller gives it to the client.
 */
import type { Abort } from "./abort.ts"
import type { Suspicion } from "./liveness.ts"
import type { ReceivedAnswer } from "./received-answer.ts"
import type { RequestBody } from "./request-bytes.ts"
import type { Trust } from "./tls.ts"

/** Why no connection may be made to an address, in words that hold none; undefined when one may. */
export type Gate = (address: string) => string | undefined

/** Lets everything through. */
export const openGate: Gate = () => undefined

/** A call whose answer is handed on. */
export interface Call {
  /** POST when absent. */
  readonly method?: string
  readonly url: string
  /** What the backend has for TLS of its own. */
  readonly trust?: Trust | undefined
  readonly headers: Record<string, string>
  /** Further headers, which are the same object for every call to a backend; `headers` go before them. */
  readonly fixed?: Readonly<Record<string, string>>
  readonly body: RequestBody
  /** Another protocol that is asked for. Who agrees to it is hung up on: what is wanted is the words of who refuses. */
  readonly upgrade?: string | undefined
  readonly abort: Abort
  /** What bounds the addresses that it may go to, beside what bounds all calls; any when absent. */
  readonly reach?: Gate | undefined
  /** True asks for a new connection. */
  readonly fresh: boolean
  /** Time within which a connection must be there and be alive, in milliseconds; no limit when absent. */
  readonly connectMs?: number
  /** Who is asked and told on the way; nobody when absent. */
  readonly caller?: Caller
}

/** Who is told what becomes of a call; of `arrived` and `failed` one comes, once, perhaps while it is being sent. */
export interface CallListener {
  /** There is a connection. */
  readonly connected: () => void
  readonly arrived: (answer: ReceivedAnswer) => void
  /** Takes an upstream error, or what the call was aborted for. */
  readonly failed: (reason: unknown) => void
}

/** Whom a call belongs to. */
export interface Caller {
  /** Whether a call that was lost at once on a kept connection may be sent again on a new one; it is then. */
  readonly again: () => boolean
  /** The backend has been silent for a while; `suspicion` is what speaks against it, undefined when nothing does. Called again and again. */
  readonly silent: (suspicion: Suspicion | undefined) => void
}
