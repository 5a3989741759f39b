/**
 * Ollama: `/api/tags` lists, `/api/show` tells a model's abilities, `/api/ps` the context that is in force.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import type { Capabilities, Model, ModelAbout } from "../domain/server.ts"
import { TokenCount, decodeEach, RawEntries, lenientField, onDemandModel } from "./lenient.ts"
import { openAiLike } from "./openai-like.ts"
import type { Kind, Prober } from "./Kind.ts"
import { ollamaLifecycle } from "./ollama-lifecycle.ts"
import { absent, speaking, trusted, type Speaking } from "./speech.ts"
import type { Talk } from "./talk.ts"

const Details = Schema.Struct({
  format: lenientField(Schema.String),
  family: lenientField(Schema.String),
  parameter_size: lenientField(Schema.String),
  quantization_level: lenientField(Schema.String)
})

const Tag = Schema.Struct({
  name: lenientField(Schema.String),
  model: lenientField(Schema.String),
  digest: lenientField(Schema.String),
  capabilities: lenientField(RawEntries),
  context_length: lenientField(TokenCount),
  size: lenientField(Schema.Finite),
  modified_at: lenientField(Schema.String),
  details: lenientField(Details)
})

/** One installed model. */
interface Tag {
  readonly name: string
  /** Identity of its content; its name when the server does not say. */
  readonly digest: string
  /** Abilities the list itself tells; narrower than what `/api/show` tells. */
  readonly words: ReadonlyArray<unknown>
  readonly about: ModelAbout
}

// What is not a word is nothing to tell of.
const aboutOf = ({ details, digest, modified_at: modified, size }: typeof Tag.Type): ModelAbout => ({
  ...(digest === undefined ? {} : { digest }),
  ...(size === undefined ? {} : { size }),
  ...(modified === undefined ? {} : { modified }),
  ...(details?.format === undefined ? {} : { format: details.format }),
  ...(details?.family === undefined ? {} : { family: details.family }),
  ...(details?.parameter_size === undefined ? {} : { parameters: details.parameter_size }),
  ...(details?.quantization_level === undefined ? {} : { quantization: details.quantization_level })
})

const List = Schema.Struct({ models: Schema.NullOr(RawEntries) })
const decodeList = Schema.decodeUnknownOption(List)
const decodeTag = Schema.decodeUnknownOption(Tag)

const entriesOf = (body: unknown) => {
  const list = Option.getOrUndefined(decodeList(body))
  return list === undefined ? undefined : decodeEach(decodeTag, list.models ?? [])
}

/** Reads `/api/tags`; undefined when it is no list. */
export const readTags = (body: unknown): ReadonlyArray<Tag> | undefined =>
  entriesOf(body)?.flatMap((tag) => {
    const name = tag.name ?? tag.model
    if (name === undefined) return []
    return [{ name, digest: tag.digest ?? name, words: tag.capabilities ?? [], about: aboutOf(tag) }]
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
const readVersion = (body: unknown): string | undefined => Option.getOrUndefined(decodeVersion(body))?.version

/** What `/api/show` tells of one model's content. */
interface Shown {
  /** Undefined when the server is too old to tell. */
  readonly words: ReadonlyArray<unknown> | undefined
  /** The context its Modelfile asks for, in tokens. */
  readonly asked: number | undefined
}

const Show = Schema.Struct({
  capabilities: lenientField(RawEntries),
  parameters: lenientField(Schema.String)
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
const toModel = (tag: Tag, shown: Shown | undefined, inForce: number | undefined, loaded: boolean): Model => {
  const words = shown?.words?.filter((word) => typeof word === "string")
  return {
    ...onDemandModel(tag.name, inForce ?? shown?.asked, abilities(tag, shown), loaded),
    about: { ...tag.about, ...(words === undefined ? {} : { abilities: words }) }
  }
}

/** What need not be asked again: what models are by their digest, and the contexts that were in force last. */
interface Memory {
  /** What the server called its version last; undefined while it has not. */
  readonly version: string | undefined
  readonly shown: ReadonlyMap<string, Shown>
  readonly inForce: ReadonlyMap<string, number>
}

const nothing: Memory = { version: undefined, shown: new Map(), inForce: new Map() }

/** Questions about single models that are under way at a time. */
const showsAtOnce = 4

const show = (talk: Talk, memory: Ref.Ref<Memory>, tag: Tag): Effect.Effect<void> =>
  Effect.flatMap(talk.want("/api/show", { model: tag.name }), (answer) => {
    const shown = readShow(answer?.body)
    return shown === undefined
      ? Effect.void
      : Ref.update(memory, (before) => ({ ...before, shown: new Map(before.shown).set(tag.digest, shown) }))
  })

// Keeps what is known of models that still exist, and takes up the contexts that are in force now.
const forget = (before: Memory, tags: ReadonlyArray<Tag>, loaded: ReadonlyMap<string, number>): Memory => {
  const shown = new Map<string, Shown>()
  const inForce = new Map<string, number>()
  for (const { name, digest } of tags) {
    const told = before.shown.get(digest)
    if (told !== undefined) shown.set(digest, told)
    const context = loaded.get(name) ?? inForce.get(digest) ?? before.inForce.get(digest)
    if (context !== undefined) inForce.set(digest, context)
  }
  return { ...before, shown, inForce }
}

const models = (memory: Ref.Ref<Memory>) =>
  Effect.fnUntraced(function* (talk: Talk) {
    const tags = readTags((yield* talk.need("/api/tags")).body)
    if (tags === undefined) return undefined
    const [ps, answer] = yield* Effect.all([talk.want("/api/ps"), talk.want("/api/version")], { concurrency: 2 })
    const loaded = readLoaded(ps?.body)
    const version = readVersion(answer?.body)
    if (version !== undefined) yield* talk.isOf(version)
    // Another version may know of other abilities, and has been started anew with what is in force now.
    yield* Ref.update(memory, (before) =>
      version === undefined || version === before.version
        ? before
        : { ...(before.version === undefined ? before : nothing), version }
    )
    const known = (yield* Ref.get(memory)).shown
    const unknown = new Map(tags.filter((tag) => !known.has(tag.digest)).map((tag) => [tag.digest, tag]))
    yield* talk.whileTimeIsLeft(
      Effect.forEach(unknown.values(), (tag) => show(talk, memory, tag), { concurrency: showsAtOnce, discard: true })
    )
    const now = yield* Ref.updateAndGet(memory, (before) => forget(before, tags, loaded))
    // Of copies of a model one alone is told of.
    const running = new Set(tags.flatMap(({ name, digest }) => (loaded.has(name) ? [digest] : [])))
    return tags.map((tag) =>
      toModel(tag, now.shown.get(tag.digest), now.inForce.get(tag.digest), running.has(tag.digest))
    )
  })

const prober: Effect.Effect<Prober> = Effect.map(Ref.make(nothing), (memory) => ({
  models: models(memory),
  wasAway: Ref.update(memory, (before) => ({ ...before, inForce: new Map() }))
}))

/**
 * A name as Ollama understands it: case does not count, no tag is `latest`, and its own registry and library are meant
 * where no other is named.
 */
export const ollamaName = (name: string): string => {
  const bare = name.toLowerCase().replace(/^(?:registry\.ollama\.ai\/)?(?:library\/)?/, "")
  return bare.lastIndexOf(":") > bare.lastIndexOf("/") ? bare : `${bare}:latest`
}

const speaks: Speaking = speaking(
  "openai",
  {
    ollama: trusted,
    responses: {
      level: "distrusted",
      since: "0.13.3",
      why: "calls an answer complete that its limit has cut, ignores tool_choice and previous_response_id",
      source: "ollama/ollama#17921; tried on 0.33.0",
      shownBy: { method: "GET", path: "/v1/responses" }
    },
    anthropic: {
      level: "distrusted",
      since: "0.14.0",
      why: "ignores tool_choice and output_config, and answers a document with nothing",
      source: "ollama/ollama#17921; tried on 0.33.0",
      shownBy: { method: "GET", path: "/v1/messages" }
    }
  },
  { "messages/count_tokens": absent, "responses/input_tokens": absent }
)

const isGiven = (value: unknown): boolean => value !== undefined && value !== null

// What its chat completions pass over without a word.
const fuller: Kind["fuller"] = {
  dialect: "ollama",
  marks: ["max_completion_tokens", "keep_alive", "think", "options", "top_k"]
    .map((field) => `"${field}"`)
    .concat('"tool_choice":"none"', '"tool_choice": "none"'),
  hears: (body) => {
    const { keep_alive, options, think } = body
    const own = {
      ...(isGiven(keep_alive) ? { keep_alive } : {}),
      ...(isGiven(think) ? { think } : {}),
      ...(Predicate.isObject(options) ? { options } : {})
    }
    const others = isGiven(body["max_completion_tokens"]) || isGiven(body["top_k"]) || body["tool_choice"] === "none"
    return others || Object.keys(own).length > 0 ? own : undefined
  },
  needs: ({ toolChoice, topK }) => toolChoice === "none" || topK !== undefined,
  own: ({ keepAlive, options }) => ({
    ...(keepAlive === undefined ? {} : { keep_alive: keepAlive }),
    ...(options === undefined ? {} : { options })
  })
}

/** Ollama. */
export const ollama: Kind = {
  ...openAiLike,
  takes: { namedTool: false, newerBound: false, several: false },
  label: "Ollama",
  ports: [11434],
  announcedAs: "_ollama._tcp",
  slotsAtFirst: 4,
  fingerprint: { question: { path: "/api/version", isOne: (body) => readVersion(body) !== undefined } },
  listTells: true,
  loadsOnDemand: true,
  jsonByGrammar: true,
  speaks,
  fuller,
  changesBy: "ollama",
  lifecycle: ollamaLifecycle,
  spelling: ollamaName,
  prober,
  advice: {
    start: "ollama serve",
    load: (host) => `${host === undefined ? "" : `OLLAMA_HOST=${host} `}ollama pull MODEL`,
    missing: (model) => `ollama pull ${model}`,
    logs: "journalctl -u ollama, or ~/.ollama/logs/server.log",
    longerContext: "OLLAMA_CONTEXT_LENGTH=32768 ollama serve"
  }
}
