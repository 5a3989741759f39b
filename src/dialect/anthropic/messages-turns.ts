/**
 * The turns of a conversation in Messages as those of the hub.
 */
import * as Predicate from "effect/Predicate"
import type { ChatMessage, ChatPart, ChatTurnItem } from "../chat.ts"
import { isDrawing, shownTypeOf } from "../image-type.ts"
import { isSealed, unsealedBlock, unsealedCall, unsealedDetail } from "../signatures.ts"
import { argumentsText, type JsonObject, listOf, type Notes, refuseAt, shownWord, textOf } from "../request-notes.ts"
import { markedLast, Turns } from "../turns.ts"

const imageOf = (block: JsonObject, place: string): ChatPart => {
  const source = Predicate.isObject(block["source"]) ? block["source"] : {}
  const { data, media_type: type, url } = source
  if (source["type"] === "url" && typeof url === "string") return { type: "image", url }
  if (source["type"] !== "base64" || typeof data !== "string" || typeof type !== "string") {
    return refuseAt(`${place}.source`, "must hold the image itself (base64) or its url; files are at Anthropic alone")
  }
  if (isDrawing(type)) return refuseAt(`${place}.source.media_type`, "is none that models look at")
  return { type: "image", mediaType: shownTypeOf(type, data), data }
}

const titled = (title: unknown, text: string): string =>
  typeof title === "string" && title !== "" ? `${title}\n\n${text}` : text

const documentParts = (block: JsonObject, place: string, notes: Notes): ReadonlyArray<ChatPart> => {
  notes.only(block, ["type", "source", "title", "context", "cache_control"], "document")
  const source = Predicate.isObject(block["source"]) ? block["source"] : {}
  const { content, data, media_type: mediaType } = source
  const { context, title } = block
  const head = [title, context].filter((each) => typeof each === "string" && each !== "").join("\n\n")
  const about = typeof context === "string" && context !== "" ? [{ type: "text", text: context } as const] : []
  const name = typeof title === "string" && title !== "" ? title : "document.pdf"
  const pdf = { type: "file", name, mediaType: "application/pdf" } as const
  switch (source["type"]) {
    case "text":
      return [{ type: "text", text: titled(head, textOf(data, `${place}.source.data`)) }]
    case "content": {
      const parts = typeof content === "string" ? [{ type: "text", text: content } as const] : []
      const inner = typeof content === "string" ? parts : partsOf(content, `${place}.source.content`, notes)
      return [...(head === "" ? [] : [{ type: "text", text: head } as const]), ...inner]
    }
    case "base64": {
      if (mediaType !== "application/pdf") return refuseAt(`${place}.source.media_type`, "must be 'application/pdf'")
      return [...about, { ...pdf, data: textOf(data, `${place}.source.data`) }]
    }
    case "url": {
      const url = textOf(source["url"], `${place}.source.url`)
      if (!/^https?:/i.test(url)) return refuseAt(`${place}.source.url`, "must be an address on the web")
      return [...about, { ...pdf, url }]
    }
    default:
      return refuseAt(`${place}.source`, "must hold the document itself or its url; files are at Anthropic alone")
  }
}

const searchResult = (block: JsonObject, place: string, notes: Notes): ChatPart => {
  notes.only(block, ["type", "content", "source", "title", "cache_control"], "search_result")
  const texts = listOf(block["content"], `${place}.content`).map((each, at) =>
    textOf(Predicate.isObject(each) ? each["text"] : undefined, `${place}.content[${at}].text`)
  )
  const head = [block["title"], block["source"]].filter((each) => typeof each === "string" && each !== "").join("\n")
  return { type: "text", text: titled(head, texts.join("\n\n")) }
}

const partOf = (block: JsonObject, place: string, notes: Notes): ReadonlyArray<ChatPart> => {
  switch (block["type"]) {
    case "text":
      notes.only(block, ["type", "text", "cache_control"], "text")
      return [{ type: "text", text: textOf(block["text"], `${place}.text`), ...notes.markOf(block) }]
    case "image":
      notes.only(block, ["type", "source", "cache_control"], "image")
      return [{ ...imageOf(block, place), ...notes.markOf(block) }]
    case "document":
      return markedLast(documentParts(block, place, notes), notes.markOf(block))
    case "search_result":
      return [{ ...searchResult(block, place, notes), ...notes.markOf(block) }]
    case "tool_reference":
      notes.only(block, ["type", "tool_name", "cache_control"], "tool_reference")
      return [{ type: "text", text: `tool: ${textOf(block["tool_name"], `${place}.tool_name`)}` }]
    default:
      return refuseAt(
        `${place}.type`,
        `is '${shownWord(block["type"])}', which the backend of this model cannot be told`
      )
  }
}

const blocksOf = (content: unknown, place: string): ReadonlyArray<readonly [JsonObject, string]> => {
  if (typeof content === "string") return [[{ type: "text", text: content }, place]]
  if (!Array.isArray(content)) return refuseAt(place, "must be a string or an array of blocks")
  return content.map((block: unknown, at) =>
    Predicate.isObject(block) ? [block, `${place}[${at}]`] : refuseAt(`${place}[${at}]`, "must be an object")
  )
}

const partsOf = (content: unknown, place: string, notes: Notes): ReadonlyArray<ChatPart> =>
  blocksOf(content, place).flatMap(([block, at]) => partOf(block, at, notes))

// What tools of Anthropic's own did: the words behind it hold what came of it.
const ofServer = /^(?:server_tool_use|mcp_tool_(?:use|result)|\w+_tool_result|container_upload|fallback)$/

const itemsOf = (content: unknown, place: string, notes: Notes): ReadonlyArray<ChatTurnItem> => {
  let ofCall: string | undefined
  return blocksOf(content, place).flatMap(([block, at]): ReadonlyArray<ChatTurnItem> => {
    const type = shownWord(block["type"])
    switch (type) {
      case "text":
        notes.only(block, ["type", "text", "cache_control"], "text")
        return [{ type, text: textOf(block["text"], `${at}.text`), ...notes.markOf(block) }]
      case "thinking": {
        const { signature } = block
        notes.only(block, ["type", "thinking", "signature"], type)
        ofCall = typeof signature === "string" ? unsealedCall(signature) : undefined
        const signed =
          typeof signature === "string" &&
          signature !== "" &&
          (!isSealed(signature) || (unsealedDetail(signature) ?? unsealedBlock(signature)) !== undefined)
        const text = textOf(block["thinking"], `${at}.thinking`)
        return text === "" && !signed ? [] : [{ type: "reasoning", text, signature: signed ? signature : undefined }]
      }
      case "tool_use": {
        notes.only(block, ["type", "id", "name", "input", "caller", "cache_control"], type)
        const { caller } = block
        // A call by the model itself is what all calls are elsewhere.
        if (Predicate.isObject(caller) && caller["type"] !== "direct") notes.drops("tool_use.caller")
        const id = textOf(block["id"], `${at}.id`)
        const args = argumentsText(block["input"], `${at}.input`)
        const signed = ofCall === undefined ? {} : { signature: ofCall }
        ofCall = undefined
        return [
          { type: "call", id, name: textOf(block["name"], `${at}.name`), args, ...signed, ...notes.markOf(block) }
        ]
      }
      case "redacted_thinking":
        notes.drops(type)
        return []
      // What has been said before in short, in place of all of it.
      case "compaction": {
        notes.only(block, ["type", "content", "cache_control"], type)
        const { content: short } = block
        return typeof short === "string" && short !== "" ? [{ type: "text", text: short, ...notes.markOf(block) }] : []
      }
      default:
        if (!ofServer.test(type))
          return refuseAt(`${at}.type`, `is '${type}', which the backend of this model cannot be told`)
        notes.drops(at)
        return []
    }
  })
}

const userTurn = (turns: Turns, content: unknown, place: string, notes: Notes): void => {
  turns.user([])
  for (const [block, at] of blocksOf(content, `${place}.content`)) {
    if (block["type"] !== "tool_result") {
      turns.user(partOf(block, at, notes))
      continue
    }
    notes.only(block, ["type", "tool_use_id", "content", "is_error", "cache_control"], "tool_result")
    const { content: result, is_error: failed, tool_use_id: id } = block
    const parts = result === undefined || result === null ? [] : partsOf(result, `${at}.content`, notes)
    turns.result(textOf(id, `${at}.tool_use_id`), parts, at, { failed: failed === true, ...notes.markOf(block) })
  }
}

const systemTurn = (turns: Turns, content: unknown, place: string, notes: Notes): void => {
  const parts = blocksOf(content, `${place}.content`).flatMap(([block, at]) => {
    if (block["type"] !== "tool_addition") return partOf(block, at, notes)
    // All tools are told of from the beginning on.
    notes.drops(at)
    return []
  })
  if (parts.length === 0) return
  const texts = parts.map((part) => (part.type === "text" ? part.text : refuseAt(`${place}.content`, "must be text")))
  turns.reminder(texts.join("\n\n"), parts.findLast(({ cache }) => cache !== undefined)?.cache)
}

/** The turns of a conversation. */
export const readTurns = (messages: ReadonlyArray<unknown>, notes: Notes): ReadonlyArray<ChatMessage> => {
  const turns = new Turns({ anywhere: false })
  for (const [at, message] of messages.entries()) {
    const place = `messages[${at}]`
    if (!Predicate.isObject(message)) return refuseAt(place, "must be an object")
    const { content, role } = message
    notes.only(message, ["role", "content"], "messages")
    if (role === "user") userTurn(turns, content, place, notes)
    else if (role === "assistant") turns.assistant(itemsOf(content, `${place}.content`, notes), place)
    else if (role === "system") systemTurn(turns, content, place, notes)
    else return refuseAt(`${place}.role`, "must be user, assistant or system")
  }
  return turns.end()
}
