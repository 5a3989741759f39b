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
const windowBytes = 2048
const longest = 512

const behind = /^\s*:\s*"([^"\\]*)"/

/** The text behind a name with its quotes; a name inside of a text has other quotes around it. */
const textAfter = (text: string, name: string): string | undefined => {
  const found = text.indexOf(name)
  if (found < 0) return undefined
  const at = found + name.length
  const value = behind.exec(text.slice(at, at + longest))?.[1]
  // The bytes were read one by one.
  return value === undefined || !/[^\x20-\x7e]/.test(value) ? value : Buffer.from(value, "latin1").toString("utf8")
}

/** What these bytes say, the first of a stream or all of a whole answer; a body that came compressed says nothing. */
export const saidIn = (bytes: Uint8Array): Said => {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const first = all.toString("latin1", 0, windowBytes)
  const rest = Math.max(windowBytes, all.byteLength - windowBytes)
  const last = rest < all.byteLength ? all.toString("latin1", rest) : ""
  const told = (name: string) => textAfter(first, name) ?? textAfter(last, name)
  return { model: told('"model"'), fingerprint: told('"system_fingerprint"') }
}
