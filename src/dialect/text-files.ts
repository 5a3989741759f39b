/**
 * Files that are text, which every model can be told: a server that takes no files, or other ones alone, is told their words.
 */
import type { ChatFile, ChatPart } from "./chat.ts"

const textual = /^text\/|[/+](?:json|xml|yaml|x-yaml|javascript|typescript|toml|csv)$/

/** Whether it is one. */
export const isTextFile = ({ mediaType }: Pick<ChatFile, "mediaType">): boolean => textual.test(mediaType)

/** Its words. */
export const wordsOfFile = (data: string): string => Buffer.from(data, "base64").toString("utf8")

/** The words of one below its name in its place, for who knows no files; all else as it is. */
export const readOut = (part: ChatPart): ChatPart => {
  if (part.type !== "file" || "url" in part || !isTextFile(part)) return part
  const words = wordsOfFile(part.data)
  return { type: "text", text: part.name === "" ? words : `${part.name}\n\n${words}` }
}
