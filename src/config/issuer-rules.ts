/**
 * What is wrong with issuers of tokens beyond their Schema, and what their files hold.
 */
import { jsonAt, parseBoundedJson } from "../domain/bounded-json.ts"
import type { Mistake } from "./check.ts"
import type { IssuerFiles } from "./compile.ts"
import { type KeyPath, showPath, type Table, tablesAt, valueAt } from "./path.ts"
import { type KeyFiles, tlsOf } from "./pem.ts"

const issuersAt: KeyPath = ["auth", "issuers"]

const asked = ["issuer", "jwks_url"] as const

/** Where an issuer is asked for its keys; undefined where it is not. */
export const askedAt = (table: Table): (typeof asked)[number] | undefined => {
  if (table["jwks_file"] !== undefined) return undefined
  return table["jwks_url"] === undefined ? "issuer" : "jwks_url"
}

const address = (at: KeyPath, table: Table): ReadonlyArray<Mistake> => {
  const key = askedAt(table)
  const value = key === undefined ? undefined : table[key]
  if (key === undefined || typeof value !== "string" || value === "") return []
  const url = URL.parse(value)
  const isAddress = url !== null && /^https?:$/.test(url.protocol)
  const wanted = "expected an address such as https://login.example/realms/corp"
  const instead = key === "issuer" ? "; where it is none, jwks_url or jwks_file says where its keys are" : ""
  if (!isAddress) return [{ path: [...at, key], value, reason: `${wanted}${instead}` }]
  if (url.username !== "" || url.password !== "")
    return [
      {
        path: [...at, key],
        reason: `${showPath([...at, key])}: an address without a user name and a password is expected`
      }
    ]
  return key === "issuer" && (url.search !== "" || url.hash !== "")
    ? [{ path: [...at, key], value, reason: `${wanted}, with nothing behind its path` }]
    : []
}

const onePlace = (at: KeyPath, table: Table): ReadonlyArray<Mistake> =>
  table["jwks_url"] !== undefined && table["jwks_file"] !== undefined
    ? [{ path: [...at, "jwks_url"], reason: `${showPath(at)} has jwks_url and jwks_file: one of them is enough` }]
    : []

const metricsAlone = (at: KeyPath, table: Table): ReadonlyArray<Mistake> =>
  ["admin", "models", "backends"].flatMap((key) =>
    table["metrics"] === true && table[key] !== undefined && table[key] !== false
      ? [
          {
            path: [...at, key],
            reason: `${showPath([...at, key])}: with metrics = true the tokens are for /metrics alone`
          }
        ]
      : []
  )

// Whoever means all tokens says so at the issuer itself.
const someClaims = (at: KeyPath, table: Table): ReadonlyArray<Mistake> => {
  const claims = table["claims"]
  return typeof claims === "object" && claims !== null && Object.keys(claims).length === 0
    ? [
        {
          path: [...at, "claims"],
          reason: `${showPath([...at, "claims"])} names no claim: every token would have the role`
        }
      ]
    : []
}

const rules = [address, onePlace, metricsAlone]
const roleRules = [someClaims, metricsAlone]

/** Everything that is wrong with the issuers. */
export const issuerMistakes = (tree: Table): ReadonlyArray<Mistake> => {
  const issuers = tablesAt(tree, issuersAt)
  const roles = issuers.flatMap(({ at }) => tablesAt(tree, [...at, "roles"]))
  return [
    ...issuers.flatMap(({ at, table }) => rules.flatMap((rule) => rule(at, table))),
    ...roles.flatMap(({ at, table }) => roleRules.flatMap((rule) => rule(at, table)))
  ]
}

const keysIn = (table: Table, at: KeyPath, files: KeyFiles, mistakes: Array<Mistake>): string | undefined => {
  const name = table["jwks_file"]
  const found = typeof name === "string" ? files.get(name) : undefined
  if (found === undefined) return undefined
  const isSet = "text" in found && Array.isArray(jsonAt(parseBoundedJson(found.text), "keys"))
  const reason = "fault" in found ? found.fault : isSet ? undefined : "this file holds no set of keys (JWKS)"
  if (reason !== undefined) mistakes.push({ path: [...at, "jwks_file"], value: name, reason })
  return "text" in found && reason === undefined ? found.text : undefined
}

/** What the files of issuers hold, by the names of these. What is wrong with them is added to `mistakes`. */
export const issuerFilesOf = (
  tree: Table,
  files: KeyFiles,
  mistakes: Array<Mistake>
): ReadonlyMap<string, IssuerFiles> =>
  new Map(
    tablesAt(tree, issuersAt).flatMap(({ at, table }) => {
      const jwks = keysIn(table, at, files, mistakes)
      const tls = tlsOf({ ca_file: valueAt(table, ["ca_file"]) }, at, files, mistakes)
      const held = { ...(jwks === undefined ? {} : { jwks }), ...(tls === undefined ? {} : { tls }) }
      return Object.keys(held).length === 0 ? [] : [[String(table["name"]), held] as const]
    })
  )
