/**
 * llama-swap: it starts the server of a model when it is asked for, and stops others for it. Its servers are left alone: to ask one of
 * them is to start it.
 */
import * as Effect from "effect/Effect"
import { namesOfLlamaCpp } from "../domain/samplers.ts"
import { withTold } from "./lenient.ts"
import { openAiLike, openAiModels, statelessProber, withoutSecondRerank } from "./openai-like.ts"
import { llamaswapLifecycle, readRunning } from "./llamaswap-lifecycle.ts"
import { speaking, untried } from "./speech.ts"
import type { Kind } from "./Kind.ts"
import type { Talk } from "./talk.ts"

const models = Effect.fnUntraced(function* (talk: Talk) {
  const list = yield* openAiModels(talk)
  if (list === undefined) return undefined
  const states = readRunning((yield* talk.want("/running"))?.body)
  if (states === undefined) return list
  return list.map((model) => withTold(model, { loaded: states.get(model.id) === "ready" }))
})

const servers = "its servers, of which it tells nothing"

/** llama-swap. */
export const llamaswap: Kind = {
  ...openAiLike,
  // Most of them are llama-servers.
  takes: { namedTool: false, newerBound: true, several: true, samplers: namesOfLlamaCpp },
  label: "llama-swap",
  alsoCalled: [],
  command: /\bllama-swap\b/i,
  fingerprint: {
    owner: "llama-swap",
    question: { path: "/running", isOne: (body) => readRunning(body) !== undefined }
  },
  passesFor: ["llamacpp"],
  speaks: speaking("openai", { responses: untried(servers), anthropic: untried(servers) }),
  url: withoutSecondRerank,
  prober: statelessProber(models),
  lifecycle: llamaswapLifecycle,
  advice: { start: "llama-swap --config config.yaml" }
}
