/**
 * What Google signs calls and texts with, in a conversation that goes on with somebody else: it says nothing there, and strict
 * servers refuse a message that has a field which they do not know.
 */
import type { Span } from "../Dialect.ts"
import { elementsIn, fieldIn, membersIn, rootOf, withElements } from "../json-spans.ts"

const field = "extra_content"

const decoder = new TextDecoder()
const encoder = new TextEncoder()

// Called on the bytes as they are: a Buffer over them would make the engine give them another form.
const { includes } = Buffer.prototype

const mark = Buffer.from(`"${field}"`)

/** The elements of an array, each told again, and otherwise as it came. */
const eachTold = (text: string, from: number, to: number, told: (element: Span) => string): string => {
  const elements = elementsIn(text, from)
  const [first] = elements
  const last = elements.at(-1)
  if (first === undefined || last === undefined) return text.slice(from, to)
  return text.slice(from, first.from) + withElements(text, elements, told) + text.slice(last.to, to)
}

/** A message, or a call in one, without the field. */
const withoutField = (text: string, { from, to }: Span): string => {
  const members = membersIn(text, from)
  const [first] = members
  const last = members.at(-1)
  if (first === undefined || last === undefined) return text.slice(from, to)
  const kept = withElements(text, members, (span) => {
    const member = members.find((each) => each.from === span.from)
    if (member?.name === field) return undefined
    if (member?.name !== "tool_calls") return text.slice(span.from, span.to)
    const calls = eachTold(text, member.value, span.to, (call) => withoutField(text, call))
    return text.slice(span.from, member.value) + calls
  })
  return text.slice(from, first.from) + kept + text.slice(last.to, to)
}

/** The body of a request without it, and otherwise as it came. */
export const withoutForeignSignatures = (body: Uint8Array): Uint8Array => {
  if (!includes.call(body, mark)) return body
  const text = decoder.decode(body)
  const list = fieldIn(text, rootOf(text), "messages")
  if (list === undefined) return body
  const messages = eachTold(text, list.from, list.to, (message) =>
    text.slice(message.from, message.to).includes(field)
      ? withoutField(text, message)
      : text.slice(message.from, message.to)
  )
  const told = text.slice(0, list.from) + messages + text.slice(list.to)
  return told === text ? body : encoder.encode(told)
}
