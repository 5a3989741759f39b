/**
 * Keys that the settings only name: taken from the environment and from files, and never shown.
 */
import * as Redacted from "effect/Redacted"
import type { Tls } from "../domain/server.ts"
import type { Mistake } from "./check.ts"
import type { ConfiguredKey, Secrets } from "./compile.ts"
import type { KeyPath, Table } from "./path.ts"
import { type KeyFiles, tlsFileKeys, tlsOf } from "./pem.ts"
import { tablesAt } from "./rules.ts"
import { isHardwareAddress } from "./wake.ts"
import type { Environment } from "./sources.ts"

/** A key that is not where the settings say: its variable is not set, or its file is not there. */
export interface MissingKey extends Mistake {
  /** The backend or the client whose key it is. */
  readonly name: string
  readonly of: "backend" | "client"
  readonly from: "variable" | "file"
  /** In words that need no line of the file, such as `OPENAI_API_KEY is not set`. */
  readonly told: string
}

/**
 * Which keys may be missing: none; variables of backends, which are then asked nothing; or any at all, for a look at a gateway
 * that runs with an environment of its own.
 */
export type AllowedMissing = "none" | "backends" | "any"

/** Whether a missing key is no mistake. */
export const isAllowedMissing = ({ of, from }: MissingKey, allowMissing: AllowedMissing): boolean =>
  allowMissing === "any" || (allowMissing === "backends" && of === "backend" && from === "variable")

/** The keys, what is wrong with them, and which are not there. */
export interface ResolvedSecrets {
  readonly secrets: Secrets
  readonly mistakes: ReadonlyArray<Mistake>
  readonly missing: ReadonlyArray<MissingKey>
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
export const keyTextFault = (key: string, what: string): string | undefined =>
  /^[\x21-\x7e]+$/.test(key) ? undefined : `${what} holds spaces or characters that no key can have`

/** Resolves all keys of settings that may have other mistakes. */
export const resolveSecrets = (tree: Table, env: Environment, files: KeyFiles, digestOf: Digest): ResolvedSecrets => {
  const mistakes: Array<Mistake> = []
  const missing: Array<MissingKey> = []
  const names = new Set<string>()

  const accepted = (key: string, what: string, path: KeyPath, value: string): string | undefined => {
    const reason = keyTextFault(key, what)
    if (reason === undefined) return key
    mistakes.push({ path, value, reason })
    return undefined
  }

  const fromVariable = (table: Table, key: string, at: KeyPath, of: MissingKey["of"]): string | undefined => {
    const name = table[key]
    if (typeof name !== "string" || name === "") return undefined
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
      // It may be the key itself, which is not to be shown.
      const reason = "expected the name of an environment variable, not the key itself"
      mistakes.push({ path: [...at, key], value: masked(name), reason })
      return undefined
    }
    names.add(name)
    const path = [...at, key]
    const held = env[name]?.trim()
    if (held !== undefined && held !== "") return accepted(held, "this environment variable", path, name)
    const state = held === undefined ? "is not set" : "is empty"
    const reason = `this environment variable ${state}`
    missing.push({ path, value: name, reason, name: nameOf(table), of, from: "variable", told: `${name} ${state}` })
    return undefined
  }

  const fromFile = (table: Table, at: KeyPath): string | undefined => {
    const file = table["api_key_file"]
    const found = typeof file === "string" ? files.get(file) : undefined
    if (typeof file !== "string" || found === undefined) return undefined
    const path = [...at, "api_key_file"]
    const text = "text" in found ? found.text.trim() : ""
    if (text !== "") return accepted(text, "this file", path, file)
    const reason = "fault" in found ? found.fault : "this file is empty"
    const told = `${file}: ${reason.replace(/^this file/, "it")}`
    missing.push({ path, value: file, reason, name: nameOf(table), of: "backend", from: "file", told })
    return undefined
  }

  const backendKeys = new Map<string, string>()
  const backendTls = new Map<string, Tls>()
  const wakePasswords = new Map<string, string>()
  for (const { at, table } of tablesAt(tree, ["backends"])) {
    const key = fromVariable(table, "api_key_env", at, "backend") ?? fromFile(table, at)
    if (key !== undefined) backendKeys.set(nameOf(table), key)
    const password = fromVariable(table, "wake_password_env", at, "backend")
    if (password !== undefined && isHardwareAddress(password)) wakePasswords.set(nameOf(table), password)
    else if (password !== undefined) {
      const reason = "this environment variable does not hold a password such as aa:bb:cc:dd:ee:ff"
      mistakes.push({ path: [...at, "wake_password_env"], value: table["wake_password_env"], reason })
    }
    const tls = tlsOf(table, at, files, mistakes)
    if (tls !== undefined) backendTls.set(nameOf(table), tls)
  }

  const authKeys: Array<ConfiguredKey> = []
  for (const { at, table } of tablesAt(tree, ["auth", "keys"])) {
    const about = { name: nameOf(table), admin: table["admin"] === true }
    const key = fromVariable(table, "env", at, "client")
    if (key !== undefined) authKeys.push({ ...about, digest: digestOf(key), key: Redacted.make(key) })
    else if (typeof table["sha256"] === "string") authKeys.push({ ...about, digest: fromHex(table["sha256"]) })
  }
  return { secrets: { backendKeys, backendTls, authKeys, wakePasswords }, mistakes, missing, names }
}
