/**
 * Model lists as strangers send them, made safe, and laid under what config says of the same models.
 */
import type { Backend } from "../backend/backend.ts"
import type { Capabilities, Model } from "../domain/server.ts"
import { spellingOf } from "../backend/spelling.ts"

/** Bounds on a list: entries beyond `count` and names longer than `idLength` are left out. */
export const listBounds = { count: 50_000, idLength: 512 } as const

// Control, format-breaking and separator characters: a name with one of them could forge log lines or headers.
const unsafe = /[\p{Cc}\u2028\u2029]/u

/** Whether a name can be a model id: not blank, not too long, well-formed, without control characters. */
const usableId = (id: string): boolean =>
  id.length <= listBounds.idLength && id.trim() !== "" && id.isWellFormed() && !unsafe.test(id)

/** The names of a list that no model can be asked for by. */
export const unusableIds = (reported: ReadonlyArray<Model>): ReadonlyArray<string> =>
  reported.filter(({ id }) => !usableId(id)).map(({ id }) => id)

const usableContext = (tokens: number | undefined): tokens is number =>
  tokens !== undefined && Number.isSafeInteger(tokens) && tokens > 0

const counts = ["context_length", "context_in_force", "max_output_tokens", "slots", "cacheTokens"] as const

const usable = (model: Model): Model => {
  const kept = { ...model }
  for (const name of counts) if (!usableContext(model[name])) Reflect.deleteProperty(kept, name)
  return kept
}

const isUsable = (model: Model): boolean =>
  counts.every((name) => model[name] === undefined || usableContext(model[name]))

const withSlots = (model: Model, slots: number | undefined): Model =>
  slots === undefined ? model : { ...model, slots, slotsConfigured: true }

// What an earlier config said is no word of the server's.
const asReported = (model: Model): Model => {
  if (model.slotsConfigured !== true) return model
  const { slots: _, slotsConfigured: __, ...reported } = model
  return reported
}

const under = (id: string, reported: Model | undefined, told: Model, slots: number | undefined): Model => {
  const context = told.context_length ?? reported?.context_length
  const most = told.max_output_tokens ?? reported?.max_output_tokens
  const capabilities: Capabilities = { ...reported?.capabilities, ...told.capabilities }
  const all: Model = {
    ...reported,
    id,
    capabilities,
    ...(context === undefined ? {} : { context_length: context }),
    ...(most === undefined ? {} : { max_output_tokens: most })
  }
  return withSlots(all, told.slots ?? slots)
}

/**
 * The models of a backend: what it reports, in its order, with what config tells of them laid over and added. A model is
 * there once, by the name it is reported under, however config spells it.
 */
export const mergeModels = (
  { models: told, slots, type }: Pick<Backend, "models" | "slots" | "type">,
  reported: Iterable<Model>
): ReadonlyMap<string, Model> => {
  const models = new Map<string, Model>()
  const ids = new Map<string, string>()
  const idOf = (id: string): string => {
    const spelling = spellingOf(type, id)
    if (spelling === undefined) return id
    const known = ids.get(spelling)
    if (known === undefined) ids.set(spelling, id)
    return known ?? id
  }
  for (const model of reported) {
    if (models.size >= listBounds.count) break
    if (!usableId(model.id) || models.has(idOf(model.id))) continue
    models.set(model.id, withSlots(asReported(isUsable(model) ? model : usable(model)), slots))
  }
  for (const model of told) {
    const id = idOf(model.id)
    models.set(id, under(id, models.get(id), model, slots))
  }
  return models
}

const same = (a: Model, b: Model): boolean =>
  a.context_length === b.context_length &&
  a.context_in_force === b.context_in_force &&
  a.loaded === b.loaded &&
  a.slots === b.slots &&
  a.slotsConfigured === b.slotsConfigured &&
  a.cacheTokens === b.cacheTokens &&
  a.slotsKeep === b.slotsKeep &&
  a.max_output_tokens === b.max_output_tokens &&
  a.thinks === b.thinks &&
  a.about?.digest === b.about?.digest &&
  a.about?.abilities?.length === b.about?.abilities?.length &&
  a.capabilities.vision === b.capabilities.vision &&
  a.capabilities.tools === b.capabilities.tools &&
  a.capabilities.json_mode === b.capabilities.json_mode &&
  a.capabilities.embeddings === b.capabilities.embeddings

/** Whether two lists hold the same models with the same abilities, in whatever order. */
export const sameModels = (a: ReadonlyMap<string, Model>, b: ReadonlyMap<string, Model>): boolean => {
  if (a === b) return true
  if (a.size !== b.size) return false
  for (const [id, model] of a) {
    const other = b.get(id)
    if (other === undefined || !same(model, other)) return false
  }
  return true
}
