/**
 * What a request holds within its turns, its tools and the form of its answer, where a server may have no word for it.
 */
import { isForAnthropic } from "./signatures.ts"
import type { Chat, ChatField, ChatMessage, ChatPart, ChatTool, ChatTurnItem } from "./chat.ts"

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

const none: ReadonlyArray<never> = []

const ofItem = (item: ChatTurnItem): ReadonlyArray<HeldField> => {
  if (item.type === "call") return item.signature === undefined ? none : ["signature"]
  if (item.type === "text") return item.signature === undefined ? none : ["textSignature"]
  return isForAnthropic(item.signature) ? ["reasoning", "thoughtSignature"] : ["reasoning"]
}

// What is found: most requests hold nothing of it.
type Found = Set<HeldField> | undefined

const added = (found: Found, field: HeldField | undefined): Found =>
  field === undefined ? found : (found ?? new Set<HeldField>()).add(field)

const collect = (message: ChatMessage, before: Found): Found => {
  let found = before
  if (message.role === "assistant")
    for (const item of message.items) for (const field of ofItem(item)) found = added(found, field)
  if (message.role === "user") for (const part of message.parts) found = added(found, ofPart(part))
  return found
}

const isStrictTool = ({ strict }: ChatTool): boolean => strict === true

/** What of it a server has no word for that says these alone. */
export const unheld = (chat: Chat, said: ReadonlyArray<HeldField>): ReadonlyArray<ChatField> => {
  let found: Found
  for (const message of chat.messages) found = collect(message, found)
  if (chat.tools.some(isStrictTool)) found = added(found, "strict")
  if (chat.format?.type === "schema" && chat.format.description !== undefined) found = added(found, "formatNote")
  return found === undefined ? none : unsaidOf(found, said)
}

const unsaidOf = (found: ReadonlySet<HeldField>, said: ReadonlyArray<HeldField>): ReadonlyArray<ChatField> =>
  [...found].filter((field) => !said.includes(field))
