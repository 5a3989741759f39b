/**
 * What a model has thought, as a client keeps it for the next turn: its text, and what its server has signed it with. The
 * seal hides nothing; it says whose it is.
 */

import * as Predicate from "effect/Predicate"
import { elementsIn, fieldIn, rootOf, withElements } from "../json-spans.ts"

/** What is kept of the thoughts before a message or a call. */
export interface SealedReasoning {
  readonly text: string
  /** What signs the text. */
  readonly signature?: string | undefined
  /** What signs the call behind it. */
  readonly callSignature?: string | undefined
}

const mark = "nexus1."

const packed = (text: string): string => Buffer.from(text, "utf8").toString("base64url")

const unpacked = (text: string): string => Buffer.from(text, "base64url").toString("utf8")

/** Seals it. */
export const sealed = ({ callSignature = "", signature = "", text }: SealedReasoning): string =>
  `${mark}${[text, signature, callSignature].map(packed).join(".").replace(/\.+$/, "")}`

/** What a seal holds; undefined when it is of somebody else. */
export const unsealed = (seal: string): SealedReasoning | undefined => {
  if (!seal.startsWith(mark)) return undefined
  const [text = "", signature = "", callSignature = ""] = seal.slice(mark.length).split(".").map(unpacked)
  return {
    text,
    ...(signature === "" ? {} : { signature }),
    ...(callSignature === "" ? {} : { callSignature })
  }
}

const decoder = new TextDecoder()
const encoder = new TextEncoder()

// Called on the bytes as they are: a Buffer over them would make the engine give them another form.
const { includes } = Buffer.prototype

const quotedMark = Buffer.from(`"${mark}`)

const isSealed = (json: unknown): boolean => {
  if (!Predicate.isObject(json) || json["type"] !== "reasoning") return false
  const { encrypted_content: seal } = json
  return typeof seal === "string" && seal.startsWith(mark)
}

/** The body of a request without the reasoning that Nexus has sealed, which no server can open; otherwise as it came. */
export const withoutSealedReasoning = (body: Uint8Array): Uint8Array => {
  if (!includes.call(body, quotedMark)) return body
  const text = decoder.decode(body)
  const input = fieldIn(text, rootOf(text), "input")
  const items = input === undefined ? [] : elementsIn(text, input.from)
  const [first] = items
  const last = items.at(-1)
  if (first === undefined || last === undefined) return body
  const kept = withElements(text, items, ({ from, to }) => {
    const own = text.slice(from, to)
    return own.includes(mark) && isSealed(JSON.parse(own)) ? undefined : own
  })
  return encoder.encode(text.slice(0, first.from) + kept + text.slice(last.to))
}
