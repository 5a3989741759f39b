/**
 * OpenRouter: its list is open to all and says what each model can do; whether the key is good, another question tells.
 */
import * as Effect from "effect/Effect"
import { namesOfVllm } from "../domain/samplers.ts"
import { openAiModels, statelessProber } from "./openai-like.ts"
import { openai } from "./openai.ts"
import type { Kind } from "./Kind.ts"
import type { Talk } from "./talk.ts"

const models = (talk: Talk) => Effect.andThen(talk.need("/v1/key"), openAiModels(talk))

/** OpenRouter. */
export const openrouter: Kind = {
  ...openai,
  label: "OpenRouter",
  alsoCalled: [],
  home: "https://openrouter.ai/api/v1",
  takes: { ...openai.takes, signedThoughts: true, linkedFiles: true, images: true, samplers: namesOfVllm },
  isOriginal: () => false,
  isStrict: () => false,
  prober: statelessProber(models)
}
