/**
 * The messages of a chat in Ollama's dialect as turns of the hub: results go to the calls that they are for by id, by the
 * name of the tool, or by their order, and are words of the user where there is none.
 */
import * as Predicate from "effect/Predicate"
import type { ChatMessage, ChatPart, ChatTurnItem } from "../chat.ts"
import { imageTypeOf } from "../image-type.ts"
import { argumentsText, type JsonObject, listOf, type Notes, refuseAt, textOf } from "../request-notes.ts"
import { wordIn } from "../word-table.ts"
import { Turns } from "../turns.ts"

const dataUrl = /^data:[^,]*,/

/** Images beside a text. */
export const imagesOf = (value: unknown, place: string): ReadonlyArray<ChatPart> =>
  listOf(value, place).map((each, at) => {
    const data = textOf(each, `${place}[${at}]`).replace(dataUrl, "")
    const mediaType = imageTypeOf(data)
    if (mediaType === undefined) {
      return refuseAt(`${place}[${at}]`, "must be the bytes of a png, jpeg, gif, webp or bmp in base64")
    }
    return { type: "image", mediaType, data }
  })

// What a message may hold, by who says it.
const ofAll = ["role", "content"]
const fields: Readonly<Record<string, ReadonlyArray<string>>> = {
  user: [...ofAll, "images"],
  assistant: [...ofAll, "thinking", "tool_calls"],
  tool: [...ofAll, "images", "tool_name", "name", "tool_call_id"]
}

const contentOf = (value: unknown, place: string): string =>
  value === undefined || value === null ? "" : textOf(value, place)

const partsOf = (text: string, images: ReadonlyArray<ChatPart>): ReadonlyArray<ChatPart> =>
  text === "" ? images : [{ type: "text", text }, ...images]

/** A call whose result has not come. */
interface OpenCall {
  readonly id: string
  readonly name: string
}

class Conversation {
  private readonly turns = new Turns({ anywhere: false })
  private readonly heads: Array<string> = []
  private readonly notes: Notes
  private begun = false
  private open: Array<OpenCall> = []

  constructor(notes: Notes) {
    this.notes = notes
  }

  message(message: JsonObject, at: number): void {
    const place = `messages[${at}]`
    const { content, images, role } = message
    const text = contentOf(content, `${place}.content`)
    const shown = imagesOf(images, `${place}.images`)
    const known = typeof role === "string" ? wordIn(fields, role) : undefined
    this.notes.only(message, known ?? ofAll, "messages")
    if (role === "system" || role === "developer") return this.system(text)
    this.begun = true
    if (role === "user") this.turns.user(partsOf(text, shown))
    else if (role === "assistant") this.assistant(message, text, at)
    else if (role === "tool") this.result(message, partsOf(text, shown), place)
    else refuseAt(`${place}.role`, "must be system, user, assistant or tool")
  }

  end(): ReadonlyArray<ChatMessage> {
    const text = this.heads.length === 0 ? "" : this.heads.filter((each) => each.trim() !== "").join("\n\n")
    const turns = this.turns.end()
    return text === "" ? turns : [{ role: "system", text }, ...turns]
  }

  private system(text: string): void {
    if (!this.begun) this.heads.push(text)
    else if (text.trim() !== "") this.turns.reminder(text)
  }

  private assistant({ content, thinking, tool_calls: told }: JsonObject, text: string, at: number): void {
    const place = `messages[${at}]`
    const thought = contentOf(thinking, `${place}.thinking`)
    const calls = listOf(told, `${place}.tool_calls`).map((call, n) => this.call(call, at, n))
    const items: ReadonlyArray<ChatTurnItem> = [
      ...(thought === "" ? [] : [{ type: "reasoning", text: thought, signature: undefined } as const]),
      // Beside calls an empty text is one that was said.
      ...(text === "" && (calls.length === 0 || content === undefined || content === null)
        ? []
        : [{ type: "text", text } as const]),
      ...calls
    ]
    this.turns.assistant(items, place)
    this.open = [...this.open, ...calls]
  }

  private call(call: unknown, at: number, n: number) {
    const place = `messages[${at}].tool_calls[${n}]`
    const made = Predicate.isObject(call) ? call["function"] : undefined
    if (!Predicate.isObject(call) || !Predicate.isObject(made))
      return refuseAt(`${place}.function`, "must be an object")
    const { id } = call
    // Calls are told in their order, whatever index they came with.
    this.notes.only(call, ["id", "type", "function"], "messages.tool_calls")
    this.notes.only(made, ["name", "arguments", "index"], "messages.tool_calls.function")
    return {
      type: "call",
      // The same in every request that the conversation goes on with.
      id: typeof id === "string" && id !== "" ? id : `call_${at}_${n}`,
      name: textOf(made["name"], `${place}.function.name`),
      args: argumentsText(made["arguments"], `${place}.function.arguments`)
    } as const
  }

  private result(message: JsonObject, parts: ReadonlyArray<ChatPart>, place: string): void {
    const { name, tool_call_id: id, tool_name: tool = name } = message
    const byId = this.open.find((call) => call.id === id)
    const call = byId ?? this.open.find((each) => each.name === tool) ?? this.open[0]
    if (call === undefined) {
      // Whose call its client has lost: an Ollama takes it, and the model is to hear of it.
      this.notes.drops("messages.role")
      return this.turns.user(parts)
    }
    this.turns.user([])
    this.open = this.open.filter((each) => each !== call)
    this.turns.result(call.id, parts, place)
  }
}

/** The turns of a conversation. */
export const readOllamaTurns = (messages: ReadonlyArray<unknown>, notes: Notes): ReadonlyArray<ChatMessage> => {
  const conversation = new Conversation(notes)
  let at = 0
  for (const message of messages) {
    if (Predicate.isObject(message)) conversation.message(message, at)
    else refuseAt(`messages[${at}]`, "must be an object")
    at += 1
  }
  return conversation.end()
}
