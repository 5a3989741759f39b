/**
 * The items of a request of Responses as turns of the hub: what a model has said in a row is one turn, with its thoughts and
 * all of its calls.
 */
import * as Predicate from "effect/Predicate"
import type { ChatMessage, ChatPart, ChatTurnItem } from "../chat.ts"
import { isDrawing, shownTypeOf } from "../image-type.ts"
import { linkedType } from "../linked-type.ts"
import { givenArguments, type JsonObject, type Notes, refuseAt, shownWord, textOf } from "../request-notes.ts"
import { Turns } from "../turns.ts"
import { unsealed } from "./reasoning-seal.ts"
import { clientToolIn, clientTools } from "./client-tools.ts"
import {
  argsOfText,
  foundNames,
  isClientSearch,
  knownForm,
  searchForm,
  type ToolForm,
  type ToolNames
} from "./responses-tools.ts"

const dataUrl = /^data:([^;,]*)(?:;[^;,]+)*;base64,/i

/** A data URL taken apart; undefined when it is none with base64. */
const dataOf = (url: string): { readonly mediaType: string; readonly data: string } | undefined => {
  const [head, mediaType = ""] = dataUrl.exec(url) ?? []
  return head === undefined ? undefined : { mediaType: mediaType.toLowerCase(), data: url.slice(head.length) }
}

const elsewhere = "is at OpenAI alone; send the thing itself"

const imageOf = (part: JsonObject, place: string): ChatPart => {
  const { detail: asked, image_url: url } = part
  if (typeof url !== "string") return refuseAt(`${place}.${part["file_id"] ? "file_id" : "image_url"}`, elsewhere)
  const detail = typeof asked === "string" ? { detail: asked } : {}
  const held = dataOf(url)
  if (held === undefined && /^data:/i.test(url)) return refuseAt(`${place}.image_url`, "must hold its data in base64")
  if (held === undefined) return { type: "image", url, ...detail }
  if (isDrawing(held.mediaType)) return refuseAt(`${place}.image_url`, "is of a kind that no model looks at")
  return { type: "image", ...held, mediaType: shownTypeOf(held.mediaType, held.data), ...detail }
}

const fileOf = (part: JsonObject, place: string): ChatPart => {
  const { file_data: held, file_url: url, filename } = part
  const data = held ?? url
  if (typeof data !== "string") return refuseAt(`${place}.${part["file_id"] ? "file_id" : "file_data"}`, elsewhere)
  const name = typeof filename === "string" && filename !== "" ? filename : "file.pdf"
  const isLink = /^https?:/i.test(data)
  // What does not show what it is mostly is a PDF.
  const mediaType = (isLink ? linkedType(data) : undefined) ?? "application/pdf"
  if (isLink)
    return mediaType.startsWith("image/") ? { type: "image", url: data } : { type: "file", name, mediaType, url: data }
  const read = dataOf(data)
  if (read === undefined && data !== held) return refuseAt(`${place}.file_url`, "must be an address on the web")
  return { type: "file", name, ...(read ?? { mediaType, data }) }
}

const audioOf = ({ input_audio: audio }: JsonObject, place: string): ChatPart => {
  const { data, format } = Predicate.isObject(audio) ? audio : {}
  return {
    type: "audio",
    format: textOf(format, `${place}.input_audio.format`),
    data: textOf(data, `${place}.input_audio.data`)
  }
}

const unknownType = (type: unknown, place: string): never =>
  refuseAt(`${place}.type`, `is '${shownWord(type)}', which the backend of this model cannot be told`)

const partOf = (part: unknown, place: string, notes: Notes): ChatPart => {
  if (!Predicate.isObject(part)) return refuseAt(place, "must be an object")
  const { type } = part
  switch (type) {
    case "input_text":
    case "output_text":
    case "text":
    case "summary_text":
    case "reasoning_text":
      notes.only(part, ["type", "text"], type)
      return { type: "text", text: textOf(part["text"], `${place}.text`) }
    case "refusal":
      return { type: "text", text: textOf(part["refusal"], `${place}.refusal`) }
    case "input_image":
      notes.only(part, ["type", "image_url", "detail", "file_id"], type)
      return imageOf(part, place)
    case "input_file":
      notes.only(part, ["type", "file_data", "filename", "file_id", "file_url"], type)
      return fileOf(part, place)
    case "input_audio":
      return audioOf(part, place)
    default:
      return unknownType(type, place)
  }
}

const partsOf = (content: unknown, place: string, notes: Notes): ReadonlyArray<ChatPart> => {
  if (typeof content === "string") return [{ type: "text", text: content }]
  if (!Array.isArray(content)) return refuseAt(place, "must be a string or an array of parts")
  return content.map((part: unknown, at) => partOf(part, `${place}[${at}]`, notes))
}

const textsOf = (content: unknown, place: string, notes: Notes): ReadonlyArray<string> =>
  partsOf(content, place, notes).map((part) => (part.type === "text" ? part.text : refuseAt(place, "must be text")))

/** A text, or a list of parts, that says something. */
const isSaid = (value: unknown): boolean => (typeof value === "string" || Array.isArray(value)) && value.length > 0

/** What OpenAI has done by itself, of which the words behind it tell what came of it, and what a model has shown. */
const done: ReadonlySet<unknown> = new Set([
  "web_search_call",
  "image_generation_call",
  "file_search_call",
  "code_interpreter_call",
  "mcp_list_tools",
  "mcp_approval_request",
  "mcp_approval_response"
])

const outputs: ReadonlySet<unknown> = new Set(["function_call_output", "custom_tool_call_output"])

// How what OpenAI has encrypted begins.
const isHidden = (text: string): boolean => /^gAAAA[A-Za-z0-9_-]{40}/.test(text)

const asText = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value ?? {}))

// May be left out by whoever writes a message.
const typeOf = ({ content, role, type }: JsonObject): unknown =>
  type ?? (role === undefined && content === undefined ? "item_reference" : "message")

/** Reads the items of one request, in order. */
class ItemReading {
  readonly turns = new Turns({ anywhere: true })
  readonly head: Array<string> = []
  private readonly names: ToolNames
  private readonly notes: Notes
  private callOfItem: Map<string, unknown> | undefined
  private begun = false
  private callSignature: string | undefined

  constructor(names: ToolNames, notes: Notes) {
    this.names = names
    this.notes = notes
  }

  take(item: JsonObject, place: string): void {
    const type = typeOf(item)
    if (type !== "message" && type !== "additional_tools") this.begun = true
    switch (type) {
      case "message":
        return this.message(item, place)
      case "agent_message":
        return this.agent(item, place)
      case "reasoning":
        return this.reasoning(item, place)
      case "function_call":
        this.notes.only(item, ["type", "id", "status", "call_id", "name", "namespace", "arguments"], type)
        return this.call(
          item,
          place,
          this.formOf(item, place, "function"),
          givenArguments(textOf(item["arguments"] ?? "", `${place}.arguments`)) || "{}"
        )
      case "custom_tool_call":
        this.notes.only(item, ["type", "id", "status", "call_id", "name", "namespace", "input"], type)
        return this.call(
          item,
          place,
          this.formOf(item, place, "custom"),
          argsOfText(textOf(item["input"], `${place}.input`))
        )
      case "function_call_output":
      case "custom_tool_call_output":
        this.notes.only(item, ["type", "id", "status", "call_id", "output"], type)
        return this.turns.user([])
      case "additional_tools":
        return this.notes.only(item, ["type", "id", "role", "tools"], type)
      case "tool_search_call":
        if (!isClientSearch(item)) return this.notes.drops(place)
        this.notes.only(item, ["type", "id", "status", "call_id", "execution", "arguments"], type)
        return this.call(item, place, searchForm, asText(item["arguments"]))
      case "tool_search_output":
        if (!isClientSearch(item)) return this.notes.drops(place)
        this.notes.only(item, ["type", "id", "status", "call_id", "execution", "tools"], type)
        return this.turns.user([])
      case "local_shell_call_output":
      case "shell_call_output":
      case "apply_patch_call_output":
        this.notes.only(item, ["type", "id", "status", "call_id", "output", "max_output_length"], type)
        return this.turns.user([])
      case "mcp_call":
        this.notes.only(item, ["type", "id", "status", "server_label", "name", "arguments", "output", "error"], type)
        return this.mcp(item, place)
      case "item_reference":
        return refuseAt(place, "refers to an item that Nexus has not kept; send the item itself (with store: false)")
      default:
        return this.other(item, place, type)
    }
  }

  private other(item: JsonObject, place: string, type: unknown): void {
    const kind = clientToolIn(type, "_call")
    if (kind === undefined) return done.has(type) ? this.notes.drops(place) : unknownType(type, place)
    this.notes.only(item, ["type", "id", "status", "call_id", "action", "operation", "environment"], kind)
    return this.call(item, place, knownForm(kind), JSON.stringify(clientTools[kind].args(item)))
  }

  /** Keeps which call an item is: some clients tell by the item alone what came of it. */
  keep({ call_id: call, id, type }: JsonObject): void {
    if (clientToolIn(type, "_call") !== undefined && typeof id === "string")
      (this.callOfItem ??= new Map()).set(id, call)
  }

  /** Takes what came of a call, wherever it stands. */
  output(item: JsonObject, place: string): void {
    const { output, type } = item
    if (clientToolIn(type, "_call_output") !== undefined) return this.ran(item, place)
    if (type === "tool_search_output" && isClientSearch(item)) return this.found(item, place)
    if (type === "mcp_call") return this.answered(item, place)
    if (!outputs.has(type)) return
    const said = output === undefined || output === null ? [] : partsOf(output, `${place}.output`, this.notes)
    this.turns.result(textOf(item["call_id"], `${place}.call_id`), said, place)
  }

  private ran({ call_id: call, id, output, status }: JsonObject, place: string): void {
    const own = call ?? (typeof id === "string" ? (this.callOfItem?.get(id) ?? id) : id)
    const text = output === undefined || output === null ? shownWord(status ?? "completed") : asText(output)
    const failed = status === "failed"
    this.turns.result(textOf(own, `${place}.call_id`), [{ type: "text", text }], place, { failed })
  }

  private answered({ error, id, output }: JsonObject, place: string): void {
    const failed = error !== undefined && error !== null
    const text = asText((failed ? error : output) ?? "")
    this.turns.result(textOf(id, `${place}.id`), [{ type: "text", text }], place, { failed })
  }

  // The tools themselves are told of with all others.
  private found({ call_id: id, tools }: JsonObject, place: string): void {
    const names = foundNames(tools, this.names)
    const text = names.length === 0 ? "No tools were found" : `These tools can be called now: ${names.join(", ")}`
    this.turns.result(textOf(id, `${place}.call_id`), [{ type: "text", text }], place)
  }

  private message(item: JsonObject, place: string): void {
    const { content, role } = item
    const at = `${place}.content`
    this.notes.only(item, ["type", "id", "status", "role", "content"], "message")
    switch (role) {
      case "user":
        this.begun = true
        return this.turns.user(partsOf(content, at, this.notes))
      case "assistant": {
        this.begun = true
        const said = textsOf(content, at, this.notes).filter((text) => text !== "")
        return this.turns.assistant(
          said.map((text) => ({ type: "text", text })),
          place
        )
      }
      case "system":
      case "developer": {
        const text = textsOf(content, at, this.notes).join("\n\n")
        if (text.trim() === "") return undefined
        if (this.begun) return this.turns.reminder(text)
        this.head.push(text)
        return undefined
      }
      default:
        return refuseAt(`${place}.role`, "must be user, assistant, system or developer")
    }
  }

  // What agents of Codex tell each other; it takes the words of other models for hidden ones.
  private agent(item: JsonObject, place: string): void {
    const { content } = item
    this.notes.only(item, ["type", "id", "content"], "agent_message")
    const parts = (Array.isArray(content) ? content : [content ?? ""]).map((part: unknown, at) => {
      const here = `${place}.content[${at}]`
      if (typeof part === "string") return { type: "text", text: part } as const
      if (!Predicate.isObject(part) || part["type"] !== "encrypted_content") return partOf(part, here, this.notes)
      const text = textOf(part["encrypted_content"], `${here}.encrypted_content`)
      if (isHidden(text)) return refuseAt(here, "is what OpenAI's models alone can read")
      return { type: "text", text } as const
    })
    this.turns.user(parts)
  }

  private reasoning(item: JsonObject, place: string): void {
    const { content, encrypted_content: kept, summary } = item
    this.notes.only(item, ["type", "id", "status", "summary", "content", "encrypted_content"], "reasoning")
    const seal = typeof kept === "string" && kept !== "" ? unsealed(kept) : undefined
    if (seal === undefined && typeof kept === "string" && kept !== "") {
      return this.notes.drops("reasoning.encrypted_content")
    }
    this.callSignature = seal?.callSignature
    const told = isSaid(content) ? content : (summary ?? [])
    if (seal === undefined && told === content && isSaid(summary)) this.notes.drops("reasoning.summary")
    const text = seal?.text ?? textsOf(told, `${place}.summary`, this.notes).join("\n\n")
    if (text === "" && seal?.signature === undefined) return undefined
    const thought: ChatTurnItem = { type: "reasoning", text, signature: seal?.signature }
    return this.turns.assistant([thought], place)
  }

  // OpenAI has made this call, and tells with it what came of it.
  private mcp(item: JsonObject, place: string): void {
    const args = givenArguments(textOf(item["arguments"] ?? "", `${place}.arguments`)) || "{}"
    const form = this.formOf({ name: item["name"], namespace: item["server_label"] }, place, "function")
    this.call({ call_id: item["id"] }, place, form, args)
    this.turns.user([])
  }

  private formOf({ name, namespace }: JsonObject, place: string, kind: "custom" | "function"): ToolForm {
    const space = typeof namespace === "string" && namespace !== "" ? { namespace } : {}
    return { kind, name: textOf(name, `${place}.name`), ...space }
  }

  private call(item: JsonObject, place: string, form: ToolForm, args: string): void {
    const signature = this.callSignature === undefined ? {} : { signature: this.callSignature }
    this.callSignature = undefined
    const id = textOf(item["call_id"], `${place}.call_id`)
    const own = this.names.of(form)
    return this.turns.assistant([{ type: "call", id, name: own, args, ...signature }], place)
  }
}

const headOf = (said: string, more: ReadonlyArray<string>): string =>
  more.length === 0 && said.trim() === "" ? "" : [said, ...more].filter((text) => text.trim() !== "").join("\n\n")

/** The turns of a conversation, what goes before all of them first. */
export const readItems = (
  { input, instructions }: JsonObject,
  names: ToolNames,
  notes: Notes
): ReadonlyArray<ChatMessage> => {
  const reading = new ItemReading(names, notes)
  const said = instructions === undefined || instructions === null ? "" : textOf(instructions, "instructions")
  const written = typeof input === "string" ? [{ role: "user", content: input }] : input
  if (!Array.isArray(written)) return refuseAt("input", "must be a string or an array of items")
  const items = written.map((item: unknown, at) =>
    Predicate.isObject(item) ? item : refuseAt(`input[${at}]`, "must be an object")
  )
  for (const item of items) reading.keep(item)
  items.forEach((item, at) => reading.output(item, `input[${at}]`))
  items.forEach((item, at) => reading.take(item, `input[${at}]`))
  const system = headOf(said, reading.head)
  const turns = reading.turns.end()
  if (turns.length === 0 && system === "") {
    return refuseAt(
      "input",
      "says nothing that the backend of this model can be told; thoughts are at their maker alone"
    )
  }
  return system === "" ? turns : [{ role: "system", text: system }, ...turns]
}
