/**
 * Another model's name in a body that is a JSON object.
 */
import { fieldIn, rootOf } from "./json-spans.ts"

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
