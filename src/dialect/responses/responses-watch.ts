/**
 * The watch over a stream of Responses.
 */
import * as Predicate from "effect/Predicate"
import type { StreamEnding } from "../Dialect.ts"
import type { Usage } from "../../telemetry/meter.ts"
import { EventByEventWatch } from "../event-by-event-watch.ts"
import type { ReadEvent } from "../event-reader.ts"
import { echoOf, EventWriter, failureOf, responseHead, type ResponseFacts, writeFailure } from "./responses-events.ts"
import { countIn, parsedJson } from "../read-json.ts"
import { responseEnd } from "../finish-words.ts"

/** The usage that a response tells of. */
export const usageOfResponse = (response: unknown): Usage | undefined => {
  const usage = Predicate.isObject(response) ? response["usage"] : undefined
  if (!Predicate.isObject(usage)) return undefined
  const partOf = (details: string, part: string): number => {
    const all = usage[details]
    return Predicate.isObject(all) ? countIn(all[part]) : 0
  }
  const cachedWrite = partOf("input_tokens_details", "cache_write_tokens")
  const reasoning = partOf("output_tokens_details", "reasoning_tokens")
  return {
    prompt: countIn(usage["input_tokens"]),
    cached: partOf("input_tokens_details", "cached_tokens"),
    completion: countIn(usage["output_tokens"]),
    ...(cachedWrite > 0 ? { cachedWrite } : {}),
    ...(reasoning > 0 ? { reasoning } : {})
  }
}

/** The response in the data of an event. */
export const responseIn = (data: string): unknown => {
  const json = parsedJson(data)
  return Predicate.isObject(json) ? json["response"] : undefined
}

/** What an event is: its name, or its type where it has none. */
export const eventType = ({ data, name }: ReadEvent): string => {
  if (name !== "") return name
  const json = parsedJson(data)
  return Predicate.isObject(json) && typeof json["type"] === "string" ? json["type"] : ""
}

/** Whether an event says that there will be no answer. */
export const isFailure = (type: string): boolean => type === "error" || type === "response.failed"

const finals: ReadonlySet<string> = new Set(["response.completed", "response.incomplete", "response.cancelled"])

// They say that somebody is at work, and nothing of an answer.
const waiting: ReadonlySet<string> = new Set(["response.created", "response.queued", "response.in_progress"])

const numbered = /"sequence_number"\s*:\s*(\d{1,15})/

const factsOf = (response: unknown): ResponseFacts | undefined => {
  if (!Predicate.isObject(response)) return undefined
  const { created_at: created, id, model } = response
  return typeof id === "string"
    ? { id, created: countIn(created), model: typeof model === "string" ? model : "" }
    : undefined
}

const nobody = (): ResponseFacts => ({
  id: `resp_${crypto.randomUUID().replaceAll("-", "")}`,
  created: Math.floor((performance.timeOrigin + performance.now()) / 1000),
  model: ""
})

const beginsText = /"delta"\s*:\s*"(?!")/

/** Watches one stream. */
export class ResponsesWatch extends EventByEventWatch {
  private done = false
  private facts: ResponseFacts | undefined
  private latest = ""

  ending(): StreamEnding {
    if (this.done) return "done"
    // Those who read the events alone do not hear of it by an end in order.
    return this.erring ? "failed" : "cut"
  }

  last(): Uint8Array {
    return this.rest()
  }

  broken(error: string): Uint8Array {
    const { facts = nobody(), latest } = this
    const writer = new EventWriter(latest === "" ? 0 : Number(numbered.exec(latest)?.[1] ?? 0) + 1)
    const response = (more: object): string => JSON.stringify({ ...responseHead(facts), ...echoOf({}), ...more })
    // Libraries take nothing before it.
    if (this.facts === undefined) writer.tell("response.created", response({}))
    writeFailure(writer, failureOf(error), response)
    return this.behind(writer.take())
  }

  protected take(event: ReadEvent): boolean {
    const type = eventType(event)
    if (type === "keepalive") return false
    this.latest = event.data
    if (type.endsWith(".delta")) this.writes(event, beginsText)
    if (isFailure(type)) this.erring = true
    if (waiting.has(type)) {
      this.begun = true
      this.facts ??= factsOf(responseIn(event.data))
      return true
    }
    if (finals.has(type)) {
      this.done = true
      const response = responseIn(event.data)
      this.usage = usageOfResponse(response)
      if (Predicate.isObject(response)) this.words = [responseEnd(response)]
    }
    if (this.opening === "waiting" && type !== "") this.opening = isFailure(type) ? "error" : "good"
    return true
  }
}
