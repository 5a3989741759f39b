/**
 * Ollama: `/api/tags` lists, `/api/show` tells a model's abilities, `/api/ps` the context that is in force.
 */
import { Option, Schema } from "effect"
import type { Capabilities, Model } from "../domain/server.ts"
import { Count, each, Entries, lenient, loadedOf } from "./lenient.ts"

const Tag = Schema.Struct({
  name: lenient(Schema.String),
  model: lenient(Schema.String),
  digest: lenient(Schema.String),
  capabilities: lenient(Entries),
  context_length: lenient(Count)
})

/** One installed model. */
export interface Tag {
  readonly name: string
  /** Identity of its content; its name when the server does not say. */
  readonly digest: string
  /** Abilities the list itself tells; narrower than what `/api/show` tells. */
  readonly words: ReadonlyArray<unknown>
}

const List = Schema.Struct({ models: Schema.NullOr(Entries) })
const decodeList = Schema.decodeUnknownOption(List)
const decodeTag = Schema.decodeUnknownOption(Tag)

const entriesOf = (body: unknown) => {
  const list = Option.getOrUndefined(decodeList(body))
  return list === undefined ? undefined : each(decodeTag, list.models ?? [])
}

/** Reads `/api/tags`; undefined when it is no list. */
export const readTags = (body: unknown): ReadonlyArray<Tag> | undefined =>
  entriesOf(body)?.flatMap((tag) => {
    const name = tag.name ?? tag.model
    if (name === undefined) return []
    return [{ name, digest: tag.digest ?? name, words: tag.capabilities ?? [] }]
  })

/** Reads `/api/ps`: the context in force of each loaded model, by name. */
export const readLoaded = (body: unknown): ReadonlyMap<string, number> => {
  const loaded = new Map<string, number>()
  for (const entry of entriesOf(body) ?? []) {
    const name = entry.name ?? entry.model
    if (name !== undefined && entry.context_length !== undefined) loaded.set(name, entry.context_length)
  }
  return loaded
}

const decodeVersion = Schema.decodeUnknownOption(Schema.Struct({ version: Schema.String }))

/** Reads `/api/version`; undefined when it does not tell. */
export const readVersion = (body: unknown): string | undefined => Option.getOrUndefined(decodeVersion(body))?.version

/** What `/api/show` tells of one model's content. */
export interface Shown {
  /** Undefined when the server is too old to tell. */
  readonly words: ReadonlyArray<unknown> | undefined
  /** The context its Modelfile asks for, in tokens. */
  readonly asked: number | undefined
}

const Show = Schema.Struct({
  capabilities: lenient(Entries),
  parameters: lenient(Schema.String)
})
const decodeShow = Schema.decodeUnknownOption(Show)

/** Reads `/api/show`; undefined when it is no object. */
export const readShow = (body: unknown): Shown | undefined => {
  const show = Option.getOrUndefined(decodeShow(body))
  if (show === undefined) return undefined
  const asked = /^\s*num_ctx\s+(\d{1,10})\s*$/m.exec(show.parameters ?? "")?.[1]
  return {
    words: show.capabilities,
    asked: asked === undefined ? undefined : Number(asked)
  }
}

// Show's list is complete: what it leaves out is not there. The list in tags is not.
const abilities = (tag: Tag, shown: Shown | undefined): Capabilities => {
  if (shown?.words !== undefined) {
    const chat = shown.words.includes("completion")
    return {
      vision: shown.words.includes("vision"),
      tools: shown.words.includes("tools"),
      embeddings: shown.words.includes("embedding"),
      ...(chat ? {} : { json_mode: false })
    }
  }
  return {
    ...(tag.words.includes("vision") ? { vision: true } : {}),
    ...(tag.words.includes("tools") ? { tools: true } : {}),
    ...(tag.words.includes("embedding") ? { embeddings: true } : {})
  }
}

/**
 * A model of Ollama. Its context is the one in force now or last, else what its Modelfile asks for; the longest that the
 * model has is not what it is loaded with, and so says nothing.
 */
export const toModel = (tag: Tag, shown: Shown | undefined, inForce: number | undefined): Model =>
  loadedOf(tag.name, inForce ?? shown?.asked, abilities(tag, shown))
