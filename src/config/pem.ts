/**
 * Certificates and keys of TLS as the files of a backend hold them, looked at before any connection goes by them.
 */
import * as Redacted from "effect/Redacted"
import type { Tls } from "../domain/server.ts"
import type { Mistake } from "./check.ts"
import type { KeyPath, Table } from "./path.ts"

/** What a PEM file holds, as the platform reads it. */
export interface Pem {
  /** The public key of its first certificate, to be compared alone; undefined when one cannot be read. */
  readonly certified: string | undefined
  /** The public key that belongs to its private key; undefined when that cannot be read. */
  readonly held: string | undefined
}

/** What was read of each file, by its name in the settings: its text, or why there is none. */
export type KeyFiles = ReadonlyMap<string, { readonly text: string; readonly pem?: Pem } | { readonly fault: string }>

type KeyFile = KeyFiles extends ReadonlyMap<string, infer A> ? Exclude<A, { readonly fault: string }> : never

/** Keys of a backend that name files for TLS. */
export const tlsFileKeys = ["ca_file", "client_cert_file", "client_key_file"] as const

/** Whether a text holds what {@link Pem} tells of. */
export const isPem = (text: string): boolean => text.includes("-----BEGIN ")

const certificateFault = ({ pem, text }: KeyFile): string | undefined => {
  if (!/-----BEGIN [A-Z0-9 ]*CERTIFICATE-----/.test(text)) return "this file holds no certificate (PEM)"
  return pem?.certified === undefined ? "this file holds a certificate that cannot be read" : undefined
}

const keyFault = ({ pem, text }: KeyFile, certificate: KeyFile | undefined): string | undefined => {
  if (!/-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----/.test(text)) return "this file holds no private key (PEM)"
  if (text.includes("ENCRYPTED")) return "this file holds a key with a passphrase, which nobody is there to type"
  if (pem?.held === undefined) return "this file holds a private key that cannot be read"
  return certificate === undefined || certificate.pem?.certified === pem.held
    ? undefined
    : "this key is not the one of the certificate in client_cert_file"
}

/** The TLS settings of one table of backends; undefined when it has none. What is wrong with them is added to `mistakes`. */
export const tlsOf = (table: Table, at: KeyPath, files: KeyFiles, mistakes: Array<Mistake>): Tls | undefined => {
  const fileOf = (
    key: (typeof tlsFileKeys)[number],
    faultOf: (file: KeyFile) => string | undefined
  ): KeyFile | undefined => {
    const name = table[key]
    const found = typeof name === "string" ? files.get(name) : undefined
    if (found === undefined) return undefined
    const reason = "text" in found ? faultOf(found) : found.fault
    if (reason !== undefined) mistakes.push({ path: [...at, key], value: name, reason })
    return "text" in found && reason === undefined ? found : undefined
  }
  const ca = fileOf("ca_file", certificateFault)
  const cert = fileOf("client_cert_file", certificateFault)
  const key = fileOf("client_key_file", (file) => keyFault(file, cert))
  const insecure = table["insecure_skip_verify"] === true
  if (ca === undefined && cert === undefined && key === undefined && !insecure) return undefined
  return {
    ...(ca === undefined ? {} : { ca: ca.text }),
    ...(cert === undefined ? {} : { cert: cert.text }),
    ...(key === undefined ? {} : { key: Redacted.make(key.text) }),
    ...(insecure ? { insecure } : {})
  }
}
