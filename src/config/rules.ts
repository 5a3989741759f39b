/**
 * What a Schema cannot say: rules between several keys. They take settings that may have other mistakes, so that all
 * are told at once.
 */
import { backendTypes, kindNamed, plainType, typeCalled } from "../backend/all.ts"
import { followedFault, memberSources } from "../backend/followed.ts"
import { parseBaseUrl } from "../domain/base-url.ts"
import { rangeFault } from "../domain/key-terms.ts"
import * as Result from "effect/Result"
import { splitModelAt } from "../domain/routing.ts"
import { serverOf } from "../domain/url-host.ts"
import type { Mistake } from "./check.ts"
import { allowedFault, hostFault, maxHosts, maxTypes, readHost, typeFault } from "./hosts.ts"
import { tlsFileKeys } from "./pem.ts"
import { routeMistakes } from "./route-rules.ts"
import { clusterMistakes } from "./cluster.ts"
import { privacyMistakes } from "./privacy.ts"
import { followedMistakes } from "./kubernetes-api.ts"
import { wakeMistakes } from "./wake.ts"
import { listeningMistakes } from "./listening.ts"
import { issuerMistakes } from "./issuer-rules.ts"
import { keyMistakes } from "./key-rules.ts"
import { endpointFault } from "./otlp.ts"
import { budgetMistakes, hookMistakes, urlFault, withoutSecrets } from "./url-rules.ts"
import { isTable, type KeyPath, showPath, type Table, tablesAt, valueAt } from "./path.ts"

/** Line of a path in the file; undefined without a file. */
export type LineOf = (path: KeyPath) => number | undefined

/** Hops a chain of aliases may have. */
const maxHops = 3

const textOf = (table: Table, key: string): string | undefined => {
  const value = Object.hasOwn(table, key) ? table[key] : undefined
  return typeof value === "string" ? value : undefined
}

const atLine = (line: number | undefined): string => (line === undefined ? "" : ` (line ${line})`)

const duplicates = (
  items: ReadonlyArray<{ readonly path: KeyPath; readonly value: string; readonly same: string }>,
  lineOf: LineOf,
  reason: (first: KeyPath, line: string) => string
): ReadonlyArray<Mistake> => {
  const seen = new Map<string, KeyPath>()
  return items.flatMap(({ path, value, same }) => {
    const first = seen.get(same)
    if (first === undefined) {
      seen.set(same, path)
      return []
    }
    return [{ path, value, reason: reason(first, atLine(lineOf(first))) }]
  })
}

const repeated = (tree: Table, list: KeyPath, key: string, lineOf: LineOf): ReadonlyArray<Mistake> => {
  const items = tablesAt(tree, list).flatMap(({ at, table }) => {
    const value = textOf(table, key)
    return value === undefined ? [] : [{ path: [...at, key], value, same: value }]
  })
  return duplicates(items, lineOf, (first, line) => `${showPath(first)}${line} is the same; each must be unique`)
}

const sameBase = (value: string): string => {
  const { query = "", url } = parseBaseUrl(new URL(value).href)
  return url + query
}

const urls = (tree: Table, lineOf: LineOf): ReadonlyArray<Mistake> => {
  const given = tablesAt(tree, ["backends"]).flatMap(({ at, table }) => {
    const value = textOf(table, "url")
    return value === undefined || value === "" ? [] : [{ path: [...at, "url"], value, table }]
  })
  const faulty = given.flatMap(({ path, value }) => {
    const reason = urlFault(value)
    return reason === undefined ? [] : [{ path, value: withoutSecrets(value), reason }]
  })
  const good = given
    .filter(({ value }) => urlFault(value) === undefined)
    .map(({ path, value, table }) => ({
      path,
      value,
      same: JSON.stringify([
        serverOf(sameBase(value)),
        table["api_key_env"],
        table["api_key_file"],
        table["client_cert_file"]
      ])
    }))
  return [
    ...faulty,
    ...duplicates(good, lineOf, (first, line) => `${showPath(first)}${line} is the same server with the same key`)
  ]
}

const addressOfBackend = (tree: Table): ReadonlyArray<Mistake> =>
  tablesAt(tree, ["backends"]).flatMap(({ at, table }) => {
    const type = typeCalled(textOf(table, "type") ?? plainType) ?? plainType
    const path = [...at, "url"]
    return Object.hasOwn(table, "url") || kindNamed(type).home !== undefined
      ? []
      : [{ path, reason: `${showPath(path)} is missing: expected a URL such as http://127.0.0.1:11434` }]
  })

const keyOfServer = (tree: Table): ReadonlyArray<Mistake> =>
  [...tablesAt(tree, ["backends"]), ...tablesAt(tree, ["hooks"])].flatMap(({ at, table }) =>
    textOf(table, "api_key_env") !== undefined && textOf(table, "api_key_file") !== undefined
      ? [{ path: [...at, "api_key_file"], reason: `${showPath(at)} has both api_key_env and api_key_file: keep one` }]
      : []
  )

const tlsMistakes = (at: KeyPath, table: Table): ReadonlyArray<Mistake> => {
  const of = (key: string, reason: string): Mistake => ({ path: [...at, key], value: table[key], reason })
  const given = tlsFileKeys.filter((key) => textOf(table, key) !== undefined)
  const insecure = table["insecure_skip_verify"] === true
  const all = [...given, ...(insecure ? ["insecure_skip_verify"] : [])]
  const unused = /^http:/i.test(textOf(table, "url") ?? "") ? all : []
  const pair = ["client_cert_file", "client_key_file"] as const
  const [half, ...whole] = pair.filter((key) => given.includes(key))
  const other = half === "client_cert_file" ? "client_key_file" : "client_cert_file"
  return [
    ...unused.map((key) => of(key, "it is for TLS, and the url of this backend begins with http://")),
    ...(half !== undefined && whole.length === 0
      ? [of(half, `it needs ${other} as well; one file may hold both`)]
      : []),
    ...(insecure && given.includes("ca_file")
      ? [of("insecure_skip_verify", "with it ca_file would not be looked at: keep one")]
      : [])
  ]
}

const tlsOfBackend = (tree: Table): ReadonlyArray<Mistake> =>
  tablesAt(tree, ["backends"]).flatMap(({ at, table }) => tlsMistakes(at, table))

const membersOfBackend = (tree: Table): ReadonlyArray<Mistake> =>
  tablesAt(tree, ["backends"]).flatMap(({ at, table }): ReadonlyArray<Mistake> => {
    const by = memberSources.find((each) => each === table["members"])
    const url = textOf(table, "url") ?? ""
    if (by === undefined) return []
    const path = [...at, "url"]
    if (!Object.hasOwn(table, "url"))
      return [{ path: [...at, "members"], value: by, reason: "it needs a url, whose name is followed" }]
    const reason = urlFault(url) === undefined ? followedFault(new URL(url).href, by) : undefined
    return reason === undefined ? [] : [{ path, value: url, reason }]
  })

const nativeOfBackend = (tree: Table): ReadonlyArray<Mistake> =>
  tablesAt(tree, ["backends"]).flatMap(({ at, table }) => {
    const { native, native_dialects: dialects } = table
    if (!Array.isArray(dialects) || dialects.length === 0) return []
    if (native !== "always" && native !== "never") return []
    const reason = `with native = "${native}" it would not be looked at: keep one`
    return [{ path: [...at, "native_dialects"], value: dialects, reason }]
  })

const namesOf = (tree: Table): ReadonlyMap<string, string> => {
  const aliases = valueAt(tree, ["routing", "aliases"])
  const found = isTable(aliases) ? Object.entries(aliases) : []
  return new Map(found.flatMap(([name, to]) => (typeof to === "string" ? [[name, to] as const] : [])))
}

/** All names from an alias to the model it stands for; ends where it meets itself. */
const chainOf = (name: string, aliases: ReadonlyMap<string, string>): ReadonlyArray<string> => {
  const chain = [name]
  for (let next = aliases.get(name); next !== undefined; next = aliases.get(next)) {
    const again = chain.includes(next)
    chain.push(next)
    if (again) break
  }
  return chain
}

const aliasMistakes = (tree: Table): ReadonlyArray<Mistake> => {
  const aliases = namesOf(tree)
  return [...aliases.keys()].flatMap((name) => {
    const chain = chainOf(name, aliases)
    const path = ["routing", "aliases", name]
    const value = aliases.get(name)
    const last = chain.at(-1)
    if (chain.indexOf(last ?? "") !== chain.length - 1) {
      // Told once for each cycle, at the first of its names.
      const cycle = new Set(chain.slice(chain.indexOf(last ?? "")))
      const first = [...aliases.keys()].find((each) => cycle.has(each))
      return name === first ? [{ path, value, reason: `the aliases go in a circle: ${chain.join(" -> ")}` }] : []
    }
    const hops = chain.length - 1
    return hops > maxHops
      ? [{ path, value, reason: `${hops} hops, at most ${maxHops} are allowed: ${chain.join(" -> ")}` }]
      : []
  })
}

const groupMistakes = (tree: Table): ReadonlyArray<Mistake> => {
  const aliases = namesOf(tree)
  const groups = valueAt(tree, ["routing", "groups"])
  if (!isTable(groups)) return []
  const faultOf = (group: string, entry: string): string | undefined => {
    const at = entry.lastIndexOf("@")
    if (at === entry.length - 1) return "expected a model, or model@backend"
    // The names of some models have an @ themselves.
    for (const name of at > 0 ? [entry, entry.slice(0, at)] : [entry]) {
      const chain = chainOf(name, aliases)
      const end = chain.at(-1) ?? name
      const isOther = chain.length > 1 || end !== group
      if (!isOther || !Object.hasOwn(groups, end)) continue
      if (end === group) return `the group and the aliases go in a circle: ${[group, ...chain].join(" -> ")}`
      return `${chain.length > 1 ? `it stands for ${end}, which is` : "it is"} a group itself; name the models`
    }
    return undefined
  }
  return Object.keys(groups).flatMap((group): ReadonlyArray<Mistake> => {
    const path = ["routing", "groups", group]
    if (aliases.has(group)) {
      return [{ path, reason: `${showPath(path)} is never used: the name is an alias as well; keep one` }]
    }
    return listAt(tree, path).flatMap((value, index) => {
      const reason = typeof value === "string" ? faultOf(group, value) : undefined
      return reason === undefined ? [] : [{ path: [...path, index], value, reason }]
    })
  })
}

const fallbackMistakes = (tree: Table): ReadonlyArray<Mistake> => {
  const aliases = namesOf(tree)
  const fallbacks = valueAt(tree, ["routing", "fallbacks"])
  if (!isTable(fallbacks)) return []
  const modelOf = (name: string) => chainOf(name, aliases).at(-1)
  return Object.entries(fallbacks).flatMap(([model, others]) =>
    (Array.isArray(others) ? others : []).flatMap((other: unknown, index) => {
      if (typeof other !== "string" || modelOf(other) !== modelOf(model)) return []
      const through = other === model ? "" : `, which stands for ${modelOf(other) ?? ""} as well`
      const path = ["routing", "fallbacks", model, index]
      return [{ path, value: other, reason: `a model cannot be its own fallback${through}` }]
    })
  )
}

const keptWarm = (tree: Table): ReadonlyArray<Mistake> => {
  const path = ["routing", "keep_warm"]
  const types = new Map(
    tablesAt(tree, ["backends"]).map(({ table }) => [table["name"], typeCalled(textOf(table, "type") ?? plainType)])
  )
  const faultOf = (value: string): string | undefined => {
    const { backend, model } = splitModelAt(value)
    if (model === "" || backend === "") return "expected model@backend"
    if (!types.has(backend)) return `no [[backends]] is called ${backend}`
    const kind = kindNamed(types.get(backend) ?? plainType)
    return kind.lifecycle?.load === undefined
      ? `${backend} is of type ${String(types.get(backend))}, which loads no models when asked to`
      : undefined
  }
  return listAt(tree, path).flatMap((value, index) => {
    const reason = typeof value === "string" && value !== "" ? faultOf(value) : undefined
    return reason === undefined ? [] : [{ path: [...path, index], value, reason }]
  })
}

const weights = (tree: Table): ReadonlyArray<Mistake> => {
  const path = ["routing", "weights"]
  const given = valueAt(tree, path)
  const all = ["priority", "load", "latency"]
  return isTable(given) && all.every((key) => given[key] === 0)
    ? [{ path, reason: "routing.weights: all are 0; at least one must be more" }]
    : []
}

const origins = (tree: Table): ReadonlyArray<Mistake> => {
  const list = valueAt(tree, ["server", "cors", "origins"])
  return (Array.isArray(list) ? list : []).flatMap((value: unknown, index) => {
    if (typeof value !== "string" || (URL.canParse(value) && new URL(value).origin === value)) return []
    if (/^[a-z][a-z0-9+.-]*:\/\/[^/?#\s]+$/.test(value) && !/^https?:/.test(value)) return []
    const reason = "expected scheme, host and port alone, such as https://chat.example"
    return [{ path: ["server", "cors", "origins", index], value, reason }]
  })
}

const allowedHosts = (tree: Table): ReadonlyArray<Mistake> =>
  listAt(tree, ["server", "allowed_hosts"]).flatMap((value, index) => {
    const reason = typeof value === "string" ? allowedFault(value) : undefined
    return reason === undefined ? [] : [{ path: ["server", "allowed_hosts", index], value, reason }]
  })

const trustedProxies = (tree: Table): ReadonlyArray<Mistake> =>
  listAt(tree, ["server", "trusted_proxies"]).flatMap((value, index) => {
    if (typeof value !== "string" || value === "") return []
    const reason = rangeFault(value) ?? (value.endsWith("/0") ? "everybody would be a proxy" : undefined)
    return reason === undefined ? [] : [{ path: ["server", "trusted_proxies", index], value, reason }]
  })

const listAt = (tree: Table, path: KeyPath): ReadonlyArray<unknown> => {
  const list = valueAt(tree, path)
  return Array.isArray(list) ? list : []
}

const searched = (tree: Table, lineOf: LineOf): ReadonlyArray<Mistake> => {
  const at = (key: string, most: number, faultOf: (text: string) => string | undefined): ReadonlyArray<Mistake> => {
    const path = ["discovery", key]
    const list = listAt(tree, path)
    const faulty = list.flatMap((value, index) => {
      const reason = typeof value === "string" ? faultOf(value) : undefined
      return reason === undefined ? [] : [{ path: [...path, index], value, reason }]
    })
    return list.length > most
      ? [...faulty, { path, reason: `discovery.${key} has ${list.length} entries; at most ${most} are allowed` }]
      : faulty
  }
  const hosts = listAt(tree, ["discovery", "hosts"]).flatMap((value, index) => {
    const entry = typeof value === "string" ? readHost(value) : undefined
    if (entry === undefined || Result.isFailure(entry)) return []
    const { host, port } = entry.success
    return [{ path: ["discovery", "hosts", index], value: String(value), same: `${host} ${port ?? ""}` }]
  })
  return [
    ...at("hosts", maxHosts, hostFault),
    ...duplicates(hosts, lineOf, (first, line) => `${showPath(first)}${line} is the same host`),
    ...at("mdns_types", maxTypes, typeFault)
  ]
}

const isTuned = ["options", "keep_alive", "max_num_ctx"] as const

// As Ollama reads it, which has Go's form of a time.
const goDuration = /^[+-]?(?:0|(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)$/

const keptFor = (at: KeyPath, { keep_alive: value }: Table): ReadonlyArray<Mistake> =>
  typeof value !== "string" || value === "" || goDuration.test(value)
    ? []
    : [
        {
          path: [...at, "keep_alive"],
          value,
          reason: 'expected a time such as "30m" or "1h30m", or a number of seconds, -1 for ever'
        }
      ]

const numCtxOf = (table: Table): unknown => valueAt(table, ["options", "num_ctx"])

const grownTo = (at: KeyPath, own: Table, backend: Table): ReadonlyArray<Mistake> => {
  const least = numCtxOf(own) ?? numCtxOf(backend)
  const value = own["max_num_ctx"]
  const path = [...at, "max_num_ctx"]
  if (typeof value !== "number") return []
  if (typeof least !== "number") return [{ path, value, reason: "it needs options.num_ctx to begin with" }]
  return least > value ? [{ path, value, reason: `it is less than options.num_ctx (${least})` }] : []
}

const tunings = (tree: Table): ReadonlyArray<Mistake> =>
  tablesAt(tree, ["backends"]).flatMap(({ at, table }) => {
    const type = textOf(table, "type")
    const takers = backendTypes.filter((each) => kindNamed(each).fuller !== undefined)
    const takes = takers.some((each) => each === type)
    const all = [{ at, table }, ...tablesAt(tree, [...at, "models"])]
    return all.flatMap((each): ReadonlyArray<Mistake> => {
      const given = isTuned.filter((key) => each.table[key] !== undefined)
      if (!takes) {
        const reason = `it is for backends of type ${takers.join(" or ")} alone`
        return given.map((key) => ({ path: [...each.at, key], value: each.table[key], reason }))
      }
      return keptFor(each.at, each.table).concat(grownTo(each.at, each.table, table))
    })
  })

const exported = (tree: Table): ReadonlyArray<Mistake> => {
  const path = ["telemetry", "otlp"]
  const endpoint = valueAt(tree, [...path, "endpoint"])
  const reason = typeof endpoint === "string" && endpoint !== "" ? endpointFault(endpoint) : undefined
  const headers = valueAt(tree, [...path, "headers"])
  const names = isTable(headers) ? Object.entries(headers) : []
  return [
    ...(reason === undefined ? [] : [{ path: [...path, "endpoint"], value: withoutSecrets(String(endpoint)), reason }]),
    // What a header holds may be a key: it is not shown.
    ...names
      .filter(([name]) => !/^[\w!#$%&'*+.^`|~-]+$/.test(name))
      .map(([name]) => ({ path: [...path, "headers", name], reason: "this is no name that a header can have" })),
    ...names
      .filter(([, value]) => typeof value === "string" && !/^[\t\x20-\x7e]*$/.test(value))
      .map(([name]) => ({ path: [...path, "headers", name], reason: "it holds characters that no header can have" }))
  ]
}

/** Everything that is wrong between the keys of merged settings. */
export const ruleMistakes = (tree: Table, lineOf: LineOf): ReadonlyArray<Mistake> => [
  ...listeningMistakes(tree),
  ...privacyMistakes(tree),
  ...clusterMistakes(tree),
  ...followedMistakes(tree),
  ...origins(tree),
  ...allowedHosts(tree),
  ...trustedProxies(tree),
  ...searched(tree, lineOf),
  ...keyMistakes(tree),
  ...repeated(tree, ["auth", "keys"], "name", lineOf),
  ...issuerMistakes(tree),
  ...["name", "issuer"].flatMap((key) => repeated(tree, ["auth", "issuers"], key, lineOf)),
  ...repeated(tree, ["backends"], "name", lineOf),
  ...addressOfBackend(tree),
  ...urls(tree, lineOf),
  ...keyOfServer(tree),
  ...tlsOfBackend(tree),
  ...membersOfBackend(tree),
  ...nativeOfBackend(tree),
  ...tablesAt(tree, ["backends"]).flatMap(({ at, table }) => wakeMistakes(at, table)),
  ...tablesAt(tree, ["backends"]).flatMap(({ at }) => repeated(tree, [...at, "models"], "id", lineOf)),
  ...aliasMistakes(tree),
  ...groupMistakes(tree),
  ...fallbackMistakes(tree),
  ...repeated(tree, ["models"], "name", lineOf),
  ...repeated(tree, ["routes"], "name", lineOf),
  ...repeated(tree, ["budgets"], "name", lineOf),
  ...budgetMistakes(tree),
  ...repeated(tree, ["hooks"], "name", lineOf),
  ...hookMistakes(tree),
  ...routeMistakes(tree),
  ...keptWarm(tree),
  ...tunings(tree),
  ...exported(tree),
  ...weights(tree)
]
