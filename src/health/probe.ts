/**
 * One probe: each kind of backend is asked in its own words whether it is well, and what its models can do. Only
 * questions that cost nothing are asked.
 */
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import { type Backend, speakerOf } from "../backend/backend.ts"
import { kindNamed } from "../backend/all.ts"
import type { Prober } from "../backend/Kind.ts"
import type { ApiPath } from "../domain/base-url.ts"
import type { Served, ToldLoads } from "../domain/server.ts"
import type { ProbeOutcome } from "../domain/backend-health.ts"
import { awakeMs, ProcessPauses, timeoutAwake } from "../upstream/ProcessPauses.ts"
import type { Transport } from "../upstream/Transport.ts"
import { questionsFor, showsIt } from "../backend/speech.ts"
import { withCapabilities } from "../backend/capabilities.ts"
import { tooBusy, type Talk } from "../backend/talk.ts"
import { askAnything, askRequired, askOptional } from "./ask-server.ts"

/** What is remembered from one probe to the next. */
interface Memory {
  /** Whether there was a list of models. */
  readonly listed: boolean
  /** Where it was found, where the base URL leaves that open. */
  readonly apiPath: ApiPath | undefined
  /** What the server has shown of itself. */
  readonly served: Served
}

const nothing: Memory = { listed: false, apiPath: undefined, served: { paths: {} } }

const questionsAtOnce = 2

/** Asks which of the paths are there that make a difference, each once for as long as the server is the same. */
const askWhatIsThere = Effect.fnUntraced(function* (backend: Backend, talk: Talk, memory: Ref.Ref<Memory>) {
  const { served } = yield* Ref.get(memory)
  const open = questionsFor(speakerOf(backend, served)).filter(({ path }) => served.paths[path] === undefined)
  yield* Effect.forEach(
    open,
    (question) =>
      Effect.flatMap(talk.hear(question.path, question.method === "POST" ? {} : undefined), (answer) =>
        answer === undefined
          ? Effect.void
          : Ref.update(memory, (before) => {
              const shown = showsIt(question, answer.status, answer.body)
              const paths = { ...before.served.paths, [question.path]: shown }
              return { ...before, served: { ...before.served, paths } }
            })
      ),
    { concurrency: questionsAtOnce, discard: true }
  )
})

/** Why what answers cannot be used, when nobody has said which models it has. */
export const noList = "answers, but not with a list of models"

// Questions beyond the first leave this share of the time for the end of the probe.
const reserve = 0.1

const probe = Effect.fnUntraced(function* (
  transport: Transport["Service"],
  backend: Backend,
  timeoutMs: number,
  memory: Ref.Ref<Memory>,
  prober: Prober
) {
  const start = yield* awakeMs
  const began = performance.now()
  const connectMs = backend.limits.connectMs
  const first = { latencyMs: -1 }
  const left = Effect.map(awakeMs, (now) => Math.max(1, timeoutMs * (1 - reserve) - (now - start)))
  const { apiPath: known, listed } = yield* Ref.get(memory)
  const at = known === undefined ? {} : { apiPath: known }
  const other: ApiPath = (known ?? backend.apiPath) === "" ? "/v1" : ""
  const working: { loads: ToldLoads | undefined } = { loads: undefined }
  const talk: Talk = {
    worksOn: (loads) =>
      Effect.sync(() => {
        working.loads = loads
      }),
    whileTimeIsLeft: (effect) => Effect.flatMap(left, (ms) => Effect.timeoutOption(effect, ms)),
    need: (path) =>
      Effect.suspend(() => {
        // Whoever answers a first light question in time has been reached in time.
        const reach = first.latencyMs < 0 && connectMs > 0 ? Math.min(connectMs, timeoutMs) : timeoutMs
        return askRequired(transport, backend, { path, ...at, timeoutMs: reach, fresh: first.latencyMs < 0 })
      }).pipe(
        Effect.tap(() =>
          Effect.sync(() => {
            if (first.latencyMs < 0) first.latencyMs = performance.now() - began
          })
        )
      ),
    want: (path, body) =>
      Effect.flatMap(left, (ms) => askOptional(transport, backend, { path, ...at, body, timeoutMs: ms })),
    hear: (path, body) =>
      Effect.flatMap(left, (ms) => askAnything(transport, backend, { path, ...at, body, timeoutMs: ms })),
    isOf: (version) =>
      Ref.update(memory, (before) =>
        before.served.version === version ? before : { ...before, served: { version, paths: {} } }
      ),
    elsewhere:
      backend.apiPath === undefined
        ? undefined
        : {
            want: (path) =>
              Effect.flatMap(left, (ms) => askOptional(transport, backend, { path, apiPath: other, timeoutMs: ms })),
            isRight: Ref.update(memory, (before) => ({ ...before, apiPath: other }))
          }
  }
  const told = yield* prober.models(talk).pipe(
    Effect.map((models) => models ?? "nothing"),
    Effect.catchIf(
      (verdict) => verdict === tooBusy && listed,
      () => Effect.succeed("later" as const)
    )
  )
  if (told === "nothing" && backend.models.length === 0) {
    const down: ProbeOutcome = { _tag: "Down", reason: noList }
    return down
  }
  const models = typeof told === "string" ? undefined : told.map((model) => withCapabilities(model, backend.type))
  if (models !== undefined) yield* Ref.update(memory, (before) => ({ ...before, listed: true }))
  yield* talk.whileTimeIsLeft(askWhatIsThere(backend, talk, memory))
  const { apiPath, served } = yield* Ref.get(memory)
  const outcome: ProbeOutcome = {
    _tag: "Up",
    models,
    latencyMs: first.latencyMs,
    ...(apiPath === undefined ? {} : { apiPath }),
    ...(working.loads === undefined ? {} : { loads: working.loads }),
    ...(served.version === undefined && Object.keys(served.paths).length === 0 ? {} : { served })
  }
  return outcome
})

/** Repetitions of one probe; a process that is held up all the time has to believe what it sees. */
const repetitions = 3

// A failure across a pause of this process is no word on the backend.
const again = Effect.fnUntraced(function* (once: Effect.Effect<ProbeOutcome>) {
  const { lostMs } = yield* ProcessPauses
  for (let left = repetitions; ; left--) {
    const before = yield* lostMs
    const outcome = yield* once
    if (outcome._tag !== "Down" || left === 0 || (yield* lostMs) === before) return outcome
  }
})

/** How one backend is asked, again and again. */
export interface Questions {
  /** A whole probe. It takes no longer than the `timeoutNow` of its start, in milliseconds, and every failure is an outcome. */
  readonly probe: Effect.Effect<ProbeOutcome>
  /** What it works on, by a light question; undefined where none tells that. */
  readonly loads: Effect.Effect<ToldLoads | undefined> | undefined
}

/** Makes the questions to one backend, which remember between runs what they need not ask again. */
export const makeQuestions = (
  transport: Transport["Service"],
  backend: Backend,
  timeoutNow: () => number
): Effect.Effect<Questions> =>
  Effect.gen(function* () {
    const memory = yield* Ref.make(nothing)
    const prober = yield* kindNamed(backend.type).prober
    const lightly = (path: string) =>
      Effect.map(Ref.get(memory), ({ apiPath }) => ({
        path,
        ...(apiPath === undefined ? {} : { apiPath }),
        timeoutMs: timeoutNow()
      }))
    return {
      loads: prober.loads?.({
        want: (path) => Effect.flatMap(lightly(path), (question) => askOptional(transport, backend, question)),
        hear: (path) => Effect.flatMap(lightly(path), (question) => askAnything(transport, backend, question))
      }),
      probe: Effect.suspend(() => {
        const never = backend.barred ?? backend.keyFault
        if (never !== undefined) return Effect.succeed<ProbeOutcome>({ _tag: "Refused", reason: never })
        const timeoutMs = timeoutNow()
        return timeoutAwake(
          probe(transport, backend, timeoutMs, memory, prober).pipe(
            Effect.catchTag("Verdict", ({ outcome }) => Effect.succeed(outcome))
          ),
          timeoutMs,
          () => Effect.succeed<ProbeOutcome>({ _tag: "Down", reason: `no answer within ${timeoutMs / 1000} s` })
        )
      }).pipe(
        again,
        Effect.tap((outcome) =>
          outcome._tag === "Up"
            ? Effect.void
            : Effect.andThen(
                Ref.update(memory, (before) => ({ ...before, served: nothing.served })),
                prober.wasAway ?? Effect.void
              )
        )
      )
    }
  })

/** Makes the probe of one backend alone. */
export const makeProbe = (
  transport: Transport["Service"],
  backend: Backend,
  timeoutNow: () => number
): Effect.Effect<Effect.Effect<ProbeOutcome>> =>
  Effect.map(makeQuestions(transport, backend, timeoutNow), (questions) => questions.probe)
