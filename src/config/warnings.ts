/**
 * What is allowed and still worth a word at start.
 */
import { isLoopback } from "../domain/url-host.ts"
import { askedAt } from "./issuer-rules.ts"
import { usualZones } from "../domain/zones.ts"
import { isKeyless } from "./listening.ts"
import { nearest } from "./nearest.ts"
import { isTable, type KeyPath, showPath, type Table, tablesAt, valueAt } from "./path.ts"
import type { Environment } from "./sources.ts"

/** What is said, and of which key. */
interface Warning {
  readonly at: KeyPath
  readonly text: string
}

const privateHost =
  /^(10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|169\.254\.|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.|\[f[cd]|\[fe[89ab])/i

// A name that may be either counts as public.
const isPublic = (host: string): boolean =>
  !isLoopback(host) && !privateHost.test(host) && /[.:]/.test(host) && !/\.(local|internal|lan|home\.arpa)$/i.test(host)

const sentInTheOpen = (tree: Table): ReadonlyArray<Warning> =>
  tablesAt(tree, ["backends"]).flatMap(({ at, table }) => {
    const { name, url } = table
    const hasKey =
      table["api_key_env"] !== undefined ||
      table["api_key_file"] !== undefined ||
      table["forward_authorization"] === true
    if (!hasKey || typeof url !== "string" || !/^http:/i.test(url) || !isPublic(new URL(url).hostname)) return []
    const text = `backend ${String(name)}: its key crosses the network unencrypted; use https`
    return [{ at: [...at, "url"], text }]
  })

const unchecked = (tree: Table): ReadonlyArray<Warning> =>
  tablesAt(tree, ["backends"]).flatMap(({ at, table: { name, insecure_skip_verify } }) =>
    insecure_skip_verify === true
      ? [
          {
            at: [...at, "insecure_skip_verify"],
            text: `backend ${String(name)}: insecure_skip_verify takes any certificate, so whoever sits in between can read and change everything; ca_file trusts one authority instead`
          }
        ]
      : []
  )

const unusedFallbacks = (tree: Table): ReadonlyArray<Warning> => {
  const aliases = valueAt(tree, ["routing", "aliases"])
  const fallbacks = valueAt(tree, ["routing", "fallbacks"])
  if (!isTable(aliases) || !isTable(fallbacks)) return []
  return Object.keys(fallbacks)
    .filter((name) => Object.hasOwn(aliases, name))
    .map((name) => {
      const at = ["routing", "fallbacks", name]
      return { at, text: `${showPath(at)} is never used: the name is an alias; name the model` }
    })
}

const strangeBackends = (tree: Table): ReadonlyArray<Warning> => {
  const groups = valueAt(tree, ["routing", "groups"])
  if (!isTable(groups)) return []
  const known = new Set(tablesAt(tree, ["backends"]).map(({ table }) => table["name"]))
  return Object.entries(groups).flatMap(([group, entries]) =>
    (Array.isArray(entries) ? entries : []).flatMap((entry: unknown, index) => {
      const backend = typeof entry === "string" && entry.lastIndexOf("@") > 0 ? entry.replace(/^.*@/s, "") : undefined
      if (backend === undefined || known.has(backend)) return []
      const at = ["routing", "groups", group, index]
      return [{ at, text: `${showPath(at)} = "${String(entry)}": no [[backends]] is called ${backend}` }]
    })
  )
}

const zoneLists: ReadonlyArray<readonly [list: KeyPath, within?: string]> = [
  [["auth", "keys"]],
  [["auth", "issuers"]],
  [["auth", "issuers"], "roles"],
  [["models"]],
  [["routes"]]
]

// One that only servers have that are found has no name of its own.
const unknownZones = (tree: Table): ReadonlyArray<Warning> => {
  const named = tablesAt(tree, ["backends"]).flatMap(({ table: { zone } }) => (typeof zone === "string" ? [zone] : []))
  const known = new Set<string>([...usualZones, ...named])
  const tables = zoneLists.flatMap(([list, within]) =>
    tablesAt(tree, list).flatMap((each) => (within === undefined ? [each] : tablesAt(tree, [...each.at, within])))
  )
  return tables.flatMap(({ at: table, table: { zones } }) =>
    (Array.isArray(zones) ? zones : []).flatMap((zone: unknown, index) => {
      if (typeof zone !== "string" || known.has(zone)) return []
      const meant = nearest(zone, known)
      const question = meant === undefined ? `; there are ${[...known].join(", ")}` : `; did you mean ${meant}?`
      const at = [...table, "zones", index]
      return [{ at, text: `${showPath(at)} = "${zone}": no [[backends]] is in this zone${question}` }]
    })
  )
}

const proxies = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"].flatMap((name) => [name, name.toLowerCase()])

const ofEnvironment = (env: Environment): ReadonlyArray<string> => {
  const set = (name: string): boolean => env[name] !== undefined && env[name] !== ""
  const ignored = proxies.filter(set)
  return [
    ...(ignored.length === 0 ? [] : [`${ignored.join(", ")}: ignored, backends are called directly`]),
    ...(env["NODE_TLS_REJECT_UNAUTHORIZED"] === "0"
      ? ["NODE_TLS_REJECT_UNAUTHORIZED=0: ignored, certificates of backends are checked"]
      : []),
    ...(set("SSLKEYLOGFILE") ? ["SSLKEYLOGFILE is set: TLS secrets of this process may be written to that file"] : [])
  ]
}

const keysInTheOpen = (tree: Table): ReadonlyArray<Warning> =>
  tablesAt(tree, ["auth", "issuers"]).flatMap(({ at, table }) => {
    const key = askedAt(table) ?? ""
    const url = table[key]
    if (typeof url !== "string" || !/^http:/i.test(url) || !isPublic(new URL(url).hostname)) return []
    const text = `issuer ${String(table["name"])}: its public keys cross the network unencrypted, so whoever sits in between can let anybody in; use https`
    return [{ at: [...at, key], text }]
  })

const openDoor = (tree: Table): ReadonlyArray<Warning> => {
  const at = ["server", "host"]
  const host = valueAt(tree, at)
  return typeof host === "string" && !isLoopback(host) && isKeyless(tree)
    ? [{ at, text: `listening on ${host} without keys: everybody who reaches it can use the backends` }]
    : []
}

const idleSearch = (tree: Table): ReadonlyArray<Warning> => {
  const discovery = valueAt(tree, ["discovery"])
  if (!isTable(discovery)) return []
  const hosts = discovery["hosts"]
  const given = [
    ...(Array.isArray(hosts) && hosts.length > 0 ? ["discovery.hosts"] : []),
    ...(discovery["mdns"] === true ? ["discovery.mdns"] : [])
  ]
  const host = valueAt(tree, ["server", "host"]) ?? "127.0.0.1"
  return [
    ...(discovery["enabled"] === false && given.length > 0
      ? [{ at: ["discovery", "enabled"], text: `${given.join(" and ")}: without effect while discovery is off` }]
      : []),
    ...(discovery["announce"] === true && typeof host === "string" && isLoopback(host)
      ? [
          {
            at: ["discovery", "announce"],
            text: `discovery.announce: without effect, nobody else can reach ${host}; set server.host to announce Nexus`
          }
        ]
      : [])
  ]
}

/** Warnings for settings without mistakes; `place` is such as `nexus.toml:12: ` of a key that stands in the file. */
export const warningsOf = (tree: Table, env: Environment, place: (path: KeyPath) => string): ReadonlyArray<string> => [
  ...[
    ...openDoor(tree),
    ...sentInTheOpen(tree),
    ...unchecked(tree),
    ...keysInTheOpen(tree),
    ...unusedFallbacks(tree),
    ...strangeBackends(tree),
    ...unknownZones(tree),
    ...idleSearch(tree)
  ].map(({ at, text }) => place(at) + text),
  ...ofEnvironment(env)
]
