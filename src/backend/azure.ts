/**
 * Azure's OpenAI: a deployment's name in the path with a version of the API, or OpenAI's own paths below `/openai/v1`; a
 * key of the resource, or a token of Entra's.
 */
import * as Effect from "effect/Effect"
import { joinUrl } from "../domain/base-url.ts"
import type { Server } from "../domain/server.ts"
import { isToken, statelessProber } from "./openai-like.ts"
import { openai } from "./openai.ts"
import { speaking } from "./speech.ts"
import type { Kind, ListedModels } from "./Kind.ts"
import { tooBusy, type ProbeEnd, type Talk } from "./talk.ts"

const place = /\/openai(?:\/deployments(?:\/[^/]+)?)?$/

// What was copied with it is part of each address anyway.
const resourceOf = (url: string): string => url.replace(place, "")

/** Whether its paths are OpenAI's own: where no version of Azure's older API is asked for. */
const isPlain = ({ query = "" }: Pick<Server, "query">): boolean =>
  !/[?&]api-version=/.test(query) || /[?&]api-version=(?:preview|latest|v1)(?:&|$)/.test(query)

// What has no deployment in its path.
const atResource = /^\/(?:models|responses|files|batches)(?:[/?]|$)/

// A deployment that stands in the base URL is the one that is meant, whatever it is called here.
const deploymentOf = (url: string): string => /\/openai\/deployments\/([^/]+)$/.exec(url)?.[1] ?? "{model}"

// What it lists are models that a deployment may be made of.
const models = Effect.fnUntraced(function* (talk: Talk): Effect.fn.Return<ListedModels, ProbeEnd> {
  const { status } = yield* talk.need("/v1/models")
  return status === 429 ? yield* Effect.fail(tooBusy) : undefined
})

/** Azure's OpenAI. */
export const azure: Kind = {
  ...openai,
  label: "Azure OpenAI",
  provider: "azure.ai.openai",
  alsoCalled: ["azureopenai"],
  isOriginal: () => true,
  // Not every version of the older API has more.
  speaksAt: (server) => (isPlain(server) ? openai.speaks : speaking("openai")),
  url: (server, path) => {
    const resource = { ...server, url: resourceOf(server.url) }
    const below = path.startsWith("/v1/") ? path.slice("/v1".length) : path
    if (isPlain(server)) return joinUrl(resource, `/openai/v1${below}`)
    if (atResource.test(below)) return joinUrl(resource, `/openai${below}`)
    return joinUrl(resource, `/openai/deployments/${deploymentOf(server.url)}${below}`)
  },
  authHeaders: (key) => (isToken(key) ? { authorization: `Bearer ${key}` } : { "api-key": key }),
  prober: statelessProber(models)
}
