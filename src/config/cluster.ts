/**
 * The section `[cluster]`: the Valkey or Redis that replicas share what they know through.
 */
import * as Redacted from "effect/Redacted"
import { networkFault } from "../backend/zone.ts"
import type { Tls } from "../domain/server.ts"
import { bareHost, isLocalName, percentDecoded } from "../domain/url-host.ts"
import type { Mistake } from "./check.ts"
import type { awayRules, Cluster } from "./cluster-schema.ts"
import { isTable, type KeyPath, type Table, valueAt } from "./path.ts"
import { perimeterOf } from "./privacy.ts"

/** Where the store is, and how it is talked to. */
export interface StoreSettings {
  readonly host: string
  readonly port: number
  readonly db: number
  readonly username: string | undefined
  readonly password: Redacted.Redacted<string> | undefined
  readonly tls: Tls | undefined
  readonly name: string
  readonly replicaName: string | undefined
  readonly whenAway: (typeof awayRules)[number]
}

const urlPath: KeyPath = ["cluster", "url"]

// A password that is not percent-encoded may hold anything, an @ too.
const withUser = /^([a-z][a-z0-9+.-]*:\/\/)([^:@/?#]*):(.*)@([^@]*)$/is

/** The URL of a store without the password in it. */
export const withoutStorePassword = (url: string): string =>
  url.replace(withUser, (_, scheme: string, user: string, __, rest: string) =>
    user === "" ? scheme + rest : `${scheme}${user}@${rest}`
  )

/** Settings whose store has no password in its URL. */
export const withoutPasswordOfStore = (tree: Table): Table => {
  const { cluster } = tree
  const url = valueAt(tree, urlPath)
  if (!isTable(cluster) || typeof url !== "string") return tree
  return { ...tree, cluster: { ...cluster, url: withoutStorePassword(url) } }
}

/** The password in the URL of the store; the first of these settings that has a URL counts. */
export const passwordInUrl = (trees: ReadonlyArray<Table>): string | undefined => {
  const url = trees.map((tree) => valueAt(tree, urlPath)).find((each) => typeof each === "string")
  const password = typeof url === "string" ? withUser.exec(url)?.[3] : undefined
  return password === undefined || password === "" ? undefined : percentDecoded(password)
}

const example = "such as redis://127.0.0.1:6379, or rediss:// for TLS"

const urlFault = (text: string): string | undefined => {
  if (!/^(redis|rediss|valkey|valkeys):\/\//i.test(text)) {
    const isPlace = /^[^\s:/@]+:\d+$/.test(text)
    return `expected the URL of a Valkey or Redis, ${example}${isPlace ? `; did you mean "redis://${text}"?` : ""}`
  }
  const url = URL.parse(text)
  if (url === null || url.hostname === "" || /\s/.test(text)) return `expected a host and a port, ${example}`
  if (url.search !== "" || url.hash !== "") return "it must have no query and no fragment"
  return /^\/?\d{0,5}$/.test(url.pathname) ? undefined : "expected nothing or the number of a database behind the host"
}

const isEncrypted = (url: string): boolean => /^(rediss|valkeys):/i.test(url)

const tlsKeys = ["ca_file", "client_cert_file", "client_key_file"] as const

const perimeterFault = (tree: Table, url: string): string | undefined => {
  if (valueAt(tree, ["privacy", "mode"]) !== "local-only") return undefined
  const networks = valueAt(tree, ["privacy", "networks"])
  const listed = Array.isArray(networks) ? networks.filter((each) => typeof each === "string") : []
  const host = hostOf(url)
  if (isLocalName(host)) return undefined
  if (networkFault(host) !== undefined || listed.some((each) => networkFault(each) !== undefined)) return undefined
  return perimeterOf({ mode: "local-only", networks: listed })?.(host) === true
    ? undefined
    : 'it is beyond this machine and privacy.networks (privacy.mode = "local-only")'
}

const hostOf = (text: string): string => bareHost(URL.parse(text)?.hostname ?? "")

/** What is wrong with the section beyond its Schema. */
export const clusterMistakes = (tree: Table): ReadonlyArray<Mistake> => {
  const section = tree["cluster"]
  const shares = valueAt(tree, ["cache", "store"]) === "shared" && valueAt(section, ["url"]) === undefined
  const unshared: ReadonlyArray<Mistake> = shares
    ? [{ path: ["cache", "store"], value: "shared", reason: `it needs cluster.url, ${example}` }]
    : []
  if (!isTable(section)) return unshared
  const { password_env: variable, password_file: file, url } = section
  const at = (key: string): KeyPath => ["cluster", key]
  if (url === undefined) {
    const first = Object.keys(section).find((key) => section[key] !== false)
    return first === undefined
      ? unshared
      : [{ path: at(first), value: section[first], reason: `it is of no use without cluster.url, ${example}` }]
  }
  if (typeof url !== "string" || url === "") return []
  const fault = urlFault(url) ?? perimeterFault(tree, url)
  const isInOpen = fault === undefined && !isEncrypted(url)
  const [half, ...whole] = tlsKeys.slice(1).filter((key) => section[key] !== undefined)
  return [
    ...(fault === undefined ? [] : [{ path: urlPath, value: withoutStorePassword(url), reason: fault }]),
    ...(variable !== undefined && file !== undefined
      ? [{ path: at("password_file"), reason: "[cluster] has both password_env and password_file: keep one" }]
      : []),
    ...[...tlsKeys, "insecure_skip_verify"].flatMap((key) =>
      isInOpen && section[key] !== undefined && section[key] !== false
        ? [
            {
              path: at(key),
              value: section[key],
              reason: "it is for TLS, and cluster.url does not begin with rediss://"
            }
          ]
        : []
    ),
    ...(half !== undefined && whole.length === 0
      ? [
          {
            path: at(half),
            value: section[half],
            reason: `it needs ${half === "client_cert_file" ? "client_key_file" : "client_cert_file"} as well; one file may hold both`
          }
        ]
      : [])
  ]
}

/** Secrets of the store. */
export interface StoreSecrets {
  readonly password?: string
  readonly tls?: Tls
}

/** The store of settings that have been checked; undefined where there is none. */
export const storeOf = (cluster: typeof Cluster.Type, secrets: StoreSecrets = {}): StoreSettings | undefined => {
  const { name, replica_name: replicaName, url: written, when_away: whenAway } = cluster
  if (written === undefined) return undefined
  const password = secrets.password ?? passwordInUrl([{ cluster }])
  const url = new URL(withoutStorePassword(written))
  return {
    host: hostOf(url.href),
    port: url.port === "" ? 6379 : Number(url.port),
    db: Number(url.pathname.replace(/^\//, "")),
    username: url.username === "" ? undefined : percentDecoded(url.username),
    password: password === undefined ? undefined : Redacted.make(password),
    tls: isEncrypted(written) ? (secrets.tls ?? {}) : undefined,
    name,
    replicaName,
    whenAway
  }
}
