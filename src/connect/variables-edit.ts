/**
 * Changes to the text of a file of variables that leave every other line as it is.
 */

const lineOf = (name: string): RegExp =>
  new RegExp(`^[ \\t]*(?:export[ \\t]+)?${name}[ \\t]*=[ \\t]*(.*?)[ \\t]*\\r?$`, "m")

/** The value of a variable as it is written, without quotes around it. */
export const readVariable = (text: string, name: string): string | undefined =>
  lineOf(name)
    .exec(text)?.[1]
    ?.replace(/^(["'])(.*)\1$/, "$2")

/** Sets a variable to a word that needs no quotes. */
export const setVariable = (text: string, name: string, value: string): string => {
  if (readVariable(text, name) === value) return text
  const old = lineOf(name).exec(text)
  const eol = text.includes("\r\n") ? "\r\n" : "\n"
  if (old !== null) {
    const end = old[0].endsWith("\r") ? "\r" : ""
    return `${text.slice(0, old.index)}${name}=${value}${end}${text.slice(old.index + old[0].length)}`
  }
  const gap = text === "" || text.endsWith("\n") ? "" : eol
  return `${text}${gap}${name}=${value}${eol}`
}
