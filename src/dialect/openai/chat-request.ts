/**
 * A request of the hub as OpenAI's chat completions take it.
 */
import * as Result from "effect/Result"
import type { BadRequest } from "../../domain/errors.ts"
import { type SamplerNames, samplersNamed, samplersOf } from "../../domain/samplers.ts"
import type {
  Chat,
  ChatField,
  ChatFile,
  ChatMessage,
  ChatPart,
  ChatTool,
  ChatTurnItem,
  EncodedChat,
  ServerTraits
} from "../chat.ts"
import { boxedForm } from "../boxed-form.ts"
import { type ChatLimits, fittedChat } from "../fitted-chat.ts"
import { unheld } from "../held-fields.ts"
import { unsaid } from "../refused-fields.ts"
import { isForAnthropic, unsealedBlock } from "../signatures.ts"
import { isTextFile, readOut } from "../text-files.ts"
import { isFlattened, topObject, typedObject } from "../tool-schema.ts"
import { noImages, refusalOf, Unsayable } from "../unsayable.ts"
import { chatAnswersOf } from "./chat-answer.ts"
import { mayBeStrict } from "./strict-schema.ts"
import { blocksOf, callDetail, hiddenDetails, thoughtDetail, thoughtOfGoogle } from "./thought-details.ts"

const encoder = new TextEncoder()

type Fields = Record<string, unknown>

// What OpenAI takes at most.
const mostStops = 4

// What OpenAI takes for the names of tools and the ids of calls.
const limits: ChatLimits = {
  names: { unfit: /[^A-Za-z0-9_-]/g, longest: 64 },
  ids: { unfit: /[^\x21-\x7e]/g, longest: 40 }
}

// Mistral, and the templates of its models, take ids in its own form alone.
const ofMistral = /(?:mi|mini|dev|code|magi|lean)stral|[mp]ixtral|voxtral/i
const mistralLimits: ChatLimits = { ...limits, ids: { unfit: /[^A-Za-z0-9]/g, longest: 9, exactly: true } }

const addressOf = (file: ChatFile): string => ("url" in file ? file.url : `data:${file.mediaType};base64,${file.data}`)

/** Whether files are told as Mistral takes them, which fetches them as well. */
const tellsDocuments = (model: string, { files, linkedFiles, original }: ServerTraits): boolean =>
  files && !original && linkedFiles !== true && ofMistral.test(model)

const documentOf = (file: ChatFile): Fields => ({
  type: "document_url",
  document_url: addressOf(file),
  document_name: file.name
})

const partOf = (part: ChatPart): Fields => {
  switch (part.type) {
    case "text":
      return { type: "text", text: part.text }
    case "image":
      return {
        type: "image_url",
        image_url: {
          url: "url" in part ? part.url : `data:${part.mediaType};base64,${part.data}`,
          ...(part.detail === undefined ? {} : { detail: part.detail })
        }
      }
    case "file":
      return {
        type: "file",
        file: {
          filename: part.name,
          file_data: addressOf(part)
        }
      }
    case "audio":
      return { type: "input_audio", input_audio: { data: part.data, format: part.format } }
  }
}

const none: Fields = {}
const nothing: ReadonlyArray<never> = []

const contentOf = (parts: ReadonlyArray<ChatPart>, documents: boolean): unknown => {
  const [first] = parts
  const only = parts.length === 1 && first !== undefined ? readOut(first) : undefined
  return only?.type === "text" ? only.text : partsOf(parts, documents)
}

const partsOf = (given: ReadonlyArray<ChatPart>, documents: boolean): ReadonlyArray<Fields> =>
  given.map((each) => {
    const part = readOut(each)
    return documents && part.type === "file" ? documentOf(part) : partOf(part)
  })

// Where Google's models keep it that speak as OpenAI's do, and clients of those.
const signatureOf = (signature: string | undefined, { isStrict, original, signedThoughts }: ServerTraits): Fields =>
  signature === undefined || original || isStrict === true || signedThoughts === true
    ? {}
    : { extra_content: { google: { thought_signature: signature } } }

const isSigned = (item: ChatTurnItem & { readonly type: "reasoning" }): boolean => isForAnthropic(item.signature)

// What alone can be told to whoever may be the one who has told of it.
const areOfBlocks = ({ messages }: Chat): boolean =>
  messages.every(
    (message) =>
      message.role !== "assistant" ||
      message.items.every(
        (item) =>
          item.type !== "reasoning" || !isForAnthropic(item.signature) || unsealedBlock(item.signature) !== undefined
      )
  )

/** Thoughts of a turn, with what they are signed with where the server takes that back. */
const thoughtsOf = (items: ReadonlyArray<ChatTurnItem>, traits: ServerTraits): Fields => {
  const { isStrict, original, signedThoughts } = traits
  const thoughts = items.flatMap((item) => (item.type === "reasoning" ? [item] : []))
  const calls = items.flatMap((item) => (item.type === "call" && item.signature !== undefined ? [item] : []))
  const signsCalls = signedThoughts === true && calls.length > 0
  if (original || (thoughts.length === 0 && !signsCalls)) return {}
  const hides = thoughts.some(({ signature, text }) => hiddenDetails(text, signature) !== undefined)
  if (signedThoughts !== true || !(signsCalls || hides || thoughts.some(isSigned))) {
    const text = thoughts.map((item) => item.text).join("")
    const blocks = isStrict === true || signedThoughts === true ? [] : blocksOf(thoughts)
    return { reasoning_content: text || undefined, thinking_blocks: blocks.length === 0 ? undefined : blocks }
  }
  const details = thoughts.flatMap((item, at): ReadonlyArray<Fields> => {
    const { signature, text } = item
    if (signature !== undefined && isSigned(item)) {
      return [thoughtDetail(at, { text, signature: unsealedBlock(signature) ?? signature })]
    }
    return hiddenDetails(text, signature) ?? [signsCalls ? thoughtOfGoogle(at, text) : thoughtDetail(at, { text })]
  })
  const signatures = calls.map(({ id, signature = "" }, at) => callDetail(thoughts.length + at, id, signature))
  return { reasoning_details: [...details, ...signatures] }
}

const messageOf = (message: ChatMessage, traits: ServerTraits, documents: boolean): Fields => {
  switch (message.role) {
    case "system":
      return { role: "system", content: message.text }
    case "user":
      return { role: "user", content: contentOf(message.parts, documents) }
    case "tool":
      return {
        role: "tool",
        tool_call_id: message.callId,
        // There is no field that says so.
        content: message.failed ? `Error: ${message.text}` : message.text
      }
    case "assistant":
      return turnOf(message, traits)
  }
}

/** What a model has said. */
const turnOf = (message: ChatMessage & { readonly role: "assistant" }, traits: ServerTraits): Fields => {
  const texts = message.items.flatMap((item) => (item.type === "text" ? [item.text] : []))
  const thinks = message.items.some(({ type }) => type === "reasoning")
  const calls = message.items.flatMap((item) =>
    item.type === "call"
      ? [
          {
            id: item.id,
            type: "function",
            function: { name: item.name, arguments: item.args },
            ...signatureOf(item.signature, traits)
          }
        ]
      : []
  )
  return {
    role: "assistant",
    content: texts.length === 0 && !thinks && calls.length > 0 ? null : texts.join(""),
    ...thoughtsOf(message.items, traits),
    ...(calls.length === 0 ? {} : { tool_calls: calls })
  }
}

const messagesOf = (
  messages: ReadonlyArray<ChatMessage>,
  traits: ServerTraits,
  documents: boolean
): ReadonlyArray<Fields> => messages.map((message) => messageOf(message, traits, documents))

type Traits = Pick<ServerTraits, "closedSchemas" | "original">

/** Whether a schema is called strict that the server refuses for it. */
const isUnfit = (schema: unknown, strict: boolean | undefined, { closedSchemas, original }: Traits): boolean =>
  strict === true && (original || closedSchemas === true) && !mayBeStrict(schema)

/** How tools are told, and whether one of them is told without being strict. */
class ToolTelling {
  isLoose = false
  private readonly traits: Traits

  constructor(traits: Traits) {
    this.traits = traits
  }

  of({ description, name, schema, strict }: ChatTool): Fields {
    const parameters = this.traits.original ? topObject(schema) : typedObject(schema)
    const unfit = isUnfit(parameters, strict, this.traits)
    this.isLoose ||= unfit
    return {
      type: "function",
      function: {
        name,
        ...(description === undefined ? {} : { description }),
        parameters,
        ...(strict === undefined || unfit ? {} : { strict })
      }
    }
  }
}

const toolsOf = (
  { parallelCalls, toolChoice, tools }: Chat,
  { namedTool }: ServerTraits,
  telling: ToolTelling
): Fields => {
  const told = (tool: ChatTool): Fields => telling.of(tool)
  const parallel = parallelCalls === undefined ? {} : { parallel_tool_calls: parallelCalls }
  if (typeof toolChoice !== "object") {
    const choice = toolChoice === undefined ? {} : { tool_choice: toolChoice }
    return { tools: tools.map(told), ...choice, ...parallel }
  }
  const { name } = toolChoice
  if (namedTool) {
    return { tools: tools.map(told), tool_choice: { type: "function", function: { name } }, ...parallel }
  }
  // Servers that take one named tool for none in particular still have to call the only one there is.
  return { tools: tools.filter((tool) => tool.name === name).map(told), tool_choice: "required", ...parallel }
}

const formatOf = ({ format }: Chat, traits: Traits): Fields => {
  if (format === undefined) return none
  if (format.type === "json") return { response_format: { type: "json_object" } }
  const { description, name, schema, strict } = format
  const told = description === undefined ? {} : { description }
  const isHeld = strict !== undefined && !isUnfit(schema, strict, traits)
  const json_schema = { name, ...told, schema, ...(isHeld ? { strict } : {}) }
  return { response_format: { type: "json_schema", json_schema } }
}

const filesIn = ({ messages }: Chat): ReadonlyArray<ChatFile> =>
  messages.some(hasFile)
    ? messages.flatMap((message) => (hasFile(message) ? message.parts.filter(isFile) : []))
    : noFiles

const noFiles: ReadonlyArray<ChatFile> = []

const isFile = (part: ChatPart): part is ChatPart & ChatFile => part.type === "file"

const hasFile = (message: ChatMessage): message is ChatMessage & { readonly role: "user" } =>
  message.role === "user" && message.parts.some(isFile)

const isLink = (file: ChatFile): boolean => "url" in file

const isNoText = (file: ChatFile): boolean => isLink(file) || !isTextFile(file)

// What OpenAI itself passes over.
const saidToAll = ["detail", "strict", "formatNote", "fileName"] as const
const saidToStrict = [...saidToAll, "reasoning"] as const
const saidToOthers = [...saidToStrict, "signature"] as const

// What all servers are told; the rest depends on them.
const told = [
  "stream",
  "messages",
  "tools",
  "toolChoice",
  "parallelCalls",
  "maxTokens",
  "stop",
  "temperature",
  "topP",
  "seed",
  "presencePenalty",
  "frequencyPenalty",
  "choices",
  "logprobs",
  "effort",
  "showThoughts",
  "format",
  "verbosity",
  "images",
  "user",
  "safetyId",
  "cacheKey"
] as const
const toldToOpenAi = [...told, "tier"] as const
const toldToOthers = [...told, "topK"] as const

/** What of a request is told to no server of this kind. */
const unsaidTo = (chat: Chat, original: boolean, samplers: SamplerNames): ReadonlyArray<ChatField> => {
  const rest = unsaid(chat, original ? toldToOpenAi : toldToOthers)
  return rest.length === 0 ? rest : without(rest, samplersOf(samplers))
}

const without = (fields: ReadonlyArray<ChatField>, said: ReadonlyArray<ChatField>): ReadonlyArray<ChatField> =>
  fields.filter((field) => !said.includes(field))

const refusedOf = (
  chat: Chat,
  { files, images, linkedFiles, original, several }: ServerTraits,
  documents: boolean
): Unsayable | undefined => {
  const { choices = 1, stop = nothing } = chat
  const held = filesIn(chat)
  if (!files && held.some(isNoText)) {
    return new Unsayable("file", "is a file, and the backend of this model takes none; send the text of the document")
  }
  if (linkedFiles !== true && !documents && held.some(isLink)) {
    return new Unsayable(
      "file",
      "must be the file itself: the backend of this model fetches none, and neither does Nexus"
    )
  }
  if (chat.images === true && images !== true) return noImages()
  if (original && stop.length > mostStops) {
    return new Unsayable("stop", `has more than the ${mostStops} stop sequences that the backend of this model takes`)
  }
  if (choices <= 1 || several) return undefined
  return new Unsayable(
    "choices",
    "must be 1: the backend of this model gives one answer to a request, however many are asked for; ask several times"
  )
}

const withUsage = { include_usage: true }

const imagesAsWell = ["image", "text"]

// What signs their calls may be told behind these.
const ofGoogle = /gemini/i

/** The body of a request to `model`. */
export const encodeChatRequest = (
  asked: Chat,
  model: string,
  traits: ServerTraits
): Result.Result<EncodedChat, BadRequest> => {
  const { chat, dropped: unboxed, opening } = boxedForm(asked, traits.original || traits.closedSchemas === true)
  const { chat: fit, restoring } = fittedChat(chat, ofMistral.test(model) ? mistralLimits : limits)
  const { cacheKey, choices, effort, frequencyPenalty, logprobs, maxTokens, presencePenalty, safetyId, seed } = chat
  const { stop, stream, temperature, tier, topK, topP, user, verbosity } = chat
  const documents = tellsDocuments(model, traits)
  const refused = refusedOf(chat, traits, documents)
  if (refused !== undefined) return Result.fail(refusalOf(refused, traits))
  const { samplers = {} } = traits
  const dropped: Array<ChatField> = [...unboxed, ...unsaidTo(chat, traits.original, samplers)]
  // Others show what they think in any case.
  if (traits.original && chat.showThoughts === true) dropped.push("showThoughts")
  const held = traits.original ? saidToAll : traits.isStrict === true ? saidToStrict : saidToOthers
  const isSaid = traits.signedThoughts === true || (held === saidToOthers && areOfBlocks(chat))
  dropped.push(...unheld(chat, isSaid ? [...held, "thoughtSignature"] : held))
  const { format, tools } = chat
  const telling = new ToolTelling(traits)
  const toldTools = tools.length === 0 ? none : toolsOf(fit, traits, telling)
  if (telling.isLoose) dropped.push("strict")
  if (traits.original && tools.some(isFlattened)) dropped.push("tools")
  if (format?.type === "schema" && isUnfit(format.schema, format.strict, traits)) dropped.push("formatRules")
  const isNewer = traits.original || (chat.newerBound === true && traits.newerBound)
  const bound = isNewer ? "max_completion_tokens" : "max_tokens"
  // What is undefined is left out of JSON; an object that is spread for each field would be as many objects to a request.
  const fields: Fields = {
    model,
    messages: messagesOf(fit.messages, traits, documents),
    stream: stream || undefined,
    stream_options: stream ? withUsage : undefined,
    [bound]: maxTokens,
    ...toldTools,
    stop: stop?.length === 0 ? undefined : stop,
    temperature,
    top_p: topP,
    top_k: traits.original ? undefined : topK,
    seed,
    presence_penalty: presencePenalty,
    frequency_penalty: frequencyPenalty,
    ...samplersNamed(chat, samplers),
    n: choices,
    reasoning_effort: effort,
    verbosity,
    modalities: chat.images === true ? imagesAsWell : undefined,
    logprobs: logprobs === undefined ? undefined : true,
    top_logprobs: logprobs === 0 ? undefined : logprobs,
    ...formatOf(chat, traits),
    user,
    safety_identifier: safetyId,
    prompt_cache_key: cacheKey,
    service_tier: traits.original ? tier : undefined
  }
  const names = fit.tools.length === 0 ? nothing : fit.tools.map(({ name }) => name)
  const reads = chatAnswersOf(names, choices, traits.signedThoughts === true && ofGoogle.test(model))
  const answers = opening(restoring(reads))
  return Result.succeed({ body: encoder.encode(JSON.stringify(fields)), dropped, answers })
}
