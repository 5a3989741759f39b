/**
 * SGLang: asked as vLLM is, and once for what its one model can do.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import type { Capabilities, Model } from "../domain/server.ts"
import { lenientField } from "./lenient.ts"
import { healthAndModels, openAiLike } from "./openai-like.ts"
import type { Kind, Prober } from "./Kind.ts"
import { speaking, untried } from "./speech.ts"
import type { Talk } from "./talk.ts"

const Info = Schema.Struct({
  model_path: Schema.String,
  is_generation: lenientField(Schema.Boolean),
  has_image_understanding: lenientField(Schema.Boolean)
})
const decodeInfo = Schema.decodeUnknownOption(Info)

/** Reads `/model_info`: what the model can do; undefined when it is none. */
const readInfo = (body: unknown): Capabilities | undefined => {
  const info = Option.getOrUndefined(decodeInfo(body))
  if (info === undefined) return undefined
  const { has_image_understanding: vision, is_generation: generates } = info
  return {
    ...(vision === undefined ? {} : { vision }),
    ...(generates === undefined ? {} : { embeddings: !generates }),
    ...(generates === false ? { tools: false, json_mode: false } : {})
  }
}

// Newer levels write a warning into their log for each question under the older name.
const paths = ["/model_info", "/get_model_info"] as const

const ask = Effect.fnUntraced(function* (talk: Talk) {
  for (const path of paths) {
    const told = readInfo((yield* talk.want(path))?.body)
    if (told !== undefined) return told
  }
  return undefined
})

const withAbilities = (model: Model, told: Capabilities | undefined): Model => ({
  ...model,
  capabilities: { ...told, ...model.capabilities }
})

const prober: Effect.Effect<Prober> = Effect.map(Ref.make<Capabilities | undefined>(undefined), (memory) => ({
  models: Effect.fnUntraced(function* (talk) {
    const models = yield* healthAndModels(talk)
    if (models === undefined) return models
    const told = (yield* Ref.get(memory)) ?? (yield* ask(talk))
    yield* Ref.set(memory, told)
    return models.map((model) => withAbilities(model, told))
  }),
  wasAway: Ref.set(memory, undefined)
}))

/** SGLang. */
export const sglang: Kind = {
  ...openAiLike,
  label: "SGLang",
  ports: [30000],
  command: /\bsglang\b/i,
  fingerprint: {
    owner: "sglang",
    question: { path: "/get_model_info", isOne: (body) => readInfo(body)?.embeddings !== undefined }
  },
  // What it was set up as before it was a kind of its own.
  passesFor: ["vllm"],
  jsonByGrammar: true,
  speaks: speaking("openai", {
    responses: untried("its documentation", "/v1/responses"),
    anthropic: untried("its documentation", "/v1/messages"),
    ollama: untried("its documentation", "/api/chat")
  }),
  prober,
  advice: {
    start: "python -m sglang.launch_server --model-path MODEL",
    load: () => "python -m sglang.launch_server --model-path MODEL"
  }
}
