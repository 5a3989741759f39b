/**
 * Single bytes of HTTP/1.1 framing.
 */

/** Carriage return. */
export const CR = 13
/** Line feed. */
export const LF = 10

/** The value of a hexadecimal digit; -1 for any other byte. */
export const hexOf = (byte: number): number => {
  if (byte >= 48 && byte <= 57) return byte - 48
  const letter = byte | 32
  return letter >= 97 && letter <= 102 ? letter - 87 : -1
}

/** Whether a line feed without a carriage return before it stands between `from` and `to`. */
export const hasBareLineFeed = (bytes: Buffer, from: number, to: number): boolean => {
  for (let at = bytes.indexOf(LF, from); at >= 0 && at < to; at = bytes.indexOf(LF, at + 1)) {
    if (at === 0 || bytes[at - 1] !== CR) return true
  }
  return false
}
