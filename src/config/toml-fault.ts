/**
 * What is said of a text that is no TOML: where, why, and what most who write it first have left out.
 */
import type { TomlError } from "smol-toml"

const pair = /^\s*(?:[\w.-]+|"[^"]*"|'[^']*')\s*=\s*([^\s"'#[\]{}][^#]*)/
// What may begin with a letter, or with digits and a colon, all the same.
const noText = /^(?:true|false|[+-]?(?:inf|nan)|[+-]?0[xob]\w+|\d{4}-\d\d|\d\d:\d\d)\b/

// What other languages call true and false.
const truth = /^(?:true|false|yes|no|on|off)\s*$/i

const hintAt = (line: string): string => {
  const [, value = ""] = pair.exec(line) ?? []
  if (truth.test(value)) return "; it is true or false, in small letters"
  return !noText.test(value) && /[A-Za-z:/]|\..*\./.test(value) ? "; a text needs quotes" : ""
}

/** The place in the text, and what is wrong there. */
export const tomlFault = (text: string, { column, line, message }: TomlError): string => {
  const [said = ""] = message.replace(/^Invalid TOML document: /, "").split("\n")
  return `${line}:${column}: no valid TOML: ${said}${hintAt(text.split("\n")[line - 1] ?? "")}`
}
