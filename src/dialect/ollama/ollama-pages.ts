/**
 * What Ollama's clients ask about models before they ask one anything.
 */
import { createHash } from "node:crypto"
import * as Result from "effect/Result"
import { BadRequest } from "../../domain/errors.ts"
import { type DialectPage, jsonPage, type ListedModel } from "../pages.ts"
import { timeText } from "./ollama-answer.ts"
import { lineObject } from "./ollama-watch.ts"

/** The version of Ollama whose API this is: some clients refuse older ones. */
const apiVersion = "0.33.0"

// When a model leaves memory that never does.
const never = "2300-01-01T00:00:00Z"

const digestOf = (id: string): string => createHash("sha256").update(id).digest("hex")

const detailsOf = ({ about: { family = "", format = "", parameters = "", quantization = "" } }: ListedModel) => ({
  parent_model: "",
  format,
  family,
  families: family === "" ? [] : [family],
  parameter_size: parameters,
  quantization_level: quantization
})

const abilitiesOf = ({ abilities: { embeddings, tools, vision }, about }: ListedModel): ReadonlyArray<string> =>
  about.abilities ?? [
    ...(embeddings === true ? ["embedding"] : ["completion"]),
    ...(embeddings !== true && tools !== false ? ["tools"] : []),
    ...(vision === true ? ["vision"] : [])
  ]

const modifiedOf = ({ about, created }: ListedModel): string => about.modified ?? timeText(created * 1000)

const entryOf = (model: ListedModel) => ({
  // Clients look for the very name that they ask for.
  name: model.id,
  model: model.id,
  modified_at: modifiedOf(model),
  size: model.about.size ?? 0,
  digest: model.about.digest ?? digestOf(model.id),
  details: detailsOf(model)
})

const runningOf = (model: ListedModel) => {
  const { modified_at: _, ...entry } = entryOf(model)
  return {
    ...entry,
    size_vram: 0,
    expires_at: never,
    ...(model.contextLength === undefined ? {} : { context_length: model.contextLength })
  }
}

const shown = (model: ListedModel, architecture = model.about.family ?? "unknown") => ({
  license: "",
  modelfile: "",
  parameters: "",
  template: "",
  details: detailsOf(model),
  model_info: {
    "general.architecture": architecture,
    ...(model.contextLength === undefined ? {} : { [`${architecture}.context_length`]: model.contextLength })
  },
  capabilities: abilitiesOf(model),
  modified_at: modifiedOf(model)
})

const decoder = new TextDecoder()

/** The model that a body names, in the newer field or the older one. */
const namedIn = (body: Uint8Array): Result.Result<string, BadRequest> => {
  const { model, name } = lineObject(decoder.decode(body)) ?? {}
  const named = model === undefined || model === "" ? name : model
  return typeof named === "string" && named !== ""
    ? Result.succeed(named)
    : Result.fail(new BadRequest({ message: "model is required", param: "model" }))
}

const success = { status: "success" }

const atTheServer = (what: string) =>
  jsonPage({ error: `Nexus ${what} no models: ask the Ollama itself that is to have or to lose it` }, 501)

/** What would change the models of a server: which one is meant nobody can know. */
const refusing = (method: "POST" | "DELETE", path: string, what: string): DialectPage => ({
  method,
  path,
  refuses: true,
  answer: () => Result.succeed(atTheServer(what))
})

/** The pages. */
export const ollamaPages: ReadonlyArray<DialectPage> = [
  {
    method: "GET",
    path: "/api/tags",
    answer: (models) => Result.succeed(jsonPage({ models: models.all().map(entryOf) }))
  },
  {
    method: "GET",
    path: "/api/ps",
    answer: (models) =>
      Result.succeed(
        jsonPage({
          models: models
            .all()
            .filter(({ loaded }) => loaded)
            .map(runningOf)
        })
      )
  },
  { method: "GET", path: "/api/version", answer: () => Result.succeed(jsonPage({ version: apiVersion })) },
  {
    method: "POST",
    path: "/api/show",
    answer: (models, { body }) =>
      Result.map(Result.flatMap(namedIn(body), models.find), (model) => jsonPage(shown(model)))
  },
  {
    method: "POST",
    path: "/api/pull",
    // Some clients pull what is not in the list by the very name that they were given.
    answer: (models, { body }) =>
      Result.map(namedIn(body), (name) => {
        if (Result.isFailure(models.find(name))) return atTheServer("pulls")
        if (lineObject(decoder.decode(body))?.["stream"] === false) return jsonPage(success)
        return { status: 200, type: "application/x-ndjson", body: `${JSON.stringify(success)}\n` }
      })
  },
  refusing("POST", "/api/push", "pushes"),
  refusing("POST", "/api/create", "creates"),
  refusing("POST", "/api/copy", "copies"),
  refusing("DELETE", "/api/delete", "deletes"),
  refusing("POST", "/api/blobs/{model}", "creates"),
  {
    method: "GET",
    path: "/",
    shared: true,
    answer: () => Result.succeed({ status: 200, type: "text/plain; charset=utf-8", body: "Ollama is running" })
  }
]
