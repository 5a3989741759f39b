/**
 * The texts of a request or an answer, wherever a dialect has them: what somebody outside is shown to judge it, and may put
 * others in the place of. Whatever is said to a model, or by it, is a text unless it is known to be none, so that a field
 * nobody has heard of is shown and not passed over.
 */
import * as Predicate from "effect/Predicate"
import { exactObject } from "./exact-json.ts"

/** Whose words a text is. */
type TextRole = "system" | "user" | "assistant" | "tool"

/** What a text is: said, thought, the arguments of a call as JSON, or what a tool is for. */
type TextKind = "text" | "reasoning" | "arguments" | "tool"

/** One text in its place. */
export interface ShownText {
  readonly role: TextRole
  readonly kind: TextKind
  /** Which of the messages it is a part of, from 0; undefined outside of them. */
  readonly message: number | undefined
  /** The tool that is called, where that stands beside it. */
  readonly name: string | undefined
  readonly text: string
  /** Whether it stands for a JSON object, and only such a one can take its place. */
  readonly isJson: boolean
  /** What texts of a stream have in common that go on with one another. */
  readonly channel: string
  /** Puts another text in its place; false where that can be none, as JSON that is not. */
  readonly put: (text: string) => boolean
}

/** All texts of a JSON value, and how many images, files and sounds there are beside them. */
export interface ShownTexts {
  readonly texts: ReadonlyArray<ShownText>
  readonly media: number
}

type Owner = Record<PropertyKey, unknown>

interface Place {
  readonly role: TextRole
  readonly kind: TextKind
  readonly message: number | undefined
  readonly name: string | undefined
  readonly path: string
}

// Where requests of all dialects have what is said to a model; roles are those of texts that have no other.
const requestFields: ReadonlyMap<string, TextRole> = new Map([
  ["system", "system"],
  ["instructions", "system"],
  ["systemInstruction", "system"],
  ["system_instruction", "system"],
  ["template", "system"],
  ["chat_template", "system"],
  ["chat_template_kwargs", "system"],
  ["tools", "system"],
  ["functions", "system"],
  ["messages", "user"],
  ["input", "user"],
  ["contents", "user"],
  ["content", "user"],
  ["prompt", "user"],
  ["suffix", "user"],
  ["negative_prompt", "user"],
  ["prediction", "user"],
  ["query", "user"],
  ["queries", "user"],
  ["documents", "user"],
  ["text", "user"],
  ["texts", "user"],
  ["text_1", "user"],
  ["text_2", "user"],
  ["requests", "user"],
  ["generateContentRequest", "user"]
])

const tools: ReadonlySet<string> = new Set(["tools", "functions"])

const messageLists: ReadonlySet<string> = new Set(["messages", "contents", "input"])

// Answers tell of themselves in these; whatever else they have is looked through.
const answerFacts: ReadonlySet<string> = new Set([
  "usage",
  "usageMetadata",
  "modelVersion",
  "responseId",
  "created_at",
  "error",
  "x_groq",
  "timings",
  "service_tier",
  "event_id"
])

// What is no text: names, marks, kinds, and what only its maker can read.
const noText: ReadonlySet<string> = new Set([
  "type",
  "role",
  "id",
  "object",
  "model",
  "name",
  "tool_call_id",
  "tool_use_id",
  "call_id",
  "item_id",
  "response_id",
  "status",
  "phase",
  "format",
  "detail",
  "media_type",
  "mime_type",
  "mimeType",
  "signature",
  "thoughtSignature",
  "thought_signature",
  "encrypted_content",
  "cache_control",
  "file_id",
  "stop_sequence",
  "language",
  "category",
  "probability",
  "embedding",
  "logprobs",
  "logprobsResult",
  "obfuscation"
])

// Why an answer ended, and which server gave it, is called so by all.
const isNoText = (key: string): boolean => noText.has(key) || /(?:_r|R)eason$|fingerprint$/.test(key)

// What is to be seen or heard, or where it is.
const media: ReadonlySet<string> = new Set([
  "url",
  "image_url",
  "file_url",
  "file_data",
  "fileUri",
  "file_uri",
  "images",
  "b64_json",
  "data"
])

const thoughts: ReadonlySet<string> = new Set([
  "thinking",
  "reasoning",
  "reasoning_content",
  "reasoning_text",
  "summary_text"
])

const argumentTexts: ReadonlySet<string> = new Set(["arguments", "partial_json"])

const roles: Readonly<Record<string, TextRole>> = {
  system: "system",
  developer: "system",
  user: "user",
  assistant: "assistant",
  model: "assistant",
  tool: "tool",
  function: "tool"
}

// An object or a list, and no number that is written as it came.
const isOwner = (value: unknown): value is Owner =>
  typeof value === "object" && value !== null && !JSON.isRawJSON(value)

const textIn = (owner: Owner, key: string): string | undefined => {
  const value = owner[key]
  return typeof value === "string" ? value : undefined
}

const roleOf = (owner: Owner, type: string): TextRole | undefined => {
  const written = textIn(owner, "role")
  if (written !== undefined && Object.hasOwn(roles, written)) return roles[written]
  if (/(?:_output|tool_result)$/.test(type) || "functionResponse" in owner) return "tool"
  if (/(?:_call|tool_use)$|^reasoning$|^thinking$/.test(type) || "functionCall" in owner) return "assistant"
  return undefined
}

const isThought = (owner: Owner, type: string): boolean =>
  owner["thought"] === true || /reasoning|thinking/.test(type) || thoughts.has(type)

// Objects that are arguments of a call, or what a tool gave, are shown as the JSON that they are.
const isJson = (key: string, type: string): boolean =>
  key === "args" || key === "arguments" || (key === "input" && type.endsWith("tool_use")) || key === "response"

const nameIn = (owner: Owner): string | undefined => textIn(owner, "name")

const numberIn = (owner: Owner, key: string): string => {
  const value = owner[key]
  return typeof value === "number" ? String(value) : ""
}

const countOf = (value: unknown): number => {
  if (Array.isArray(value)) return value.length
  return value === undefined || value === null || value === "" ? 0 : 1
}

class Walk {
  readonly texts: Array<ShownText> = []
  media = 0

  value(owner: Owner, key: string | number, place: Place, type: string): void {
    const value = owner[key]
    if (typeof value === "string") return this.text(owner, key, value, place)
    if (!isOwner(value)) return
    if (typeof key === "string" && isJson(key, type) && !Array.isArray(value))
      return this.json(owner, key, value, place)
    this.inside(value, place)
  }

  inside(owner: Owner, place: Place): void {
    if (Array.isArray(owner)) return this.list(owner, place)
    const type = textIn(owner, "type") ?? ""
    const role = roleOf(owner, type) ?? place.role
    const kind = isThought(owner, type) ? "reasoning" : place.kind
    const name = nameIn(owner) ?? place.name
    for (const key of Object.keys(owner)) {
      if (isNoText(key)) continue
      if (media.has(key) && !(key === "data" && type === "text")) {
        this.media += countOf(owner[key])
        continue
      }
      if (place.kind === "tool") this.tool(owner, key, { ...place, name })
      else this.value(owner, key, { ...place, role, kind, name, path: `${place.path}.${key}` }, type)
    }
  }

  private list(all: ReadonlyArray<unknown>, place: Place): void {
    for (const [at, each] of all.entries()) {
      const numbered = Predicate.isObject(each) ? numberIn(each, "index") : ""
      const path = `${place.path}[${numbered}]`
      this.value(all as unknown as Owner, at, { ...place, path }, "") // reason: a list is an object whose keys are numbers
    }
  }

  // Of a tool that is offered, what it says of itself; the rest is its form.
  private tool(owner: Owner, key: string, place: Place): void {
    const value = owner[key]
    if (typeof value === "string") {
      if (key === "description") this.text(owner, key, value, place)
    } else if (isOwner(value)) this.inside(value, place)
  }

  private text(owner: Owner, key: string | number, text: string, place: Place): void {
    if (text === "") return
    const named = String(key)
    const kind = argumentTexts.has(named) ? "arguments" : thoughts.has(named) ? "reasoning" : place.kind
    this.texts.push({
      role: place.role,
      kind,
      message: place.message,
      name: place.name,
      text,
      isJson: false,
      channel: `${place.path} ${kind}`,
      put: (other) => {
        owner[key] = other
        return true
      }
    })
  }

  private json(owner: Owner, key: string, value: object, place: Place): void {
    if (Object.keys(value).length === 0) return
    this.texts.push({
      role: place.role,
      kind: place.role === "tool" ? "text" : "arguments",
      message: place.message,
      name: place.name,
      text: JSON.stringify(value),
      isJson: true,
      channel: place.path,
      put: (other) => {
        const json = exactObject(other)
        if (json !== undefined) owner[key] = json
        return json !== undefined
      }
    })
  }
}

/** The texts of a request. */
export const textsOfRequest = (body: Owner): ShownTexts => {
  const walk = new Walk()
  for (const [key, role] of requestFields) {
    const value = body[key]
    if (value === undefined) continue
    const place: Place = {
      role,
      kind: tools.has(key) ? "tool" : "text",
      message: undefined,
      name: undefined,
      path: key
    }
    if (!Array.isArray(value) || !messageLists.has(key)) {
      walk.value(body, key, place, "")
      continue
    }
    for (const at of value.keys()) walk.value(value as unknown as Owner, at, { ...place, message: at }, "") // reason: a list is an object whose keys are numbers
  }
  return walk
}

// Events of one text say which it is by these.
const eventNumbers = ["output_index", "content_index", "summary_index", "index"] as const

const kindOfEvent = (type: string): TextKind => {
  if (/arguments|custom_tool_call_input|mcp_call|code_interpreter_call_code/.test(type)) return "arguments"
  return /reasoning/.test(type) ? "reasoning" : "text"
}

/** The texts of an answer, whole or an event of one. */
export const textsOfAnswer = (answer: Owner): ShownTexts => {
  const walk = new Walk()
  const type = textIn(answer, "type") ?? ""
  const numbers = eventNumbers.map((key) => numberIn(answer, key)).join("/")
  const kind = kindOfEvent(type)
  for (const key of Object.keys(answer)) {
    if (isNoText(key) || answerFacts.has(key)) continue
    // Sound comes in pieces of base64; what is made besides texts is a list of data.
    const isMedia = media.has(key) && (key !== "data" || !Array.isArray(answer[key]))
    if (isMedia || (key === "delta" && type.endsWith("audio.delta"))) {
      walk.media += 1
      continue
    }
    const path = `${numbers} ${key}`
    // The whole response that an event has is looked through like an answer.
    const asJson = key === "response" ? "" : type
    const place: Place = { role: "assistant", kind, message: undefined, name: nameIn(answer), path }
    if (key === "response" && isOwner(answer[key])) walk.inside(answer[key], place)
    else walk.value(answer, key, place, asJson)
  }
  return walk
}

const saysAgain = /^response\..*(?:done|completed|incomplete|failed)$/

/** Whether an event says again what events before it have said. */
export const isRepeat = (event: Owner): boolean => saysAgain.test(textIn(event, "type") ?? "")

// Tokens that are told beside a text would give away what was taken out of it.
const echoes: ReadonlySet<string> = new Set(["logprobs", "logprobsResult", "avgLogprobs"])

/** Takes out of an answer what tells its texts in another form, as it is when they are no longer the same. */
export const withoutEchoes = (value: unknown): void => {
  if (!isOwner(value)) return
  for (const [key, each] of Object.entries(value)) {
    if (echoes.has(key)) Reflect.set(value, key, Array.isArray(each) ? [] : null)
    // The conversation as tokens.
    else if (key === "context" && Array.isArray(each)) Reflect.deleteProperty(value, key)
    else withoutEchoes(each)
  }
}
