/**
 * What an answer says of who gave it: the model, and the build of the server. Found by a search for their names, since
 * nothing else of an answer is looked at.
 */

/** What an answer says of who gave it; undefined where it says nothing. */
export interface Said {
  readonly model: string | undefined
  readonly fingerprint: string | undefined
}

/** What is known of an answer that cannot be read. */
export const untold: Said = { model: undefined, fingerprint: undefined }

// Servers write these before the words of an answer or behind them.
const windowBytes = 4096
const longest = 512

const quote = 0x22
const backslash = 0x5c
const colon = 0x3a

const isBlank = (byte: number | undefined): boolean => byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d

/** The text behind a name with its quotes; a name inside of a text has other quotes around it. */
const textAfter = (bytes: Buffer, name: string): string | undefined => {
  const found = bytes.indexOf(name, 0, "latin1")
  if (found < 0) return undefined
  let at = found + name.length
  while (isBlank(bytes[at])) at += 1
  if (bytes[at] !== colon) return undefined
  at += 1
  while (isBlank(bytes[at])) at += 1
  if (bytes[at] !== quote) return undefined
  const end = bytes.indexOf(quote, at + 1)
  if (end < 0 || end - at > longest) return undefined
  const text = bytes.subarray(at + 1, end)
  return text.includes(backslash) ? undefined : text.toString("utf8")
}

/** What these bytes say, the first of a stream or all of a whole answer; a body that came compressed says nothing. */
export const saidIn = (bytes: Uint8Array): Said => {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const first = all.subarray(0, windowBytes)
  const last = all.subarray(Math.max(windowBytes, all.byteLength - windowBytes))
  const told = (name: string) => textAfter(first, name) ?? (last.byteLength === 0 ? undefined : textAfter(last, name))
  return { model: told('"model"'), fingerprint: told('"system_fingerprint"') }
}
