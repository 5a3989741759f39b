/**
 * What the operational endpoints know of a request beside what it says itself.
 */
import * as Context from "effect/Context"
import type { KeyBounds } from "../router/zoned-targets.ts"

/** A request as it was let in. */
export interface IncomingRequest {
  /** The path of the endpoint it means. */
  readonly path: string
  /** Whether clients need a key. */
  readonly needsKey: boolean
  /** Whether who asks may know how the gateway is: one without the key it takes may not. */
  readonly isTrusted: boolean
  /** What bounds its key; nothing when absent. */
  readonly key?: KeyBounds | undefined
  /** Whether it came to the place of administration, where no model answers. */
  readonly isAdministration: boolean
  /** Whether who asks would be let in now as well: for what is told over a long time; always when absent. */
  readonly isLetIn?: StillLetIn | undefined
}

/** Whether who asks would be let in now; known later where a token has to be checked anew. */
export type StillLetIn = () => boolean | Promise<boolean>

/** What bounds the key of the request that is being answered. */
export const KeyOfRequest = Context.Reference<KeyBounds | undefined>("nexus/operations/incoming-request/KeyOfRequest", {
  defaultValue: () => undefined
})

/** Whether who has sent the request that is being answered would still be let in. */
export const IsLetIn = Context.Reference<StillLetIn>("nexus/operations/incoming-request/IsLetIn", {
  defaultValue: () => () => true
})

/** A request that nothing is known of but its path. */
export const incomingRequest = (request: Request): IncomingRequest => ({
  path: new URL(request.url).pathname,
  needsKey: false,
  isTrusted: true,
  isAdministration: false
})

const plainHost = /^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?$/

/** Where the client has reached the gateway, as far as that can be known. */
export const publicOrigin = ({ headers }: Request): string => {
  const host = headers.get("host") ?? ""
  const scheme = headers.get("x-forwarded-proto") === "https" ? "https" : "http"
  return `${scheme}://${plainHost.test(host) ? host : "localhost"}`
}
