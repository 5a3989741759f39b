/**
 * The tokens that a backend says an answer took: read where an answer has been parsed to be checked, and found by their
 * bytes in every other, which is not taken apart for it.
 */
import * as Predicate from "effect/Predicate"
import type { Usage } from "../../telemetry/meter.ts"

const key = Buffer.from('"usage"')

/** Longest text of a usage object that is read. */
const longest = 2048

// In the text of an answer quotes are escaped: what looks like the key is one, though it may be null or of another kind.
const looks = 4

const opening = /^\s*:\s*\{/
// What makes images and hears sound has other names for the same.
const prompt = /"(?:prompt|input)_tokens"\s*:\s*(\d{1,15})\b/
// What writes nothing may tell of one number alone.
const total = /"total_tokens"\s*:\s*(\d{1,15})\b/
const cached = /"cached_tokens"\s*:\s*(\d{1,15})\b/
// DeepSeek's name for it, Mistral's and LiteLLM's; a maker may write several of them, and a 0 under one.
const cacheHit = /"(?:prompt_cache_hit_tokens|num_cached_tokens|cache_read_input_tokens)"\s*:\s*([1-9]\d{0,14})\b/
const cachedWrite = /"(?:cache_write_tokens|cache_creation_tokens|cache_creation_input_tokens)"\s*:\s*(\d{1,15})\b/
const completion = /"(?:completion|output)_tokens"\s*:\s*(\d{1,15})\b/
const reasoning = /"reasoning_tokens"\s*:\s*(\d{1,15})\b/

// Called on the bytes as they are: a Buffer over them would make the engine give them another form, at many times the cost.
const { lastIndexOf, toString } = Buffer.prototype

// llama-server tells what it timed in every stream, asked for or not: of the prompt what it had and what it read, and what it wrote.
const had = /"cache_n"\s*:\s*(\d{1,15})\b/
const reading = /"prompt_n"\s*:\s*(\d{1,15})\b/
const writing = /"predicted_n"\s*:\s*(\d{1,15})\b/

const numberOf = (found: RegExpExecArray | null): number => Number(found?.[1] ?? 0)

/** What is told of the tokens that were written. */
interface Written {
  readonly prompt: number
  readonly completion: number
  readonly reasoning: number
}

// SGLang, where it draws several tokens at once, has those of a thought in its count that came behind the end.
const behindEnd = 16

/**
 * All tokens of an answer: some makers tell those of its reasoning beside it, as the sum of all shows, or that they are
 * clearly more.
 */
export const wholeCompletion = ({ completion, prompt, reasoning }: Written, sum: number): number =>
  reasoning > completion + behindEnd || (reasoning > 0 && sum === prompt + completion + reasoning)
    ? completion + reasoning
    : completion

/** The tokens of a prompt. */
interface Prompt {
  readonly prompt: number
  readonly cached: number
  readonly completion: number
}

/**
 * All tokens of a prompt: some makers tell those that were cached beside it, as is known where they are more, and older
 * releases of SGLang once for each of several answers; where both may be so, a sum of all with the cached ones in it shows
 * the former.
 */
export const wholePrompt = <A extends Prompt>(told: A, choices = 1, sum = 0): A => {
  const { cached, completion, prompt } = told
  if (cached <= prompt) return told
  const isOfEach = choices > 1 && cached <= prompt * choices && sum < prompt + cached + completion
  return isOfEach ? { ...told, cached: Math.round(cached / choices) } : { ...told, prompt: prompt + cached }
}

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
const usageOf = (text: string, choices?: number): Usage | undefined => {
  const read = prompt.exec(text)
  const written = completion.exec(text)
  const whole = read === null && written === null ? total.exec(text) : read
  if (whole === null && written === null) return undefined
  const kept = numberOf(cached.exec(text)) || numberOf(cacheHit.exec(text))
  const common = { prompt: numberOf(whole), cached: kept, completion: numberOf(written) }
  const thought = numberOf(reasoning.exec(text))
  const sum = thought === 0 && kept <= common.prompt ? 0 : numberOf(total.exec(text))
  return wholePrompt(withRarer(common, numberOf(cachedWrite.exec(text)), thought, sum), choices, sum)
}

// Most answers have neither, and are not copied for it.
const withRarer = (common: Usage, cachedWrite: number, reasoning: number, sum: number): Usage => {
  if (cachedWrite === 0 && reasoning === 0) return common
  const completion = wholeCompletion({ ...common, reasoning }, sum)
  return { ...common, completion, ...(cachedWrite > 0 ? { cachedWrite } : {}), ...(reasoning > 0 ? { reasoning } : {}) }
}

const timedOf = (text: string): Usage | undefined => {
  const read = reading.exec(text)
  const cached = numberOf(had.exec(text))
  return read === null
    ? undefined
    : { prompt: cached + numberOf(read), cached, completion: numberOf(writing.exec(text)) }
}

/** What a usage object says, as it came in a stream of so many answers, or what was timed where there is none. */
export const usageFrom = (bytes: Uint8Array, choices?: number): Usage | undefined => {
  if (bytes.length === 0) return undefined
  const text = toString.call(bytes, "latin1")
  return usageOf(text, choices) ?? timedOf(text)
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0

type Places = ReadonlyArray<Readonly<Record<PropertyKey, unknown>>>

// Servers that know parts write them by the side of what they are a part of, or in some object there.
const placesIn = (usage: Readonly<Record<PropertyKey, unknown>>): Places => {
  const places = [usage]
  for (const name in usage) {
    const details = usage[name]
    if (Predicate.isObject(details)) places.push(details)
  }
  return places
}

const partIn = (places: Places, part: string): number => {
  for (const place of places) {
    const count = place[part]
    if (isCount(count)) return count
  }
  return 0
}

const cachedNames = ["cached_tokens", "prompt_cache_hit_tokens", "num_cached_tokens", "cache_read_input_tokens"]
const writtenNames = ["cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens"]

const anyPartIn = (places: Places, names: ReadonlyArray<string>): number => {
  for (const name of names) {
    const count = partIn(places, name)
    if (count > 0) return count
  }
  return 0
}

/** The usage of an answer that was parsed; undefined when it is not written as it mostly is. */
export const usageOfJson = (json: unknown): Usage | undefined => {
  const { choices, usage } = Predicate.isObject(json) ? json : {}
  if (!Predicate.isObject(usage)) return undefined
  const { completion_tokens: told = usage["output_tokens"], prompt_tokens: asked = usage["input_tokens"] } = usage
  const read = asked === undefined && told === undefined ? usage["total_tokens"] : asked
  const written = told ?? 0
  if (!isCount(read) || !isCount(written)) return undefined
  const places = placesIn(usage)
  const kept = anyPartIn(places, cachedNames)
  const sum = isCount(usage["total_tokens"]) ? usage["total_tokens"] : 0
  return wholePrompt(
    withRarer(
      { prompt: read, cached: kept, completion: written },
      anyPartIn(places, writtenNames),
      partIn(places, "reasoning_tokens"),
      sum
    ),
    Array.isArray(choices) ? choices.length : 1,
    sum
  )
}

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
