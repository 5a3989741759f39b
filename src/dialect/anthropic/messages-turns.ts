/**
 * The turns of a conversation in Messages as those of the hub: results right behind their calls and in the order of these,
 * then all else of the user's turn; system messages in between as reminders in the turn of the user next to them.
 */
import * as Predicate from "effect/Predicate"
import type { ChatMessage, ChatPart, ChatTurnItem } from "../chat.ts"
import { type JsonObject, listOf, type Notes, refuseAt, textOf } from "./messages-notes.ts"

/** What Nexus signs reasoning with that no one else has signed. */
export const unsigned = "nexus.unsigned"

const imageOf = (block: JsonObject, place: string): ChatPart => {
  const source = Predicate.isObject(block["source"]) ? block["source"] : {}
  const { data, media_type: type, url } = source
  if (source["type"] === "url" && typeof url === "string") return { type: "image", url }
  if (source["type"] !== "base64" || typeof data !== "string" || typeof type !== "string") {
    return refuseAt(`${place}.source`, "must hold the image itself (base64) or its url; files are at Anthropic alone")
  }
  if (type === "image/svg+xml") return refuseAt(`${place}.source.media_type`, "is none that models look at")
  return { type: "image", mediaType: type === "image/jpg" ? "image/jpeg" : type, data }
}

const titled = (title: unknown, text: string): string =>
  typeof title === "string" && title !== "" ? `${title}\n\n${text}` : text

const documentParts = (block: JsonObject, place: string, notes: Notes): ReadonlyArray<ChatPart> => {
  notes.only(block, ["type", "source", "title", "context"], "document")
  const source = Predicate.isObject(block["source"]) ? block["source"] : {}
  const { content, data, media_type: mediaType } = source
  const { context, title } = block
  const head = [title, context].filter((each) => typeof each === "string" && each !== "").join("\n\n")
  switch (source["type"]) {
    case "text":
      return [{ type: "text", text: titled(head, textOf(data, `${place}.source.data`)) }]
    case "content": {
      const parts = typeof content === "string" ? [{ type: "text", text: content } as const] : []
      const inner = typeof content === "string" ? parts : partsOf(content, `${place}.source.content`, notes)
      return [...(head === "" ? [] : [{ type: "text", text: head } as const]), ...inner]
    }
    case "base64": {
      if (mediaType !== "application/pdf") return refuseAt(`${place}.source.media_type`, "must be 'application/pdf'")
      const name = typeof title === "string" && title !== "" ? title : "document.pdf"
      return [{ type: "file", name, mediaType, data: textOf(data, `${place}.source.data`) }]
    }
    default:
      return refuseAt(`${place}.source`, "must hold the document itself; Nexus fetches none")
  }
}

const searchResult = (block: JsonObject, place: string, notes: Notes): ChatPart => {
  notes.only(block, ["type", "content", "source", "title"], "search_result")
  const texts = listOf(block["content"], `${place}.content`).map((each, at) =>
    textOf(Predicate.isObject(each) ? each["text"] : undefined, `${place}.content[${at}].text`)
  )
  const head = [block["title"], block["source"]].filter((each) => typeof each === "string" && each !== "").join("\n")
  return { type: "text", text: titled(head, texts.join("\n\n")) }
}

const partOf = (block: JsonObject, place: string, notes: Notes): ReadonlyArray<ChatPart> => {
  switch (block["type"]) {
    case "text":
      notes.only(block, ["type", "text"], "text")
      return [{ type: "text", text: textOf(block["text"], `${place}.text`) }]
    case "image":
      notes.only(block, ["type", "source"], "image")
      return [imageOf(block, place)]
    case "document":
      return documentParts(block, place, notes)
    case "search_result":
      return [searchResult(block, place, notes)]
    case "tool_reference":
      return [{ type: "text", text: `tool: ${textOf(block["tool_name"], `${place}.tool_name`)}` }]
    default:
      return refuseAt(`${place}.type`, `is '${String(block["type"])}', which the backend of this model cannot be told`)
  }
}

const blocksOf = (content: unknown, place: string): ReadonlyArray<readonly [JsonObject, string]> => {
  if (typeof content === "string") return [[{ type: "text", text: content }, place]]
  if (!Array.isArray(content)) return refuseAt(place, "must be a string or an array of blocks")
  return content.map((block: unknown, at) =>
    Predicate.isObject(block) ? [block, `${place}[${at}]`] : refuseAt(`${place}[${at}]`, "must be an object")
  )
}

const partsOf = (content: unknown, place: string, notes: Notes): ReadonlyArray<ChatPart> =>
  blocksOf(content, place).flatMap(([block, at]) => partOf(block, at, notes))

const isSaid = (part: ChatPart): boolean => part.type !== "text" || part.text.trim() !== ""

/** The result of a call, and what of it is no text. */
interface ToolResult {
  readonly text: string
  readonly failed: boolean
  readonly shown: ReadonlyArray<ChatPart>
  readonly place: string
}

const resultOf = (block: JsonObject, place: string, notes: Notes): ToolResult => {
  notes.only(block, ["type", "tool_use_id", "content", "is_error"], "tool_result")
  const { content } = block
  const parts = content === undefined || content === null ? [] : partsOf(content, `${place}.content`, notes)
  const shown = parts.filter(({ type }) => type !== "text")
  const texts = parts.flatMap((part) => (part.type === "text" ? [part.text] : []))
  const follows = shown.map(({ type }, at) => `[${type} ${at + 1} of this result follows in the next user message]`)
  return { text: [...texts, ...follows].join("\n"), failed: block["is_error"] === true, shown, place }
}

// What tools of Anthropic's own did: the words behind it hold what came of it.
const ofServer = /^(?:server_tool_use|mcp_tool_(?:use|result)|\w+_tool_result|container_upload)$/

const itemsOf = (content: unknown, place: string, notes: Notes): ReadonlyArray<ChatTurnItem> =>
  blocksOf(content, place).flatMap(([block, at]): ReadonlyArray<ChatTurnItem> => {
    const type = String(block["type"])
    switch (type) {
      case "text":
        notes.only(block, ["type", "text"], "text")
        return [{ type, text: textOf(block["text"], `${at}.text`) }]
      case "thinking": {
        const { signature } = block
        notes.only(block, ["type", "thinking", "signature"], type)
        const signed = typeof signature === "string" && signature !== "" && signature !== unsigned
        if (signed) notes.drops("thinking.signature")
        const text = textOf(block["thinking"], `${at}.thinking`)
        return text === "" ? [] : [{ type: "reasoning", text, signature: signed ? signature : undefined }]
      }
      case "tool_use": {
        notes.only(block, ["type", "id", "name", "input", "caller"], type)
        const id = textOf(block["id"], `${at}.id`)
        return [
          { type: "call", id, name: textOf(block["name"], `${at}.name`), args: JSON.stringify(block["input"] ?? {}) }
        ]
      }
      case "redacted_thinking":
        notes.drops(type)
        return []
      default:
        if (!ofServer.test(type))
          return refuseAt(`${at}.type`, `is '${type}', which the backend of this model cannot be told`)
        notes.drops(at)
        return []
    }
  })

class Turns {
  readonly messages: Array<ChatMessage> = []
  private readonly notes: Notes
  private items: Array<ChatTurnItem> = []
  private results = new Map<string, Array<ToolResult>>()
  private parts: Array<ChatPart> = []
  private answering = false
  private openCalls: ReadonlyArray<{ readonly id: string; readonly place: string }> = []

  constructor(notes: Notes) {
    this.notes = notes
  }

  assistant(content: unknown, place: string): void {
    if (!this.answering) this.endUser()
    this.answering = true
    const items = itemsOf(content, `${place}.content`, this.notes)
    this.items.push(...items)
    const calls = items.flatMap((item) => (item.type === "call" ? [{ id: item.id, place }] : []))
    this.openCalls = [...this.openCalls, ...calls]
  }

  user(content: unknown, place: string): void {
    this.endAssistant()
    for (const [block, at] of blocksOf(content, `${place}.content`)) {
      if (block["type"] !== "tool_result") {
        this.parts.push(...partOf(block, at, this.notes).filter(isSaid))
        continue
      }
      const id = textOf(block["tool_use_id"], `${at}.tool_use_id`)
      const result = resultOf(block, at, this.notes)
      const known = this.results.get(id)
      if (known === undefined) this.results.set(id, [result])
      else known.push(result)
    }
  }

  system(content: unknown, place: string): void {
    this.endAssistant()
    const texts = partsOf(content, `${place}.content`, this.notes).map((part) =>
      part.type === "text" ? part.text : refuseAt(`${place}.content`, "must be text")
    )
    this.parts.push({ type: "text", text: `<system-reminder>\n${texts.join("\n\n")}\n</system-reminder>` })
  }

  end(): ReadonlyArray<ChatMessage> {
    this.endAssistant()
    this.endUser()
    return this.messages
  }

  private endAssistant(): void {
    if (!this.answering) return
    this.answering = false
    this.messages.push({ role: "assistant", items: this.items })
    this.items = []
  }

  private endUser(): void {
    const shown: Array<ChatPart> = []
    for (const { id, place } of this.openCalls) {
      const result = this.results.get(id)?.shift()
      if (result === undefined) return refuseAt(place, `has a call '${id}' without a tool_result in the turn behind it`)
      this.messages.push({ role: "tool", callId: id, text: result.text, failed: result.failed })
      shown.push(...result.shown)
    }
    for (const [id, [left]] of this.results) {
      if (left !== undefined)
        refuseAt(left.place, `is a result of the call '${id}', which is not in the turn before it`)
    }
    const parts = [...shown, ...this.parts]
    if (parts.length > 0) this.messages.push({ role: "user", parts })
    this.openCalls = []
    this.results = new Map()
    this.parts = []
  }
}

/** The turns of a conversation. */
export const readTurns = (messages: ReadonlyArray<unknown>, notes: Notes): ReadonlyArray<ChatMessage> => {
  const turns = new Turns(notes)
  for (const [at, message] of messages.entries()) {
    const place = `messages[${at}]`
    if (!Predicate.isObject(message)) return refuseAt(place, "must be an object")
    const { content, role } = message
    if (role === "user") turns.user(content, place)
    else if (role === "assistant") turns.assistant(content, place)
    else if (role === "system") turns.system(content, place)
    else return refuseAt(`${place}.role`, "must be user, assistant or system")
  }
  return turns.end()
}
