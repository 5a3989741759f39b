/**
 * What is wrong with the keys of clients beyond their Schema.
 */
import { momentFault, momentOf, rangeFault } from "../domain/key-terms.ts"
import type { Mistake } from "./check.ts"
import { type KeyPath, showPath, type Table, tablesAt } from "./path.ts"

/** Where a key may come from. */
const forms = ["sha256", "env", "key_file", "key"] as const

const exactlyOne = (at: KeyPath, table: Table): ReadonlyArray<Mistake> => {
  const given = forms.filter((key) => Object.hasOwn(table, key))
  if (given.length === 1) return []
  const told = given.length === 0 ? `none of ${forms.join(", ")}` : `${given.join(" and ")}`
  return [{ path: at, reason: `${showPath(at)} has ${told}: exactly one is needed` }]
}

const moments = (at: KeyPath, table: Table): ReadonlyArray<Mistake> => {
  const faulty = ["not_before", "expires", "previous_until"].flatMap((key): ReadonlyArray<Mistake> => {
    const value = table[key]
    const reason = typeof value === "string" && value !== "" ? momentFault(value) : undefined
    return reason === undefined ? [] : [{ path: [...at, key], value, reason }]
  })
  const { expires, not_before: begins } = table
  if (faulty.length > 0 || typeof expires !== "string" || typeof begins !== "string") return faulty
  return momentOf(expires) > momentOf(begins)
    ? []
    : [{ path: [...at, "expires"], value: expires, reason: "it ends before it begins (not_before)" }]
}

const pair = (at: KeyPath, table: Table): ReadonlyArray<Mistake> => {
  const both = ["previous_sha256", "previous_until"] as const
  const [half, ...whole] = both.filter((key) => Object.hasOwn(table, key))
  const other = half === "previous_sha256" ? "previous_until" : "previous_sha256"
  return half !== undefined && whole.length === 0
    ? [{ path: [...at, half], reason: `${showPath([...at, half])} needs ${other} as well` }]
    : []
}

const networks = (at: KeyPath, { networks: list }: Table): ReadonlyArray<Mistake> =>
  (Array.isArray(list) ? list : []).flatMap((value: unknown, index) => {
    const reason = typeof value === "string" && value !== "" ? rangeFault(value) : undefined
    return reason === undefined ? [] : [{ path: [...at, "networks", index], value, reason }]
  })

const metricsAlone = (at: KeyPath, table: Table): ReadonlyArray<Mistake> =>
  ["admin", "models", "backends"].flatMap((key) =>
    table["metrics"] === true && table[key] !== undefined && table[key] !== false
      ? [{ path: [...at, key], reason: `${showPath([...at, key])}: with metrics = true the key is for /metrics alone` }]
      : []
  )

const rules = [exactlyOne, pair, moments, networks, metricsAlone]

/** Everything that is wrong with the keys of clients. */
export const keyMistakes = (tree: Table): ReadonlyArray<Mistake> =>
  tablesAt(tree, ["auth", "keys"]).flatMap(({ at, table }) => rules.flatMap((rule) => rule(at, table)))
