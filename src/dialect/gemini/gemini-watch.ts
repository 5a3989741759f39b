/**
 * The watch over a stream of generateContent, which has no last word but why its answer ended.
 */
import type { StreamEnding } from "../Dialect.ts"
import { EventByEventWatch, inOneLine } from "../event-by-event-watch.ts"
import type { ReadEvent } from "../event-reader.ts"
import { blockOf, candidatesOf, errorIn, finishOf, geminiUsage } from "./gemini-read.ts"
import { countIn, parsedJson } from "../read-json.ts"

const encoder = new TextEncoder()

const blank = "\n\n"

/** Most candidates of one answer that are told apart. */
const mostCandidates = 1024

/** Of so many it is kept why they ended. */
const mostWords = 16

const beginsText = /"text"\s*:\s*"(?!")/

/** Watches one stream. */
export class GeminiWatch extends EventByEventWatch {
  private blocked = false
  // Whether each candidate that has begun has ended.
  private readonly ends = new Map<number, boolean>()
  // Whether it has ended inside of an event.
  private torn = false

  override get between(): boolean {
    return !this.torn && this.reader.between
  }

  ending(orderly: boolean): StreamEnding {
    // The last event may be without the blank line behind it, which clients wait for.
    if (!this.between && !this.torn) {
      this.torn = true
      if (orderly) for (const event of this.reader.end()) this.hear(event)
    }
    if (this.erring) return "failed"
    const { blocked, ends } = this
    const finished = ends.size === 0 ? blocked : [...ends.values()].every((ended) => ended)
    return !finished ? "cut" : this.torn ? "finished" : "done"
  }

  last(): Uint8Array {
    return encoder.encode(blank)
  }

  broken(error: string): Uint8Array {
    return this.behind(`data: ${inOneLine(error)}${blank}`)
  }

  protected take(event: ReadEvent): boolean {
    const { data, name } = event
    const json = parsedJson(data)
    if (name === "error" || errorIn(json) !== undefined) this.erring = true
    const candidates = candidatesOf(json)
    if (candidates.length === 0 && blockOf(json) !== "") this.blocked = true
    for (const candidate of candidates) this.note(candidate)
    if (candidates.length > 0) this.writes(event, beginsText)
    this.usage = geminiUsage(json) ?? this.usage
    if (candidates.length > 0 || this.blocked) this.begun = true
    if (this.opening !== "waiting") return true
    if (this.erring) this.opening = "error"
    else if (this.begun) this.opening = "good"
    return true
  }

  private note(candidate: Readonly<Record<PropertyKey, unknown>>): void {
    const index = countIn(candidate["index"])
    const word = finishOf(candidate)
    const ended = word !== ""
    if (ended && this.ends.get(index) !== true && this.words.length < mostWords) this.words = [...this.words, word]
    // What is no longer told apart never ends.
    if (this.ends.size >= mostCandidates && !this.ends.has(index)) this.ends.set(-1, false)
    else if (ended || !this.ends.has(index)) this.ends.set(index, ended)
  }
}
