/**
 * Text that means nothing: one token is three letters and a blank, and the same seed gives the same text.
 */

const letters = "abcdefghijklmnopqrstuvwxyz"

/** So many tokens of the text of a seed. */
export const prose = (seed: number, tokens: number): string => {
  const parts = Array.from({ length: tokens }, () => "")
  let state = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) >>> 0
  for (let at = 0; at < tokens; at++) {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x6d2b79f5) >>> 0
    const [a, b, c] = [state % 26, (state >>> 8) % 26, (state >>> 16) % 26]
    parts[at] = `${letters[a] ?? ""}${letters[b] ?? ""}${letters[c] ?? ""} `
  }
  return parts.join("")
}
