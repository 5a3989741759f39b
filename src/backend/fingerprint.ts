/**
 * Telling LLM servers apart by what they answer.
 */
import { Option, Schema } from "effect"
import type { BackendType } from "./all.ts"
import { readEntries } from "./openai-like.ts"
import type { Answer } from "./talk.ts"

/** A kind of server: how it is probed, and what it is called in the name of a discovered backend. */
export interface Kind {
  readonly type: BackendType
  readonly label: string
}

/** The kinds that can be told. SGLang is probed as vLLM is: the same list, the same `/health`. */
export const kinds = {
  ollama: { type: "ollama", label: "ollama" },
  llamacpp: { type: "llamacpp", label: "llamacpp" },
  lmstudio: { type: "lmstudio", label: "lmstudio" },
  vllm: { type: "vllm", label: "vllm" },
  sglang: { type: "vllm", label: "sglang" },
  exo: { type: "exo", label: "exo" },
  generic: { type: "generic", label: "generic" }
} as const satisfies Record<string, Kind>

const owners: ReadonlyMap<string, Kind> = new Map<string, Kind>([
  ["llamacpp", kinds.llamacpp],
  ["vllm", kinds.vllm],
  ["sglang", kinds.sglang],
  ["exo", kinds.exo],
  ["organization_owner", kinds.lmstudio]
])

const ownersIn = (list: Answer): ReadonlyArray<string> =>
  (readEntries(list.body) ?? []).flatMap(({ owned_by: owner }) => (owner === undefined ? [] : [owner]))

/** Whether the answer comes from a Nexus: one must never become a backend of another, or of itself, by itself. */
export const isNexus = (answer: Answer): boolean =>
  [...answer.headers.keys()].some((name) => name.startsWith("x-nexus-")) ||
  (answer.headers.get("server") ?? "").toLowerCase().startsWith("nexus") ||
  ownersIn(answer).includes("nexus")

/** The kind that the answer of `/v1/models` alone gives away. */
export const kindOfList = (list: Answer): Kind | undefined => {
  if ((list.headers.get("server") ?? "").toLowerCase().startsWith("llama.cpp")) return kinds.llamacpp
  for (const owner of ownersIn(list)) {
    const kind = owners.get(owner)
    if (kind !== undefined) return kind
  }
  return undefined
}

const decodeVersion = Schema.decodeUnknownOption(Schema.Struct({ version: Schema.String }))

/** Whether the answer of `/api/version` is an Ollama's. */
export const isVersion = (body: unknown): boolean => Option.isSome(decodeVersion(body))

/** Whether the answer of `/v1/models` is a list that names at least one model as OpenAI's servers do. */
export const isModelList = (list: Answer): boolean =>
  list.status < 300 &&
  (readEntries(list.body) ?? []).some((entry) => entry.object === "model" || entry.owned_by !== undefined)
