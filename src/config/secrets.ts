/**
 * Keys that the settings only name: taken from the environment and from files, and never shown.
 */
import * as Redacted from "effect/Redacted"
import type { Tls } from "../domain/server.ts"
import type { Mistake } from "./check.ts"
import type { ConfiguredKey, Secrets } from "./compile.ts"
import type { StoreSecrets } from "./cluster.ts"
import { masked } from "./discreet.ts"
import { issuerFilesOf } from "./issuer-rules.ts"
import { isTable, type KeyPath, showPath, type Table, tablesAt, valueAt } from "./path.ts"
import { type KeyFiles, tlsFileKeys, tlsOf } from "./pem.ts"
import { secretIn } from "../domain/key-terms.ts"
import { looksLikeKey } from "../domain/redact.ts"
import { isHardwareAddress } from "./wake.ts"
import type { Environment } from "./sources.ts"

/** A key that is not where the settings say: its variable is not set, or its file is not there. */
export interface MissingKey extends Mistake {
  /** The backend, the client or the hook whose key it is. */
  readonly name: string
  readonly of: "backend" | "client" | "hook" | "capture"
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

const filesOf = (table: unknown, keys: ReadonlyArray<string>): ReadonlyArray<string> =>
  keys.flatMap((key) => {
    const file = valueAt(table, [key])
    return typeof file === "string" && file !== "" ? [file] : []
  })

const filesIn = (tree: Table, list: KeyPath, keys: ReadonlyArray<string>): ReadonlyArray<string> =>
  tablesAt(tree, list).flatMap(({ table }) => filesOf(table, keys))

/** Names of all files that hold keys or certificates. */
export const keyFilesOf = (tree: Table): ReadonlyArray<string> => [
  ...filesIn(tree, ["backends"], ["api_key_file", ...tlsFileKeys]),
  ...filesIn(tree, ["auth", "keys"], ["key_file"]),
  ...filesIn(tree, ["auth", "issuers"], ["jwks_file", "ca_file"]),
  ...filesOf(tree["cluster"], storeFileKeys),
  ...filesIn(tree, ["hooks"], ["api_key_file"]),
  ...filesOf(tree["capture"], ["key_file"])
]

const storeFileKeys = ["password_file", ...tlsFileKeys] as const

/** Names of such files that the environment tells for the store of replicas. */
export const storeFilesIn = (env: Environment): ReadonlyArray<string> =>
  storeFileKeys.flatMap((key) => {
    const file = env[`NEXUS_CLUSTER_${key.toUpperCase()}`]
    return file === undefined || file.trim() === "" ? [] : [file]
  })

const nameOf = ({ name }: Table): string => (typeof name === "string" ? name : "")

const fromHex = (digits: string): Uint8Array => new Uint8Array(Buffer.from(digits, "hex"))

const discreetKey = (table: Table): Table =>
  Object.fromEntries(
    Object.entries(table).map(([key, value]) => {
      if (key === "key" && typeof value === "string" && value !== "") return [key, "…"]
      return [key, value instanceof Date ? value.toISOString() : value]
    })
  )

/** The settings without the keys that stand in them, and with the moments of keys as text, however they are written. */
export const withoutPlainKeys = (tree: Table): Table => {
  const { auth } = tree
  if (!isTable(auth) || !Array.isArray(auth["keys"])) return tree
  const keys = auth["keys"].map((table: unknown) => (isTable(table) ? discreetKey(table) : table))
  return { ...tree, auth: { ...auth, keys } }
}

/** SHA-256 of a text. */
export type Digest = (text: string) => Uint8Array

/** Why a text can be no key; `what` holds it. */
export const keyTextFault = (key: string, what: string): string | undefined =>
  /^[\x21-\x7e]+$/.test(key) ? undefined : `${what} holds spaces or characters that no key can have`

// A path may have the name of a mount in it, which is as long as a key.
const isPath = (name: string): boolean => /^(\.{0,2}|~|[a-z]:)[/\\]/i.test(name)

/** Whether it may be the name of an environment variable. */
export const isVariableName = (name: string): boolean => /^[A-Za-z_][A-Za-z0-9_]*$/.test(name)

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
    const held = env[name]?.trim()
    if (!isVariableName(name) || (held === undefined && looksLikeKey(name))) {
      // It may be the key itself, which is not to be shown.
      const reason = "expected the name of an environment variable, not the key itself"
      mistakes.push({ path: [...at, key], value: masked(name), reason })
      return undefined
    }
    names.add(name)
    const path = [...at, key]
    if (held !== undefined && held !== "") return accepted(held, "this environment variable", path, name)
    const state = held === undefined ? "is not set" : "is empty"
    const reason = `this environment variable ${state}`
    missing.push({ path, value: name, reason, name: nameOf(table), of, from: "variable", told: `${name} ${state}` })
    return undefined
  }

  const fromFile = (table: Table, key: string, at: KeyPath, of: MissingKey["of"]): string | undefined => {
    const file = table[key]
    const found = typeof file === "string" ? files.get(file) : undefined
    if (typeof file !== "string" || found === undefined) return undefined
    const path = [...at, key]
    if ("fault" in found && !isPath(file) && looksLikeKey(file)) {
      mistakes.push({ path, value: masked(file), reason: "expected the name of a file, not the key itself" })
      return undefined
    }
    const text = "text" in found ? found.text.trim() : ""
    if (text !== "") return accepted(text, "this file", path, file)
    const reason = "fault" in found ? found.fault : "this file is empty"
    const told = `${file}: ${reason.replace(/^this file/, "it")}`
    missing.push({ path, value: file, reason, name: nameOf(table), of, from: "file", told })
    return undefined
  }

  const own = (table: Table, at: KeyPath): string | undefined => {
    const { key } = table
    return typeof key === "string" && key !== "" ? accepted(key, "it", [...at, "key"], "…") : undefined
  }

  const backendKeys = new Map<string, string>()
  const backendTls = new Map<string, Tls>()
  const wakePasswords = new Map<string, string>()
  for (const { at, table } of tablesAt(tree, ["backends"])) {
    const key = fromVariable(table, "api_key_env", at, "backend") ?? fromFile(table, "api_key_file", at, "backend")
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

  const hookKeys = new Map<string, string>()
  for (const { at, table } of tablesAt(tree, ["hooks"])) {
    const key = fromVariable(table, "api_key_env", at, "hook") ?? fromFile(table, "api_key_file", at, "hook")
    if (key !== undefined) hookKeys.set(nameOf(table), key)
  }

  const keyOfCapture = (capture: unknown): string | undefined => {
    if (!isTable(capture)) return undefined
    const isOn = ["keys", "models"].some((key) => Array.isArray(capture[key]) && capture[key].length > 0)
    if (!isOn) return undefined
    const at = ["capture"]
    const named = ["key_env", "key_file"].find((key) => typeof capture[key] === "string")
    if (named === undefined) {
      const reason = "capture needs key_env or key_file: the key that all that is stored is sealed with"
      mistakes.push({ path: at, reason })
      return undefined
    }
    const key = fromVariable(capture, "key_env", at, "capture") ?? fromFile(capture, "key_file", at, "capture")
    if (key !== undefined && secretIn(key) === undefined) {
      const reason = "it does not hold 32 bytes in base64 or hexadecimal, such as `openssl rand -base64 32` prints"
      mistakes.push({ path: [...at, named], value: capture[named], reason })
    }
    return key
  }
  const captureKey = keyOfCapture(tree["capture"])

  const authKeys: Array<ConfiguredKey> = []
  const seen = new Map<string, KeyPath>()
  for (const { at, table } of tablesAt(tree, ["auth", "keys"])) {
    const name = nameOf(table)
    const plain =
      fromVariable(table, "env", at, "client") ?? fromFile(table, "key_file", at, "client") ?? own(table, at)
    const digest =
      plain === undefined
        ? typeof table["sha256"] === "string"
          ? fromHex(table["sha256"])
          : undefined
        : digestOf(plain)
    if (digest === undefined) continue
    const same = Buffer.from(digest).toString("hex")
    const first = seen.get(same)
    if (first !== undefined) {
      const reason = `${showPath(at)} is the same key as ${showPath(first)}; each must be another`
      mistakes.push({ path: at, reason })
    }
    seen.set(same, at)
    authKeys.push({ name, digest, ...(plain === undefined ? {} : { key: Redacted.make(plain) }) })
  }
  const issuerFiles = issuerFilesOf(tree, files, mistakes)
  return {
    secrets: {
      backendKeys,
      backendTls,
      authKeys,
      ...(captureKey === undefined ? {} : { captureKey }),
      hookKeys,
      issuerFiles,
      wakePasswords
    },
    mistakes,
    missing,
    names
  }
}

/** The password and the TLS settings of the store of replicas; `inUrl` is the password in its URL. */
export const storeSecretsOf = (
  tree: Table,
  env: Environment,
  files: KeyFiles,
  inUrl: string | undefined
): { readonly secrets: StoreSecrets; readonly mistakes: ReadonlyArray<Mistake> } => {
  const section = tree["cluster"]
  if (!isTable(section)) return { secrets: {}, mistakes: [] }
  const mistakes: Array<Mistake> = []
  const { password_env: variable, password_file: file } = section
  const path = (key: string): KeyPath => ["cluster", key]
  const wrong = (key: string, value: string, reason: string): undefined => {
    mistakes.push({ path: path(key), value, reason })
  }
  const fromVariable = (name: string): string | undefined => {
    if (!isVariableName(name) || (env[name] === undefined && looksLikeKey(name)))
      return wrong(
        "password_env",
        masked(name),
        "expected the name of an environment variable, not the password itself"
      )
    const held = env[name]?.trim() ?? ""
    return held === "" ? wrong("password_env", name, "this environment variable is not set, or empty") : held
  }
  const fromFile = (name: string): string | undefined => {
    const found = files.get(name)
    const text = found !== undefined && "text" in found ? found.text.trim() : ""
    if (text !== "") return text
    return wrong("password_file", name, found !== undefined && "fault" in found ? found.fault : "this file is empty")
  }
  const named =
    typeof variable === "string" && variable !== ""
      ? fromVariable(variable)
      : typeof file === "string" && file !== ""
        ? fromFile(file)
        : undefined
  if (inUrl !== undefined && (variable !== undefined || file !== undefined)) {
    const key = variable === undefined ? "password_file" : "password_env"
    mistakes.push({ path: path(key), value: section[key], reason: "cluster.url holds a password already: keep one" })
  }
  const password = named ?? inUrl
  const tls = tlsOf(section, ["cluster"], files, mistakes)
  return {
    secrets: { ...(password === undefined ? {} : { password }), ...(tls === undefined ? {} : { tls }) },
    mistakes
  }
}
