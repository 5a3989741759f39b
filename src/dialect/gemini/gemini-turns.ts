/**
 * The contents of a request as the turns of the hub: calls without an id get one, and results find their calls by id, or by
 * name and order.
 */
import * as Predicate from "effect/Predicate"
import type { ChatMessage, ChatTurnItem } from "../chat.ts"
import { argumentsText, type JsonObject, type Notes, refuseAt, textOf } from "../request-notes.ts"
import { Turns } from "../turns.ts"
import { fieldsOf, manyOf, objectAt } from "./gemini-fields.ts"
import { unsealedFromGoogle } from "./gemini-seals.ts"
import { isWords, noteRest, partOf, resultOf } from "./gemini-parts.ts"

/** What Google takes in place of a signature that nobody has. */
export const noSignature = "skip_thought_signature_validator"

// Libraries that hold signatures as bytes write it in base64.
const noSignatures: ReadonlySet<string> = new Set([noSignature, Buffer.from(noSignature).toString("base64")])

interface OpenCall {
  readonly id: string
  readonly name: string
  answered: boolean
}

// Whatever is no model's is said to it; results have roles of their own in some of Google's examples.
const others: ReadonlySet<unknown> = new Set(["user", "function", "tool"])

type Text = Exclude<ChatTurnItem, { readonly type: "call" }>

// A stream is kept by its client in as many pieces as it came in.
const addText = (items: Array<ChatTurnItem>, item: Text): void => {
  const last = items.at(-1)
  if (last?.type === "text" && item.type === "text") items[items.length - 1] = { ...last, text: last.text + item.text }
  else if (last?.type === "reasoning" && item.type === "reasoning" && last.signature === undefined) {
    items[items.length - 1] = { ...last, text: last.text + item.text, signature: item.signature }
  } else items.push(item)
}

class Reading {
  private readonly turns = new Turns({ anywhere: false })
  private readonly notes: Notes
  private readonly ids = new Set<string>()
  private items: Array<ChatTurnItem> = []
  private open: Array<OpenCall> = []
  private place = ""

  constructor(notes: Notes) {
    this.notes = notes
  }

  content(content: JsonObject, place: string, at: number): void {
    const role = content["role"] ?? "user"
    const parts = manyOf(content["parts"]).map((part, n) => {
      const here = `${place}.parts[${n}]`
      return [typeof part === "string" ? { text: part } : objectAt(part, here), here] as const
    })
    if (role === "model") {
      if (this.items.length === 0) {
        this.place = place
        this.open = []
      }
      let calls = 0
      for (const [part, here] of parts) if (this.model(part, here, `call_${at}_${calls}`)) calls += 1
    } else if (others.has(role)) {
      this.endModel()
      this.turns.user([])
      for (const [part, here] of this.surestFirst(parts)) this.user(part, here)
    } else refuseAt(`${place}.role`, "must be user or model")
  }

  end(): ReadonlyArray<ChatMessage> {
    this.endModel()
    return this.turns.end()
  }

  private endModel(): void {
    if (this.items.length > 0) this.turns.assistant(this.items, this.place)
    this.items = []
  }

  private model(part: JsonObject, place: string, made: string): boolean {
    const { functionCall, thought, thoughtSignature: signed } = part
    noteRest(part, "model", this.notes)
    const signature = typeof signed === "string" && signed !== "" && !noSignatures.has(signed) ? signed : undefined
    if (functionCall !== undefined && functionCall !== null) {
      this.call(objectAt(functionCall, `${place}.functionCall`), place, made, signature)
      return true
    }
    if (isWords(part)) {
      const text = textOf(part["text"], `${place}.text`)
      if (thought === true) {
        const signer = signature === undefined ? undefined : unsealedFromGoogle(signature)
        // Only those are asked with thoughts that sign them, and Google is none of them.
        if (signature !== undefined && signer === undefined) this.notes.drops("contents.parts.thoughtSignature")
        if (text !== "" || signer !== undefined) addText(this.items, { type: "reasoning", text, signature: signer })
      } else {
        if (signature !== undefined) this.notes.drops("contents.parts.thoughtSignature")
        if (text !== "") addText(this.items, { type: "text", text })
      }
    } else if (part["inlineData"] !== undefined || part["fileData"] !== undefined) {
      // No server is told again what a model has shown.
      this.notes.drops(place)
    }
    return false
  }

  private call(call: JsonObject, place: string, made: string, signature: string | undefined): void {
    const { args, id: given } = call
    this.notes.only(call, ["id", "name", "args"], "contents.parts.functionCall")
    const name = textOf(call["name"], `${place}.functionCall.name`)
    let id = typeof given === "string" && given !== "" ? given : made
    while (id === made && this.ids.has(id)) id += "_"
    this.ids.add(id)
    this.open.push({ id, name, answered: false })
    this.items.push({
      type: "call",
      id,
      name,
      args: argumentsText(args, `${place}.functionCall.args`),
      ...(signature === undefined ? {} : { signature })
    })
  }

  private user(part: JsonObject, place: string): void {
    const { functionResponse } = part
    if (functionResponse === undefined || functionResponse === null) {
      const said = partOf(part, place, this.notes)
      return this.turns.user(said === undefined ? [] : [said])
    }
    noteRest(part, "user", this.notes)
    const response = objectAt(functionResponse, `${place}.functionResponse`)
    this.notes.only(response, ["id", "name", "response", "parts"], "functionResponse")
    const id = this.callOf(response)
    if (id === undefined) refuseAt(`${place}.functionResponse`, "answers no call of the turn before it")
    else {
      const { failed, parts } = resultOf(response, `${place}.functionResponse`, this.notes)
      this.turns.result(id, parts, place, { failed })
    }
  }

  // A result that says nothing of its call is one of those calls that no other tells by its id or name.
  private surestFirst<Part extends readonly [JsonObject, string]>(parts: ReadonlyArray<Part>): ReadonlyArray<Part> {
    const isUnsure = ([{ functionResponse: result }]: Part): boolean =>
      Predicate.isObject(result) && (result["name"] ?? "") === "" && !this.open.some(({ id }) => id === result["id"])
    return parts.some(isUnsure) ? [...parts.filter((part) => !isUnsure(part)), ...parts.filter(isUnsure)] : parts
  }

  // By its id, else the first call of its name that has none, or of any where it has no name either.
  private callOf({ id, name }: JsonObject): string | undefined {
    const isOfAny = (name ?? "") === ""
    const open = this.open.filter(({ answered }) => !answered)
    const found = open.find((call) => call.id === id) ?? open.find((call) => isOfAny || call.name === name)
    if (found !== undefined) found.answered = true
    return found?.id
  }
}

/** The turns of a conversation. */
export const readContents = (contents: unknown, notes: Notes): ReadonlyArray<ChatMessage> => {
  const reading = new Reading(notes)
  for (const [at, content] of manyOf(contents).entries()) {
    const place = `contents[${at}]`
    reading.content(typeof content === "string" ? { parts: content } : objectAt(content, place), place, at)
  }
  return reading.end()
}

/** What goes before all turns: a content, its parts, or plain text. */
export const systemText = (system: unknown, notes: Notes): string => {
  if (typeof system === "string") return system
  const parts = manyOf(system).flatMap((each) => {
    const { parts: inner, text } = typeof each === "string" ? { parts: undefined, text: each } : fieldsOf(each)
    return inner === undefined ? [{ text }] : manyOf(inner)
  })
  const texts = parts.map((part, at) => {
    const place = `systemInstruction.parts[${at}]`
    if (typeof part === "string") return part
    const said = objectAt(part, place)
    notes.only(said, ["text"], "systemInstruction.parts")
    return textOf(said["text"], `${place}.text`)
  })
  return texts.filter((text) => text.trim() !== "").join("\n\n")
}
