/**
 * Simulated OpenAI-compatible servers inside this process, so that Nexus can be seen at work on a machine without any LLM
 * server.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type * as Scope from "effect/Scope"
import { answerTo, piecesOf, toBase64, usageOf, vectorOf } from "./answers.ts"
import type { Backend } from "../backend/backend.ts"
import type { ListenFailed } from "../http/BunServer.ts"
import { listen } from "../http/listen.ts"

/** Who is simulated: the backend's name, its models, and how fast it writes. */
interface Simulated {
  readonly name: string
  readonly models: ReadonlyArray<string>
  /** Pause before each streamed piece, in milliseconds. */
  readonly pieceMs: number
}

/** Longest embedding that is made. */
const maxDimensions = 4096

const Parts = Schema.Array(Schema.Struct({ type: Schema.String, text: Schema.optionalKey(Schema.String) }))
const Content = Schema.optionalKey(Schema.NullOr(Schema.Union([Schema.String, Parts])))
const common = {
  model: Schema.String,
  stream: Schema.optionalKey(Schema.NullOr(Schema.Boolean)),
  stream_options: Schema.optionalKey(
    Schema.NullOr(Schema.Struct({ include_usage: Schema.optionalKey(Schema.Boolean) }))
  )
}
const Chat = Schema.Struct({
  ...common,
  messages: Schema.NonEmptyArray(Schema.Struct({ role: Schema.String, content: Content }))
})
const Completion = Schema.Struct({
  ...common,
  prompt: Schema.Union([Schema.String, Schema.Array(Schema.String)])
})
const Embedding = Schema.Struct({
  model: Schema.String,
  input: Schema.Union([Schema.String, Schema.Array(Schema.String)]),
  encoding_format: Schema.optionalKey(Schema.Literals(["float", "base64"])),
  dimensions: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: maxDimensions })))
})

const decodeChat = Schema.decodeUnknownOption(Schema.fromJsonString(Chat))
const decodeCompletion = Schema.decodeUnknownOption(Schema.fromJsonString(Completion))
const decodeEmbedding = Schema.decodeUnknownOption(Schema.fromJsonString(Embedding))

const problem = (status: number, code: string, message: string): Response =>
  Response.json({ error: { message, type: "invalid_request_error", param: null, code } }, { status })

const unreadable = problem.bind(undefined, 400, "bad_request", "The simulated backend cannot read this body")

const noModel = (model: string): Response => problem(404, "model_not_found", `The model '${model}' does not exist`)

type Message = (typeof Chat.Type)["messages"][number]

const textOf = ({ content }: Message): string =>
  typeof content === "string" ? content : (content ?? []).map((part) => part.text ?? "").join(" ")

const lastOf = (messages: ReadonlyArray<Message>): string => {
  const said = messages.findLast((message) => message.role === "user") ?? messages.at(-1)
  return said === undefined ? "" : textOf(said)
}

const event = (data: unknown): string => `data: ${JSON.stringify(data)}\n\n`

const sse = (events: ReadonlyArray<string>, pieceMs: number): Response => {
  const body = Stream.fromIterable(events).pipe(
    Stream.mapEffect((text) => Effect.as(Effect.sleep(pieceMs), text)),
    Stream.encodeText,
    Stream.toReadableStream()
  )
  return new Response(body, { headers: { "content-type": "text/event-stream", "cache-control": "no-cache" } })
}

/** One answer in the four forms of the two text endpoints. */
interface Form {
  readonly head: Readonly<Record<string, unknown>>
  readonly object: string
  readonly chunkObject: string
  readonly whole: (text: string) => unknown
  readonly piece: (text: string | undefined, first: boolean) => unknown
}

const chatForm = { object: "chat.completion", chunkObject: "chat.completion.chunk" } as const

const chatWhole = (content: string) => ({
  index: 0,
  message: { role: "assistant", content },
  finish_reason: "stop"
})

const chatPiece = (content: string | undefined, first: boolean) => ({
  index: 0,
  delta: content === undefined ? {} : first ? { role: "assistant", content } : { content },
  finish_reason: content === undefined ? "stop" : null
})

const textWhole = (text: string) => ({ index: 0, text, logprobs: null, finish_reason: "stop" })

const textPiece = (text: string | undefined) => ({
  index: 0,
  text: text ?? "",
  logprobs: null,
  finish_reason: text === undefined ? "stop" : null
})

const write = (
  self: Simulated,
  form: Form,
  prompt: string,
  text: string,
  stream: boolean,
  usage: boolean
): Response => {
  if (!stream) {
    return Response.json({
      ...form.head,
      object: form.object,
      choices: [form.whole(text)],
      usage: usageOf(prompt, text)
    })
  }
  const chunk = (choices: ReadonlyArray<unknown>, more: object = {}) =>
    event({ ...form.head, object: form.chunkObject, choices, ...more })
  return sse(
    [
      ...piecesOf(text).map((piece, i) => chunk([form.piece(piece, i === 0)])),
      chunk([form.piece(undefined, false)]),
      ...(usage ? [chunk([], { usage: usageOf(prompt, text) })] : []),
      "data: [DONE]\n\n"
    ],
    self.pieceMs
  )
}

/** What is answered of a request for text. */
interface Asked {
  readonly model: string
  readonly said: string
  readonly stream: boolean
  readonly usage: boolean
}

const askedOf = (request: typeof Chat.Type | typeof Completion.Type, said: string): Asked => ({
  model: request.model,
  said,
  stream: request.stream === true,
  usage: request.stream_options?.include_usage === true
})

const readChat = (body: string): Asked | undefined => {
  const request = Option.getOrUndefined(decodeChat(body))
  return request && askedOf(request, lastOf(request.messages))
}

const readCompletion = (body: string): Asked | undefined => {
  const request = Option.getOrUndefined(decodeCompletion(body))
  return request && askedOf(request, [request.prompt].flat().join(" "))
}

const generate = (self: Simulated, body: string, chat: boolean, now: number): Response => {
  const asked = chat ? readChat(body) : readCompletion(body)
  if (asked === undefined) return unreadable()
  const { model, said, stream, usage } = asked
  if (!self.models.includes(model)) return noModel(model)
  const head = {
    id: `${chat ? "chatcmpl" : "cmpl"}-simulated-${now}`,
    created: Math.floor(now / 1000),
    model,
    system_fingerprint: "simulated"
  }
  const form: Form = chat
    ? { head, ...chatForm, whole: chatWhole, piece: chatPiece }
    : { head, object: "text_completion", chunkObject: "text_completion", whole: textWhole, piece: textPiece }
  return write(self, form, said, answerTo(self.name, model, said), stream, usage)
}

const embed = (self: Simulated, body: string): Response => {
  const asked = decodeEmbedding(body)
  if (Option.isNone(asked)) return unreadable()
  const { model, input, dimensions = 64, encoding_format: format } = asked.value
  if (!self.models.includes(model)) return noModel(model)
  const texts = [input].flat()
  const data = texts.map((text, index) => {
    const vector = vectorOf(text, dimensions)
    return { object: "embedding", index, embedding: format === "base64" ? toBase64(vector) : vector }
  })
  const { prompt_tokens: count } = usageOf(texts.join(""), "")
  return Response.json({ object: "list", data, model, usage: { prompt_tokens: count, total_tokens: count } })
}

const list = (self: Simulated): Response =>
  Response.json({
    object: "list",
    data: self.models.map((id) => ({ id, object: "model", created: 0, owned_by: "simulated", context_length: 32_768 }))
  })

/** Answers one request. */
const simulatedAnswer = (self: Simulated, request: Request): Effect.Effect<Response> =>
  Effect.gen(function* () {
    const { pathname } = new URL(request.url)
    const route = `${request.method} ${pathname}`
    if (route === "GET /v1/models") return list(self)
    const body = yield* Effect.promise(() => request.text())
    const now = yield* Clock.currentTimeMillis
    if (route === "POST /v1/chat/completions") return generate(self, body, true, now)
    if (route === "POST /v1/completions") return generate(self, body, false, now)
    if (route === "POST /v1/embeddings") return embed(self, body)
    return problem(404, "not_found", `There is nothing at ${route}`)
  })

const cast: ReadonlyArray<Simulated> = [
  { name: "simulated-a", models: ["simulated-small", "simulated-large"], pieceMs: 20 },
  { name: "simulated-b", models: ["simulated-small"], pieceMs: 30 }
]

const begin = (self: Simulated): Effect.Effect<Backend, ListenFailed, Scope.Scope> =>
  Effect.map(
    listen({ hostname: "127.0.0.1", port: 0, fetch: (request) => Effect.runPromise(simulatedAnswer(self, request)) }),
    ({ port }) => ({
      name: self.name,
      url: `http://127.0.0.1:${port}`,
      type: "generic",
      priority: 50,
      origin: "simulated",
      apiKey: undefined,
      forwardAuthorization: false,
      maxConcurrent: undefined,
      limits: { connectMs: 5_000, firstByteMs: 30_000, idleMs: 30_000, totalMs: 120_000 },
      models: []
    })
  )

/** Starts the simulated backends on free ports of loopback; they end with the scope. */
export const demoBackends: Effect.Effect<ReadonlyArray<Backend>, ListenFailed, Scope.Scope> = Effect.forEach(
  cast,
  begin
)
