/**
 * What Bun throws of a connection, turned into upstream errors: by `code` first, then by name. Runtime texts hold addresses, so
 * none of them is kept.
 */
import { BadAnswer, ConnectionLost, Unreachable, type UpstreamError } from "../domain/upstream-errors.ts"
import { handshakeFault } from "./tls.ts"

const tags = new Set(["Unreachable", "ConnectionLost", "TimedOut", "BadAnswer", "ErrorStatus"])

const isUpstreamError = (value: unknown): value is UpstreamError =>
  typeof value === "object" && value !== null && "_tag" in value && tags.has(String(value._tag))

const unreachable: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ConnectionRefused: "connection refused",
  ENOTFOUND: "host name not found",
  EAI_AGAIN: "host name could not be looked up",
  EHOSTUNREACH: "host unreachable",
  ENETUNREACH: "network unreachable",
  ETIMEDOUT: "connection timed out",
  FailedToOpenSocket: "connection could not be opened",
  ENOENT: "socket not found",
  ERR_INVALID_URL: "bad URL"
}

const tls = /CERT|SSL|TLS|SIGNED|ISSUER|CRL|HOSTNAME_MISMATCH/

/**
 * Turns a thrown value into an upstream error; an upstream error given as abort reason comes back as it is. `answered`
 * says whether any byte of the answer had been read.
 */
export const toUpstreamError = (thrown: unknown, answered: boolean): UpstreamError => {
  if (isUpstreamError(thrown)) return thrown
  const code = thrown instanceof Error && "code" in thrown ? String(thrown.code) : ""
  const known = unreachable[code]
  if (known !== undefined) return new Unreachable({ reason: known })
  if (tls.test(code)) return handshakeFault(thrown)
  if (code.startsWith("Malformed_HTTP") || code.startsWith("HPE_") || /HTTP|Chunk|Header/i.test(code)) {
    return new BadAnswer({ reason: "the answer is not valid HTTP" })
  }
  return new ConnectionLost({
    reason: answered ? "connection lost in the middle of the answer" : "connection closed before any answer",
    answered
  })
}
