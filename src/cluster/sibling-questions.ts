/**
 * Questions that one worker asks all others by way of their supervisor, which puts their answers together.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { ContactedHost } from "../api/audit-api.ts"
import { type SiblingQuestion, siblingQuestions, type Siblings } from "../operations/Siblings.ts"
import { ProcessFigures, lastingFigures } from "../telemetry/process-figures.ts"
import {
  type Ask,
  brokenReply,
  type CallMessage,
  type Calls,
  type CallContract,
  NoReply,
  type ReplyMessage
} from "./calls.ts"

/**
 * Keeps the figures that each worker told last, and those of the ones that have ended: a worker that is started anew counts
 * from 0, and the whole must not go back.
 */
class EndedWorkers<Worker extends WeakKey> {
  private readonly last = new Map<Worker, ProcessFigures>()
  private readonly bequests = new WeakMap<Worker, ProcessFigures>()
  private sum: ProcessFigures = lastingFigures([])

  /** Notes the figures that a worker tells. */
  hear(worker: Worker, measures: ProcessFigures): void {
    if (!this.bequests.has(worker)) this.last.set(worker, measures)
  }

  /** A worker has ended. */
  end(worker: Worker): void {
    const measures = this.last.get(worker)
    if (measures === undefined) return
    this.last.delete(worker)
    this.bequests.set(worker, lastingFigures([measures]))
    this.sum = lastingFigures([this.sum, measures])
  }

  /** What all have left that have ended. */
  all(): ProcessFigures {
    return this.sum
  }

  /** What this one has left, for those who have asked before it ended. */
  of(worker: Worker): ReadonlyArray<ProcessFigures> {
    const left = this.bequests.get(worker)
    return left === undefined ? [] : [left]
  }
}

/** A question to siblings as a call: each answers with its items. */
export const contractOf = <Details, Item>({
  name,
  details,
  items,
  withinMs
}: SiblingQuestion<Details, Item>): CallContract<Details, ReadonlyArray<Item>> => ({
  name,
  payload: details,
  success: items,
  failure: Schema.Never,
  withinMs
})

/** A worker's side: `ask` reaches the supervisor. */
export const siblingsOver = (ask: Ask): typeof Siblings.Service => ({
  ask: (question, details) => Effect.orElseSucceed(ask(contractOf(question), details), () => undefined)
})

const { contacts, measures } = siblingQuestions

const Figures = Schema.Array(ProcessFigures)
const readFigures = Schema.decodeUnknownOption(Figures)
const writeFigures = Schema.encodeSync(Figures)
const readAsked = Schema.decodeUnknownOption(measures.details)

const timeFor = new Map(Object.values(siblingQuestions).map(({ name, withinMs }) => [name, withinMs]))

// Whoever asks waits no longer, but what a slow worker has counted must be known when it ends.
const graceMs = 4000

/** QuestionRelay that wait for an answer at most: what comes beyond that is asked of workers that hang. */
const mostOpen = 1000

interface Asked<Worker> {
  /** What the others are told of the question. */
  readonly details: unknown
  /** Items that come from no worker. */
  readonly known: ReadonlyArray<unknown>
  readonly heard: (worker: Worker, items: unknown) => void
  /** Items of a worker that has ended meanwhile. */
  readonly left: (worker: Worker) => ReadonlyArray<unknown>
}

const plainly = (details: unknown): Asked<unknown> => ({
  details,
  known: [],
  heard: () => undefined,
  left: () => []
})

/** Passes questions on to all workers but the one who asks. */
export class QuestionRelay<Worker extends WeakKey> {
  private readonly calls: Calls<Worker>
  private readonly workers: () => ReadonlyArray<Worker>
  private readonly contacted: () => ReadonlyArray<ContactedHost>
  private readonly ended = new EndedWorkers<Worker>()
  private open = 0

  /** `contacted` are the hosts that the supervisor itself has contacted. */
  constructor(
    calls: Calls<Worker>,
    workers: () => ReadonlyArray<Worker>,
    contacted: () => ReadonlyArray<ContactedHost> = () => []
  ) {
    this.contacted = contacted
    this.calls = calls
    this.workers = workers
  }

  /** The reply to a question of a worker: what all others have told; undefined when the call is no question. */
  reply(from: Worker, call: CallMessage): Effect.Effect<ReplyMessage> | undefined {
    const withinMs = timeFor.get(call.name)
    return withinMs === undefined ? undefined : Effect.suspend(() => this.askOthers(from, call, withinMs + graceMs))
  }

  /** A worker has ended: nobody waits for it any more, and its figures stay. */
  lost(worker: Worker): void {
    this.ended.end(worker)
    this.calls.lost(worker)
  }

  private askOthers(from: Worker, { id, name, payload }: CallMessage, withinMs: number): Effect.Effect<ReplyMessage> {
    if (this.open >= mostOpen) return Effect.succeed(brokenReply(id))
    this.open += 1
    const { known, details, heard, left } = this.asked(from, name, payload)
    const askOne = (worker: Worker) =>
      this.calls.passOn(worker, name, details, withinMs).pipe(
        Effect.filterOrFail(
          ({ outcome }) => outcome === "done",
          () => new NoReply({ why: "broken" })
        ),
        Effect.map(({ value }) => {
          heard(worker, value)
          return Array.isArray(value) ? value : []
        }),
        Effect.catchIf(
          ({ why }) => why === "lost",
          () => Effect.sync(() => left(worker))
        )
      )
    const others = this.workers().filter((worker) => worker !== from)
    return Effect.forEach(others, askOne, { concurrency: "unbounded" }).pipe(
      Effect.match({
        onSuccess: (told): ReplyMessage => ({ _tag: "Reply", id, outcome: "done", value: [...known, ...told.flat()] }),
        onFailure: () => brokenReply(id)
      }),
      Effect.ensuring(Effect.sync(() => (this.open -= 1)))
    )
  }

  private asked(from: Worker, name: string, payload: unknown): Asked<Worker> {
    if (name === measures.name) return this.figures(from, payload)
    return name === contacts.name ? { ...plainly(payload), known: this.contacted() } : plainly(payload)
  }

  // Figures that who asks tells of itself are for the supervisor, and those that no worker can tell any more come from it.
  private figures(from: Worker, payload: unknown): Asked<Worker> {
    const own = Option.getOrUndefined(readAsked(payload))?.own
    if (own !== undefined) this.ended.hear(from, own)
    return {
      details: {},
      known: writeFigures([this.ended.all()]),
      heard: (worker, value) => {
        const [told] = Option.getOrUndefined(readFigures(value)) ?? []
        if (told !== undefined) this.ended.hear(worker, told)
      },
      left: (worker) => writeFigures(this.ended.of(worker))
    }
  }
}
