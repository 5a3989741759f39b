/**
 * The tokens of a stream where its client has not asked for them: the wish put into the request, and the event that comes of it
 * kept out of the answer. No other byte changes.
 */
import * as Predicate from "effect/Predicate"
import type { StreamFilter, UsageWish } from "../Dialect.ts"
import { fieldIn, rootOf } from "../json-spans.ts"
import { parsedJson } from "../read-json.ts"
import { EventWatch } from "./event-watch.ts"

const decoder = new TextDecoder()
const encoder = new TextEncoder()

const nothing = new Uint8Array(0)

// Called on the bytes as they are: a Buffer over them would make the engine give them another form.
const { indexOf, lastIndexOf } = Buffer.prototype

const field = "stream_options"

const wish = encoder.encode(`"${field}":{"include_usage":true},`)

const openBrace = 0x7b

// A larger body is not gone through for this: whoever writes the field mostly has the wish.
const mostSearched = 1_048_576

const joined = (pieces: ReadonlyArray<Uint8Array>): Uint8Array => {
  const [only] = pieces
  return pieces.length === 1 && only !== undefined ? only : Buffer.concat(pieces)
}

/** The body with the wish in front of its first field. */
const inFront = (pieces: ReadonlyArray<Uint8Array>): ReadonlyArray<Uint8Array> | undefined => {
  const [first = nothing, ...more] = pieces
  const inside = first.indexOf(openBrace) + 1
  return inside === 0 ? undefined : [first.subarray(0, inside), wish, first.subarray(inside), ...more]
}

const ask: UsageWish["ask"] = (body, pieces) => {
  if (indexOf.call(body, field) < 0) return inFront(pieces)
  if (body.byteLength > mostSearched) return undefined
  // Its name may stand in a text, and its value may be anything.
  const text = decoder.decode(joined(pieces))
  const span = fieldIn(text, rootOf(text), field)
  if (span === undefined) return inFront(pieces)
  const options = parsedJson(text.slice(span.from, span.to))
  const isTable = Predicate.isObject(options)
  if ((!isTable && options !== null) || (isTable && options["include_usage"] === true)) return undefined
  const wished = JSON.stringify({ ...(isTable ? options : {}), include_usage: true })
  return [encoder.encode(text.slice(0, span.from) + wished + text.slice(span.to))]
}

const blankLines = ["\n\n", "\n\r\n", "\r\r"] as const

/** Where the last whole event ends. */
const lastEnd = (bytes: Uint8Array): number => {
  let end = 0
  for (const blank of blankLines) {
    const at = lastIndexOf.call(bytes, blank)
    if (at >= 0) end = Math.max(end, at + blank.length)
  }
  return end
}

const LF = 10
const CR = 13

const endsEvent = (bytes: Uint8Array): boolean => {
  const last = bytes[bytes.length - 1]
  const before = bytes[bytes.length - 2]
  if (last === CR) return before === CR
  return last === LF && (before === LF || (before === CR && bytes[bytes.length - 3] === LF))
}

/** What an event tells of tokens, and whether it tells of nothing else. */
const meterIn = (text: string): "none" | "with an answer" | "alone" => {
  const data = text
    .split(/\r\n|\r|\n/)
    .filter((line) => line.startsWith("data:"))
    .map((line) => line.slice(5))
    .join("\n")
  const json = data.includes("usage") ? parsedJson(data) : undefined
  if (!Predicate.isObject(json)) return "none"
  const { choices, usage, x_groq: vendor } = json
  const isTold = Predicate.isObject(usage) || (Predicate.isObject(vendor) && Predicate.isObject(vendor["usage"]))
  if (!isTold) return "none"
  return Array.isArray(choices) && choices.length === 0 ? "alone" : "with an answer"
}

// Longer than any event that is nothing but tokens.
const mostHeld = 64 * 1024

/** Lets a stream pass but for events that tell of tokens and of nothing else. */
class UsageEventFilter implements StreamFilter {
  private readonly watch: EventWatch
  // The beginning of an event.
  private held = nothing
  private found = 0

  constructor(watch: EventWatch) {
    this.watch = watch
  }

  push(piece: Uint8Array): Uint8Array {
    if (this.held.length === 0 && this.watch.meters === this.found && endsEvent(piece)) return piece
    const all = this.held.length === 0 ? piece : Buffer.concat([this.held, piece])
    const end = all.length > mostHeld ? all.length : lastEnd(all)
    this.held = all.slice(end)
    return this.without(all.subarray(0, end))
  }

  rest(): Uint8Array {
    const { held } = this
    this.held = nothing
    return this.without(held)
  }

  private without(bytes: Uint8Array): Uint8Array {
    if (this.watch.meters === this.found) return bytes
    const text = decoder.decode(bytes)
    let kept = ""
    for (const event of text.split(/(?<=\n\n|\n\r\n|\r\r)/)) {
      const meter = meterIn(event)
      if (meter !== "none") this.found += 1
      if (meter !== "alone") kept += event
    }
    return kept.length === text.length ? bytes : encoder.encode(kept)
  }
}

/** How the tokens of OpenAI's streams are asked for. */
export const usageWish: UsageWish = {
  ask,
  isRefused: (words) => /stream_options|include_usage/.test(words),
  hold: (watch) => (watch instanceof EventWatch ? new UsageEventFilter(watch) : undefined)
}
