/**
 * The watch over a stream of Messages.
 */
import * as Predicate from "effect/Predicate"
import type { StreamEnding, StreamOpening, StreamWatch } from "../Dialect.ts"
import type { Usage } from "../../telemetry/meter.ts"
import { EventReader, type ReadEvent } from "../event-reader.ts"
import { messagesEvent } from "./messages-answer.ts"

const encoder = new TextEncoder()

const nothing = new Uint8Array(0)

const count = (value: unknown): number => (Number.isSafeInteger(value) && Number(value) > 0 ? Number(value) : 0)

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The usage that an object tells of. */
export const usageOfMessages = (usage: unknown): Usage | undefined => {
  if (!Predicate.isObject(usage)) return undefined
  const cached = count(usage["cache_read_input_tokens"])
  const prompt = count(usage["input_tokens"]) + cached + count(usage["cache_creation_input_tokens"])
  return { prompt, cached, completion: count(usage["output_tokens"]) }
}

/** Watches one stream. */
export class MessagesWatch implements StreamWatch {
  size = 0
  opening: StreamOpening = "waiting"
  erring = false
  begun = false
  private readonly reader = new EventReader()
  private told = false
  private stopped = false
  private done = false
  private usage: Usage | undefined

  get between(): boolean {
    return this.reader.between
  }

  get silent(): boolean {
    return !this.told && this.reader.between
  }

  push(piece: Uint8Array): boolean {
    this.size += piece.byteLength
    const events = this.reader.push(piece)
    let isProgress = !this.reader.between && !this.reader.commenting
    for (const event of events) if (this.take(event)) isProgress = true
    return isProgress
  }

  forget(bytes: Uint8Array): Uint8Array {
    this.size -= bytes.byteLength
    return bytes
  }

  ending(): StreamEnding {
    // An error is the last word of this dialect.
    if (this.erring) return "failed and done"
    return this.done ? "done" : this.stopped ? "finished" : "cut"
  }

  used(): Usage | undefined {
    return this.usage
  }

  rest(): Uint8Array {
    return this.between ? nothing : encoder.encode("\n\n")
  }

  last(): Uint8Array {
    return encoder.encode(`${this.between ? "" : "\n\n"}${messagesEvent({ type: "message_stop" })}`)
  }

  broken(error: string): Uint8Array {
    const data = error.replace(/[\r\n]+\s*/g, "")
    return encoder.encode(`${this.between ? "" : "\n\n"}event: error\ndata: ${data}\n\n`)
  }

  private take({ data, name }: ReadEvent): boolean {
    if (name === "ping") return false
    this.told = true
    if (name === "error") this.erring = true
    else if (name === "message_start") this.begun = true
    else if (name === "message_stop") this.done = true
    else if (name === "message_delta") this.change(data)
    if (this.opening !== "waiting") return true
    if (name === "error") this.opening = "error"
    else if (name.startsWith("content_block") || name === "message_delta") this.opening = "good"
    return true
  }

  private change(data: string): void {
    const json = parsed(data)
    if (!Predicate.isObject(json)) return
    this.usage = usageOfMessages(json["usage"]) ?? this.usage
    const { delta } = json
    if (Predicate.isObject(delta) && typeof delta["stop_reason"] === "string") this.stopped = true
  }
}
