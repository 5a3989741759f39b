/**
 * Answers of Ollama's chat as events of the hub, whole and line by line.
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import { readErrorText } from "../../domain/error-text.ts"
import type { AnswerDecoder, ChatEvent } from "../chat.ts"
import { exactJson } from "../exact-json.ts"
import { imageTypeOf } from "../image-type.ts"
import { brokenEvent, isBrokenObject, listIn } from "../read-json.ts"
import { wholeToken } from "../token-logprobs.ts"
import { lineObject, usageOfOllama } from "./ollama-watch.ts"

type Json = Readonly<Record<PropertyKey, unknown>>

const decoder = new TextDecoder()

const failed = "The backend failed in the middle of its answer"

class Reading {
  private readonly events: Array<ChatEvent> = []
  private calls = 0
  over = false

  take(): ReadonlyArray<ChatEvent> {
    return this.events.splice(0)
  }

  line(text: string): void {
    if (this.over || text.trim() === "") return
    const json = lineObject(text)
    if (json === undefined) {
      if (isBrokenObject(text)) this.fails(brokenEvent)
      return
    }
    const { done, error, logprobs, message } = json
    if (error !== undefined && error !== null && error !== "") {
      return this.fails(readErrorText(text).sentence ?? failed)
    }
    if (Predicate.isObject(message)) this.says(message, text, listIn(logprobs))
    if (done === true) this.ends(json)
  }

  fails(message: string): void {
    this.over = true
    this.events.push({ type: "error", message })
  }

  private says(
    { content, images, thinking, tool_calls: calls }: Json,
    text: string,
    logprobs: ReadonlyArray<unknown>
  ): void {
    if (typeof thinking === "string" && thinking !== "") this.events.push({ type: "reasoning", text: thinking })
    const words = typeof content === "string" ? content : ""
    // It writes them as OpenAI does, and may write them beside no text.
    if (logprobs.length > 0) this.events.push({ type: "text", text: words, logprobs: logprobs.map(wholeToken) })
    else if (words !== "") this.events.push({ type: "text", text: words })
    for (const data of Array.isArray(images) ? images : []) {
      const mediaType = typeof data === "string" ? imageTypeOf(data) : undefined
      this.events.push(mediaType === undefined ? { type: "lost", what: "images" } : { type: "image", mediaType, data })
    }
    if (!Array.isArray(calls) || calls.length === 0) return
    // A line of calls is read again for its numbers, and no other.
    const exact = exactJson(text, lineObject(text))
    const message = Predicate.isObject(exact) ? exact["message"] : undefined
    const told: unknown = Predicate.isObject(message) ? message["tool_calls"] : undefined
    for (const call of Array.isArray(told) ? told : []) if (Predicate.isObject(call)) this.called(call)
  }

  // Their own indexes may be the same in all of them.
  private called(told: Json): void {
    const made = Predicate.isObject(told["function"]) ? told["function"] : {}
    const { arguments: args, name } = made
    if (typeof name !== "string" || name === "") return this.fails("The backend made a call without a name")
    const { calls: call } = this
    const id = typeof told["id"] === "string" && told["id"] !== "" ? told["id"] : undefined
    this.calls += 1
    this.events.push(
      { type: "call", call, id, name },
      { type: "arguments", call, text: typeof args === "string" ? args : JSON.stringify(args ?? {}) }
    )
  }

  private ends(json: Json): void {
    const { done_reason: reason } = json
    if (this.over) return
    if (typeof reason !== "string" || reason === "")
      return this.fails("The backend ended the stream before it finished")
    this.over = true
    const usage = usageOfOllama(json)
    this.events.push({
      type: "stop",
      stop: { reason: reason === "length" ? "length" : this.calls > 0 ? "calls" : "end" }
    })
    if (usage !== undefined) {
      const { completion, prompt } = usage
      this.events.push({ type: "usage", usage: { prompt, cachedRead: 0, cachedWrite: 0, completion, reasoning: 0 } })
    }
    this.events.push({ type: "done" })
  }
}

const stream: AnswerDecoder["stream"] = {
  start: () => {
    const text = new TextDecoder()
    const reading = new Reading()
    let held = ""
    let begun = false
    const taken = (): ReadonlyArray<ChatEvent> => {
      const events = reading.take()
      if (begun || events.length === 0) return events
      begun = true
      return [{ type: "start" }, ...events]
    }
    return {
      push: (piece) => {
        const lines = (held + text.decode(piece, { stream: true })).split("\n")
        held = lines.pop() ?? ""
        for (const line of lines) reading.line(line)
        return taken()
      },
      end: () => {
        reading.line(held + text.decode())
        if (!reading.over) reading.fails("The backend ended the stream before it finished")
        return taken()
      }
    }
  }
}

const whole: AnswerDecoder["whole"] = (body) => {
  const text = decoder.decode(body)
  const reading = new Reading()
  const json = lineObject(text)
  if (json === undefined || !Predicate.isObject(json["message"])) return Result.fail("JSON without a message")
  reading.line(text)
  if (!reading.over) reading.fails("an answer that is not done")
  return Result.succeed([{ type: "start" }, ...reading.take()])
}

/** How its answers are read. */
export const ollamaReads: AnswerDecoder = { stream, whole }
