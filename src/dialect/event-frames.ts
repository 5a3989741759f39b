/**
 * A stream as the events that it is made of, each with its bytes: of an event stream, or of a JSON object a line. What is
 * between two events is a frame too, so that all frames together are the stream.
 */
import { exactObject } from "./exact-json.ts"

/** One event. */
export interface EventFrame {
  /** The text as it came; lines end in line feeds. */
  readonly raw: string
  /** Its data, where that is a JSON object. */
  readonly json: Record<PropertyKey, unknown> | undefined
  /** Whether it says something that cannot be read. */
  readonly isDark: boolean
  /** The text with the data as it is now. */
  readonly written: () => string
}

const dataLine = /^data:/

// What ends a stream, and is no text.
const isMark = (data: string): boolean => data === "" || data === "[DONE]"

const eventFrame = (raw: string): EventFrame => {
  const lines = raw.split("\n")
  const data = lines
    .filter((line) => dataLine.test(line))
    .map((line) => line.slice(5))
    .join("\n")
    .trim()
  const json = isMark(data) ? undefined : exactObject(data)
  return {
    raw,
    json,
    isDark: json === undefined && !isMark(data),
    written: () => {
      const others = lines.filter((line) => line !== "" && !dataLine.test(line))
      return [...others, `data: ${JSON.stringify(json)}`, "", ""].join("\n")
    }
  }
}

const lineFrame = (raw: string): EventFrame => {
  const data = raw.trim()
  const json = data === "" ? undefined : exactObject(data)
  return { raw, json, isDark: json === undefined && data !== "", written: () => `${JSON.stringify(json)}\n` }
}

/** Takes a stream apart, however it is cut. */
export class EventFrames {
  private readonly decoder = new TextDecoder()
  private readonly end: "\n" | "\n\n"
  private text = ""
  private returned = false

  /** `byLine` of a JSON object a line. */
  constructor(byLine: boolean) {
    this.end = byLine ? "\n" : "\n\n"
  }

  /** The events that a piece makes whole. */
  push(piece: Uint8Array): ReadonlyArray<EventFrame> {
    return this.take(this.decoder.decode(piece, { stream: true }))
  }

  /** What the end of the stream makes whole. */
  rest(): ReadonlyArray<EventFrame> {
    const frames = this.take(this.decoder.decode())
    if (this.text === "") return frames
    const last = `${this.text.replace(/\n+$/, "")}${this.end}`
    this.text = ""
    return [...frames, this.frame(last)]
  }

  private frame(raw: string): EventFrame {
    return this.end === "\n" ? lineFrame(raw) : eventFrame(raw)
  }

  private take(came: string): ReadonlyArray<EventFrame> {
    const more = this.returned && came.startsWith("\n") ? came.slice(1) : came
    if (came !== "") this.returned = came.endsWith("\r")
    this.text += more.includes("\r") ? more.replaceAll("\r\n", "\n").replaceAll("\r", "\n") : more
    const frames: Array<EventFrame> = []
    let from = 0
    for (let at = this.text.indexOf(this.end); at >= 0; at = this.text.indexOf(this.end, from)) {
      const to = at + this.end.length
      frames.push(this.frame(this.text.slice(from, to)))
      from = to
    }
    this.text = this.text.slice(from)
    return frames
  }
}
