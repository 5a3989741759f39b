/**
 * Takes in requests on a bare socket, as far as the programs of the bench need them: path and opening of the body.
 */

/** A connection's request as far as it has come. */
export interface Inbound {
  head: string
  /** Bytes of the body still to come. */
  missing: number
  path: string
  /** The first bytes of the body. */
  opening: string
}

/** Before the first byte. */
export const nothingYet = (): Inbound => ({ head: "", missing: 0, path: "", opening: "" })

const openingLength = 256

/** Takes bytes in; true when with them a request is whole. Requests that are not framed by a length have no body. */
export const takeIn = (inbound: Inbound, bytes: Buffer): boolean => {
  if (inbound.missing > 0) {
    if (inbound.opening.length < openingLength) inbound.opening += bytes.toString("latin1", 0, openingLength)
    inbound.missing -= bytes.length
    return inbound.missing <= 0
  }
  const text = inbound.head + bytes.toString("latin1", 0, Math.min(bytes.length, 16_384))
  const at = text.indexOf("\r\n\r\n")
  if (at < 0) {
    inbound.head = text
    return false
  }
  const body = bytes.length - (at + 4 - inbound.head.length)
  inbound.head = ""
  inbound.path = text.slice(text.indexOf(" ") + 1, text.indexOf(" HTTP/")).replace(/\?.*/, "")
  const length = /content-length: *(\d+)/i.exec(text.slice(0, at))?.[1]
  inbound.opening = text.slice(at + 4, at + 4 + openingLength)
  inbound.missing = Number(length ?? 0) - body
  return inbound.missing <= 0
}
