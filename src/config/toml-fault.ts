/**
 * What is said of a text that is no TOML: where, why, and what most who write it first have left out.
 */
import type { TomlError } from "smol-toml"
import { linesOf, statementsOf } from "./locate.ts"
import { type KeyPath, pathId, showPath } from "./path.ts"

const pair = /^\s*(?:[\w.-]+|"[^"]*"|'[^']*')\s*=\s*([^\s"'#[\]{}][^#]*)/
// What may begin with a letter, or with digits and a colon, all the same.
const noText = /^(?:true|false|[+-]?(?:inf|nan)|[+-]?0[xob]\w+|\d{4}-\d\d|\d\d:\d\d)\b/

// What other languages call true and false.
const truth = /^(?:true|false|yes|no|on|off)\s*$/i

const withUnit = /^[+-]?\d+(?:\.\d+)?\s*(?:%|[a-zA-Zµ]{1,7})\s*$/

const typographic = /^[“”„«»‘’‚]/

const ofValue = (value: string): string | undefined => {
  if (truth.test(value)) return "it is true or false, in small letters"
  if (withUnit.test(value)) return "a number stands without its unit, a text in quotes"
  if (typographic.test(value)) return "the quotes of a text are straight ones, \" or '"
  return !noText.test(value) && /[A-Za-z:/]|\..*\./.test(value) ? "a text needs quotes" : undefined
}

const ofKey = (line: string): string => {
  if (/^\s*\/[/*]/.test(line)) return "a comment begins with #"
  if (/^\s*\[[^\]]*$/.test(line)) return "the name of a table ends in ]"
  if (/^\s*[\w.-]+(?:\s*:|\s+[^\s=])/.test(line)) return "a key and its value are joined by ="
  return "a key is of letters, digits, - and _, or stands in quotes"
}

/** Where what stands a second time at this line stood first. */
const ofRepeated = (text: string, line: number): string | undefined => {
  const rows = text.split("\n")
  const path = statementsOf(rows.slice(0, line).join("\n")).at(-1)?.path ?? []
  const before = linesOf(rows.slice(0, line - 1).join("\n"))
  const known = (at: KeyPath): number | undefined => before.get(pathId(at))
  // What is in the way is the path itself, or what stands where it needs a table.
  const own = typeof path.at(-1) === "number" ? path.slice(0, -1) : path
  const first = known(own)
  return first === undefined ? undefined : `${showPath(own)} is in line ${first} already; keep one`
}

const hintOf = (said: string, text: string, at: number): string | undefined => {
  const lines = text.split("\n")
  const line = lines[at - 1] ?? ""
  const [, value = ""] = pair.exec(line) ?? []
  if (said.startsWith("trying to redefine")) return ofRepeated(text, at)
  if (said.includes("escape")) return "in \"…\" a backslash is written \\\\, in '…' it stands for itself"
  if (said.startsWith("integer value")) return "it is too large"
  if (said.includes("character in key") || said.includes("end of key")) return ofKey(line)
  if (
    said.startsWith("expected comma") &&
    lines
      .slice(at - 1)
      .join("")
      .trim() === ""
  )
    return "a list ends in ], a table in }"
  if (/^[^=]*=\s*(?:#.*)?$/.test(line)) return "its value is missing"
  if (/^[^"'[{]*,\s*$/.test(value)) return "no comma stands between keys"
  return ofValue(value)
}

// A text without its end goes on to where the line ends, which no text may hold.
const isOpenText = (said: string, text: string, { column, line }: TomlError): boolean =>
  said === "unfinished string" ||
  (said.startsWith("control characters are not allowed in strings") &&
    column > (text.split("\n")[line - 1] ?? "").trimEnd().length)

const ofOpenText = (text: string, { column, line }: TomlError): string =>
  /^("""|''')/.test((text.split("\n")[line - 1] ?? "").slice(column - 1))
    ? "the three quotes that it begins with have to end it"
    : "the quote that it begins with has to end it, in the same line"

/** The place in the text, and what is wrong there. */
export const tomlFault = (text: string, error: TomlError): string => {
  const { column, line, message } = error
  const [told = ""] = message.replace(/^Invalid TOML document: /, "").split("\n")
  const isOpen = isOpenText(told, text, error)
  const said = isOpen ? "unfinished string" : told
  const hint = isOpen ? ofOpenText(text, error) : hintOf(told, text, line)
  return `${line}:${column}: no valid TOML: ${said}${hint === undefined ? "" : `; ${hint}`}`
}
