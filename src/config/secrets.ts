/**
 * Keys that the settings only name: taken from the environment and from files, and never shown.
 */
import { Redacted } from "effect"
import type { Tls } from "../domain/backend.ts"
import type { Mistake } from "./check.ts"
import type { AuthKey, Secrets } from "./compile.ts"
import type { KeyPath, Table } from "./path.ts"
import { type KeyFiles, tlsFileKeys, tlsOf } from "./pem.ts"
import { tablesAt } from "./rules.ts"
import type { Environment } from "./sources.ts"

/** The keys, and what is wrong with them. */
export interface Resolved {
  readonly secrets: Secrets
  readonly mistakes: ReadonlyArray<Mistake>
  /** Variables that hold keys. */
  readonly names: ReadonlySet<string>
}

/** Names of all files that hold keys or certificates. */
export const keyFilesOf = (tree: Table): ReadonlyArray<string> =>
  tablesAt(tree, ["backends"]).flatMap(({ table }) =>
    ["api_key_file", ...tlsFileKeys].flatMap((key) => {
      const file = table[key]
      return typeof file === "string" && file !== "" ? [file] : []
    })
  )

/** The beginning of a text that may be a secret. */
export const masked = (text: string): string => `${text.slice(0, 4)}…`

const nameOf = ({ name }: Table): string => (typeof name === "string" ? name : "")

const fromHex = (digits: string): Uint8Array => new Uint8Array(Buffer.from(digits, "hex"))

/** SHA-256 of a text. */
export type Digest = (text: string) => Uint8Array

/** Why a text can be no key; `what` holds it. */
export const faultOf = (key: string, what: string): string | undefined => {
  if (key === "") return `${what} is empty`
  return /^[\x21-\x7e]+$/.test(key) ? undefined : `${what} holds spaces or characters that no key can have`
}

/** Resolves all keys of settings that may have other mistakes. */
export const resolve = (tree: Table, env: Environment, files: KeyFiles, digestOf: Digest): Resolved => {
  const mistakes: Array<Mistake> = []
  const names = new Set<string>()

  const accepted = (key: string | undefined, what: string, path: KeyPath, value: string): string | undefined => {
    const trimmed = key?.trim()
    const reason = trimmed === undefined ? `${what} is not set` : faultOf(trimmed, what)
    if (reason === undefined) return trimmed
    mistakes.push({ path, value, reason })
    return undefined
  }

  const fromVariable = (table: Table, key: string, at: KeyPath): string | undefined => {
    const name = table[key]
    if (typeof name !== "string" || name === "") return undefined
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
      // It may be the key itself, which is not to be shown.
      const reason = "expected the name of an environment variable, not the key itself"
      mistakes.push({ path: [...at, key], value: masked(name), reason })
      return undefined
    }
    names.add(name)
    return accepted(env[name], "this environment variable", [...at, key], name)
  }

  const fromFile = (table: Table, at: KeyPath): string | undefined => {
    const file = table["api_key_file"]
    const found = typeof file === "string" ? files.get(file) : undefined
    if (typeof file !== "string" || found === undefined) return undefined
    const path = [...at, "api_key_file"]
    if ("text" in found) return accepted(found.text, "this file", path, file)
    mistakes.push({ path, value: file, reason: found.fault })
    return undefined
  }

  const backendKeys = new Map<string, string>()
  const backendTls = new Map<string, Tls>()
  for (const { at, table } of tablesAt(tree, ["backends"])) {
    const key = fromVariable(table, "api_key_env", at) ?? fromFile(table, at)
    if (key !== undefined) backendKeys.set(nameOf(table), key)
    const tls = tlsOf(table, at, files, mistakes)
    if (tls !== undefined) backendTls.set(nameOf(table), tls)
  }

  const authKeys: Array<AuthKey> = []
  for (const { at, table } of tablesAt(tree, ["auth", "keys"])) {
    const about = { name: nameOf(table), admin: table["admin"] === true }
    const key = fromVariable(table, "env", at)
    if (key !== undefined) authKeys.push({ ...about, digest: digestOf(key), key: Redacted.make(key) })
    else if (typeof table["sha256"] === "string") authKeys.push({ ...about, digest: fromHex(table["sha256"]) })
  }
  return { secrets: { backendKeys, backendTls, authKeys }, mistakes, names }
}
