/**
 * Models as Google lists them.
 */
import * as Result from "effect/Result"
import { NotFound } from "../../domain/errors.ts"
import { type DialectPage, jsonPage, type ListedModel } from "../pages.ts"

const generating = ["generateContent", "streamGenerateContent", "countTokens"]
const embedding = ["embedContent", "batchEmbedContents"]

/** A model. */
const listedModel = ({ abilities, contextLength, id }: ListedModel) => ({
  name: `models/${id}`,
  version: "1",
  displayName: id,
  ...(contextLength === undefined ? {} : { inputTokenLimit: contextLength }),
  supportedGenerationMethods: abilities.embeddings === true ? embedding : generating
})

// How many there are on a page, unless it is said.
const usual = 50
const most = 1000

const numberIn = (query: URLSearchParams, ...names: ReadonlyArray<string>): number => {
  const found = names.map((name) => query.get(name)).find((value) => value !== null)
  return found !== undefined && /^\d{1,9}$/.test(found) ? Number(found) : 0
}

/** A page of a list; its token is the place of the first model on the next one. */
const listModelsPage = (models: ReadonlyArray<ListedModel>, query: URLSearchParams) => {
  const size = Math.min(most, numberIn(query, "pageSize", "page_size") || usual)
  const from = numberIn(query, "pageToken", "page_token")
  const to = from + size
  return {
    models: models.slice(from, to).map(listedModel),
    ...(to < models.length ? { nextPageToken: String(to) } : {})
  }
}

const pagesAt = (path: string, shared: boolean): ReadonlyArray<DialectPage> => [
  {
    // What a model can be asked for has a path of its own: this is a verb that nobody knows, or none.
    method: "POST",
    path: `${path}/{model}`,
    shared,
    answer: (_, { model }) => Result.fail(new NotFound({ method: "POST", path: `${path}/${model}`.slice(0, 200) }))
  },
  {
    method: "GET",
    path,
    shared,
    answer: (models, { query }) => Result.succeed(jsonPage(listModelsPage(models.all(), query)))
  },
  {
    method: "GET",
    path: `${path}/{model}`,
    shared,
    answer: (models, { model }) => Result.map(models.find(model), (found) => jsonPage(listedModel(found)))
  }
]

/** The pages. */
export const geminiPages: ReadonlyArray<DialectPage> = [
  ...pagesAt("/v1beta/models", false),
  ...pagesAt("/v1/models", true)
]
