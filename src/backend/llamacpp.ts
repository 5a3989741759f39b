/**
 * llama-server: `/props` says what the loaded model can do, `/v1/models` how long the context of one slot is.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { Capabilities, Model } from "../domain/server.ts"
import { TokenCount, lenientField, reportedModel } from "./lenient.ts"
import { openAiLike, readEntries, statelessProber } from "./openai-like.ts"
import { llamacppLifecycle } from "./llamacpp-lifecycle.ts"
import type { Kind } from "./Kind.ts"
import { speaking, trusted, type Speaking } from "./speech.ts"
import type { Talk } from "./talk.ts"

const Props = Schema.Struct({
  role: lenientField(Schema.String),
  build_info: lenientField(Schema.String),
  default_generation_settings: lenientField(Schema.Struct({ n_ctx: lenientField(TokenCount) })),
  modalities: lenientField(Schema.Struct({ vision: lenientField(Schema.Boolean) })),
  chat_template_caps: lenientField(
    Schema.Struct({ supports_tools: lenientField(Schema.Boolean), supports_tool_calls: lenientField(Schema.Boolean) })
  )
})

/** What `/props` says, as far as it is understood. */
export type Props = typeof Props.Type

const decodeProps = Schema.decodeUnknownOption(Props)

/** Reads `/props`; undefined when it is no object. */
export const readProps = (body: unknown): Props | undefined => Option.getOrUndefined(decodeProps(body))

/** Whether this can only be the `/props` of a llama-server. */
const isProps = (props: Props | undefined): boolean =>
  props?.default_generation_settings !== undefined || props?.role === "router"

// A router serves many models: what its own /props says holds for none of them.
const abilities = (props: Props | undefined): Capabilities => {
  if (props === undefined || props.role === "router") return {}
  const vision = props.modalities?.vision
  const tools = props.chat_template_caps?.supports_tools ?? props.chat_template_caps?.supports_tool_calls
  return { ...(vision === undefined ? {} : { vision }), ...(tools === undefined ? {} : { tools }) }
}

/** The models of a llama-server under their ids and aliases; undefined when the list is none. */
const readModels = (list: unknown, props: Props | undefined): ReadonlyArray<Model> | undefined => {
  const slot = props?.role === "router" ? undefined : props?.default_generation_settings?.n_ctx
  return readEntries(list)?.flatMap((entry) => {
    const context = entry.meta?.n_ctx ?? slot ?? entry.context_length
    const modalities = entry.architecture?.input_modalities
    const capabilities: Capabilities = {
      ...(modalities === undefined ? {} : { vision: modalities.includes("image") }),
      ...abilities(props)
    }
    const aliases = (entry.aliases ?? []).filter((alias) => typeof alias === "string")
    return [...new Set([entry.id, ...aliases])].map((id) => reportedModel(id, context, capabilities))
  })
}

const Failure = Schema.Struct({ error: Schema.Struct({ type: Schema.String, message: Schema.String }) })
const decodeFailure = Schema.decodeUnknownOption(Failure)

const isLoading = (body: unknown): boolean => {
  const failure = Option.getOrUndefined(decodeFailure(body))?.error
  return failure?.type === "unavailable_error" && /loading model/i.test(failure.message)
}

const models = Effect.fnUntraced(function* (talk: Talk) {
  yield* talk.need("/health")
  // The list is open to all on some levels, /props is not: it shows whether the key is right.
  const [props, list] = yield* Effect.all([talk.need("/props"), talk.need("/v1/models")], { concurrency: 2 })
  const told = props.status < 300 ? readProps(props.body) : undefined
  if (told?.build_info !== undefined) yield* talk.isOf(told.build_info)
  return list.status < 300 ? readModels(list.body, told) : undefined
})

const tried = "tried on build 11669"

// A server answers an empty request with what it lacks, and GET tells nothing.
const speaks: Speaking = speaking(
  "openai",
  {
    responses: {
      level: "distrusted",
      why: "events without the places that libraries go by, 400 for reasoning and custom tools of the turn before, a cut answer called complete",
      source: `ggml-org/llama.cpp#20607; ${tried}`,
      shownBy: { method: "POST", path: "/v1/responses" }
    },
    anthropic: {
      level: "distrusted",
      why: "leaves out documents, output_config and the mark of failed results, takes a named tool_choice and none for auto, and answers errors in OpenAI's form",
      source: `ggml-org/llama.cpp#26535; ${tried}`,
      shownBy: { method: "POST", path: "/v1/messages" }
    }
  },
  {
    "messages/count_tokens": { ...trusted, shownBy: { method: "POST", path: "/v1/messages/count_tokens" } },
    "responses/input_tokens": { ...trusted, shownBy: { method: "POST", path: "/v1/responses/input_tokens" } }
  }
)

/** llama.cpp's llama-server, and what is built around it. */
export const llamacpp: Kind = {
  ...openAiLike,
  takes: { namedTool: false, newerBound: true },
  label: "llama.cpp",
  alsoCalled: ["llamaserver", "llama", "llamafile", "koboldcpp", "ggml", "gguf"],
  ports: [8080, 9931],
  command: /\bllama-?server|llama\.cpp/i,
  fingerprint: {
    owner: "llamacpp",
    header: "llama.cpp",
    question: { path: "/props", isOne: (body) => isProps(readProps(body)) }
  },
  jsonByGrammar: true,
  speaks,
  lifecycle: llamacppLifecycle,
  prober: statelessProber(models),
  isLoading,
  advice: {
    start: "llama-server -m MODEL.gguf",
    load: () => "llama-server -m MODEL.gguf",
    unlessCollected:
      "it may not notice that the client of an answer without a stream has left, and keeps a slot busy with it"
  }
}
