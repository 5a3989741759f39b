/**
 * Models as Anthropic lists them.
 */
import * as Result from "effect/Result"
import { type DialectPage, jsonPage, type ListedModel } from "../pages.ts"

/** A model. */
const listedModel = ({ created, id }: ListedModel) => ({
  type: "model",
  id,
  display_name: id,
  created_at: new Date(created * 1000).toISOString()
})

// How many there are on a page, unless it is said.
const usual = 20
const most = 1000

/** A page of a list; a name that is not in it is at its beginning. */
const listModelsPage = (models: ReadonlyArray<ListedModel>, query: URLSearchParams) => {
  const asked = Number(query.get("limit") ?? usual)
  const limit = Number.isInteger(asked) && asked > 0 ? Math.min(most, asked) : usual
  const placeOf = (name: string): number => {
    const id = query.get(name)
    return id === null ? -1 : models.findIndex((model) => model.id === id)
  }
  const after = placeOf("after_id")
  const before = placeOf("before_id")
  const from = before >= 0 ? Math.max(0, before - limit) : after + 1
  const to = before >= 0 ? before : Math.min(models.length, from + limit)
  const page = models.slice(from, to).map(listedModel)
  return {
    data: page,
    has_more: before >= 0 ? from > 0 : to < models.length,
    first_id: page[0]?.id ?? null,
    last_id: page.at(-1)?.id ?? null
  }
}

/** The pages. */
export const messagesPages: ReadonlyArray<DialectPage> = [
  {
    method: "GET",
    path: "/v1/models",
    shared: true,
    answer: (models, { query }) => Result.succeed(jsonPage(listModelsPage(models.all(), query)))
  },
  {
    method: "GET",
    path: "/v1/models/{model}",
    shared: true,
    answer: (models, { model }) => Result.map(models.find(model), (found) => jsonPage(listedModel(found)))
  }
]
