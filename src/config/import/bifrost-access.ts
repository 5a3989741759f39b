/**
 * Bifrost's virtual keys with their limits and budgets.
 */
import type { KeyPath } from "../path.ts"
import { addItem, type Draft, type DraftTable, literalText, type Reader, sectionAt, setKey } from "./draft.ts"
import { putSecret } from "./naming.ts"

/** A backend that has come of a provider's key. */
export interface Carried {
  readonly provider: string
  readonly backend: string
  /** What the key is called where a virtual key names it. */
  readonly names: ReadonlyArray<unknown>
}

/** Whether what lists nothing lets everything, as in the files of version 1; it lets nothing since then. */
const isOpen = (read: Reader): boolean => read.at(["version"]) === 1

const isAll = (read: Reader, list: ReadonlyArray<string> = []): boolean =>
  list.length === 0 ? isOpen(read) : list.includes("*")

const itemWith = (read: Reader, list: string, key: string, value: unknown): KeyPath | undefined =>
  value === undefined ? undefined : read.items(["governance", list]).find((item) => read.at([...item, key]) === value)

interface KeyScope {
  readonly models: ReadonlyArray<string>
  readonly backends: ReadonlyArray<string>
}

/** What a virtual key may ask for, any when its list is empty, and of whom; undefined when that is nobody. */
const scopeOf = (read: Reader, key: KeyPath, carried: ReadonlyArray<Carried>): KeyScope | undefined => {
  const listed = read.items([...key, "provider_configs"])
  if (listed.length === 0 && isOpen(read)) return { models: [], backends: carried.map(({ backend }) => backend) }
  const configs = listed.flatMap((at) => {
    const provider = read.text([...at, "provider"])
    const ids = read.texts([...at, "key_ids"])
    const models = read.texts([...at, "allowed_models"])
    const isNamed = ({ names }: Carried) => isAll(read, ids) || names.some((name) => ids?.includes(String(name)))
    const backends = carried.filter((each) => each.provider === provider && isNamed(each)).map((each) => each.backend)
    const allowed = isAll(read, models) ? undefined : (models ?? [])
    if (backends.length === 0 || allowed?.length === 0) {
      read.note(at, "nothing that is carried over may be asked by it")
      return []
    }
    read.used([...at, "provider"], [...at, "key_ids"], [...at, "allowed_models"])
    return [{ at, provider, names: allowed?.flatMap((name) => [name, `${provider}/${name}`]), backends }]
  })
  if (configs.length === 0) return undefined
  const isOpenAtAll = configs.every(({ names }) => names === undefined)
  // The models of a key are those of all its backends: where one has a list, another one's are told apart by its name before them.
  for (const { at, names, provider } of isOpenAtAll ? [] : configs) {
    if (names === undefined) read.note([...at, "allowed_models"], `its models are to be asked for as ${provider}/…`)
  }
  return {
    models: isOpenAtAll ? [] : [...new Set(configs.flatMap(({ names, provider }) => names ?? [`${provider}/*`]))],
    backends: [...new Set(configs.flatMap(({ backends }) => backends))]
  }
}

const limits = (read: Reader, draft: Draft, key: KeyPath, table: DraftTable): void => {
  const named = [...key, "rate_limit_id"]
  const limit = itemWith(read, "rate_limits", "id", read.at(named))
  if (limit === undefined) return
  read.used(named, [...limit, "id"])
  for (const what of ["request", "token"]) {
    const most = [...limit, `${what}_max_limit`]
    const every = [...limit, `${what}_reset_duration`]
    if (read.at(most) === undefined) continue
    if (["1m", "60s"].includes(String(read.at(every)))) {
      setKey(draft, table, `${what}s_per_minute`, read.number(most), most)
      read.used(every)
    } else {
      read.note(every, "requests and tokens are counted by the minute")
      read.used(most)
    }
  }
}

const literal = (read: Reader, from: KeyPath): string | undefined => {
  const text = read.text(from)
  return text === undefined ? undefined : literalText(text)
}

/** Whose a key is: its team, or its customer. */
const owner = (read: Reader, draft: Draft, key: KeyPath, table: DraftTable): void => {
  for (const [list, field] of [
    ["customers", "customer_id"],
    ["teams", "team_id"]
  ] as const) {
    const found = itemWith(read, list, "id", read.at([...key, field]))
    if (found === undefined) continue
    read.used([...key, field], [...found, "id"])
    setKey(draft, table, "owner", literal(read, [...found, "name"]), [...found, "name"])
  }
}

const periods: ReadonlyMap<unknown, string> = new Map([
  ["1d", "day"],
  ["24h", "day"],
  ["1w", "week"],
  ["7d", "week"],
  ["1M", "month"]
])

/** Whom a budget is for: it names them, or they name it. */
const spenders = (read: Reader, budget: KeyPath, list: string, field: string): KeyPath | undefined =>
  itemWith(read, list, "id", read.at([...budget, field])) ??
  itemWith(read, list, "budget_id", read.at([...budget, "id"]))

const budgets = (read: Reader, draft: Draft): void => {
  for (const at of read.items(["governance", "budgets"])) {
    const fields = [
      ["keys", "virtual_keys", "virtual_key_id"],
      ["owners", "teams", "team_id"],
      ["owners", "customers", "customer_id"]
    ] as const
    const [found] = fields.flatMap(([key, list, field]) => {
      const whose = spenders(read, at, list, field)
      const name = whose === undefined ? undefined : literal(read, [...whose, "name"])
      return whose === undefined || name === undefined ? [] : [{ key, field, whose, name }]
    })
    const period = [...at, "reset_duration"]
    const per = periods.get(read.at(period))
    if (found === undefined || per === undefined) {
      read.note(
        at,
        found === undefined ? "it is for no key, team or customer" : "a budget lasts a day, a week or a month"
      )
      continue
    }
    const table = addItem(draft, draft.settings, "budgets", at)
    setKey(draft, table, "name", literal(read, [...at, "id"]), [...at, "id"])
    setKey(draft, table, found.key, [found.name], [...at, found.field])
    read.used([...found.whose, "budget_id"])
    setKey(draft, table, "per", per, period)
    setKey(draft, table, "hard_usd", read.number([...at, "max_limit"]), [...at, "max_limit"])
  }
}

/** Whether there are keys decides here whether they are asked for. */
const enforced = (read: Reader, hasKeys: boolean): void => {
  const [main = [], ...others] = ["enforce_auth_on_inference", "enforce_governance_header"].map((key) => [
    "client",
    key
  ])
  const isAsked = [main, ...others].some((path) => read.at(path) === true)
  read.used(...others)
  if (isAsked === hasKeys) read.used(main)
  else if (hasKeys) read.note(main, "where there are keys nobody gets in without one")
  else read.note(main, "no key is carried over, and everybody gets in; make one with `nexus keys new`")
}

/** Carries over who may ask, for what, and how much. */
export const access = (read: Reader, draft: Draft, carried: ReadonlyArray<Carried>, syntax: RegExp): void => {
  let count = 0
  read.used(["version"])
  for (const at of read.items(["governance", "virtual_keys"])) {
    const name = read.text([...at, "name"])
    const from = [...at, "value"]
    const text = read.text(from)
    const scope = scopeOf(read, at, carried)
    if (read.flag([...at, "is_active"]) === false || scope === undefined || name === undefined || text === undefined) {
      read.note(
        at,
        text === undefined ? "the key itself is not in the file" : "it is not active, or may ask for nothing"
      )
      continue
    }
    const table = addItem(draft, sectionAt(draft.settings, ["auth"]), "keys", at)
    setKey(draft, table, "name", literalText(name), [...at, "name"])
    read.used([...at, "id"], [...at, "is_active"])
    putSecret(draft, table, "env", { text, from, syntax, wanted: `${name}_KEY` })
    if (scope.models.length > 0) table["models"] = scope.models.map(literalText)
    if (scope.backends.length < carried.length) table["backends"] = scope.backends
    owner(read, draft, at, table)
    limits(read, draft, at, table)
    count += 1
  }
  budgets(read, draft)
  enforced(read, count > 0)
}
