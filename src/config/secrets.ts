/**
 * Keys that the settings only name: taken from the environment and from files, and never shown.
 */
import { createHash } from "node:crypto"
import { Redacted } from "effect"
import type { Mistake } from "./check.ts"
import type { AuthKey, Secrets } from "./compile.ts"
import type { KeyPath, Table } from "./path.ts"
import { tablesAt } from "./rules.ts"
import type { Environment } from "./sources.ts"

/** What was read of each key file, by its name in the settings: its text, or why there is none. */
export type KeyFiles = ReadonlyMap<string, { readonly text: string } | { readonly fault: string }>

/** The keys, and what is wrong with them. */
export interface Resolved {
  readonly secrets: Secrets
  readonly mistakes: ReadonlyArray<Mistake>
  /** Variables that hold keys. */
  readonly names: ReadonlySet<string>
}

/** Names of all key files. */
export const keyFilesOf = (tree: Table): ReadonlyArray<string> =>
  tablesAt(tree, ["backends"]).flatMap(({ table }) => {
    const file = table["api_key_file"]
    return typeof file === "string" && file !== "" ? [file] : []
  })

const fromHex = (digits: string): Uint8Array => new Uint8Array(Buffer.from(digits, "hex"))

/** SHA-256 of a key. */
export const digestOf = (key: string): Uint8Array => new Uint8Array(createHash("sha256").update(key).digest())

const faultOf = (key: string, what: string): string | undefined => {
  if (key === "") return `${what} is empty`
  return /^[\x21-\x7e]+$/.test(key) ? undefined : `${what} holds spaces or characters that no key can have`
}

/** Resolves all keys of settings that may have other mistakes. */
export const resolve = (tree: Table, env: Environment, files: KeyFiles): Resolved => {
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
  for (const { at, table } of tablesAt(tree, ["backends"])) {
    const key = fromVariable(table, "api_key_env", at) ?? fromFile(table, at)
    if (key !== undefined) backendKeys.set(String(table["name"]), key)
  }

  const authKeys: Array<AuthKey> = []
  for (const { at, table } of tablesAt(tree, ["auth", "keys"])) {
    const name = String(table["name"])
    const key = fromVariable(table, "env", at)
    if (key !== undefined) authKeys.push({ name, digest: digestOf(key), key: Redacted.make(key) })
    else if (typeof table["sha256"] === "string") authKeys.push({ name, digest: fromHex(table["sha256"]) })
  }
  return { secrets: { backendKeys, authKeys }, mistakes, names }
}
