/**
 * What can be known of a backend that says nothing.
 */
import type { Unreachable } from "../domain/upstream-errors.ts"

/** Time between two looks, in milliseconds. */
export const livenessEveryMs = 250

/** What is known of a port since calls to it are silent. */
export interface PortCheck {
  /** When it was begun, as time that was looked at. */
  readonly begun: number
  /** Undefined until there is an answer. */
  result: PortState | undefined
}

/** What came of trying a port: it takes connections, it does not, or that is not known. */
export type PortState = "open" | "unknown" | Unreachable

/** What speaks against the backend of a silent call. */
export interface Suspicion {
  /** Why it is gone, in words that name no address; undefined while it is only suspected. */
  readonly gone: string | undefined
}
