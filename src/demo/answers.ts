/**
 * What a simulated backend says. Every text says that it is simulated.
 */
import { Base64 } from "effect/encoding"

/** The beginning of the text of every answer. */
const notice = "This answer is simulated"

const tokensOf = (text: string): number => Math.max(1, Math.ceil(text.length / 4))

/** Token counts as OpenAI reports them; a token is counted as four characters. */
export const usageOf = (prompt: string, answer: string) => ({
  prompt_tokens: tokensOf(prompt),
  completion_tokens: tokensOf(answer),
  total_tokens: tokensOf(prompt) + tokensOf(answer)
})

/** The text that answers a prompt. */
export const answerTo = (backend: string, model: string, prompt: string): string => {
  const quoted = prompt.length > 120 ? `${prompt.slice(0, 120)}…` : prompt
  return `${notice}: ${backend} plays the model ${model} and no model has run. You wrote: ${quoted}`
}

/** The pieces in which a text is streamed: words with the blank before them. */
export const piecesOf = (text: string): ReadonlyArray<string> => text.match(/\s*\S+/gu) ?? []

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

/** A vector as the base64 of its 32-bit floats, the form most SDKs ask for. */
export const toBase64 = (vector: ReadonlyArray<number>): string =>
  Base64.encode(new Uint8Array(Float32Array.from(vector).buffer))
