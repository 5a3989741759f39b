/**
 * What is said of a text that is no TOML: where, why, and what most who write it first have left out.
 */
import type { TomlError } from "smol-toml"

const pair = /^\s*(?:[\w.-]+|"[^"]*"|'[^']*')\s*=\s*([^\s"'#[\]{}][^#]*)/
// What may begin with a letter, or with digits and a colon, all the same.
const noText = /^(?:true|false|[+-]?(?:inf|nan)|[+-]?0[xob]\w+|\d{4}-\d\d|\d\d:\d\d)\b/

const lacksQuotes = (line: string): boolean => {
  const [, value = ""] = pair.exec(line) ?? []
  return !noText.test(value) && /[A-Za-z:/]|\..*\./.test(value)
}

/** The place in the text, and what is wrong there. */
export const tomlFault = (text: string, { column, line, message }: TomlError): string => {
  const [said = ""] = message.replace(/^Invalid TOML document: /, "").split("\n")
  const hint = lacksQuotes(text.split("\n")[line - 1] ?? "") ? "; a text needs quotes" : ""
  return `${line}:${column}: no valid TOML: ${said}${hint}`
}
