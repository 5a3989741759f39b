/**
 * What the parts of a turn hold, in the words of the hub.
 */
import * as Predicate from "effect/Predicate"
import type { ChatPart } from "../chat.ts"
import { isDrawing, shownTypeOf } from "../image-type.ts"
import { type JsonObject, type Notes, refuseAt, textOf } from "../request-notes.ts"
import { fieldsOf, manyOf, objectAt } from "./gemini-fields.ts"
import { linkedType } from "../linked-type.ts"
import { wordIn } from "../word-table.ts"

const decoder = new TextDecoder()

const audioFormats: Readonly<Record<string, string>> = { mpeg: "mp3", "x-wav": "wav", wave: "wav", "x-m4a": "m4a" }

const isText = (type: string): boolean =>
  type.startsWith("text/") || /^application\/(?:json|xml|x-\w+|\w+script)$/.test(type)

/** What a part brings along. */
const blobOf = (blob: JsonObject, place: string, notes: Notes): ChatPart => {
  // Either alphabet of base64 is Google's.
  const data = textOf(blob["data"], `${place}.data`).replaceAll("-", "+").replaceAll("_", "/")
  const mediaType = textOf(blob["mimeType"], `${place}.mimeType`)
    .toLowerCase()
    .replace(/\s*;.*/s, "")
  const name = typeof blob["displayName"] === "string" ? blob["displayName"] : ""
  const [kind = "", subtype = ""] = mediaType.split("/")
  const isSeen = kind === "image" || kind === "audio"
  notes.only(blob, ["data", "mimeType", ...(isSeen ? [] : ["displayName"])], "contents.parts.inlineData")
  if (isDrawing(mediaType)) return refuseAt(`${place}.mimeType`, "is none that models look at")
  if (kind === "image") return { type: "image", mediaType: shownTypeOf(mediaType, data), data }
  if (kind === "audio") return { type: "audio", format: wordIn(audioFormats, subtype) ?? subtype, data }
  if (mediaType === "application/pdf") return { type: "file", name: name || "document.pdf", mediaType, data }
  if (isText(mediaType)) {
    const text = decoder.decode(Buffer.from(data, "base64"))
    return { type: "text", text: name === "" ? text : `${name}\n\n${text}` }
  }
  return refuseAt(`${place}.mimeType`, `is '${mediaType}', which the backend of this model cannot be given`)
}

const linkOf = (file: JsonObject, place: string, notes: Notes): ChatPart => {
  const url = textOf(file["fileUri"], `${place}.fileUri`)
  const web = URL.canParse(url) ? new URL(url) : undefined
  const isWeb = web?.protocol === "https:" || web?.protocol === "http:"
  // Its files are for who has uploaded them.
  const isStored = web?.hostname === "generativelanguage.googleapis.com"
  const { displayName: name, mimeType: said } = file
  const type = typeof said === "string" && said !== "" ? said.toLowerCase() : (linkedType(url) ?? "")
  if (web !== undefined && isWeb && !isStored) {
    const isSeen = type.startsWith("image/")
    notes.only(file, ["fileUri", "mimeType", ...(isSeen ? [] : ["displayName"])], "contents.parts.fileData")
    if (isSeen) return { type: "image", url }
    const called = typeof name === "string" && name !== "" ? name : "document.pdf"
    if (type === "application/pdf" || isText(type)) return { type: "file", name: called, mediaType: type, url }
  }
  return refuseAt(place, "must be a picture, a PDF or a text on the web; files are at Google alone")
}

// What a part may hold, by whose it is.
const known = {
  model: ["text", "inlineData", "fileData", "thought", "thoughtSignature", "functionCall"],
  user: ["text", "inlineData", "fileData", "functionResponse"]
} as const

/** Notes what of a part is not carried over. */
export const noteRest = (part: JsonObject, role: keyof typeof known, notes: Notes): void =>
  notes.only(part, known[role], "parts")

/** Whether a part says something in words. */
export const isWords = (part: JsonObject): boolean => typeof part["text"] === "string"

/** A part of what is said to the model; undefined for one that only tells of what Google's own tools did. */
export const partOf = (part: JsonObject, place: string, notes: Notes): ChatPart | undefined => {
  noteRest(part, "user", notes)
  if (isWords(part)) return { type: "text", text: textOf(part["text"], `${place}.text`) }
  if (part["inlineData"] !== undefined)
    return blobOf(objectAt(part["inlineData"], `${place}.inlineData`), `${place}.inlineData`, notes)
  if (part["fileData"] !== undefined)
    return linkOf(objectAt(part["fileData"], `${place}.fileData`), `${place}.fileData`, notes)
  return undefined
}

const isEmpty = (value: unknown): boolean => value === undefined || value === null || value === ""

const asText = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value))

/** What came of a call: its words, and whether it failed. */
export const resultOf = (response: JsonObject, place: string, notes: Notes) => {
  const { response: told } = response
  // Some write what came of it by itself.
  const given = isEmpty(told) || Predicate.isObject(told) ? fieldsOf(told) : { result: told }
  const names = Object.keys(given).filter((name) => !isEmpty(given[name]))
  const [only] = names
  const failed = names.includes("error")
  // There is a place for the words of a result, and one for all else that it may be.
  const words =
    names.length === 0
      ? asText(given["output"] ?? given["result"] ?? "")
      : names.length === 1 && only !== undefined && ["error", "output", "result"].includes(only)
        ? asText(given[only])
        : JSON.stringify(told)
  const shown = manyOf(response["parts"]).flatMap((part, at): ReadonlyArray<ChatPart> => {
    const here = `${place}.parts[${at}]`
    return [partOf(objectAt(part, here), here, notes) ?? refuseAt(here, "must hold what a tool has shown")]
  })
  const parts: ReadonlyArray<ChatPart> = [{ type: "text", text: words }, ...shown]
  return { parts, failed }
}
