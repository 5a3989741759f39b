/**
 * The messages of a request of chat completions as turns of the hub.
 */
import * as Predicate from "effect/Predicate"
import type { CacheMark, ChatMessage, ChatPart, ChatTurnItem, SystemText } from "../chat.ts"
import { isDrawing, shownTypeOf } from "../image-type.ts"
import { linkedType } from "../linked-type.ts"
import {
  givenArguments,
  type JsonObject,
  listOf,
  type Notes,
  refuseAt,
  shownWord,
  systemOf,
  textOf
} from "../request-notes.ts"
import { markedLast, Turns } from "../turns.ts"
import { signatureOf } from "./call-pieces.ts"
import { isThinkingPart, thinkingIn } from "./thinking-parts.ts"
import { hiddenSignature, isOfAnthropic } from "./thought-details.ts"

const dataUrl = /^data:([^;,]*)(?:;(?!base64,)[^;,]*)*;base64,/i

/** A data URL in base64, taken apart. */
const dataOf = (url: string, place: string): { readonly mediaType: string; readonly data: string } => {
  const [head, mediaType = ""] = dataUrl.exec(url) ?? []
  if (head === undefined) return refuseAt(place, "must be a data URL in base64")
  return { mediaType: mediaType.toLowerCase(), data: url.slice(head.length) }
}

const imageOf = (part: JsonObject, at: string): ChatPart => {
  const { image_url: image } = part
  const url = Predicate.isObject(image) ? image["url"] : image
  const place = `${at}.image_url`
  const detail = Predicate.isObject(image) && typeof image["detail"] === "string" ? { detail: image["detail"] } : {}
  if (typeof url !== "string" || url === "") return refuseAt(place, "must hold the url of an image")
  if (/^https?:/i.test(url)) return { type: "image", url, ...detail }
  const { data, mediaType } = dataOf(url, place)
  if (isDrawing(mediaType)) return refuseAt(place, "is of a kind that models do not look at")
  return { type: "image", mediaType: shownTypeOf(mediaType, data), data, ...detail }
}

// What does not show what it is mostly is a PDF.
const linkOf = (url: string, name: string): ChatPart => {
  const mediaType = linkedType(url) ?? "application/pdf"
  return mediaType.startsWith("image/") ? { type: "image", url } : { type: "file", name, mediaType, url }
}

// As Mistral has it.
const documentOf = (part: JsonObject, at: string): ChatPart => {
  const { document_name: given, document_url: document } = part
  const place = `${at}.document_url`
  const url = textOf(Predicate.isObject(document) ? document["url"] : document, place)
  const name = typeof given === "string" && given !== "" ? given : "document.pdf"
  return /^https?:/i.test(url) ? linkOf(url, name) : { type: "file", name, ...dataOf(url, place) }
}

const fileOf = (part: JsonObject, at: string): ChatPart => {
  const file = Predicate.isObject(part["file"]) ? part["file"] : {}
  const { file_data: content, filename } = file
  if (typeof content !== "string" || content === "") {
    return refuseAt(`${at}.file`, "must hold the file itself (file_data); the backend of this model has no other files")
  }
  const name = typeof filename === "string" && filename !== "" ? filename : "document.pdf"
  // As OpenRouter has it.
  if (/^https?:/i.test(content)) return linkOf(content, name)
  if (!content.startsWith("data:")) return { type: "file", name, mediaType: "application/pdf", data: content }
  return { type: "file", name, ...dataOf(content, `${at}.file.file_data`) }
}

const audioOf = (part: JsonObject, at: string): ChatPart => {
  const audio = Predicate.isObject(part["input_audio"]) ? part["input_audio"] : {}
  const place = `${at}.input_audio`
  return {
    type: "audio",
    format: textOf(audio["format"], `${place}.format`),
    data: textOf(audio["data"], `${place}.data`)
  }
}

// As vLLM and OpenRouter have it.
const filmOf = (part: JsonObject, at: string): ChatPart => {
  const { video_url: film } = part
  const url = Predicate.isObject(film) ? film["url"] : film
  return { type: "file", name: "video", ...dataOf(textOf(url, `${at}.video_url.url`), `${at}.video_url.url`) }
}

const partOf = (part: JsonObject, at: string, notes: Notes): ChatPart => {
  const { type } = part
  switch (type) {
    case "text":
      notes.only(part, ["type", "text", "cache_control"], "text")
      return { type, text: textOf(part["text"], `${at}.text`), ...notes.markOf(part) }
    case "refusal":
      return { type: "text", text: textOf(part["refusal"], `${at}.refusal`) }
    case "image_url":
      notes.only(part, ["type", "image_url", "cache_control"], type)
      return { ...imageOf(part, at), ...notes.markOf(part) }
    case "file":
      notes.only(part, ["type", "file", "cache_control"], type)
      return { ...fileOf(part, at), ...notes.markOf(part) }
    case "document_url":
      notes.only(part, ["type", "document_url", "document_name"], type)
      return documentOf(part, at)
    case "video_url":
      notes.only(part, ["type", "video_url"], type)
      return filmOf(part, at)
    case "input_audio":
      notes.only(part, ["type", "input_audio"], type)
      return audioOf(part, at)
    default:
      return refuseAt(`${at}.type`, `is '${shownWord(type)}', which the backend of this model cannot be told`)
  }
}

const partsOf = (content: unknown, place: string, notes: Notes): ReadonlyArray<ChatPart> => {
  if (typeof content === "string") return [{ type: "text", text: content }]
  if (content === undefined || content === null) return []
  if (!Array.isArray(content)) return refuseAt(place, "must be a string or an array of parts")
  return content.map((part: unknown, at): ChatPart => {
    if (typeof part === "string") return { type: "text", text: part }
    return Predicate.isObject(part)
      ? partOf(part, `${place}[${at}]`, notes)
      : refuseAt(`${place}[${at}]`, "must be an object")
  })
}

type TextPart = SystemText & { readonly type: "text" }

const textsOf = (content: unknown, place: string, notes: Notes): ReadonlyArray<TextPart> =>
  partsOf(content, place, notes).map((part) => (part.type === "text" ? part : refuseAt(place, "must be text")))

/** One text of them all, where none of them is marked. */
const joinedTexts = (texts: ReadonlyArray<TextPart>): ReadonlyArray<TextPart> => {
  const said = texts.filter(({ text }) => text !== "")
  if (said.length < 2 || said.some(({ cache }) => cache !== undefined)) return said
  return [{ type: "text", text: said.map(({ text }) => text).join("") }]
}

/** Thoughts as they came, whole or in the pieces of a stream, the last of which is what they are signed with. */
const signedIn = (details: unknown, place: string, notes: Notes): ReadonlyArray<ChatTurnItem> => {
  const found: Array<{ type: "reasoning"; text: string; signature: string | undefined }> = []
  for (const each of Array.isArray(details) ? details : []) {
    if (!Predicate.isObject(each)) continue
    const { data, format, signature, summary, text, thinking } = each
    const said = [text, thinking, summary].find((words) => typeof words === "string") ?? ""
    const known = format === undefined || isOfAnthropic(format)
    const hidden = hiddenSignature(each)
    // What others than Anthropic hide or sign can be told to nobody who is asked by way of the hub.
    if ((data !== undefined && hidden === undefined) || (!known && typeof signature === "string" && signature !== ""))
      notes.drops(place)
    const signed = hidden ?? (known && typeof signature === "string" && signature !== "" ? signature : undefined)
    const last = found.at(-1)
    if (last !== undefined && last.signature === undefined && hidden === undefined) {
      last.text += said
      last.signature = signed
    } else if (said !== "" || signed !== undefined) found.push({ type: "reasoning", text: said, signature: signed })
  }
  return found
}

const thoughtsIn = (message: JsonObject, notes: Notes): ReadonlyArray<ChatTurnItem> => {
  const name = message["reasoning_details"] === undefined ? "thinking_blocks" : "reasoning_details"
  const signed = signedIn(message[name], `messages.${name}`, notes)
  if (signed.length > 0) return signed
  const { reasoning, reasoning_content: content } = message
  const text = typeof content === "string" && content !== "" ? content : reasoning
  return typeof text === "string" && text !== "" ? [{ type: "reasoning", text, signature: undefined }] : []
}

/** The same among the parts of a content. */
const thoughtItems = (content: unknown): ReadonlyArray<ChatTurnItem> =>
  (Array.isArray(content) ? content : []).filter(isThinkingPart).flatMap((part) => {
    const text = thinkingIn(part)
    const { signature } = part
    const signed = typeof signature === "string" && signature !== "" ? signature : undefined
    return text === "" && signed === undefined ? [] : [{ type: "reasoning", text, signature: signed }]
  })

const wordsAmong = (content: unknown): unknown =>
  Array.isArray(content) ? content.map((part: unknown) => (isThinkingPart(part) ? "" : part)) : content

const signedWith = (of: JsonObject): { readonly signature?: string } => {
  const signature = signatureOf(of)
  return signature === "" ? {} : { signature }
}

const callFields = ["id", "type", "index", "function", "custom", "extra_content"]
// LiteLLM has another place for what a call is signed with.
const signedFields = [...callFields, "provider_specific_fields"]

const callOf = (call: unknown, at: string, notes: Notes): ChatTurnItem => {
  if (!Predicate.isObject(call)) return refuseAt(at, "must be an object")
  const { custom, function: made } = call
  const signed = signedWith(call)
  notes.only(call, signed.signature === undefined ? callFields : signedFields, "messages.tool_calls")
  const id = textOf(call["id"], `${at}.id`)
  if (call["type"] === "custom" && Predicate.isObject(custom)) {
    const input = textOf(custom["input"], `${at}.custom.input`)
    return { type: "call", id, name: textOf(custom["name"], `${at}.custom.name`), args: JSON.stringify({ input }) }
  }
  if (!Predicate.isObject(made)) return refuseAt(`${at}.function`, "must be an object")
  return { type: "call", id, ...madeCall(made, `${at}.function`, notes), ...signed }
}

const madeCall = (made: JsonObject, at: string, notes: Notes): { readonly name: string; readonly args: string } => {
  const { arguments: args, name } = made
  notes.only(made, ["name", "arguments"], "messages.tool_calls.function")
  // Some write the object itself in place of its text.
  if (Predicate.isObject(args)) return { name: textOf(name, `${at}.name`), args: JSON.stringify(args) }
  return { name: textOf(name, `${at}.name`), args: givenArguments(textOf(args ?? "", `${at}.arguments`)) }
}

const known =
  "role content refusal tool_calls function_call reasoning reasoning_content reasoning_details thinking_blocks cache_control audio tool_call_id".split(
    " "
  )

const knownOfResult = [...known, "name"]
const knownOfTurn = [...known, "extra_content"]

/** Reads messages one after the other; calls of the older form have no ids and are numbered. */
class ChatTurns {
  private readonly notes: Notes
  private readonly turns = new Turns({ anywhere: false })
  private readonly head: Array<SystemText> = []
  private begun = false
  private older = 0

  constructor(notes: Notes) {
    this.notes = notes
  }

  message(message: unknown, place: string): void {
    if (!Predicate.isObject(message)) return refuseAt(place, "must be an object")
    const { content, role } = message
    const isResult = role === "function" || role === "tool"
    this.notes.only(message, isResult ? knownOfResult : role === "assistant" ? knownOfTurn : known, "messages")
    const mark = this.notes.markOf(message)
    switch (role) {
      case "system":
      case "developer":
        return this.system(markedLast(textsOf(content, `${place}.content`, this.notes), mark))
      case "user":
        this.begun = true
        return this.turns.user(markedLast(partsOf(content, `${place}.content`, this.notes), mark))
      case "assistant":
        this.begun = true
        return this.turns.assistant(markedLast(this.items(message, place), mark), place)
      case "tool":
        return this.result(textOf(message["tool_call_id"], `${place}.tool_call_id`), content, place, mark)
      case "function":
        return this.result(`call_function_${this.older}`, content, place, mark)
      default:
        return refuseAt(`${place}.role`, "must be system, developer, user, assistant or tool")
    }
  }

  all(): ReadonlyArray<ChatMessage> {
    const messages = this.turns.end()
    return [...systemOf(this.head), ...messages]
  }

  private system(texts: ReadonlyArray<TextPart>): void {
    if (!this.begun) return void this.head.push(...texts)
    const text = texts.map((each) => each.text).join("\n\n")
    if (text.trim() !== "") this.turns.reminder(text, texts.findLast(({ cache }) => cache !== undefined)?.cache)
  }

  private result(id: string, content: unknown, place: string, mark: { readonly cache?: CacheMark }): void {
    this.turns.user([])
    const parts = partsOf(content, `${place}.content`, this.notes)
    this.turns.result(id, parts, place, { listed: Array.isArray(content), ...mark })
  }

  private items(message: JsonObject, place: string): ReadonlyArray<ChatTurnItem> {
    const { audio, content, function_call: made, refusal, tool_calls: calls } = message
    if (Predicate.isObject(audio)) refuseAt(`${place}.audio`, "is not known to the backend of this model")
    const thoughts = thoughtsIn(message, this.notes)
    const texts = textsOf(wordsAmong(content), `${place}.content`, this.notes)
    const refused = typeof refusal === "string" ? [{ type: "text", text: refusal } as const] : []
    const said: ReadonlyArray<TextPart> = joinedTexts([...texts, ...refused])
    const last = said.at(-1)
    const signed = signedWith(message)
    // It signs a text, and is nothing without one.
    if (message["extra_content"] !== undefined && (last === undefined || signed.signature === undefined))
      this.notes.drops("messages.extra_content")
    return [
      ...(thoughts.length > 0 ? thoughts : thoughtItems(content)),
      ...(last === undefined || signed.signature === undefined ? said : [...said.slice(0, -1), { ...last, ...signed }]),
      ...listOf(calls, `${place}.tool_calls`).map((call, at) => callOf(call, `${place}.tool_calls[${at}]`, this.notes)),
      ...(Predicate.isObject(made) ? [this.olderCall(made, `${place}.function_call`)] : [])
    ]
  }

  private olderCall(made: JsonObject, at: string): ChatTurnItem {
    this.older += 1
    return { type: "call", id: `call_function_${this.older}`, ...madeCall(made, at, this.notes) }
  }
}

/** The turns of a conversation. */
export const readMessages = (messages: ReadonlyArray<unknown>, notes: Notes): ReadonlyArray<ChatMessage> => {
  const turns = new ChatTurns(notes)
  for (const [at, message] of messages.entries()) turns.message(message, `messages[${at}]`)
  return turns.all()
}
