/**
 * What the head of an answer says of its body: whether the bytes can be read as they are, and whether they are events.
 */
import type { Arrival } from "../wire/arrival.ts"

// What is registered as a coding of content; other words for it (none, utf-8, Identity) say that there is none.
const codings = new Set("gzip x-gzip deflate br zstd compress x-compress dcb dcz exi pack200-gzip aes128gcm".split(" "))

/** Whether a body is compressed, or otherwise coded, whatever else its head calls an encoding. */
export const isCoded = ({ header }: Pick<Arrival, "header">): boolean => {
  const encoding = header("content-encoding")
  return encoding !== null && encoding.split(",").some((each) => codings.has(each.trim().toLowerCase()))
}

/** Whether a content type is the one of event streams. */
export const isEventStream = (type: string | null | undefined): boolean =>
  typeof type === "string" && type !== "application/json" && /^\s*text\/event-stream/i.test(type)
