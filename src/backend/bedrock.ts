/**
 * Amazon's Bedrock, by a key of its own: in OpenAI's form, or in Anthropic's below a base URL that ends with `/anthropic`.
 */
import * as Effect from "effect/Effect"
import { joinUrl } from "../domain/base-url.ts"
import type { Server } from "../domain/server.ts"
import { openAiLike, openAiModels, statelessProber } from "./openai-like.ts"
import { openai } from "./openai.ts"
import { speaking } from "./speech.ts"
import type { Kind, ListedModels } from "./Kind.ts"
import { tooBusy, type ProbeEnd, type Talk } from "./talk.ts"

const form = /\/(?:openai|anthropic)$/

// Mantle has most models at `/v1`, and those of OpenAI's that are not open at `/openai/v1`; the older endpoint has all there.
const isMantle = ({ url }: Pick<Server, "url">): boolean => url.includes("//bedrock-mantle.")

const openAiPath = (server: Pick<Server, "url">): string =>
  isMantle(server) && !server.url.endsWith("/openai") ? "" : "/openai"

const isOfAnthropic = ({ url }: Pick<Server, "url">): boolean => url.endsWith("/anthropic")

// Where there is no list, what is asked for is what config names.
const models = Effect.fnUntraced(function* (talk: Talk): Effect.fn.Return<ListedModels, ProbeEnd> {
  const { status } = yield* talk.need("/v1/models")
  if (status === 429) return yield* Effect.fail(tooBusy)
  return status < 300 ? yield* openAiModels(talk) : undefined
})

/** Bedrock. */
export const bedrock: Kind = {
  ...openai,
  label: "Amazon Bedrock",
  provider: "aws.bedrock",
  alsoCalled: ["awsbedrock", "amazonbedrock", "aws"],
  speaks: speaking("openai"),
  speaksAt: (server) => speaking(isOfAnthropic(server) ? "anthropic" : "openai"),
  isOriginal: () => false,
  headers: { "anthropic-version": "2023-06-01" },
  authHeaders: openAiLike.authHeaders,
  url: (server, path) => {
    const root = { ...server, url: server.url.replace(form, "") }
    const below = path.startsWith("/v1/messages") ? "/anthropic" : openAiPath(server)
    return joinUrl(root, `${below}${path}`)
  },
  prober: statelessProber(models)
}
