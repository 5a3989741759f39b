/**
 * What the live page is told of itself at `/ui/session`.
 */

/** A place where a gateway listens beside the one that is asked: a port of a host, or a Unix socket. */
export type OtherPlace = { readonly host: string; readonly port: number } | { readonly socket: string }

/** What is told of the page where it is. */
export interface PageFacts {
  /** Whether it may change anything. */
  readonly may_change: boolean
  /** Whether the browser keeps a key for it. */
  readonly is_signed_in: boolean
  /** Where the administration is, null where it is here. */
  readonly administration: OtherPlace | null
  /** Where models answer, null where they do here. */
  readonly models: OtherPlace | null
}
