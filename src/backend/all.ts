/**
 * Every kind of server that Nexus knows: a file and a line for each.
 */
import type { Kind } from "./Kind.ts"
import { anthropic } from "./anthropic.ts"
import { azure } from "./azure.ts"
import { bedrock } from "./bedrock.ts"
import { exo } from "./exo.ts"
import { gemini } from "./gemini.ts"
import { generic } from "./generic.ts"
import { llamacpp } from "./llamacpp.ts"
import { llamaswap } from "./llamaswap.ts"
import { lmstudio } from "./lmstudio.ts"
import { ollama } from "./ollama.ts"
import { openai } from "./openai.ts"
import { openrouter } from "./openrouter.ts"
import { sglang } from "./sglang.ts"
import { vertex } from "./vertex.ts"
import { vllm } from "./vllm.ts"

/** By their names in settings, in the order in which they are looked for and told of. */
const kinds = {
  ollama,
  lmstudio,
  llamacpp,
  llamaswap,
  vllm,
  sglang,
  exo,
  openai,
  azure,
  openrouter,
  anthropic,
  bedrock,
  gemini,
  vertex,
  generic
} satisfies Record<string, Kind>

/** The name of a kind in settings: the `type` of a backend. */
export type BackendType = keyof typeof kinds

const isType = (name: string): name is BackendType => Object.hasOwn(kinds, name)

/** All names of kinds. */
export const backendTypes: ReadonlyArray<BackendType> = Object.keys(kinds).filter(isType)

/** The type of a server of which nothing is known but that it speaks like OpenAI's. */
export const plainType: BackendType = "generic"

/** The kind of this name. */
export const kindNamed = (type: BackendType): Kind => kinds[type]

/** The first kind of which something holds, in the order of the table. */
export const typeWhere = (holds: (kind: Kind, type: BackendType) => boolean): BackendType | undefined =>
  backendTypes.find((type) => holds(kinds[type], type))

/** The type that somebody means who writes `Llama.cpp` or `lm-studio`. */
export const typeCalled = (text: string): BackendType | undefined => {
  const name = text.toLowerCase().replaceAll(/[^a-z0-9]/g, "")
  return typeWhere(({ alsoCalled }, type) => type === name || alsoCalled.includes(name))
}

/** Where servers listen by default. */
export const wellKnownPorts: ReadonlyArray<number> = backendTypes.flatMap((type) => kindNamed(type).ports)

/** The service types that servers are announced as by mDNS. */
export const mdnsServiceTypes: ReadonlyArray<string> = backendTypes.flatMap((type) => {
  const { announcedAs } = kindNamed(type)
  return announcedAs === undefined ? [] : [announcedAs]
})

/** What people call the kinds that are looked for at ports of their own. */
export const soughtLabels: ReadonlyArray<string> = backendTypes.flatMap((type) =>
  kindNamed(type).ports.length === 0 ? [] : [kindNamed(type).label]
)
