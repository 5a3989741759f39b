/**
 * What a server without a model says. Every text says that it is simulated.
 */

/** The beginning of the text of every answer. */
const notice = "This answer is simulated"

/** The characters of a piece, which is counted as a token. */
const pieceLength = 4

/** The tokens of a text: a token is counted as four characters. */
export const tokensOf = (text: string): number => Math.max(1, Math.ceil(Array.from(text).length / pieceLength))

/** The text that answers a prompt. */
export const answerTo = (server: string, model: string, prompt: string): string => {
  const quoted = prompt.length > 120 ? `${prompt.slice(0, 120)}…` : prompt
  return `${notice}: ${server} plays the model ${model} and no model has run. You wrote: ${quoted}`
}

/** The pieces in which a text is streamed, a token each. */
export const piecesOf = (text: string): ReadonlyArray<string> => {
  const letters = Array.from(text)
  return Array.from({ length: Math.ceil(letters.length / pieceLength) }, (_, at) =>
    letters.slice(at * pieceLength, (at + 1) * pieceLength).join("")
  )
}

/** So many pieces of a text that is said over and over. */
export const repeatedPieces = (text: string, count: number): ReadonlyArray<string> => {
  const pieces = piecesOf(`${text} `)
  return Array.from({ length: count }, (_, at) => pieces[at % pieces.length] ?? " ")
}

/** A unit vector that depends on the text alone: texts that share words lie near each other. */
export const vectorOf = (text: string, dimensions: number): ReadonlyArray<number> => {
  const vector = Array.from({ length: dimensions }, () => 0)
  for (const word of text.toLowerCase().match(/\S+/gu) ?? [""]) {
    let hash = 0x811c9dc5
    for (let i = 0; i < word.length; i++) hash = Math.imul(hash ^ word.charCodeAt(i), 0x01000193)
    const place = (hash >>> 1) % dimensions
    vector[place] = (vector[place] ?? 0) + ((hash & 1) === 0 ? 1 : -1)
  }
  const length = Math.hypot(...vector)
  return length === 0 ? vector.map((_, i) => (i === 0 ? 1 : 0)) : vector.map((x) => x / length)
}
