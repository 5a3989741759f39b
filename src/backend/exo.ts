/**
 * exo: its list has every model that it has heard of, so those are asked for that it has on its disks.
 */
import * as Effect from "effect/Effect"
import { openAiLike, openAiModels, readList, statelessProber } from "./openai-like.ts"
import { speaking, untried } from "./speech.ts"
import type { Kind } from "./Kind.ts"
import type { Talk } from "./talk.ts"

const models = Effect.fnUntraced(function* (talk: Talk) {
  const downloaded = yield* talk.need("/v1/models?status=downloaded")
  return (downloaded.status < 300 ? readList(downloaded.body) : undefined) ?? (yield* openAiModels(talk))
})

/** exo. */
export const exo: Kind = {
  ...openAiLike,
  takes: { namedTool: true, newerBound: false, several: false },
  label: "exo",
  speaks: speaking("openai", {
    responses: untried("its sources", "/v1/responses"),
    anthropic: untried("its sources", "/v1/messages")
  }),
  ports: [52415],
  slotsAtFirst: 4,
  fingerprint: { owner: "exo" },
  prober: statelessProber(models),
  advice: { start: "exo" }
}
