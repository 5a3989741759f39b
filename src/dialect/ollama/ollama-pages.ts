/**
 * What Ollama's clients ask about models before they ask one anything, and what has an Ollama get, make or lose them.
 */
import { createHash } from "node:crypto"
import * as Result from "effect/Result"
import { BadRequest } from "../../domain/errors.ts"
import type { ModelChange } from "../Dialect.ts"
import { type DialectPage, jsonPage, type ListedModel, type PageAnswer } from "../pages.ts"
import { passageOperation } from "../passage.ts"
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
    method: "GET",
    path: "/",
    shared: true,
    answer: () => Result.succeed({ status: 200, type: "text/plain; charset=utf-8", body: "Ollama is running" })
  }
]

const success = { status: "success" }

// Some clients pull what is not in the list by the very name that they were given.
const present: ModelChange["present"] = ({ stream }): PageAnswer =>
  stream === false
    ? jsonPage(success)
    : { status: 200, type: "application/x-ndjson", body: `${JSON.stringify(success)}\n` }

const change = (
  name: string,
  method: "DELETE" | "POST",
  told: Omit<ModelChange, "methods" | "operation">
): ModelChange => ({ operation: passageOperation(`ollama/${name}`, `/api/${name}`), methods: [method], ...told })

/** What changes its models. */
export const ollamaChanges: ReadonlyArray<ModelChange> = [
  change("pull", "POST", { fields: ["model", "name"], present, relists: true }),
  change("push", "POST", { fields: ["model", "name"], relists: false }),
  change("create", "POST", { fields: ["model", "name", "from"], relists: true }),
  change("copy", "POST", { fields: ["source", "destination"], relists: true }),
  change("delete", "DELETE", { fields: ["model", "name"], relists: true }),
  {
    operation: passageOperation("ollama/blobs", "/api/blobs"),
    below: true,
    methods: ["HEAD", "POST"],
    relists: false
  }
]
