/**
 * A request that is asked in another dialect than its client's: by the hub, there and back.
 */
import type * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import { beyondBackend, isOriginal, isSpokenNatively, isStrict, sortsTools, speakerOf } from "../backend/backend.ts"
import { kindNamed } from "../backend/all.ts"
import { askedIn, type Beyond } from "../backend/speech.ts"
import type { DialectList } from "../dialect/all.ts"
import type { AnswerContext, AnswerDecoder, ChatField, ClientCodec, DecodedChat } from "../dialect/chat.ts"
import type { DialectRoute } from "../dialect/Dialect.ts"
import type { EmbedCodec } from "../dialect/embed.ts"
import { type ServerRoute, serverRoute } from "../dialect/routes.ts"
import type { BodyReading } from "../dialect/parsed-body.ts"
import { isTooStrict, leftOut, type ModelRefusal, refusedFields, withoutFields } from "../dialect/refused-fields.ts"
import { withStillTools } from "../dialect/still-tools.ts"
import { transduce } from "../dialect/Transducer.ts"
import { errorWords } from "../domain/error-text.ts"
import { type BadRequest, NotImplemented } from "../domain/errors.ts"
import type { Redact } from "../domain/redact.ts"
import { BadAnswer, type UpstreamError } from "../domain/upstream-errors.ts"
import type { Plan } from "../router/plan.ts"
import type { BackendState, Candidate } from "../registry/snapshot.ts"
import type { CommittedAnswer } from "../upstream/answer.ts"
import { EmbedTranslator } from "./embed-translation.ts"
import { fieldsOfBody, type Fuller, fullerFor, type FullerRequest, hasMark, wantsFuller } from "./fuller.ts"
import type { RequestRecord, Translated } from "./record.ts"
import { streamOf, translatedFlow, translatedHead } from "./translated-flow.ts"

/** Starts what goes on beside the request. */
type RunFork = (effect: Effect.Effect<void>) => Fiber.Fiber<void>

/** How one backend is asked. */
export interface Translation extends Translated {
  /** What it is asked, in its own dialect. */
  readonly route: DialectRoute
  readonly body: Uint8Array
  /** Its answer in the client's dialect; fails where it cannot be read. */
  readonly answer: (answer: CommittedAnswer, redact: Redact, run: RunFork) => Result.Result<CommittedAnswer, BadAnswer>
}

/** Whether a backend is asked in the dialect that its client speaks. */
export const isAskedNatively = ({ backend, served }: BackendState, { dialect, operation }: DialectRoute): boolean =>
  isSpokenNatively(backend, served, dialect.id, operation.name)

// A body may be looked at for several candidates, and several times for each.
const looked = new WeakMap<Beyond, WeakMap<Uint8Array, boolean>>()

const jsonOf = (body: Uint8Array, built: BodyReading | undefined): Readonly<Record<PropertyKey, unknown>> =>
  built !== undefined && Result.isSuccess(built) ? built.success.json : fieldsOfBody(body)

/** Whether a backend is asked in its client's dialect, and this is none of the requests of which it does not do all there. */
const doesNatively = (state: BackendState, route: DialectRoute, body: Uint8Array, built?: BodyReading): boolean => {
  if (!isAskedNatively(state, route)) return false
  const beyond = beyondBackend(state.backend, state.served, route.dialect.id, route.operation.name)
  if (beyond === undefined) return true
  const known = looked.get(beyond) ?? new WeakMap<Uint8Array, boolean>()
  looked.set(beyond, known)
  const isBeyond = known.get(body) ?? (hasMark(body, beyond.marks) && beyond.isIn(jsonOf(body, built)))
  known.set(body, isBeyond)
  return !isBeyond
}

type AskedRoutes = { stream?: ServerRoute | undefined; whole?: ServerRoute | undefined }

// What it speaks is the same for all requests, until it has shown something else of itself: it is another state then.
const askedRoutes = new WeakMap<DialectList, WeakMap<BackendState, AskedRoutes>>()

const routeTo = (dialects: DialectList, { backend, served }: BackendState, stream: boolean): ServerRoute | undefined =>
  serverRoute(dialects, askedIn(speakerOf(backend, served)), stream)

/** How a backend is asked in what it speaks best. */
const bestRoute = (dialects: DialectList, state: BackendState, stream: boolean): ServerRoute | undefined => {
  const states = askedRoutes.get(dialects) ?? new WeakMap<BackendState, AskedRoutes>()
  askedRoutes.set(dialects, states)
  const known = states.get(state) ?? {}
  states.set(state, known)
  return stream ? (known.stream ??= routeTo(dialects, state, true)) : (known.whole ??= routeTo(dialects, state, false))
}

const refusalIn = (error: UpstreamError): string =>
  error._tag === "ErrorStatus" && (error.status === 400 || error.status === 422) ? (errorWords(error.body) ?? "") : ""

const noIds: ReadonlySet<string> = new Set()

const callIdsIn = ({ chat }: DecodedChat): ReadonlySet<string> => {
  let ids: Set<string> | undefined
  for (const message of chat.messages) {
    if (message.role !== "assistant") continue
    for (const item of message.items) if (item.type === "call") (ids ??= new Set()).add(item.id)
  }
  return ids ?? noIds
}

/** Translates one request. */
class Translator {
  private readonly dialects: DialectList
  private readonly route: DialectRoute
  private readonly codec: ClientCodec
  private readonly decoded: DecodedChat
  private readonly context: AnswerContext
  private readonly request: FullerRequest
  private isEased = false

  constructor(
    dialects: DialectList,
    { model, route }: RequestRecord,
    codec: ClientCodec,
    decoded: DecodedChat,
    request: FullerRequest
  ) {
    this.dialects = dialects
    this.request = request
    this.route = route
    this.codec = codec
    this.decoded = decoded
    this.context = {
      model,
      id: crypto.randomUUID().replaceAll("-", ""),
      now: performance.timeOrigin + performance.now(),
      callIds: callIdsIn(decoded)
    }
  }

  /** How a backend is asked for a model that refuses some fields; undefined where it is asked in the client's own words. */
  for(
    candidate: Candidate,
    model: string,
    learned: ReadonlySet<ModelRefusal>
  ): Result.Result<Translation, BadRequest> | undefined {
    const { decoded, dialects, request } = this
    const { state } = candidate
    if (doesNatively(state, this.route, request.body) && !wantsFuller(candidate, request)) return undefined
    const fuller = fullerFor(candidate, request, decoded)
    const { stream } = decoded.chat
    const server =
      fuller === undefined ? bestRoute(dialects, state, stream) : serverRoute(dialects, [fuller.dialect], stream)
    return server === undefined ? undefined : this.toldTo(candidate, server, fuller, model, learned)
  }

  private toldTo(
    { model: served, state }: Candidate,
    { codec, route }: ServerRoute,
    fuller: Fuller | undefined,
    model: string,
    learned: ReadonlySet<ModelRefusal>
  ): Result.Result<Translation, BadRequest> {
    const { codec: client, decoded } = this
    const { backend } = state
    const { max_output_tokens: mostTokens, thinks } = served
    const kind = kindNamed(backend.type)
    const original = isOriginal(backend)
    const word = (field: ChatField): string => client.words[field] ?? field
    const traits = {
      ...kind.takes,
      original,
      files: kind.locality === "cloud",
      closedSchemas: kind.locality === "cloud",
      isStrict: isStrict(backend, served),
      ...(mostTokens === undefined ? {} : { mostTokens }),
      ...(thinks === undefined ? {} : { thinks }),
      ...(fuller === undefined ? {} : { own: fuller.own }),
      ...(fuller?.context === undefined ? {} : { context: fuller.context }),
      word
    }
    const unheard =
      fuller === undefined ? decoded.dropped : decoded.dropped.filter((field) => !fuller.heard.includes(field))
    const chat = sortsTools(backend) ? withStillTools(decoded.chat) : decoded.chat
    const refused = this.isEased ? new Set([...learned, "strict" as const]) : learned
    const left = leftOut(decoded.chat, refused)
    const encoded = codec.encode(withoutFields(chat, refused), model, traits)
    if (Result.isFailure(encoded)) return Result.fail(encoded.failure)
    const { answers, body, dropped: unsaid } = encoded.success
    const dropped = [...unheard]
    for (const field of left) dropped.push(word(field))
    for (const field of unsaid) dropped.push(word(field))
    return Result.succeed(this.translation(answers, route, body, dropped))
  }

  private translation(
    answers: AnswerDecoder,
    route: DialectRoute,
    body: Uint8Array,
    dropped: Array<string>
  ): Translation {
    return {
      label: `${this.route.dialect.id}->${route.dialect.id}`,
      dropped,
      route,
      body,
      // What a whole answer loses is known before its head goes out.
      answer: (answer, redact, run) => this.answer(answers, answer, redact, run, dropped)
    }
  }

  /** What the client is answered where nothing is asked of a model, and the first backend does not speak its dialect. */
  instead({ targets }: Plan): Uint8Array | undefined {
    const first = targets.flatMap(({ candidates }) => candidates)[0]
    if (first === undefined || isAskedNatively(first.state, this.route)) return undefined
    return this.decoded.instead?.(this.context)
  }

  /** What of the request a failure refuses to be told at all. */
  refusedBy(error: UpstreamError): ReadonlyArray<ModelRefusal> {
    return refusedFields(this.decoded.chat, refusalIn(error))
  }

  /** Whether a failure shows that no model can be held to so much at once: this request alone is told less strictly from then on. */
  eases(error: UpstreamError): boolean {
    if (this.isEased || !isTooStrict(this.decoded.chat, refusalIn(error))) return false
    this.isEased = true
    return true
  }

  private answer(
    server: AnswerDecoder,
    answer: CommittedAnswer,
    redact: Redact,
    run: RunFork,
    dropped: Array<string>
  ): Result.Result<CommittedAnswer, BadAnswer> {
    if (answer._tag === "Flow") {
      const { watch } = answer
      if (watch === undefined) return Result.fail(new BadAnswer({ reason: "what cannot be translated" }))
      const { dialect } = this.route
      const codecs = { decode: server.stream, encode: this.decoded.answers.stream(this.context), dialect, redact }
      return Result.succeed(translatedFlow(answer, watch, codecs, run))
    }
    return this.wholeAnswer(server, answer, redact, dropped)
  }

  private wholeAnswer(
    server: AnswerDecoder,
    answer: CommittedAnswer & { readonly _tag: "Whole" },
    redact: Redact,
    dropped: Array<string>
  ): Result.Result<CommittedAnswer, BadAnswer> {
    const { context, route } = this
    const { answers: codec } = this.decoded
    const { types } = route.dialect
    const events = server.whole(answer.body)
    if (Result.isFailure(events)) return Result.fail(new BadAnswer({ reason: events.failure, body: answer.body }))
    const untold = events.success.map((event) => {
      if (event.type !== "lost") return codec.untold?.(event)
      return event.signature !== undefined && codec.signsTexts === true ? undefined : event.what
    })
    for (const name of new Set(untold)) if (name !== undefined) dropped.push(name)
    if (this.decoded.chat.stream) {
      const pieces = transduce(codec.stream(context), events.success)
      return Result.succeed(streamOf(answer, pieces, route.dialect))
    }
    const whole = codec.whole(events.success, context)
    if (Result.isFailure(whole)) return Result.fail(new BadAnswer({ reason: redact(whole.failure) }))
    return Result.succeed({ ...answer, head: translatedHead(answer.head, types.whole), body: whole.success })
  }
}

/** Lets nobody be asked but those who speak what their client does: the request can be told in no other dialect. */
class NativeOnly {
  private readonly isNative: (state: BackendState) => boolean
  private readonly why: BadRequest | NotImplemented

  constructor(isNative: (state: BackendState) => boolean, why: BadRequest | NotImplemented) {
    this.isNative = isNative
    this.why = why
  }

  for({ state }: Candidate): Result.Result<Translation, BadRequest | NotImplemented> | undefined {
    return this.isNative(state) ? undefined : Result.fail(this.why)
  }

  instead(): undefined {
    return undefined
  }

  refusedBy(): ReadonlyArray<ModelRefusal> {
    return []
  }

  eases(): boolean {
    return false
  }
}

/** Who translates one request, or sees to it that nobody has to. */
export type AnyTranslator = EmbedTranslator | NativeOnly | Translator

const isAsIs = (
  candidate: Candidate,
  { needs, route }: RequestRecord,
  body: Uint8Array,
  built?: BodyReading
): boolean => {
  if (!doesNatively(candidate.state, route, body, built)) return false
  const { client, embeds } = route.operation
  const isTold = client === undefined && embeds?.client === undefined
  return isTold || needs === undefined || !wantsFuller(candidate, { dialect: route.dialect.id, body, needs })
}

/** Whether all of a plan are asked in the client's own words. */
export const isAskedAsIs = (
  record: RequestRecord,
  body: Uint8Array,
  { targets }: Pick<Plan, "targets">,
  built?: BodyReading
): boolean => {
  for (const { candidates } of targets)
    for (const candidate of candidates) if (!isAsIs(candidate, record, body, built)) return false
  return true
}

/** What translates a request for those of a plan who do not speak its dialect; undefined where all of them do. */
export const translatorFor = (
  dialects: DialectList,
  record: RequestRecord,
  body: Uint8Array,
  built: BodyReading | undefined,
  plan: Pick<Plan, "targets">
): Result.Result<AnyTranslator | undefined, BadRequest | NotImplemented> => {
  const { needs, route } = record
  if (needs === undefined || isAskedAsIs(record, body, plan, built)) return asIs
  return translatorOf(dialects, record, { dialect: route.dialect.id, body, needs }, built, plan)
}

const asIs = Result.succeed(undefined)

const translatorOf = (
  dialects: DialectList,
  record: RequestRecord,
  request: FullerRequest,
  built: BodyReading | undefined,
  plan: Pick<Plan, "targets">
): Result.Result<AnyTranslator, BadRequest | NotImplemented> => {
  const { model, route } = record
  const { client, embeds, name } = route.operation
  if (embeds?.client !== undefined) return embedTranslatorOf(dialects, record, request, embeds.client, plan)
  if (client === undefined) return natively(route, new NotImplemented({ operation: name, model }), plan)
  if (built !== undefined && Result.isFailure(built)) return natively(route, built.failure, plan)
  const decoded = client.decode(request.body, route.model, built?.success)
  if (Result.isFailure(decoded)) return natively(route, decoded.failure, plan)
  return Result.succeed(new Translator(dialects, record, client, decoded.success, request))
}

const embedTranslatorOf = (
  dialects: DialectList,
  record: RequestRecord,
  request: FullerRequest,
  client: NonNullable<EmbedCodec["client"]>,
  plan: Pick<Plan, "targets">
): Result.Result<AnyTranslator, BadRequest | NotImplemented> => {
  const { body } = request
  const read = client.decode(body, record.route.model)
  if (Result.isFailure(read)) return natively(record.route, read.failure, plan)
  const asked = { isAsIs: (candidate: Candidate) => isAsIs(candidate, record, body), request }
  return Result.succeed(new EmbedTranslator(dialects, record, client, read.success, asked))
}

// Those who speak it can still be asked.
const natively = (
  route: DialectRoute,
  why: BadRequest | NotImplemented,
  { targets }: Pick<Plan, "targets">
): Result.Result<NativeOnly, BadRequest | NotImplemented> => {
  const isNative = (state: BackendState): boolean => isAskedNatively(state, route)
  return targets.some(({ candidates }) => candidates.some(({ state }) => isNative(state)))
    ? Result.succeed(new NativeOnly(isNative, why))
    : Result.fail(why)
}
