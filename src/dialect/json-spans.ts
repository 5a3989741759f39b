/**
 * Where values stand in a JSON text, so that a part of it can be replaced or left out and all the rest stays as it came.
 */
import type { Span } from "./Dialect.ts"

const quote = 0x22
const backslash = 0x5c
const comma = 0x2c
const openBracket = 0x5b
const closeBracket = 0x5d
const openBrace = 0x7b
const closeBrace = 0x7d

/** Where the next thing begins that is no blank. */
const next = (text: string, from: number): number => {
  let at = from
  while (text.charCodeAt(at) <= 0x20) at += 1
  return at
}

const stringEnd = (text: string, from: number): number => {
  let at = from + 1
  for (; at < text.length && text.charCodeAt(at) !== quote; at += 1) if (text.charCodeAt(at) === backslash) at += 1
  return at + 1
}

/** Where the value ends that begins at `from`. */
const valueEnd = (text: string, from: number): number => {
  const first = text.charCodeAt(from)
  if (first === quote) return stringEnd(text, from)
  let at = from
  if (first !== openBrace && first !== openBracket) {
    while (at < text.length && !/[\s,\]}]/.test(text.charAt(at))) at += 1
    return at
  }
  for (let depth = 0; at < text.length;) {
    const code = text.charCodeAt(at)
    if (code === quote) {
      at = stringEnd(text, at)
      continue
    }
    at += 1
    if (code === openBrace || code === openBracket) depth += 1
    else if ((code === closeBrace || code === closeBracket) && (depth -= 1) === 0) break
  }
  return at
}

/** The elements of the array that begins at `from`; none where none does. */
export const elementsIn = (text: string, from: number): ReadonlyArray<Span> => {
  const found: Array<Span> = []
  if (text.charCodeAt(from) !== openBracket) return found
  for (let at = next(text, from + 1); at < text.length && text.charCodeAt(at) !== closeBracket;) {
    const to = valueEnd(text, at)
    found.push({ from: at, to })
    at = next(text, to)
    if (text.charCodeAt(at) === comma) at = next(text, at + 1)
  }
  return found
}

/** A member of an object, from its name to the end of its value. */
interface Member extends Span {
  readonly name: string
  readonly value: number
}

/** The members of the object that begins at `from`; none where none does. */
export const membersIn = (text: string, from: number): ReadonlyArray<Member> => {
  const found: Array<Member> = []
  if (text.charCodeAt(from) !== openBrace) return found
  for (let at = next(text, from + 1); at < text.length && text.charCodeAt(at) !== closeBrace;) {
    const keyEnd = stringEnd(text, at)
    const name = String(JSON.parse(text.slice(at, keyEnd)))
    const value = next(text, next(text, keyEnd) + 1)
    const to = valueEnd(text, value)
    found.push({ name, from: at, value, to })
    at = next(text, to)
    if (text.charCodeAt(at) === comma) at = next(text, at + 1)
  }
  return found
}

/** The value of a field of the object that begins at `from`, the last of several, as JSON.parse takes it. */
export const fieldIn = (text: string, from: number, name: string): Span | undefined => {
  const found = membersIn(text, from).findLast((member) => member.name === name)
  return found === undefined ? undefined : { from: found.value, to: found.to }
}

/** Where the outermost value begins. */
export const rootOf = (text: string): number => next(text, 0)

/** The text of an array's elements in which some are replaced, or left out where they are replaced by nothing. */
export const withElements = (
  text: string,
  elements: ReadonlyArray<Span>,
  replaced: (element: Span) => string | undefined
): string => {
  const [first] = elements
  const last = elements.at(-1)
  if (first === undefined || last === undefined) return ""
  let told = ""
  let before = first.from
  for (const element of elements) {
    const own = replaced(element)
    // The comma before an element goes with it.
    if (own !== undefined) told += (told === "" ? "" : text.slice(before, element.from)) + own
    before = element.to
  }
  return told
}
