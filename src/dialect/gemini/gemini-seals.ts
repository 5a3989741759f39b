/**
 * Signatures of others than Google on the thoughts that Google's clients are told: they come back marked as such, so that
 * neither takes the other's for its own. Google's are bytes in base64, and so are these.
 */
import * as Predicate from "effect/Predicate"
import type { Span } from "../Dialect.ts"
import { elementsIn, fieldIn, rootOf, withElements } from "../json-spans.ts"

// In base64 its letters stand by themselves.
const mark = "nexus1:::"
const encodedMark = Buffer.from(mark).toString("base64")

/** A signature as Google's clients are told it. */
export const sealedForGoogle = (signature: string): string => Buffer.from(mark + signature).toString("base64")

/** The signature of somebody else that one of Google's clients brings back; undefined for one of Google's own. */
export const unsealedFromGoogle = (signature: string): string | undefined => {
  // Either alphabet of base64 is Google's.
  const plain = signature.replaceAll("-", "+").replaceAll("_", "/")
  return plain.startsWith(encodedMark) ? Buffer.from(plain, "base64").toString("utf8").slice(mark.length) : undefined
}

const decoder = new TextDecoder()
const encoder = new TextEncoder()

// Called on the bytes as they are: a Buffer over them would make the engine give them another form.
const { includes } = Buffer.prototype

const quotedMark = Buffer.from(`"${encodedMark}`)

const isForeign = (json: unknown): boolean => {
  if (!Predicate.isObject(json)) return false
  const signature = json["thoughtSignature"] ?? json["thought_signature"]
  return typeof signature === "string" && unsealedFromGoogle(signature) !== undefined
}

/** A turn without the thoughts that are signed by others; undefined where nothing is left of it. */
const withoutParts = (text: string, { from, to }: Span): string | undefined => {
  const list = fieldIn(text, from, "parts")
  const parts = list === undefined ? [] : elementsIn(text, list.from)
  const [first] = parts
  const last = parts.at(-1)
  if (first === undefined || last === undefined) return text.slice(from, to)
  const kept = withElements(text, parts, (part) => {
    const own = text.slice(part.from, part.to)
    return own.includes(encodedMark) && isForeign(JSON.parse(own)) ? undefined : own
  })
  return kept === "" ? undefined : text.slice(from, first.from) + kept + text.slice(last.to, to)
}

/** The body of a request without the thoughts that others than Google have signed, and otherwise as it came. */
export const withoutForeignThoughts = (body: Uint8Array): Uint8Array => {
  if (!includes.call(body, quotedMark)) return body
  const text = decoder.decode(body)
  const list = fieldIn(text, rootOf(text), "contents")
  const contents = list === undefined ? [] : elementsIn(text, list.from)
  const [first] = contents
  const last = contents.at(-1)
  if (first === undefined || last === undefined) return body
  const kept = withElements(text, contents, (content) => withoutParts(text, content))
  const told = text.slice(0, first.from) + kept + text.slice(last.to)
  return told === text ? body : encoder.encode(told)
}
