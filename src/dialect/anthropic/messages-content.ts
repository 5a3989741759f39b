/**
 * The turns of the hub as messages of Anthropic's: all that is said between two turns of the model in one message, the
 * results of its calls before anything else.
 */
import * as Predicate from "effect/Predicate"
import type { CacheMark, ChatFile, ChatMessage, ChatPart, ChatTurnItem, SystemText } from "../chat.ts"
import { isTextFile, wordsOfFile } from "../text-files.ts"
import { Unsayable } from "../unsayable.ts"
import { isForAnthropic, unsealedBlock, unsealedHidden } from "../signatures.ts"
import { callArguments } from "../exact-json.ts"

/** A block, or a message. */
export type Fields = Record<string, unknown>

const cannot = (why: string): never => {
  throw new Unsayable("messages", why)
}

/** The mark of something as where what is kept of a prompt ends. */
export const markOf = ({ cache }: { readonly cache?: CacheMark }): Fields =>
  cache === undefined ? {} : { cache_control: cache }

const documentOf = (file: ChatFile & { readonly cache?: CacheMark }): Fields => {
  const { mediaType, name } = file
  const about = { type: "document", title: name, ...markOf(file) }
  if ("url" in file) {
    if (mediaType !== "application/pdf")
      cannot("has a file by its address that is no PDF, and this model fetches no others")
    return { ...about, source: { type: "url", url: file.url } }
  }
  const { data } = file
  if (mediaType === "application/pdf") return { ...about, source: { type: "base64", media_type: mediaType, data } }
  if (!isTextFile({ mediaType })) {
    return cannot(`has a file of the type '${mediaType}', which this model does not take`)
  }
  return { ...about, source: { type: "text", media_type: "text/plain", data: wordsOfFile(data) } }
}

const partOf = (part: ChatPart): ReadonlyArray<Fields> => {
  switch (part.type) {
    case "text":
      return part.text.trim() === "" ? [] : [{ type: "text", text: part.text, ...markOf(part) }]
    case "image":
      return [
        {
          type: "image",
          ...markOf(part),
          source:
            "url" in part
              ? { type: "url", url: part.url }
              : { type: "base64", media_type: part.mediaType, data: part.data }
        }
      ]
    case "file":
      return [documentOf(part)]
    case "audio":
      return cannot("has audio, which this model does not take")
  }
}

const inputOf = (name: string, args: string): unknown =>
  callArguments(args) ?? cannot(`has a call of '${name}' whose arguments are no JSON object`)

const itemOf = (item: ChatTurnItem): ReadonlyArray<Fields> => {
  switch (item.type) {
    case "text":
      return item.text.trim() === "" ? [] : [{ type: "text", text: item.text, ...markOf(item) }]
    case "reasoning": {
      const { signature, text } = item
      if (!isForAnthropic(signature)) return []
      const data = unsealedHidden(signature)
      return [
        data === undefined
          ? { type: "thinking", thinking: text, signature: unsealedBlock(signature) ?? signature }
          : { type: "redacted_thinking", data }
      ]
    }
    case "call":
      return [{ type: "tool_use", id: item.id, name: item.name, input: inputOf(item.name, item.args), ...markOf(item) }]
  }
}

const resultOf = ({ callId, failed, text, texts, ...rest }: ChatMessage & { readonly role: "tool" }): Fields => {
  const kept = texts?.filter((each) => each.trim() !== "") ?? []
  return {
    type: "tool_result",
    tool_use_id: callId,
    content: kept.length === 0 ? text : kept.map((each) => ({ type: "text", text: each })),
    ...(failed ? { is_error: true } : {}),
    ...markOf(rest)
  }
}

/** A text that nothing else is said of. */
const isPlain = (block: Fields | undefined): boolean =>
  block?.["type"] === "text" && block["cache_control"] === undefined

/** Puts messages together. */
class Messages {
  readonly all: Array<Fields> = []
  private blocks: Array<Fields> = []
  // Whether the blocks are one text that was said alone.
  private lone = false

  /** Adds to what is said to the model. */
  told(blocks: ReadonlyArray<Fields>): void {
    this.lone = this.blocks.length === 0 && blocks.length === 1 && isPlain(blocks[0])
    this.blocks.push(...blocks)
  }

  /** Adds what the model has said. */
  said(blocks: ReadonlyArray<Fields>): void {
    if (blocks.length === 0) return
    this.ends()
    const [only] = blocks
    const content = blocks.length === 1 && isPlain(only) ? only?.["text"] : blocks
    this.all.push({ role: "assistant", content })
  }

  ends(): void {
    const { blocks, lone } = this
    if (blocks.length === 0) return
    this.all.push({ role: "user", content: lone ? blocks[0]?.["text"] : blocks })
    this.blocks = []
  }
}

/** What is told at the head of a request, and its messages. */
export interface Told {
  readonly system: ReadonlyArray<SystemText>
  readonly messages: ReadonlyArray<Fields>
}

const trimmedText = (content: unknown): unknown => (typeof content === "string" ? content.trimEnd() : content)

/** The last turn is one that the model goes on with: it may not end with blanks. */
const trimmedEnd = (messages: ReadonlyArray<Fields>): ReadonlyArray<Fields> => {
  const last = messages.at(-1)
  if (last?.["role"] !== "assistant") return messages
  const { content } = last
  if (!Array.isArray(content)) return [...messages.slice(0, -1), { ...last, content: trimmedText(content) }]
  const block: unknown = content.at(-1)
  if (!Predicate.isObject(block) || block["type"] !== "text") return messages
  const trimmed = [...content.slice(0, -1), { ...block, text: trimmedText(block["text"]) }]
  return [...messages.slice(0, -1), { ...last, content: trimmed }]
}

/** Texts of a system's: one, or a block for each where one of them is marked. */
export const toldSystem = (texts: ReadonlyArray<SystemText>): unknown =>
  texts.some(({ cache }) => cache !== undefined)
    ? texts.map(({ text, ...rest }) => ({ type: "text", text, ...markOf(rest) }))
    : texts.map(({ text }) => text).join("\n\n")

/** The messages of a request. */
export const tellMessages = (chat: ReadonlyArray<ChatMessage>): Told => {
  const messages = new Messages()
  const head: Array<SystemText> = []
  let begun = false
  for (const message of chat) {
    if (message.role === "system") {
      if (!begun) head.push(...(message.texts ?? [message]))
      else messages.told(partOf({ type: "text", text: `<system-reminder>\n${message.text}\n</system-reminder>` }))
      continue
    }
    begun = true
    if (message.role === "user") messages.told(message.parts.flatMap(partOf))
    else if (message.role === "tool") messages.told([resultOf(message)])
    else messages.said(message.items.flatMap(itemOf))
  }
  messages.ends()
  const system = head.filter(({ text }) => text.trim() !== "")
  // There has to be something to answer.
  if (messages.all.length === 0 && system.length > 0) {
    return { system: [], messages: [{ role: "user", content: toldSystem(system) }] }
  }
  return { system, messages: trimmedEnd(messages.all) }
}
