/**
 * The watch over a stream of Messages.
 */
import * as Predicate from "effect/Predicate"
import type { StreamEnding } from "../Dialect.ts"
import type { Usage } from "../../telemetry/meter.ts"
import { EventByEventWatch, inOneLine } from "../event-by-event-watch.ts"
import type { ReadEvent } from "../event-reader.ts"
import { messagesEvent } from "./messages-answer.ts"
import { countIn, parsedJson } from "../read-json.ts"

/** The usage that an object tells of. */
export const usageOfMessages = (usage: unknown): Usage | undefined => {
  if (!Predicate.isObject(usage)) return undefined
  const cached = countIn(usage["cache_read_input_tokens"])
  const cachedWrite = countIn(usage["cache_creation_input_tokens"])
  const prompt = countIn(usage["input_tokens"]) + cached + cachedWrite
  return { prompt, cached, completion: countIn(usage["output_tokens"]), ...(cachedWrite > 0 ? { cachedWrite } : {}) }
}

// What is said later counts in place of what was said before, as far as it is said; some say nothing by 0.
const laidOver = (before: unknown, later: unknown): unknown => {
  if (!Predicate.isObject(before) || !Predicate.isObject(later)) return later ?? before
  return {
    ...before,
    ...Object.fromEntries(Object.entries(later).filter(([, value]) => value !== null && value !== 0))
  }
}

/** Watches one stream. */
export class MessagesWatch extends EventByEventWatch {
  private stopped = false
  private done = false
  // As the last event told it that did.
  private latest: unknown

  promptUsed(): Usage | undefined {
    const usage = usageOfMessages(this.latest)
    return usage === undefined || usage.prompt === 0 ? undefined : usage
  }

  ending(): StreamEnding {
    // An error is the last word of this dialect.
    if (this.erring) return "failed and done"
    return this.done ? "done" : this.stopped ? "finished" : "cut"
  }

  last(): Uint8Array {
    return this.behind(messagesEvent({ type: "message_stop" }))
  }

  broken(error: string): Uint8Array {
    return this.behind(`event: error\ndata: ${inOneLine(error)}\n\n`)
  }

  protected take({ data, name }: ReadEvent): boolean {
    if (name === "ping") return false
    if (name === "error") this.erring = true
    else if (name === "message_start") this.start(data)
    else if (name === "message_stop") this.done = true
    else if (name === "message_delta") this.change(data)
    if (this.opening !== "waiting") return true
    if (name === "error") this.opening = "error"
    else if (name.startsWith("content_block") || name === "message_delta") this.opening = "good"
    return true
  }

  private start(data: string): void {
    this.begun = true
    const json = parsedJson(data)
    const message = Predicate.isObject(json) ? json["message"] : undefined
    if (Predicate.isObject(message)) this.latest = message["usage"]
  }

  private change(data: string): void {
    const json = parsedJson(data)
    if (!Predicate.isObject(json)) return
    if (Predicate.isObject(json["usage"])) {
      this.latest = laidOver(this.latest, json["usage"])
      this.usage = usageOfMessages(this.latest)
    }
    const { delta } = json
    if (!Predicate.isObject(delta) || typeof delta["stop_reason"] !== "string") return
    this.stopped = true
    this.words = [delta["stop_reason"]]
  }
}
