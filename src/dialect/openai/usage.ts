/**
 * The tokens that a backend says an answer took, found by their bytes: answers are never taken apart for it.
 */
import type { Usage } from "../../telemetry/meter.ts"

const key = Buffer.from('"usage"')

/** Longest text of a usage object that is read. */
const longest = 2048

// In the text of an answer quotes are escaped: what looks like the key is one, though it may be null or of another kind.
const looks = 4

const opening = /^\s*:\s*\{/
const prompt = /"prompt_tokens"\s*:\s*(\d{1,15})\b/
const cached = /"cached_tokens"\s*:\s*(\d{1,15})\b/
const completion = /"completion_tokens"\s*:\s*(\d{1,15})\b/

// Called on the bytes as they are: a Buffer over them would make the engine give them another form, at many times the cost.
const { lastIndexOf, toString } = Buffer.prototype

const numberOf = (found: RegExpExecArray | null): number => Number(found?.[1] ?? 0)

// The object to its closing brace, whatever objects are inside of it; it holds numbers and no braces in texts.
const objectIn = (text: string): string => {
  let depth = 0
  for (let at = text.indexOf("{"); at < text.length; at += 1) {
    const char = text.charCodeAt(at)
    if (char === 0x7b) depth += 1
    else if (char === 0x7d && (depth -= 1) === 0) return text.slice(0, at)
  }
  return text
}

// Something else may be called the same.
const usageOf = (text: string): Usage | undefined => {
  const read = prompt.exec(text)
  const written = completion.exec(text)
  if (read === null && written === null) return undefined
  return { prompt: numberOf(read), cached: numberOf(cached.exec(text)), completion: numberOf(written) }
}

/** What a usage object says, as it came in a stream. */
export const usageFrom = (bytes: Uint8Array): Usage | undefined =>
  bytes.length === 0 ? undefined : usageOf(toString.call(bytes, "latin1"))

/** The last usage in the bytes of a whole answer; undefined when there is none. */
export const usageIn = (bytes: Uint8Array): Usage | undefined => {
  let at: number = lastIndexOf.call(bytes, key)
  for (let look = 0; at >= 0 && look < looks; look += 1) {
    const from = at + key.length
    const text = toString.call(bytes, "latin1", from, Math.min(bytes.length, from + longest))
    const usage = opening.test(text) ? usageOf(objectIn(text)) : undefined
    if (usage !== undefined) return usage
    at = at === 0 ? -1 : lastIndexOf.call(bytes, key, at - 1)
  }
  return undefined
}
