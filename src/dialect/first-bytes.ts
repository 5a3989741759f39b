/**
 * What a body is, told by how it begins.
 */

/** An event stream, a document (JSON, a page), a text of neither kind, or what cannot be told yet. */
export type BodyKind = "events" | "document" | "text" | "untold"

const decoder = new TextDecoder()

// Of an event stream's first line no more than this is needed.
const looked = 64

const field = /^(?:data|event|id|retry)?:/
const partOfField = /^(?:d|da|dat|data|e|ev|eve|even|event|i|id|r|re|ret|retr|retry)?$/

/** Judges the first bytes of a body; blank lines and a byte order mark before them say nothing. */
export const bodyKindOf = (bytes: Uint8Array): BodyKind => {
  let from = 0
  while (from < bytes.length && (bytes[from] ?? 0) <= 0x20) from += 1
  // The decoder takes a byte order mark off, a whole one alone.
  const text = decoder.decode(bytes.subarray(from, from + looked)).trimStart()
  if (field.test(text)) return "events"
  if (/^[[{<]/.test(text)) return "document"
  // A byte order mark may have come in part.
  return partOfField.test(text) || text.startsWith("\ufffd") ? "untold" : "text"
}
