/**
 * A request of the hub as Ollama's own chat takes it.
 */
import * as Result from "effect/Result"
import { namesOfLlamaCpp, samplersNamed, samplersOf } from "../../domain/samplers.ts"
import type { Chat, ChatField, ChatMessage, ChatPart, ChatTool, ServerCodec, ServerTraits } from "../chat.ts"
import { boxedForm } from "../boxed-form.ts"
import { unheld } from "../held-fields.ts"
import { unsaid } from "../refused-fields.ts"
import { readOut } from "../text-files.ts"
import { typedObject } from "../tool-schema.ts"
import { noImages, refusalOf, Unsayable } from "../unsayable.ts"
import { optionsWith } from "./ollama-options.ts"
import { ollamaReads } from "./native-answer.ts"
import { callArguments } from "../exact-json.ts"

const encoder = new TextEncoder()

type Fields = Readonly<Record<string, unknown>>

const refuse = (field: ChatField, why: string): never => {
  throw new Unsayable(field, why)
}

const imageOf = (part: ChatPart): string => {
  if (part.type === "text") return refuse("messages", "has a text where an image is expected")
  if (part.type !== "image") return refuse(part.type, "is none of what the backend of this model takes")
  if ("url" in part) {
    return refuse(
      "messages",
      "must hold an image itself (base64): the backend of this model fetches none, nor does Nexus"
    )
  }
  return part.data
}

const argumentsOf = (args: string, name: string): unknown =>
  callArguments(args) ?? refuse("messages", `has a call of '${name}' whose arguments are no JSON object`)

const reminder = (text: string): Fields => ({
  role: "user",
  content: `<system-reminder>\n${text}\n</system-reminder>`
})

const spokenOf = (message: Exclude<ChatMessage, { readonly role: "system" }>, names: Map<string, string>): Fields => {
  switch (message.role) {
    case "user": {
      const parts = message.parts.map(readOut)
      const texts = parts.flatMap((part) => (part.type === "text" ? [part.text] : []))
      const images = parts.filter(({ type }) => type !== "text").map(imageOf)
      return { role: "user", content: texts.join("\n"), ...(images.length === 0 ? {} : { images }) }
    }
    case "assistant": {
      const texts = message.items.flatMap((item) => (item.type === "text" ? [item.text] : []))
      const thoughts = message.items.flatMap((item) => (item.type === "reasoning" ? [item.text] : [])).join("")
      const calls = message.items.flatMap((item) => {
        if (item.type !== "call") return []
        names.set(item.id, item.name)
        return [{ id: item.id, function: { name: item.name, arguments: argumentsOf(item.args, item.name) } }]
      })
      return {
        role: "assistant",
        content: texts.join(""),
        ...(thoughts === "" ? {} : { thinking: thoughts }),
        ...(calls.length === 0 ? {} : { tool_calls: calls })
      }
    }
    case "tool": {
      const name = names.get(message.callId)
      return {
        role: "tool",
        ...(name === undefined ? {} : { tool_name: name }),
        tool_call_id: message.callId,
        // There is no field that says so.
        content: message.failed ? `Error: ${message.text}` : message.text
      }
    }
  }
}

const messagesOf = (messages: ReadonlyArray<ChatMessage>): ReadonlyArray<Fields> => {
  const names = new Map<string, string>()
  const begins = messages.findIndex(({ role }) => role !== "system")
  const heads = begins < 0 ? messages : messages.slice(0, begins)
  const text = heads.flatMap((each) => (each.role === "system" ? [each.text] : [])).join("\n\n")
  const rest = messages
    .slice(heads.length)
    .map((message) => (message.role === "system" ? reminder(message.text) : spokenOf(message, names)))
  // Many models take what a system says at the head alone.
  return [...(text === "" ? [] : [{ role: "system", content: text }]), ...rest]
}

const toolOf = ({ description, name, schema }: ChatTool): Fields => ({
  type: "function",
  function: {
    name,
    ...(description === undefined ? {} : { description }),
    parameters: typedObject(schema)
  }
})

const toolsOf = ({ toolChoice, tools }: Chat): ReadonlyArray<ChatTool> => {
  // It knows no choice: what is not to be called is not told of.
  if (toolChoice === "none") return []
  return typeof toolChoice === "object" ? tools.filter(({ name }) => name === toolChoice.name) : tools
}

const levels: Readonly<Record<string, unknown>> = { none: false, minimal: "low", xhigh: "high" }

const thinkOf = ({ effort }: Chat): Fields =>
  effort === undefined ? {} : { think: Object.hasOwn(levels, effort) ? levels[effort] : effort }

// It tells what it thinks where it is let think.
const showsThoughts = ({ effort, showThoughts }: Chat): boolean =>
  showThoughts === true && effort !== undefined && effort !== "none"

const formatOf = ({ format }: Chat): Fields =>
  format === undefined ? {} : { format: format.type === "json" ? "json" : format.schema }

const likelyOf = ({ logprobs }: Chat): Fields =>
  logprobs === undefined ? {} : { logprobs: true, ...(logprobs === 0 ? {} : { top_logprobs: logprobs }) }

const optionsOf = (chat: Chat, { context, own }: ServerTraits): Fields => {
  const { frequencyPenalty, maxTokens, presencePenalty, seed, stop, temperature, topK, topP } = chat
  return optionsWith(own?.["options"], context, {
    ...(maxTokens === undefined ? {} : { num_predict: maxTokens }),
    ...(temperature === undefined ? {} : { temperature }),
    ...(topP === undefined ? {} : { top_p: topP }),
    ...(topK === undefined ? {} : { top_k: topK }),
    ...(seed === undefined ? {} : { seed }),
    ...(stop === undefined || stop.length === 0 ? {} : { stop }),
    ...(presencePenalty === undefined ? {} : { presence_penalty: presencePenalty }),
    ...(frequencyPenalty === undefined ? {} : { frequency_penalty: frequencyPenalty }),
    ...samplersNamed(chat, namesOfLlamaCpp)
  })
}

// What there are words for.
const told = [
  "stream",
  "messages",
  "tools",
  "toolChoice",
  "maxTokens",
  "stop",
  "temperature",
  "topP",
  "topK",
  "seed",
  "presencePenalty",
  "frequencyPenalty",
  "choices",
  "logprobs",
  "effort",
  "format",
  "images",
  ...samplersOf(namesOfLlamaCpp)
] as const

const encode: ServerCodec["encode"] = (asked, model, traits) => {
  const { chat, dropped: unboxed, opening } = boxedForm(asked, false)
  const { choices = 1, stream, toolChoice } = chat
  try {
    if (chat.images === true) throw noImages()
    if (choices > 1) refuse("choices", "must be 1: the backend of this model gives one answer alone")
    const tools = toolsOf(chat)
    const { keep_alive: keepAlive, think } = traits.own ?? {}
    const body = {
      model,
      messages: messagesOf(chat.messages),
      stream,
      ...(tools.length === 0 ? {} : { tools: tools.map(toolOf) }),
      ...formatOf(chat),
      ...likelyOf(chat),
      ...thinkOf(chat),
      ...(think === undefined ? {} : { think }),
      ...(keepAlive === undefined ? {} : { keep_alive: keepAlive }),
      ...optionsOf(chat, traits)
    }
    const forced = tools.length > 0 && (toolChoice === "required" || typeof toolChoice === "object")
    const dropped: ReadonlyArray<ChatField> = [
      ...unboxed,
      ...(forced ? (["toolChoice"] as const) : []),
      ...unsaid(chat, showsThoughts(chat) ? [...told, "showThoughts"] : told),
      ...unheld({ ...chat, tools }, ["reasoning"])
    ]
    return Result.succeed({ body: encoder.encode(JSON.stringify(body)), dropped, answers: opening(ollamaReads) })
  } catch (error) {
    return Result.fail(refusalOf(error, traits))
  }
}

/** How an Ollama is asked. */
export const ollamaServer: ServerCodec = { encode }
