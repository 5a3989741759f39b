/**
 * What a request holds within its turns, its tools and the form of its answer, where a server may have no word for it.
 */
import { isForAnthropic } from "./signatures.ts"
import type { Chat, ChatField, ChatMessage, ChatPart, ChatTurnItem } from "./chat.ts"

type HeldField = Extract<
  ChatField,
  "detail" | "fileName" | "formatNote" | "reasoning" | "signature" | "strict" | "textSignature" | "thoughtSignature"
>

// What the readers call a file that came without a name.
const unnamed: ReadonlySet<string> = new Set(["document.pdf", "file.pdf", "video"])

const ofPart = (part: ChatPart): HeldField | undefined => {
  if (part.type === "image") return part.detail === undefined || part.detail === "auto" ? undefined : "detail"
  return part.type === "file" && !unnamed.has(part.name) ? "fileName" : undefined
}

const ofItem = (item: ChatTurnItem): ReadonlyArray<HeldField> => {
  if (item.type === "call") return item.signature === undefined ? [] : ["signature"]
  if (item.type === "text") return item.signature === undefined ? [] : ["textSignature"]
  return isForAnthropic(item.signature) ? ["reasoning", "thoughtSignature"] : ["reasoning"]
}

const collect = (message: ChatMessage, found: Set<HeldField>): void => {
  if (message.role === "assistant") for (const item of message.items) for (const field of ofItem(item)) found.add(field)
  if (message.role !== "user") return
  for (const part of message.parts) {
    const field = ofPart(part)
    if (field !== undefined) found.add(field)
  }
}

/** What of it a server has no word for that says these alone. */
export const unheld = (chat: Chat, said: ReadonlyArray<HeldField>): ReadonlyArray<ChatField> => {
  const found = new Set<HeldField>()
  for (const message of chat.messages) collect(message, found)
  if (chat.tools.some(({ strict }) => strict === true)) found.add("strict")
  if (chat.format?.type === "schema" && chat.format.description !== undefined) found.add("formatNote")
  return [...found].filter((field) => !said.includes(field))
}
