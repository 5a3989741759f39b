/**
 * TLS with backends: what is asked of the runtime for a connection, and what its failures mean in words for a person,
 * with what mends them.
 */
import { createHash } from "node:crypto"
import { isIP } from "node:net"
import * as Redacted from "effect/Redacted"
import type { Tls } from "../domain/server.ts"
import { type TlsFault, Unreachable } from "../domain/upstream-errors.ts"

/** What a backend has of its own for its connections: its TLS settings, and which server is meant, as the client takes them. */
export interface Trust {
  /** The same for the same settings: connections made by one are never used for another. */
  readonly id: string
  /** Whether any certificate will do. */
  readonly insecure: boolean
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
  /** The one address that is meant where its name leads to several; the name counts for TLS and for what the server is told. */
  readonly address?: string
}

/** Makes the settings ready for the client. */
export const makeTrust = ({ ca, cert, key, insecure = false }: Tls, address?: string): Trust => {
  const secret = key === undefined ? undefined : Redacted.value(key)
  return {
    id: createHash("sha256")
      .update(JSON.stringify([ca, cert, secret, insecure, address]))
      .digest("hex"),
    insecure,
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(secret === undefined ? {} : { key: secret }),
    ...(address === undefined ? {} : { address })
  }
}

/** What a socket to this host is opened with. */
export const socketTls = (hostname: string, trust: Trust | undefined) => ({
  // Said outright, it stands against NODE_TLS_REJECT_UNAUTHORIZED=0, which would switch off all checks of certificates.
  rejectUnauthorized: trust?.insecure !== true,
  // An address is no name that a server could be told (RFC 6066, section 3); the certificate is checked against it all the same.
  ...(isIP(hostname) === 0 ? { serverName: hostname } : {}),
  ...(trust?.ca === undefined ? {} : { ca: trust.ca }),
  ...(trust?.cert === undefined ? {} : { cert: trust.cert }),
  ...(trust?.key === undefined ? {} : { key: trust.key })
})

const faults: Readonly<Record<TlsFault, { readonly words: string; readonly fix?: string }>> = {
  self_signed: { words: "its certificate is self-signed", fix: "ca_file = a copy of that certificate" },
  unknown_authority: {
    words: "its certificate is from an unknown authority",
    fix: "ca_file = the certificate of that authority"
  },
  expired: { words: "its certificate has expired", fix: "renew it on the server" },
  not_yet_valid: { words: "its certificate is not valid yet", fix: "set the clocks of both machines right" },
  wrong_name: { words: "its certificate is for another name", fix: "use a name that the certificate is for in url" },
  bad_certificate: { words: "its certificate is not good", fix: "give the server another one" },
  client_wanted: { words: "it wants a client certificate", fix: "client_cert_file and client_key_file" },
  client_refused: {
    words: "it refuses the client certificate it is shown",
    fix: "client_cert_file = one of an authority that it trusts"
  },
  broken_off: {
    words: "it breaks off the handshake, as servers do that want a client certificate",
    fix: "client_cert_file and client_key_file"
  },
  version: { words: "it speaks neither TLS 1.2 nor 1.3", fix: "update the server" },
  name_unknown: { words: "it has no certificate for the name in url", fix: "use a name that it knows in url" },
  not_tls: { words: "its port does not speak TLS", fix: "http:// in url if it is meant to be plain" },
  tls_here: { words: "its port speaks TLS, and its url says http", fix: "https:// in url" },
  closed: {
    words: "the connection was closed in the middle of the handshake",
    fix: "client_cert_file and client_key_file if it wants a client certificate"
  },
  other: { words: "it could not be agreed" }
}

/** What mends a fault, as settings or words; undefined when nobody can tell. */
export const tlsFix = (fault: TlsFault): string | undefined => faults[fault].fix

/** A fault in words, without what mends it. */
export const tlsFaultText = (fault: TlsFault): string => faults[fault].words

/** A backend that is not reached for a fault of TLS. */
export const tlsUnreachable = (fault: TlsFault, code?: string): Unreachable => {
  const { words, fix } = faults[fault]
  const why = fault === "other" && code !== undefined ? `${words} (${code})` : words
  return new Unreachable({ reason: fix === undefined ? `TLS: ${why}` : `TLS: ${why} (${fix})`, tls: fault })
}

const byCode: Readonly<Record<string, TlsFault>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: "self_signed",
  SELF_SIGNED_CERT_IN_CHAIN: "unknown_authority",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "unknown_authority",
  UNABLE_TO_GET_ISSUER_CERT: "unknown_authority",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "unknown_authority",
  CERT_UNTRUSTED: "unknown_authority",
  CERT_HAS_EXPIRED: "expired",
  CERT_NOT_YET_VALID: "not_yet_valid",
  ERR_TLS_CERT_ALTNAME_INVALID: "wrong_name",
  HOSTNAME_MISMATCH: "wrong_name",
  ECONNRESET: "closed"
}

// What BoringSSL calls the alerts and mistakes of a handshake, in the text of an EPROTO.
const byAlert: ReadonlyArray<readonly [alert: RegExp, fault: TlsFault]> = [
  [/CERTIFICATE_REQUIRED/, "client_wanted"],
  [/ALERT_(BAD_CERTIFICATE|UNSUPPORTED_CERTIFICATE|CERTIFICATE_|UNKNOWN_CA|ACCESS_DENIED)/, "client_refused"],
  [/ALERT_HANDSHAKE_FAILURE/, "broken_off"],
  [/PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL/, "version"],
  [/UNRECOGNIZED_NAME/, "name_unknown"],
  [/WRONG_VERSION_NUMBER|HTTP_REQUEST|HTTPS_PROXY_REQUEST/, "not_tls"]
]

const ofCertificate = /CERT|SIGNED|SIGNATURE|ISSUER|CHAIN|CRL|HOSTNAME|CA$/

const partsOf = (thrown: unknown): { readonly code: string; readonly text: string } =>
  thrown instanceof Error && "code" in thrown
    ? { code: String(thrown.code), text: thrown.message }
    : { code: "", text: "" }

/** Why a handshake failed; `thrown` is what the runtime says of it. */
export const handshakeFault = (thrown: unknown): Unreachable => {
  const { code, text } = partsOf(thrown)
  const known = byCode[code] ?? byAlert.find(([alert]) => alert.test(text))?.[1]
  if (known !== undefined) return tlsUnreachable(known)
  if (code === "") return tlsUnreachable("closed")
  return ofCertificate.test(code) ? tlsUnreachable("bad_certificate") : tlsUnreachable("other", code)
}

/** Whether a handshake failed for the certificate alone, which is nothing to whoever does not look at it. */
export const isCertificateFault = (thrown: unknown): boolean => {
  const { code } = partsOf(thrown)
  return code !== "EPROTO" && ofCertificate.test(code)
}

/**
 * Why a server ends a connection whose handshake was good on our side: a server of TLS 1.3 looks at the client's
 * certificate after that. Undefined when it is not for a certificate.
 */
export const lateHandshakeFault = (thrown: unknown): Unreachable | undefined => {
  const { code, text } = partsOf(thrown)
  if (code !== "EPROTO") return undefined
  const fault = byAlert.find(([alert]) => alert.test(text))?.[1]
  return fault === "client_wanted" || fault === "client_refused" || fault === "broken_off"
    ? tlsUnreachable(fault)
    : undefined
}

/** Whether a fault shows that TLS is spoken at all. */
export const speaksTls = (fault: TlsFault | undefined): boolean =>
  fault !== undefined && fault !== "not_tls" && fault !== "closed" && fault !== "other"
