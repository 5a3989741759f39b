/**
 * llama-swap: it starts the server of a model when it is asked for, and stops others for it. Its servers are left alone: to ask one of
 * them is to start it.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { decodeEach, lenientField, RawEntries, withTold } from "./lenient.ts"
import { openAiLike, openAiModels, statelessProber } from "./openai-like.ts"
import { speaking, untried } from "./speech.ts"
import type { Kind } from "./Kind.ts"
import type { Talk } from "./talk.ts"

const decodeRunning = Schema.decodeUnknownOption(Schema.Struct({ running: RawEntries }))
const decodeServer = Schema.decodeUnknownOption(
  Schema.Struct({ model: Schema.String, state: lenientField(Schema.String) })
)

/** Reads `/running`: the models whose servers are ready; undefined when it is none. */
const readReady = (body: unknown): ReadonlySet<string> | undefined => {
  const list = Option.getOrUndefined(decodeRunning(body))
  if (list === undefined) return undefined
  const servers = decodeEach(decodeServer, list.running)
  return new Set(servers.flatMap(({ model, state }) => (state === "ready" ? [model] : [])))
}

const models = Effect.fnUntraced(function* (talk: Talk) {
  const list = yield* openAiModels(talk)
  if (list === undefined) return undefined
  const ready = readReady((yield* talk.want("/running"))?.body)
  return ready === undefined ? list : list.map((model) => withTold(model, { loaded: ready.has(model.id) }))
})

const servers = "its servers, of which it tells nothing"

/** llama-swap. */
export const llamaswap: Kind = {
  ...openAiLike,
  // Most of them are llama-servers.
  takes: { namedTool: false, newerBound: true },
  label: "llama-swap",
  alsoCalled: [],
  command: /\bllama-swap\b/i,
  fingerprint: {
    owner: "llama-swap",
    question: { path: "/running", isOne: (body) => readReady(body) !== undefined }
  },
  passesFor: ["llamacpp"],
  speaks: speaking("openai", { responses: untried(servers), anthropic: untried(servers) }),
  prober: statelessProber(models),
  advice: { start: "llama-swap --config config.yaml" }
}
