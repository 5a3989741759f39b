/**
 * What the watches over streams of events have in common that are known by their events, one by one.
 */
import type { Usage } from "../telemetry/meter.ts"
import type { StreamEnding, StreamOpening, StreamWatch } from "./Dialect.ts"
import { EventReader, type ReadEvent } from "./event-reader.ts"
import { finishesOf } from "./finish-words.ts"
import { WrittenTokens } from "./written-tokens.ts"

const encoder = new TextEncoder()

const nothing = new Uint8Array(0)

const none: ReadonlyArray<unknown> = []

/** What ends an event. */
const blankLine = "\n\n"

/** Watches one stream; each dialect says what its events mean. */
export abstract class EventByEventWatch implements StreamWatch {
  size = 0
  opening: StreamOpening = "waiting"
  erring = false
  begun = false
  protected readonly reader = new EventReader()
  protected usage: Usage | undefined
  /** Why its answers ended. */
  protected words: ReadonlyArray<unknown> = none
  // Whether more than keep-alives has come.
  private told = false
  private readonly texts = new WrittenTokens()

  /** Takes an event; whether it is more than a keep-alive. */
  protected abstract take(event: ReadEvent): boolean
  abstract ending(orderly: boolean): StreamEnding
  abstract last(): Uint8Array
  abstract broken(error: string): Uint8Array

  get between(): boolean {
    return this.reader.between
  }

  get written(): number {
    return this.texts.tokens
  }

  get silent(): boolean {
    return !this.told && this.reader.between
  }

  push(piece: Uint8Array): boolean {
    this.size += piece.byteLength
    const events = this.reader.push(piece)
    let isProgress = !this.reader.between && !this.reader.commenting
    for (const event of events) if (this.hear(event)) isProgress = true
    return isProgress
  }

  forget(bytes: Uint8Array): Uint8Array {
    this.size -= bytes.byteLength
    return bytes
  }

  used(): Usage | undefined {
    return this.usage
  }

  finishes(): ReadonlyArray<string> {
    return finishesOf(this.words)
  }

  rest(): Uint8Array {
    return this.between ? nothing : encoder.encode(blankLine)
  }

  protected hear(event: ReadEvent): boolean {
    const isProgress = this.take(event)
    this.told ||= isProgress
    return isProgress
  }

  /** Counts an event that brings text, behind what `begins` finds in it. */
  protected writes({ data }: ReadEvent, begins: RegExp): void {
    this.texts.add(data, begins)
  }

  /** Events behind what has come, which may have stopped inside of one. */
  protected behind(events: string): Uint8Array {
    return encoder.encode(this.between ? events : blankLine + events)
  }
}

/** The body of an error as the data of an event: on one line. */
export const inOneLine = (body: string): string => body.replace(/[\r\n]+\s*/g, "")
