/**
 * A second reading of requests, written from the grammar of RFC 9112 alone: one character after the other, from text that is
 * all there, with no thought of speed. It shares nothing with the reader in `src/listener`.
 */

/** One request as it was read. */
export interface Reading {
  readonly method: string
  readonly path: string
  readonly host: string | undefined
  readonly fields: Readonly<Record<string, string>>
  readonly body: string
}

/** All requests that a text holds, and what is left: nothing that could not go on, or what nobody may read. */
export interface Readings {
  readonly requests: ReadonlyArray<Reading>
  readonly rest: "whole" | "unfinished" | "refused"
}

class Refused extends Error {}
class Unfinished extends Error {}

const token = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
const hexadecimal = "0123456789abcdefABCDEF"
const decimal = "0123456789"

class Cursor {
  at = 0
  readonly text: string

  constructor(text: string) {
    this.text = text
  }

  peek(): string {
    const character = this.text[this.at]
    if (character === undefined) throw new Unfinished()
    return character
  }

  take(): string {
    const character = this.peek()
    this.at += 1
    return character
  }

  expect(text: string): void {
    for (const character of text) if (this.take() !== character) throw new Refused()
  }

  while(allowed: (character: string) => boolean, least = 0): string {
    let taken = ""
    while (allowed(this.peek())) taken += this.take()
    if (taken.length < least) throw new Refused()
    return taken
  }

  count(length: number): string {
    let taken = ""
    while (taken.length < length) taken += this.take()
    return taken
  }
}

const isToken = (character: string) => token.includes(character)
const isValue = (character: string) => character === "\t" || (character >= " " && character <= "\u00ff")
const isSpace = (character: string) => character === " " || character === "\t"

const strip = (value: string): string => {
  const characters = [...value]
  while (isSpace(characters[0] ?? "x")) characters.shift()
  while (isSpace(characters.at(-1) ?? "x")) characters.pop()
  return characters.join("")
}

const fieldLine = (cursor: Cursor): readonly [string, string] => {
  const name = cursor.while(isToken, 1)
  cursor.expect(":")
  const value = cursor.while(isValue)
  cursor.expect("\r\n")
  return [name.toLowerCase(), strip(value)]
}

const fieldLines = (cursor: Cursor): ReadonlyArray<readonly [string, string]> => {
  const lines: Array<readonly [string, string]> = []
  while (cursor.peek() !== "\r") lines.push(fieldLine(cursor))
  cursor.expect("\r\n")
  return lines
}

const all = (text: string, allowed: string) => [...text].every((character) => allowed.includes(character))

const checkHost = (host: string): void => {
  let name = host
  if (name.startsWith("[")) {
    const end = name.indexOf("]")
    if (end < 2 || !all(name.slice(1, end), `${hexadecimal}:.`)) throw new Refused()
    name = name.slice(end + 1)
    if (name === "") return
    if (!name.startsWith(":")) throw new Refused()
  }
  const [bare = "", ...ports] = name.split(":")
  if (ports.length > 1 || !all(bare, `${token.replace(/[#^`|]/g, "")}(),;=`)) throw new Refused()
  if (ports.some((port) => port.length > 5 || !all(port, decimal))) throw new Refused()
}

const target = (method: string, raw: string): { path: string; host?: string } => {
  if (method === "CONNECT" || raw.includes("#")) throw new Refused()
  if (raw.startsWith("/")) return { path: raw }
  if (raw === "*" && method === "OPTIONS") return { path: "*" }
  const scheme = ["http://", "https://"].find((each) => raw.toLowerCase().startsWith(each))
  if (scheme === undefined) throw new Refused()
  const behind = raw.slice(scheme.length)
  const end = [...behind].findIndex((character) => character === "/" || character === "?")
  const host = end < 0 ? behind : behind.slice(0, end)
  if (host === "" || host.startsWith(":")) throw new Refused()
  checkHost(host)
  const path = end < 0 ? "" : behind.slice(end)
  if (path === "") return { path: method === "OPTIONS" ? "*" : "/", host }
  return { path: path.startsWith("?") ? `/${path}` : path, host }
}

const chunks = (cursor: Cursor): string => {
  let body = ""
  for (;;) {
    const digits = cursor.while((character) => hexadecimal.includes(character), 1)
    const size = Number.parseInt(digits, 16)
    const spaces = cursor.while(isSpace)
    if (cursor.peek() === ";") cursor.while(isValue)
    else if (spaces !== "") throw new Refused()
    cursor.expect("\r\n")
    if (digits.length > 16 || size > Number.MAX_SAFE_INTEGER) throw new Refused()
    if (size === 0) break
    body += cursor.count(size)
    cursor.expect("\r\n")
  }
  fieldLines(cursor)
  return body
}

const request = (cursor: Cursor): Reading => {
  if (cursor.peek() === "\r") cursor.expect("\r\n")
  const method = cursor.while(isToken, 1)
  cursor.expect(" ")
  const raw = cursor.while((character) => character > " " && character < "\u007f", 1)
  cursor.expect(" HTTP/1.")
  const minor = cursor.take()
  if (!decimal.includes(minor)) throw new Refused()
  const isOld = minor === "0"
  cursor.expect("\r\n")
  const fields = fieldLines(cursor)
  const { host: named, path } = target(method, raw)
  const valuesOf = (name: string) => fields.filter(([each]) => each === name).map(([, value]) => value)
  const hosts = valuesOf("host")
  if (hosts.length > 1 || (hosts.length === 0 && !isOld)) throw new Refused()
  for (const each of hosts) checkHost(each)
  const codings = valuesOf("transfer-encoding")
  const lengths = valuesOf("content-length")
  if (codings.length > 0) {
    if (lengths.length > 0 || codings.length > 1 || isOld || codings[0]?.toLowerCase() !== "chunked")
      throw new Refused()
  }
  const [length = "0"] = lengths
  if (lengths.length > 1 || length === "" || !all(length, decimal) || length.length > 15) throw new Refused()
  if (length.length > 1 && length.startsWith("0")) throw new Refused()
  const expectations = valuesOf("expect").join(",").toLowerCase()
  if (!isOld && valuesOf("expect").length > 0 && expectations !== "100-continue") throw new Refused()
  const body = codings.length > 0 ? chunks(cursor) : cursor.count(Number(length))
  const host = named ?? hosts[0]
  const joined: Record<string, string> = Object.create(null)
  for (const [name, value] of fields) {
    const before = joined[name]
    joined[name] = before === undefined ? value : `${before}${name === "cookie" ? "; " : ", "}${value}`
  }
  if (host !== undefined && "host" in joined) joined["host"] = host
  return { method, path, host, fields: { ...joined }, body }
}

/** Reads all that a text holds. */
export const readSlowly = (text: string): Readings => {
  const cursor = new Cursor(text)
  const requests: Array<Reading> = []
  // An empty line alone is nothing yet.
  while (!"\r\n".startsWith(cursor.text.slice(cursor.at))) {
    try {
      requests.push(request(cursor))
    } catch (error) {
      if (error instanceof Unfinished) return { requests, rest: "unfinished" }
      if (error instanceof Refused) return { requests, rest: "refused" }
      throw error
    }
  }
  return { requests, rest: "whole" }
}
