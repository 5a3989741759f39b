/**
 * A request of Ollama's chat, or of its older completion of a prompt, as one of the hub.
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import { BadRequest } from "../../domain/errors.ts"
import { namesOfLlamaCpp } from "../../domain/samplers.ts"
import type { Chat, ChatMessage, ChatTool, ChatToolChoice, ClientCodec, DecodedChat } from "../chat.ts"
import { tooDeep } from "../json-body.ts"
import { builtOf } from "../parsed-body.ts"
import { type JsonObject, listOf, Notes, refuseAt, seedOf, textOf } from "../request-notes.ts"
import { loadedAnswer, ollamaAnswers } from "./ollama-answer.ts"
import { imagesOf, readOllamaTurns } from "./ollama-turns.ts"

const nothing = {}

const toolOf = (tool: unknown, place: string, notes: Notes): ChatTool => {
  if (!Predicate.isObject(tool)) return refuseAt(place, "must be an object")
  const { function: made, type = "function" } = tool
  if (type !== "function") return refuseAt(`${place}.type`, "must be 'function'")
  if (!Predicate.isObject(made)) return refuseAt(`${place}.function`, "must be an object")
  const { description, name, parameters, strict } = made
  if (typeof name !== "string" || name === "") return refuseAt(`${place}.function.name`, "must be a string")
  notes.only(tool, ["type", "function"], "tools")
  notes.only(made, ["name", "description", "parameters", "strict"], "tools.function")
  return {
    name,
    description: typeof description === "string" ? description : undefined,
    schema: Predicate.isObject(parameters) ? parameters : { type: "object", properties: {} },
    strict: typeof strict === "boolean" ? strict : undefined
  }
}

const isPlain = (choice: unknown): choice is Exclude<ChatToolChoice, object> =>
  choice === "auto" || choice === "none" || choice === "required"

// No field of Ollama's; some of its clients send it.
const choiceOf = (choice: unknown, tools: ReadonlyArray<ChatTool>, notes: Notes): Pick<Chat, "toolChoice"> => {
  if (choice === undefined || choice === null || tools.length === 0) return nothing
  if (isPlain(choice)) return { toolChoice: choice }
  const named = Predicate.isObject(choice) && Predicate.isObject(choice["function"]) ? choice["function"]["name"] : ""
  if (tools.some(({ name }) => name === named)) return { toolChoice: { name: String(named) } }
  notes.drops("tool_choice")
  return {}
}

const formatOf = (format: unknown): Pick<Chat, "format"> => {
  if (format === undefined || format === null || format === "") return nothing
  if (format === "json") return { format: { type: "json" } }
  return Predicate.isObject(format)
    ? { format: { type: "schema", name: "output", schema: format } }
    : refuseAt("format", "must be 'json' or a JSON schema")
}

const thinkOf = (think: unknown): Pick<Chat, "effort" | "showThoughts"> => {
  if (think === undefined || think === null || think === "") return nothing
  if (think === false) return { effort: "none" }
  // Whoever lets it think is told what it thinks.
  if (think === true) return { effort: "medium", showThoughts: true }
  return typeof think === "string"
    ? { effort: think, showThoughts: true }
    : refuseAt("think", "must be true, false or how much")
}

const numbers: Readonly<Record<string, string>> = {
  temperature: "temperature",
  top_p: "topP",
  top_k: "topK",
  presence_penalty: "presencePenalty",
  frequency_penalty: "frequencyPenalty",
  ...Object.fromEntries(Object.entries(namesOfLlamaCpp).map(([name, field]) => [field, name]))
}

const stopsOf = (stop: unknown): Pick<Chat, "stop"> => {
  const all = typeof stop === "string" ? [stop] : listOf(stop, "options.stop")
  const texts = all.map((each, at) => textOf(each, `options.stop[${at}]`)).filter((each) => each !== "")
  return texts.length === 0 ? {} : { stop: texts }
}

const isGiven = (value: unknown): boolean => value !== undefined && value !== null

const optionsOf = (options: unknown, exact: unknown, notes: Notes): Partial<Chat> => {
  return isGiven(options) ? givenOptions(options, exact, notes) : nothing
}

const givenOptions = (options: unknown, exact: unknown, notes: Notes): Partial<Chat> => {
  if (!Predicate.isObject(options)) return refuseAt("options", "must be an object")
  notes.only(options, [...Object.keys(numbers), "seed", "stop", "num_predict"], "options")
  const told = Object.entries(numbers).flatMap(([field, name]) => {
    const value = options[field]
    if (!isGiven(value)) return []
    return typeof value === "number" ? [[name, value]] : refuseAt(`options.${field}`, "must be a number")
  })
  const most = options["num_predict"]
  if (isGiven(most) && !Number.isInteger(most)) return refuseAt("options.num_predict", "must be a whole number")
  return {
    ...Object.fromEntries(told),
    ...seedOf(options, Predicate.isObject(exact) ? exact : options, "options.seed"),
    ...stopsOf(options["stop"]),
    // No limit is a number below one.
    ...(Number(most) > 0 ? { maxTokens: Number(most) } : {})
  }
}

const likelyOf = ({ logprobs, top_logprobs: most }: JsonObject): Pick<Chat, "logprobs"> =>
  logprobs === true ? { logprobs: typeof most === "number" && most > 0 ? most : 0 } : nothing

/** A body, and the same with every number written as it came. */
interface Told {
  readonly plain: JsonObject
  readonly exact: JsonObject
}

const common = ({ exact, plain }: Told, messages: ReadonlyArray<ChatMessage>, notes: Notes): Chat => ({
  stream: plain["stream"] !== false,
  messages,
  tools: [],
  ...formatOf(exact["format"]),
  ...thinkOf(plain["think"]),
  ...likelyOf(plain),
  ...optionsOf(plain["options"], exact["options"], notes),
  extra: {}
})

const shared = ["model", "stream", "format", "think", "options", "logprobs", "top_logprobs"]

const ofChat = [...shared, "messages", "tools", "tool_choice"]

const toolsOf = (json: JsonObject, notes: Notes): ReadonlyArray<ChatTool> =>
  listOf(json["tools"], "tools").map((tool, at) => toolOf(tool, `tools[${at}]`, notes))

const silence: ChatMessage = { role: "user", parts: [{ type: "text", text: "" }] }

const readChat = (body: Told, notes: Notes): Chat => {
  const json = body.exact
  const told = listOf(json["messages"], "messages")
  const read = readOllamaTurns(told, notes)
  // Nothing said is another thing than nothing asked.
  const messages = read.length === 0 && told.length > 0 ? [silence] : read
  const tools = toolsOf(json, notes)
  const chat = common(body, messages, notes)
  notes.only(json, ofChat, "")
  return { ...chat, tools, ...choiceOf(json["tool_choice"], tools, notes) }
}

const isEmpty = (value: unknown): boolean =>
  !isGiven(value) || value === "" || value === false || (Array.isArray(value) && value.length === 0)

// Without them the answer would be another one.
const vital = ["suffix", "template", "raw", "context"] as const

const readPrompt = (body: Told, notes: Notes): Chat => {
  const json = body.plain
  for (const field of vital) {
    if (!isEmpty(json[field])) refuseAt(field, "is for Ollama alone; the backend of this model cannot be told")
  }
  const { prompt, system } = json
  const images = imagesOf(json["images"], "images")
  const text = isGiven(prompt) ? textOf(prompt, "prompt") : ""
  const head = isGiven(system) ? textOf(system, "system") : ""
  const parts = [...(text === "" ? [] : [{ type: "text", text } as const]), ...images]
  const messages: ReadonlyArray<ChatMessage> =
    parts.length === 0
      ? []
      : [...(head === "" ? [] : [{ role: "system", text: head } as const]), { role: "user", parts }]
  const chat = common(body, messages, notes)
  notes.only(json, [...shared, "prompt", "system", "images", ...vital], "")
  return chat
}

const never = /^-?0+[a-z]*$/

/** Whether a model is to leave memory at once. */
const unloads = (keepAlive: unknown): boolean =>
  keepAlive === 0 || (typeof keepAlive === "string" && never.test(keepAlive))

const reader =
  (form: "chat" | "generate"): ClientCodec["decode"] =>
  (body, _model, parsed): Result.Result<DecodedChat, BadRequest> => {
    const notes = new Notes()
    try {
      const built = builtOf(body, parsed)
      const told = { plain: built.json, exact: built.exact() }
      const chat = form === "chat" ? readChat(told, notes) : readPrompt(told, notes)
      const answers = ollamaAnswers(form)
      const decoded = { chat, dropped: notes.all(), answers }
      if (chat.messages.length > 0) return Result.succeed(decoded)
      return Result.succeed({ ...decoded, instead: loadedAnswer(form, unloads(told.plain["keep_alive"])) })
    } catch (error) {
      return Result.fail(error instanceof BadRequest ? error : tooDeep(error))
    }
  }

const words: ClientCodec["words"] = {
  maxTokens: "options.num_predict",
  stop: "options.stop",
  temperature: "options.temperature",
  topP: "options.top_p",
  topK: "options.top_k",
  seed: "options.seed",
  presencePenalty: "options.presence_penalty",
  frequencyPenalty: "options.frequency_penalty",
  ...Object.fromEntries(Object.entries(namesOfLlamaCpp).map(([name, field]) => [name, `options.${field}`])),
  effort: "think",
  showThoughts: "message.thinking",
  reasoning: "messages.thinking",
  strict: "tools.function.strict",
  toolChoice: "tool_choice",
  formatRules: "format"
}

/** How requests of `/api/chat` are read. */
export const ollamaChatClient: ClientCodec = { words, decode: reader("chat") }

/** How requests of `/api/generate` are read. */
export const ollamaGenerateClient: ClientCodec = { words, decode: reader("generate") }
