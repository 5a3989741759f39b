/**
 * What the head of an answer says of its body: whether the bytes can be read as they are, and what kind of body they are.
 */
import type { ReceivedAnswer } from "../wire/received-answer.ts"

// What is registered as a coding of content; other words for it (none, utf-8, Identity) say that there is none.
const codings = new Set("gzip x-gzip deflate br zstd compress x-compress dcb dcz exi pack200-gzip aes128gcm".split(" "))

/** Whether a body is compressed, or otherwise coded, whatever else its head calls an encoding. */
export const isCoded = (head: Pick<ReceivedAnswer, "header">): boolean => {
  const encoding = head.header("content-encoding")
  return encoding !== null && encoding.split(",").some((each) => codings.has(each.trim().toLowerCase()))
}

/** Whether a content type is this one, given in small letters, whatever its parameters. */
export const isOfType = (type: string | null | undefined, wanted: string): boolean =>
  typeof type === "string" &&
  (type === wanted || (type.length > wanted.length && type.trimStart().toLowerCase().startsWith(wanted)))
