/**
 * Thoughts and citations that Nexus has signed itself, which mean nothing to any server, left out of what one is asked as it
 * came.
 */
import * as Predicate from "effect/Predicate"
import type { Span } from "../Dialect.ts"
import { isSealed, unsealedBlock } from "../signatures.ts"
import { elementsIn, fieldIn, rootOf, withElements } from "../json-spans.ts"

const decoder = new TextDecoder()
const encoder = new TextEncoder()

// Called on the bytes as they are: a Buffer over them would make the engine give them another form.
const { includes } = Buffer.prototype

const mark = Buffer.from('"nexus')

interface SealedBlock {
  readonly [name: PropertyKey]: unknown
  readonly signature: string
}

const isSealedBlock = (json: unknown): json is SealedBlock => {
  if (!Predicate.isObject(json)) return false
  const { signature, type } = json
  return type === "thinking" && typeof signature === "string" && isSealed(signature)
}

// What Anthropic has signed is told it again, whichever way it came.
const unsealedOf = (block: SealedBlock): string | undefined => {
  const signature = unsealedBlock(block.signature)
  return signature === undefined ? undefined : JSON.stringify({ ...block, signature })
}

const isSealedCitation = (json: unknown): boolean => {
  const index = Predicate.isObject(json) ? json["encrypted_index"] : undefined
  return typeof index === "string" && isSealed(index)
}

/** A block without the citations that are sealed. */
const withoutCitations = (block: string): string => {
  const list = fieldIn(block, 0, "citations")
  const citations = list === undefined ? [] : elementsIn(block, list.from)
  const [first] = citations
  const last = citations.at(-1)
  if (first === undefined || last === undefined) return block
  const kept = withElements(block, citations, ({ from, to }) => {
    const own = block.slice(from, to)
    return own.includes('"nexus') && isSealedCitation(JSON.parse(own)) ? undefined : own
  })
  return block.slice(0, first.from) + kept + block.slice(last.to)
}

/** A message without the blocks that are sealed; undefined where nothing is left of it. */
const withoutBlocks = (text: string, { from, to }: Span): string | undefined => {
  const content = fieldIn(text, from, "content")
  const blocks = content === undefined ? [] : elementsIn(text, content.from)
  const [first] = blocks
  const last = blocks.at(-1)
  if (first === undefined || last === undefined) return text.slice(from, to)
  const kept = withElements(text, blocks, (block) => {
    const own = text.slice(block.from, block.to)
    if (!own.includes('"nexus')) return own
    const json: unknown = JSON.parse(own)
    return isSealedBlock(json) ? unsealedOf(json) : withoutCitations(own)
  })
  return kept === "" ? undefined : text.slice(from, first.from) + kept + text.slice(last.to, to)
}

/** The body of a request without the thoughts and citations that Nexus has signed, and otherwise as it came. */
export const withoutSeals = (body: Uint8Array): Uint8Array => {
  if (!includes.call(body, mark)) return body
  const text = decoder.decode(body)
  const list = fieldIn(text, rootOf(text), "messages")
  const messages = list === undefined ? [] : elementsIn(text, list.from)
  const [first] = messages
  const last = messages.at(-1)
  if (first === undefined || last === undefined) return body
  const kept = withElements(text, messages, (message) => withoutBlocks(text, message))
  const told = text.slice(0, first.from) + kept + text.slice(last.to)
  return told === text ? body : encoder.encode(told)
}
