/**
 * The sentence by which a server explains a failure, found in whatever shape it has.
 */
import * as Predicate from "effect/Predicate"
import { parseBoundedJson } from "./bounded-json.ts"
import { printable } from "./printable.ts"

// Where servers put their words, the most telling first.
const places = [
  "message",
  "error_description",
  "error_msg",
  "error_message",
  "errorMessage",
  "errmsg",
  "err_msg",
  "msg",
  "text",
  "status_msg",
  "detail",
  "details",
  "error",
  "errors",
  "reason",
  "description",
  "title",
  "Message",
  "faultstring",
  "fault",
  "base_resp",
  "exception",
  "err",
  "response",
  "data"
] as const

/** What stands for the rest of a text that is too long. */
export const cutMark = " … (cut)"

/** The beginning of a text, with a mark when that is not all of it. */
export const shortened = (text: string, length: number): string =>
  text.length <= length ? text : `${text.slice(0, length - cutMark.length).toWellFormed()}${cutMark}`

const depth = 6
const listed = 5

const joined = (sentences: ReadonlyArray<string | undefined>): string | undefined => {
  const all = sentences.filter((each) => each !== undefined)
  return all.length === 0 ? undefined : [...new Set(all)].join("; ")
}

// A field of a form that was not accepted is named, as pydantic's `loc` does.
const placeOf = (value: Record<PropertyKey, unknown>): string => {
  const { loc } = value
  return Array.isArray(loc) && loc.length > 0 ? `${loc.filter((each) => each !== "body").join(".")}: ` : ""
}

// Whoever hands on another server's failure puts its words into `metadata.raw`.
const handedOn = (value: Record<PropertyKey, unknown>, left: number): string | undefined => {
  const { metadata } = value
  return Predicate.isObject(metadata) ? within(metadata["raw"], left) : undefined
}

const inObject = (value: Record<PropertyKey, unknown>, left: number): string | undefined => {
  for (const place of places) {
    const found = within(value[place], left)
    if (found === undefined) continue
    const raw = handedOn(value, left)
    const said = `${placeOf(value)}${found}`
    return raw === undefined || raw === found ? said : `${said}: ${raw}`
  }
  return undefined
}

const within = (value: unknown, left: number): string | undefined => {
  if (left === 0) return undefined
  if (typeof value === "string") return inText(value.trim(), left - 1)
  if (Array.isArray(value)) return joined(value.slice(0, listed).map((each) => within(each, left - 1)))
  if (!Predicate.isObject(value)) return undefined
  const found = inObject(value, left - 1)
  if (found !== undefined || left === depth) return found
  // A form's fields with what is wrong with each of them.
  const named = Object.entries(value).slice(0, listed)
  return joined(
    named.map(([name, each]) => {
      const said = Array.isArray(each) || Predicate.isObject(each) ? within(each, left - 1) : undefined
      return said === undefined ? undefined : `${name}: ${said}`
    })
  )
}

const inText = (text: string, left: number): string | undefined => {
  if (text === "") return undefined
  const json = /^[[{]/.test(text) ? parseBoundedJson(text) : undefined
  return (json === undefined ? undefined : within(json, left)) ?? text
}

/** The sentence inside of a parsed value; undefined when it holds none. */
const sentenceIn = (value: unknown): string | undefined => within(value, depth)

// The title of a page is words of its server; one with the name of a host in it is not for everybody.
const pageWords = (text: string): string | undefined => {
  const title = /<title[^>]*>([^<]{1,100})<\/title>/i.exec(text)?.[1]?.trim() ?? ""
  return title === "" || /:\/\/|[\w-]\.[\w-]/.test(title) ? undefined : `an HTML page, "${title}"`
}

// JSON that was cut before its end: the first text under a name of words.
const halfWords = (text: string): string | undefined => {
  const found = /"(?:message|detail|error_msg|msg|error)"\s*:\s*"((?:[^"\\]|\\.)*)("?)/.exec(text)
  const said = parseBoundedJson(`"${(found?.[1] ?? "").replace(/\\(?:u[0-9a-f]{0,3})?$/i, "")}"`)
  if (typeof said !== "string" || said === "") return undefined
  return found?.[2] === "" ? `${said}${cutMark}` : said
}

// The last line of a stack trace says what happened; the others tell of files.
const plainWords = (text: string): string => {
  if (!/^Traceback|^\s+at .+:\d+/m.test(text)) return text
  const lines = text.split("\n")
  return (text.startsWith("Traceback") ? lines.at(-1) : lines[0]) ?? text
}

/** What the body of an error holds: its JSON where it has one, and the sentence that explains it. */
export interface ErrorText {
  readonly json: unknown
  readonly sentence: string | undefined
}

// One event of a stream, or one line of several.
const framed = (text: string): unknown => {
  for (const line of text.split(/\r\n|\n|\r/)) {
    const data = line.startsWith("data:") ? line.slice(5).trim() : line.trim()
    if (data.startsWith("{") || data.startsWith("[")) {
      const json = parseBoundedJson(data)
      if (json !== undefined) return json
    }
  }
  return undefined
}

/** Reads the text of an error's body, whatever it is. */
export const readErrorText = (body: string): ErrorText => {
  const text = body.replace(/^\ufeff/, "").trim()
  if (text === "") return { json: undefined, sentence: undefined }
  if (text.startsWith("<")) return { json: undefined, sentence: pageWords(text) }
  const json = parseBoundedJson(text) ?? (/^(?:data|event|id|:|\{)/.test(text) ? framed(text) : undefined)
  if (json === undefined) {
    return { json, sentence: (/^[[{]/.test(text) ? halfWords(text) : undefined) ?? plainWords(text) }
  }
  const shown = Predicate.isObject(json) && Object.keys(json).length > 0 ? JSON.stringify(json) : undefined
  return { json, sentence: sentenceIn(json) ?? shown }
}

const decoder = new TextDecoder()

const longestLine = 300

// Of a network behind the gateway; what a client asked for itself has no place in the words for its failure either.
const addresses =
  /(?:https?:\/\/)?(?:\b(?:\d{1,3}\.){3}\d{1,3}\b|\[[0-9a-f:.]*:[0-9a-f:.]*\])(?::\d+)?|\blocalhost:\d+/gi

/** What a backend says with an error, as one line for people; undefined when it says nothing readable. */
export const errorWords = (body: Uint8Array): string | undefined => {
  const { sentence } = readErrorText(decoder.decode(body))
  if (sentence === undefined) return undefined
  const line = sentence.replace(/\s+/g, " ").replace(addresses, "[address]").trim()
  return line === "" ? undefined : printable(shortened(line, longestLine))
}
