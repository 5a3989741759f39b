/**
 * The watch over a stream of generateContent, which has no last word but why its answer ended.
 */
import type { StreamEnding, StreamOpening, StreamWatch } from "../Dialect.ts"
import type { Usage } from "../../telemetry/meter.ts"
import { EventReader, type ReadEvent } from "../event-reader.ts"
import { blockOf, candidatesOf, errorIn, finishOf, parsedJson, geminiUsage } from "./gemini-read.ts"

const encoder = new TextEncoder()

const nothing = new Uint8Array(0)

const blank = "\n\n"

/** Watches one stream. */
export class GeminiWatch implements StreamWatch {
  size = 0
  opening: StreamOpening = "waiting"
  erring = false
  begun = false
  private readonly reader = new EventReader()
  private finished = false
  // Whether it has ended inside of an event.
  private torn = false
  private usage: Usage | undefined

  get between(): boolean {
    return !this.torn && this.reader.between
  }

  get silent(): boolean {
    return !this.begun && !this.erring && this.reader.between
  }

  push(piece: Uint8Array): boolean {
    this.size += piece.byteLength
    const events = this.reader.push(piece)
    for (const event of events) this.take(event)
    return events.length > 0 || (!this.reader.between && !this.reader.commenting)
  }

  forget(bytes: Uint8Array): Uint8Array {
    this.size -= bytes.byteLength
    return bytes
  }

  ending(orderly: boolean): StreamEnding {
    // The last event may be without the blank line behind it, which clients wait for.
    if (!this.between && !this.torn) {
      this.torn = true
      if (orderly) for (const event of this.reader.end()) this.take(event)
    }
    // An error is the last word of this dialect.
    if (this.erring) return "failed and done"
    return !this.finished ? "cut" : this.torn ? "finished" : "done"
  }

  used(): Usage | undefined {
    return this.usage
  }

  rest(): Uint8Array {
    return this.between ? nothing : encoder.encode(blank)
  }

  last(): Uint8Array {
    return encoder.encode(blank)
  }

  broken(error: string): Uint8Array {
    return encoder.encode(`${this.between ? "" : blank}data: ${error.replace(/[\r\n]+\s*/g, "")}${blank}`)
  }

  private take({ data }: ReadEvent): void {
    const json = parsedJson(data)
    if (errorIn(json) !== undefined) this.erring = true
    const candidates = candidatesOf(json)
    const blocked = candidates.length === 0 && blockOf(json) !== ""
    if (blocked || candidates.some((candidate) => finishOf(candidate) !== "")) this.finished = true
    this.usage = geminiUsage(json) ?? this.usage
    if (candidates.length > 0 || blocked) this.begun = true
    if (this.opening !== "waiting") return
    if (this.erring) this.opening = "error"
    else if (this.begun) this.opening = "good"
  }
}
