/**
 * The watch over a stream of Ollama's: a JSON object a line.
 */
import * as Predicate from "effect/Predicate"
import type { StreamEnding, StreamOpening, StreamWatch } from "../Dialect.ts"
import type { Usage } from "../../telemetry/meter.ts"
import { countIn, parsedJson } from "../read-json.ts"
import { finishesOf } from "../finish-words.ts"
import { WrittenTokens } from "../written-tokens.ts"

const decoder = new TextDecoder()
const encoder = new TextEncoder()

const nothing = new Uint8Array(0)

/** A line as an object; undefined when it is none. */
export const lineObject = (line: string): Readonly<Record<PropertyKey, unknown>> | undefined => {
  const json = parsedJson(line)
  return Predicate.isObject(json) ? json : undefined
}

/** The tokens that a last line, or a whole answer, tells of. */
export const usageOfOllama = (json: Readonly<Record<PropertyKey, unknown>>): Usage | undefined => {
  const { eval_count: completion, prompt_eval_count: prompt } = json
  if (prompt === undefined && completion === undefined) return undefined
  return { prompt: countIn(prompt), cached: 0, completion: countIn(completion) }
}

// Called on the bytes as they are: a Buffer over them would make the engine give them another form.
const { indexOf } = Buffer.prototype

const newline = 0x0a
const letterT = 0x74
const colon = 0x3a
const blank = 0x20

const doneKey = encoder.encode('"done"')
const errorKey = encoder.encode('"error"')

const find = (bytes: Uint8Array, what: Uint8Array, from: number): number => indexOf.call(bytes, what, from)

/** Whether a line may be a last one: some key of its is `done`, and what stands behind it begins as `true` does. */
const mayBeLast = (line: Uint8Array): boolean => {
  for (let at = find(line, doneKey, 0); at >= 0; at = find(line, doneKey, at + 1)) {
    let behind = at + doneKey.byteLength
    while (line[behind] === colon || line[behind] === blank) behind += 1
    if (line[behind] === letterT) return true
  }
  return false
}

const isBlank = (line: Uint8Array): boolean => line.every((byte) => byte <= blank)

const joined = (parts: ReadonlyArray<Uint8Array>, last: Uint8Array): Uint8Array =>
  parts.length === 0 ? last : Buffer.concat([...parts, last])

// An object with an error alone begins so.
const errorBeginning = '{"error"'

const beginsText = /"(?:content|response|thinking)"\s*:\s*"(?!")/

/** Watches one stream. */
export class OllamaWatch implements StreamWatch {
  size = 0
  opening: StreamOpening = "waiting"
  begun = false
  private held: Array<Uint8Array> = []
  private failed = false
  private done = false
  private usage: Usage | undefined
  private reason: unknown
  private readonly texts = new WrittenTokens()

  get between(): boolean {
    return this.held.length === 0
  }

  get written(): number {
    return this.texts.tokens
  }

  get silent(): boolean {
    return !this.begun && this.held.length === 0
  }

  get erring(): boolean {
    if (this.failed) return true
    const [first] = this.held
    return first !== undefined && errorBeginning.startsWith(decoder.decode(first.subarray(0, errorBeginning.length)))
  }

  push(piece: Uint8Array): boolean {
    this.size += piece.byteLength
    let isProgress = false
    let from = 0
    for (let to = piece.indexOf(newline); to >= 0; to = piece.indexOf(newline, from)) {
      const line = joined(this.held, piece.subarray(from, to))
      if (this.held.length > 0) this.held = []
      if (this.take(line)) isProgress = true
      from = to + 1
    }
    if (from < piece.byteLength) {
      this.held.push(piece.subarray(from))
      isProgress = true
    }
    return isProgress
  }

  forget(bytes: Uint8Array): Uint8Array {
    this.size -= bytes.byteLength
    return bytes
  }

  ending(orderly: boolean): StreamEnding {
    // A last line may lack its end.
    if (orderly && this.held.length > 0) this.take(joined(this.held, nothing))
    if (this.failed) return "failed"
    return this.done ? "done" : "cut"
  }

  used(): Usage | undefined {
    return this.usage
  }

  finishes(): ReadonlyArray<string> {
    return finishesOf([this.reason])
  }

  rest(): Uint8Array {
    return this.between ? nothing : encoder.encode("\n")
  }

  last(): Uint8Array {
    return nothing
  }

  broken(error: string): Uint8Array {
    return encoder.encode(`${this.between ? "" : "\n"}${error.replace(/[\r\n]+\s*/g, "")}\n`)
  }

  private take(line: Uint8Array): boolean {
    if (isBlank(line)) return false
    this.begun = true
    const odd = mayBeLast(line) || find(line, errorKey, 0) >= 0
    const json = odd ? lineObject(decoder.decode(line)) : undefined
    const error = json?.["error"]
    if (error !== undefined && error !== null && error !== "") this.failed = true
    else if (json?.["done"] === true) {
      const { done_reason: reason } = json
      this.usage = usageOfOllama(json) ?? this.usage
      if (typeof reason === "string" && reason !== "") this.done = true
      this.reason = reason
    } else this.texts.add(line, beginsText)
    if (this.opening === "waiting") this.opening = this.failed ? "error" : "good"
    return true
  }
}
