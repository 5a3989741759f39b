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

const ofPrompt = ["input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"] as const

const isOfPrompt = (name: string): boolean => ofPrompt.some((each) => each === name)

/** Whether a count of 0 is one, as where a conversation was made shorter: some say nothing by it of all of the prompt. */
export const isZeroTold = (usage: Readonly<Record<PropertyKey, unknown>>, name: string): boolean =>
  isOfPrompt(name) && ofPrompt.some((each) => countIn(usage[each]) > 0)

// What is said later counts in place of what was said before, as far as it is said.
const laidOver = (before: unknown, later: unknown): unknown => {
  if (!Predicate.isObject(before) || !Predicate.isObject(later)) return later ?? before
  const isSaid = ([name, value]: [string, unknown]): boolean =>
    value !== null && (value !== 0 || isZeroTold(later, name))
  return { ...before, ...Object.fromEntries(Object.entries(later).filter(isSaid)) }
}

const beginsText = /"(?:text|thinking|partial_json)"\s*:\s*"(?!")/

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

  protected take(event: ReadEvent): boolean {
    const { data, name } = event
    if (name === "ping") return false
    if (name === "content_block_delta") this.writes(event, beginsText)
    else if (name === "error") this.erring = true
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
