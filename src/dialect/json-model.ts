/**
 * Another model's name, or a server's own fields, in a body that is a JSON object.
 */
import { fieldIn, membersIn, rootOf } from "./json-spans.ts"

const decoder = new TextDecoder()
const encoder = new TextEncoder()

/** The body with this model, and otherwise as it came; the same body when it is no object. */
export const withJsonModel = (body: Uint8Array, model: string): ReadonlyArray<Uint8Array> => {
  const text = decoder.decode(body)
  const root = rootOf(text)
  if (text.charAt(root) !== "{") return [body]
  const span = fieldIn(text, root, "model")
  const name = JSON.stringify(model)
  if (span !== undefined) return [encoder.encode(text.slice(0, span.from) + name + text.slice(span.to))]
  const rest = text.slice(root + 1)
  return [encoder.encode(`{"model":${name}${rest.trimStart().startsWith("}") ? "" : ","}${rest}`)]
}

// Called on the bytes as they are: a Buffer over them would make the engine give them another form.
const { includes } = Buffer.prototype

/** The body with these fields before all others, or without those that are undefined, and otherwise as it came. */
export const withFixedFields = (body: Uint8Array, fields: Readonly<Record<string, string | undefined>>): Uint8Array => {
  // What is only to be taken out is hardly ever there.
  const changes = Object.entries(fields).some(
    ([name, value]) => value !== undefined || includes.call(body, encoder.encode(JSON.stringify(name)))
  )
  if (!changes) return body
  const text = decoder.decode(body)
  const root = rootOf(text)
  if (text.charAt(root) !== "{") return body
  const fixed = Object.entries(fields).flatMap(([name, value]) =>
    value === undefined ? [] : [`${JSON.stringify(name)}:${JSON.stringify(value)}`]
  )
  const kept = membersIn(text, root).flatMap(({ from, name, to }) =>
    Object.hasOwn(fields, name) ? [] : [text.slice(from, to)]
  )
  return encoder.encode(`{${[...fixed, ...kept].join(",")}}`)
}
