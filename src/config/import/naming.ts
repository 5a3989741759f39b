/**
 * Names, addresses and secrets of another gateway's settings in the form that Nexus takes.
 */
import type { KeyPath } from "../path.ts"
import { type Draft, literalText, setKey, type DraftTable } from "./draft.ts"
import { isVariableName } from "../secrets.ts"

const unique = (wanted: string, separator: string, isTaken: (name: string) => boolean): string => {
  let name = wanted
  for (let number = 2; isTaken(name); number++) name = `${wanted}${separator}${number}`
  return name
}

/** Gives out names of backends: like the wanted one as far as Nexus takes it, and each only once. */
export const backendNames = (): ((wanted: string) => string) => {
  const taken = new Set<string>()
  return (wanted) => {
    const plain = wanted
      .replace(/[^A-Za-z0-9._-]+/g, "-")
      .replace(/^[^A-Za-z0-9]+|-+$/g, "")
      .slice(0, 56)
    const name = unique(plain === "" ? "backend" : plain, "-", (each) => taken.has(each))
    taken.add(name)
    return name
  }
}

/** A name for the variable that is to hold a secret. */
const variableFor = (draft: Draft, wanted: string): string => {
  const plain = wanted
    .toUpperCase()
    .replace(/[^A-Z0-9]+/g, "_")
    .replace(/^_+|_+$/g, "")
  const name = /^[A-Z]/.test(plain) ? plain : `KEY_${plain}`
  return unique(name, "_", (each) => draft.needed.some((other) => other.name === each))
}

/** Notes that a variable has to be set. */
export const noteVariable = (draft: Draft, name: string, instead: KeyPath | undefined): void => {
  if (!draft.needed.some((each) => each.name === name)) draft.needed.push({ name, instead })
}

const placeholder =
  /^(|none|null|dummy|empty|fake|fake[-_]?key|no[-_]?key|not[-_]?needed|not[-_]?required|na|n\/a|x+|-+)$/i

/** A secret of the source: its text and where it stands. */
export interface Secret {
  readonly text: string
  readonly from: KeyPath
  /** How the source names a variable inside a text; its first group is the name. */
  readonly syntax: RegExp
  /** What a variable is called when the source holds the secret itself. */
  readonly wanted: string
}

/** The variable that holds a secret: the one the source names, or a new one; undefined when it is none. */
const variableOf = (draft: Draft, { text, from, syntax, wanted }: Secret): string | undefined => {
  const named = new RegExp(`^(?:${syntax.source})$`).exec(text.trim())?.[1]
  if (named !== undefined && isVariableName(named)) {
    noteVariable(draft, named, undefined)
    return named
  }
  if (placeholder.test(text.trim())) {
    draft.notes.push({ path: from, why: "a placeholder and no key: none is sent" })
    return undefined
  }
  const name = variableFor(draft, wanted)
  noteVariable(draft, name, from)
  return name
}

/** Sets `key` to the variable that holds a secret. */
export const putSecret = (draft: Draft, table: DraftTable, key: string, secret: Secret): void =>
  setKey(draft, table, key, variableOf(draft, secret), secret.from)

/** A text of the source with its variables as Nexus writes them. */
export const withVariables = (draft: Draft, text: string, syntax: RegExp): string => {
  let result = ""
  let end = 0
  for (const found of text.matchAll(new RegExp(syntax.source, "g"))) {
    const name = found[1] ?? ""
    if (!isVariableName(name)) continue
    noteVariable(draft, name, undefined)
    result += `${literalText(text.slice(end, found.index))}\${${name}}`
    end = found.index + found[0].length
  }
  return result + literalText(text.slice(end))
}

const credentials =
  "the user and password in the address are left out: a key is sent as a bearer token, by api_key_env or api_key_file"

/** The base URL of a server, without what an address may not hold here. */
export const serverUrl = (draft: Draft, text: string, from: KeyPath, syntax: RegExp): string => {
  const plain = text.trim().replace(/\/+$/, "")
  const note = (why: string): void => {
    draft.notes.push({ path: from, why })
  }
  if (syntax.test(plain)) {
    const bare = plain.replace(/\/\/[^/]*@/, "//")
    if (bare !== plain) note(credentials)
    return withVariables(draft, bare, syntax)
  }
  if (!URL.canParse(plain)) return literalText(plain)
  const url = new URL(plain)
  if (url.username !== "" || url.password !== "") {
    note(credentials)
    url.username = ""
    url.password = ""
  }
  if (url.search !== "" || url.hash !== "") {
    note(
      "what follows the path of the address is left out; write a query that belongs to every call, such as ?api-version=…, behind it"
    )
    url.search = ""
    url.hash = ""
  }
  return literalText(url.href.replace(/\/+$/, ""))
}
