/**
 * A request of Google's generateContent as one of the hub: what cannot be carried over is refused by its place, or named.
 */
import * as Result from "effect/Result"
import { BadRequest } from "../../domain/errors.ts"
import type { Chat, ChatTool, DecodedChat } from "../chat.ts"
import { tooDeep } from "../json-body.ts"
import { builtOf, type ParsedBody } from "../parsed-body.ts"
import { numberIn } from "../read-json.ts"
import { type JsonObject, Notes, refuseAt, seedOf, textOf } from "../request-notes.ts"
import { effortOfTokens } from "../thinking-wish.ts"
import { geminiAnswers } from "./gemini-answer.ts"
import { fieldsOf, isGiven, manyOf, objectAt, withForms, wordOf } from "./gemini-fields.ts"
import { jsonSchemaOf } from "./gemini-schema.ts"
import { readContents, systemText } from "./gemini-turns.ts"
import { tierOfGoogle } from "./gemini-tiers.ts"

const toolOf = (declared: unknown, place: string, notes: Notes): ChatTool => {
  const tool = objectAt(declared, place)
  const { description, parameters, parametersJsonSchema } = tool
  const name = textOf(tool["name"], `${place}.name`)
  notes.only(tool, ["name", "description", "parameters", "parametersJsonSchema"], "tools")
  return {
    name,
    description: typeof description === "string" ? description : undefined,
    schema: parametersJsonSchema ?? jsonSchemaOf(parameters) ?? { type: "object", properties: {} },
    strict: undefined
  }
}

const toolsOf = (given: unknown, notes: Notes): ReadonlyArray<ChatTool> => {
  const all = manyOf(given)
  const kept = all.flatMap((each, at) => {
    const place = `tools[${at}]`
    const tool = objectAt(each, place)
    for (const name in tool) if (name !== "functionDeclarations" && isGiven(tool[name])) notes.drops(`${place}.${name}`)
    return manyOf(tool["functionDeclarations"]).map((declared, n) =>
      toolOf(declared, `${place}.functionDeclarations[${n}]`, notes)
    )
  })
  if (kept.length === 0 && all.some((tool) => Object.values(fieldsOf(tool)).some(isGiven))) {
    return refuseAt("tools", "has only tools that Google runs itself; the backend of this model has none of them")
  }
  return kept
}

type Choice = Pick<Chat, "toolChoice" | "tools">

// As Vertex AI's older libraries write them.
const numberedModes = ["", "AUTO", "ANY", "NONE"] as const

const choiceOf = (asked: unknown, tools: ReadonlyArray<ChatTool>, notes: Notes): Choice => {
  const config = fieldsOf(asked)
  notes.only(config, ["functionCallingConfig"], "toolConfig")
  const calling = fieldsOf(config["functionCallingConfig"])
  notes.only(calling, ["mode", "allowedFunctionNames"], "toolConfig.functionCallingConfig")
  const { mode: given } = calling
  const mode = wordOf(typeof given === "number" ? numberedModes[given] : given)
  if (tools.length === 0 || mode === "") return { tools }
  const names = manyOf(calling["allowedFunctionNames"])
  const allowed = names.length === 0 ? tools : tools.filter(({ name }) => names.includes(name))
  if (allowed.length === 0) {
    return refuseAt("toolConfig.functionCallingConfig.allowedFunctionNames", "names none of the tools of this request")
  }
  const [only] = allowed
  switch (mode) {
    case "NONE":
      return { tools, toolChoice: "none" }
    case "AUTO":
      return { tools, toolChoice: "auto" }
    case "VALIDATED":
      return { tools: allowed, toolChoice: "auto" }
    case "ANY":
      return names.length === 1 && only !== undefined
        ? { tools, toolChoice: { name: only.name } }
        : { tools: allowed, toolChoice: "required" }
    default:
      return refuseAt("toolConfig.functionCallingConfig.mode", "must be AUTO, ANY, NONE or VALIDATED")
  }
}

const thoughtsOf = (given: unknown, notes: Notes): Pick<Chat, "effort" | "showThoughts"> => {
  const thinking = fieldsOf(given)
  notes.only(thinking, ["thinkingBudget", "thinkingLevel", "includeThoughts"], "thinkingConfig")
  const { includeThoughts, thinkingBudget } = thinking
  const level = wordOf(thinking["thinkingLevel"]).toLowerCase()
  const budget = numberIn(thinkingBudget ?? -1)
  const effort = level !== "" ? level : budget === 0 ? "none" : budget > 0 ? effortOfTokens(budget) : undefined
  return {
    ...(effort === undefined ? {} : { effort }),
    ...(typeof includeThoughts === "boolean" ? { showThoughts: includeThoughts } : {})
  }
}

const formatOf = (config: JsonObject): Pick<Chat, "format"> => {
  const { responseMimeType: type, responseSchema, responseJsonSchema = config["_responseJsonSchema"] } = config
  const schema = responseJsonSchema ?? jsonSchemaOf(responseSchema)
  const isJson = type === "application/json"
  const isWord = type === "text/x.enum"
  if (isGiven(type) && type !== "text/plain" && !isJson && !isWord) {
    return refuseAt("generationConfig.responseMimeType", "must be text/plain, text/x.enum or application/json")
  }
  const bare = isWord ? ({ bare: true } as const) : {}
  if (isGiven(schema) && type !== "text/plain") return { format: { type: "schema", name: "output", schema, ...bare } }
  return isJson ? { format: { type: "json" } } : {}
}

const numbers = {
  temperature: "temperature",
  topP: "topP",
  topK: "topK",
  presencePenalty: "presencePenalty",
  frequencyPenalty: "frequencyPenalty",
  candidateCount: "choices",
  maxOutputTokens: "maxTokens"
} as const

type Sampling = Pick<Chat, (typeof numbers)[keyof typeof numbers]>

const whole: ReadonlySet<string> = new Set(["candidateCount", "maxOutputTokens"])

const samplingOf = (config: JsonObject): Sampling =>
  Object.fromEntries(
    Object.entries(numbers).flatMap(([field, name]) => {
      const value = config[field]
      if (value === undefined || value === null) return []
      const isFine = whole.has(field) ? Number.isInteger(value) && Number(value) > 0 : typeof value === "number"
      if (isFine) return [[name, value]]
      return refuseAt(
        `generationConfig.${field}`,
        whole.has(field) ? "must be a whole number above 0" : "must be a number"
      )
    })
  )

const stopsOf = (config: JsonObject): Pick<Chat, "stop"> => {
  const stop = manyOf(config["stopSequences"])
    .map((each, at) => textOf(each, `generationConfig.stopSequences[${at}]`))
    .filter((each) => each !== "")
  return stop.length === 0 ? {} : { stop }
}

const likelyOf = ({ logprobs, responseLogprobs }: JsonObject): Pick<Chat, "logprobs"> =>
  responseLogprobs === true ? { logprobs: typeof logprobs === "number" && logprobs > 0 ? logprobs : 0 } : {}

const configured = Object.keys(numbers).concat(
  (
    "seed stopSequences responseMimeType responseSchema responseJsonSchema _responseJsonSchema responseFormat " +
    "responseModalities responseLogprobs logprobs thinkingConfig"
  ).split(" ")
)

const isImage = (modality: unknown): boolean => wordOf(modality) === "IMAGE"

const isOther = (modality: unknown): boolean => !isImage(modality) && !["TEXT", ""].includes(wordOf(modality))

const configOf = (given: unknown, exactly: unknown, notes: Notes): Partial<Chat> => {
  const config = withForms(fieldsOf(given))
  const exact = withForms(fieldsOf(exactly))
  const modalities = manyOf(config["responseModalities"])
  if (modalities.some(isOther)) {
    return refuseAt(
      "generationConfig.responseModalities",
      "must be TEXT or IMAGE; the backend of this model answers in nothing else"
    )
  }
  notes.only(config, configured, "generationConfig")
  return {
    ...samplingOf(config),
    ...seedOf(config, exact, "generationConfig.seed"),
    ...stopsOf(config),
    ...likelyOf(config),
    ...formatOf(exact),
    ...thoughtsOf(config["thinkingConfig"], notes),
    ...(modalities.some(isImage) ? { images: true } : {})
  }
}

const carried = "model contents systemInstruction tools toolConfig generationConfig cachedContent serviceTier".split(
  " "
)

const tierOf = ({ serviceTier }: JsonObject, notes: Notes): Pick<Chat, "tier"> => {
  const tier = tierOfGoogle(serviceTier)
  const isAny = ["", "UNSPECIFIED"].includes(wordOf(serviceTier))
  if (tier === undefined && !isAny) notes.drops("serviceTier")
  return tier === undefined ? {} : { tier }
}

// `exact` holds what goes on as JSON, with the digits of its numbers.
const read = (json: JsonObject, exact: JsonObject, stream: boolean, notes: Notes): Chat => {
  if (isGiven(json["cachedContent"]) && json["cachedContent"] !== "") {
    return refuseAt("cachedContent", "is kept at Google, and not known to the backend of this model")
  }
  const system = systemText(json["systemInstruction"], notes)
  const messages = readContents(exact["contents"], notes)
  if (messages.length === 0) return refuseAt("contents", "must say something")
  notes.only(json, carried, "")
  return {
    stream,
    messages: [...(system === "" ? [] : [{ role: "system", text: system } as const]), ...messages],
    ...choiceOf(json["toolConfig"], toolsOf(exact["tools"], notes), notes),
    ...tierOf(json, notes),
    ...configOf(json["generationConfig"], exact["generationConfig"], notes),
    extra: {}
  }
}

/** Reads a request, whose answer is a stream or not by its path; its body is a JSON object. */
export const decodeGeminiRequest =
  (stream: boolean) =>
  (body: Uint8Array, _model?: string, parsed?: ParsedBody): Result.Result<DecodedChat, BadRequest> => {
    const notes = new Notes()
    try {
      const built = builtOf(body, parsed)
      const chat = read(fieldsOf(built.json), fieldsOf(built.exact()), stream, notes)
      const { choices = 1, showThoughts = true } = chat
      const answers = geminiAnswers({ thoughts: showThoughts, several: choices > 1 })
      return Result.succeed({ chat, dropped: notes.all(), answers })
    } catch (error) {
      return Result.fail(error instanceof BadRequest ? error : tooDeep(error))
    }
  }
