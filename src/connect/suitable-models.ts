/**
 * Which of the models that are served suits a client: one to chat with that calls tools, and one for embeddings.
 */
import { contextOf } from "../domain/server.ts"
import { isEmbeddingModel, looksLikeChatModel } from "../domain/model-purpose.ts"
import { oneSpelling, spellingOf } from "../backend/spelling.ts"
import type { BackendEntry } from "../api/backend-entry.ts"
import { resolveAlias } from "../router/alias-chains.ts"

/** A model a client can use; what nobody knows of it is absent. */
export interface ClientModel {
  readonly id: string
  /** Longest context of its backends, in tokens. */
  readonly contextLength?: number
  readonly tools?: boolean
  readonly vision?: boolean
}

interface Served extends ClientModel {
  readonly backends: number
  readonly embeddings?: boolean
}

/** The models that suit, of the backends that take requests. */
interface Choice {
  /** Models to chat with, the best first. */
  readonly chat: ReadonlyArray<ClientModel>
  readonly embedder: string | undefined
  /** Every name that can be asked for: models and aliases. */
  readonly names: ReadonlyArray<string>
}

// What one backend can do, the gateway can.
const either = (a: boolean | undefined, b: boolean | undefined): boolean | undefined =>
  a === undefined || b === undefined ? (a ?? b) : a || b

const defined = <A extends object>(fields: A): { [K in keyof A]: Exclude<A[K], undefined> } =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never // reason: fields that are undefined are gone

const takesRequests = ({ mode, status }: BackendEntry): boolean => status === "healthy" && mode === "enabled"

const served = (backends: ReadonlyArray<BackendEntry>): ReadonlyArray<Served> => {
  const found = new Map<string, Served>()
  const listedAs = oneSpelling()
  for (const { models, type } of backends.filter(takesRequests)) {
    for (const model of models) {
      const { capabilities } = model
      const id = listedAs(type, model.id)
      const before = found.get(id)
      const length = Math.max(before?.contextLength ?? 0, contextOf(model) ?? 0)
      const facts = {
        contextLength: length === 0 ? undefined : length,
        tools: either(before?.tools, capabilities.tools),
        vision: either(before?.vision, capabilities.vision),
        embeddings: either(before?.embeddings, capabilities.embeddings)
      }
      found.set(id, { id, backends: (before?.backends ?? 0) + 1, ...defined(facts) })
    }
  }
  return [...found.values()]
}

const embeds = ({ id, embeddings }: Served): boolean => embeddings ?? isEmbeddingModel(id)

const chats = (model: Served): boolean => !embeds(model) && (model.embeddings === false || looksLikeChatModel(model.id))

const rank = ({ tools }: Served): number => (tools === undefined ? 1 : tools ? 2 : 0)

const bestFirst = (a: Served, b: Served): number =>
  rank(b) - rank(a) ||
  b.backends - a.backends ||
  (b.contextLength ?? 0) - (a.contextLength ?? 0) ||
  (a.id < b.id ? -1 : 1)

const modelOf = ({ id, contextLength, tools, vision }: Served): ClientModel => ({
  id,
  ...defined({ contextLength, tools, vision })
})

/** Chooses among the models of the backends that take requests. */
export const chooseModels = (
  backends: ReadonlyArray<BackendEntry>,
  aliases: ReadonlyMap<string, string> = new Map()
): Choice => {
  const sorted = [...served(backends)].sort(bestFirst)
  return {
    chat: sorted.filter(chats).map(modelOf),
    embedder: sorted.find(embeds)?.id,
    names: [...sorted.map(({ id }) => id), ...aliases.keys()]
  }
}

/** The name by which a server lists a model that is written in another way. */
const spelledBy = (backends: ReadonlyArray<BackendEntry>, name: string): string | undefined => {
  for (const { models, type } of backends.filter(takesRequests)) {
    const spelling = spellingOf(type, name)
    const found = spelling === undefined ? undefined : models.find(({ id }) => spellingOf(type, id) === spelling)
    if (found !== undefined) return found.id
  }
  return undefined
}

/** Chooses by name: a model, or an alias with the facts of the model it stands for; undefined when there is none. */
export const chooseModelByName = (
  backends: ReadonlyArray<BackendEntry>,
  aliases: ReadonlyMap<string, string>,
  name: string
): ClientModel | undefined => {
  const models = served(backends)
  const end = resolveAlias(name, aliases)
  const found = models.find(({ id }) => id === end) ?? models.find(({ id }) => id === spelledBy(backends, end))
  return found === undefined ? undefined : { ...modelOf(found), id: name }
}
