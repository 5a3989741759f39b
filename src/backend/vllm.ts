/**
 * vLLM: its list tells how long a prompt may be, and answers while the engine is dead; `/health` does not.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import { namesOfVllm } from "../domain/samplers.ts"
import { healthAndModels, openAiLike } from "./openai-like.ts"
import { vllmLifecycle } from "./vllm-lifecycle.ts"
import type { Kind, Prober } from "./Kind.ts"
import { absent, type Beyond, speaking, trusted, type Speaking } from "./speech.ts"
import type { Talk } from "./talk.ts"
import { afterMetrics, loadsById, readMetrics, type SeenEngines, withMetrics } from "./vllm-metrics.ts"

const decodeVersion = Schema.decodeUnknownOption(Schema.Struct({ version: Schema.String }))

const versionOf = (talk: Talk): Effect.Effect<string | undefined> =>
  Effect.map(talk.want("/version"), (answer) => Option.getOrUndefined(decodeVersion(answer?.body))?.version)

/** What is remembered of one server. */
interface Memory {
  readonly version: string | undefined
  readonly seen: SeenEngines
  /** The models that it listed last. */
  readonly ids: ReadonlyArray<string>
}

const nothing: Memory = { version: undefined, seen: new Map(), ids: [] }

// Its `/load` tells 0 whatever it does, unless it was started to count.
const look = Effect.fnUntraced(function* (talk: Pick<Talk, "want">, memory: Ref.Ref<Memory>) {
  const metrics = readMetrics((yield* talk.want("/metrics"))?.text ?? "")
  if (metrics === undefined) return undefined
  const { ids, seen } = yield* Ref.updateAndGet(memory, (before) => ({
    ...before,
    seen: afterMetrics(before.seen, metrics)
  }))
  return { metrics, loads: loadsById(metrics, seen, ids) }
})

const prober: Effect.Effect<Prober> = Effect.map(Ref.make(nothing), (memory) => ({
  models: Effect.fnUntraced(function* (talk) {
    const models = yield* healthAndModels(talk)
    const version = (yield* Ref.get(memory)).version ?? (yield* versionOf(talk))
    const ids = models?.map(({ id }) => id)
    yield* Ref.update(memory, (before) => ({ ...before, version, ids: ids ?? before.ids }))
    if (version !== undefined) yield* talk.isOf(version)
    const told = yield* look(talk, memory)
    if (told === undefined) return models
    yield* talk.worksOn(told.loads)
    return models?.map((model) => withMetrics(model, told.metrics, told.loads))
  }),
  loads: (talk) => Effect.map(look(talk, memory), (told) => told?.loads),
  wasAway: Ref.set(memory, nothing)
}))

type Fields = Readonly<Record<PropertyKey, unknown>>

// Tools that it does not tell its models of, and items of theirs.
const toolsBeyond: ReadonlySet<unknown> = new Set([
  "custom",
  "namespace",
  "tool_search",
  "local_shell",
  "shell",
  "apply_patch"
])
const itemsBeyond: ReadonlySet<unknown> = new Set([
  "additional_tools",
  "agent_message",
  "custom_tool_call",
  "tool_search_call"
])
const callsBeyond = /^(?:local_shell|shell|apply_patch)_call$/

const objectsIn = (list: unknown): ReadonlyArray<Fields> => (Array.isArray(list) ? list.filter(Predicate.isObject) : [])

const isText = (value: unknown): boolean => typeof value === "string" && value !== ""

const isBeyond = ({ encrypted_content: sealed, namespace, type }: Fields): boolean =>
  itemsBeyond.has(type) || callsBeyond.test(String(type)) || isText(namespace) || isText(sealed)

// What Codex sends with each request, and what it brings back.
const notInResponses: Beyond = {
  what: "tools of free text, in namespaces or brought along, shells, patches, searches for tools, what agents tell each other, and sealed reasoning",
  source:
    "400 for grammars and encrypted_content on 0.32.0; vllm-project/vllm#49493; its sources tell the model of functions alone",
  marks: [
    '"custom"',
    '"namespace"',
    '"additional_tools"',
    '"agent_message"',
    '"tool_search"',
    '"local_shell"',
    '"shell"',
    '"apply_patch"',
    '"custom_tool_call"',
    '"tool_search_call"',
    '"local_shell_call"',
    '"shell_call"',
    '"apply_patch_call"',
    '"encrypted_content":"',
    '"encrypted_content": "'
  ],
  isIn: ({ input, tools }) =>
    objectsIn(tools).some(({ type }) => toolsBeyond.has(type)) || objectsIn(input).some(isBeyond)
}

const speaks: Speaking = speaking(
  "openai",
  {
    responses: {
      ...trusted,
      beyond: notInResponses,
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
  takes: { ...openAiLike.takes, samplers: namesOfVllm },
  slotsAtFirst: 4,
  fingerprint: { owner: "vllm" },
  jsonByGrammar: true,
  showsSlots: true,
  speaks,
  lifecycle: vllmLifecycle,
  prober,
  advice: { start: "vllm serve MODEL", load: () => "vllm serve MODEL" }
}
