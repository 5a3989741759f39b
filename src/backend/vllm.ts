/**
 * vLLM: its list tells how long a prompt may be, and answers while the engine is dead; `/health` does not.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import { healthAndModels, openAiLike } from "./openai-like.ts"
import { vllmLifecycle } from "./vllm-lifecycle.ts"
import type { Kind, Prober } from "./Kind.ts"
import { absent, speaking, trusted, type Speaking } from "./speech.ts"
import type { Talk } from "./talk.ts"

const decodeVersion = Schema.decodeUnknownOption(Schema.Struct({ version: Schema.String }))

const versionOf = (talk: Talk): Effect.Effect<string | undefined> =>
  Effect.map(talk.want("/version"), (answer) => Option.getOrUndefined(decodeVersion(answer?.body))?.version)

const prober: Effect.Effect<Prober> = Effect.map(Ref.make<string | undefined>(undefined), (memory) => ({
  models: Effect.fnUntraced(function* (talk) {
    const models = yield* healthAndModels(talk)
    const version = (yield* Ref.get(memory)) ?? (yield* versionOf(talk))
    yield* Ref.set(memory, version)
    if (version !== undefined) yield* talk.isOf(version)
    return models
  }),
  wasAway: Ref.set(memory, undefined)
}))

const speaks: Speaking = speaking(
  "openai",
  {
    responses: {
      ...trusted,
      since: "0.32",
      shownBy: { method: "GET", path: "/v1/responses" },
      before: {
        level: "distrusted",
        why: "not tried; events and items have changed from version to version",
        source: "its releases before 0.32",
        shownBy: { method: "GET", path: "/v1/responses" }
      }
    },
    anthropic: {
      level: "distrusted",
      why: "refuses documents, loses pieces of calls that come side by side, and has error types of its own",
      source: "vllm-project/vllm#35836 for tool_choice in earlier versions; tried on 0.32.0",
      shownBy: { method: "GET", path: "/v1/messages" }
    }
  },
  {
    "messages/count_tokens": { ...trusted, shownBy: { method: "GET", path: "/v1/messages/count_tokens" } },
    "responses/input_tokens": absent,
    "responses/compact": absent
  }
)

/** vLLM, and what answers like it. */
export const vllm: Kind = {
  ...openAiLike,
  label: "vLLM",
  alsoCalled: ["aphrodite"],
  ports: [8000],
  command: /\bvllm\b/i,
  fingerprint: { owner: "vllm" },
  jsonByGrammar: true,
  speaks,
  lifecycle: vllmLifecycle,
  prober,
  advice: { start: "vllm serve MODEL", load: () => "vllm serve MODEL" }
}
