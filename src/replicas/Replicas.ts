/**
 * Who the replicas are: each process that answers requests says once a second that it is there, and is forgotten soon after it
 * does not.
 */
import { hostname } from "node:os"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redis from "effect/persistence/Redis"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { version } from "../domain/version.ts"
import { SharedStore } from "./SharedStore.ts"

const Said = Schema.Struct({
  /** The gateway that the process is a part of. */
  gateway: Schema.String,
  name: Schema.String,
  worker: Schema.Finite,
  version: Schema.String,
  /** How long it has run, in milliseconds. */
  ageMs: Schema.Finite,
  /** What else it tells of itself. */
  figures: Schema.Record(Schema.String, Schema.Finite)
})

type Said = typeof Said.Type

/** A gateway among its replicas. */
export interface Replica {
  readonly id: string
  readonly name: string
  /** Processes of it that answer requests. */
  readonly workers: number
  readonly version: string
  /** How long it has run, in milliseconds. */
  readonly ageMs: number
  readonly own: boolean
  readonly figures: Readonly<Record<string, number>>
}

/** What the other gateways have answered, and how many of them have not. */
export interface Answers {
  readonly answers: ReadonlyArray<string>
  readonly silent: number
}

/** What this process is. */
export interface OwnPart {
  readonly name: string | undefined
  /** From 1, of so many. */
  readonly worker: number
  readonly workers: number
  /** What all processes of the gateway know of it alone, and how long it has run, in milliseconds; absent for one that is alone. */
  readonly since: number | undefined
  readonly ageMs: number | undefined
}

/** The replicas of this gateway. */
export class Replicas extends Context.Service<
  Replicas,
  {
    /** The id of this process, which no other one has or had. */
    readonly id: string
    /** All gateways that are there, this one first; empty where it is alone by its settings. */
    readonly list: () => ReadonlyArray<Replica>
    /** How many processes share what is counted: those of this gateway, and all others that were there in the last minute. */
    readonly processes: () => number
    /** Asks all other gateways, each of which has a moment for its answer. */
    readonly ask: (topic: string, question: string) => Effect.Effect<Answers>
    /** Says how this gateway answers questions of a topic. */
    readonly answer: (topic: string, by: (question: string) => Effect.Effect<string>) => void
    /** Has a figure of this gateway told to the others. */
    readonly tell: (name: string, figure: () => number) => void
  }
>()("nexus/replicas/Replicas") {
  /** Nobody else, and no store. */
  static readonly none = Layer.mergeAll(
    SharedStore.none,
    Layer.succeed(Replicas, {
      id: "",
      list: () => [],
      processes: () => 1,
      ask: () => Effect.succeed({ answers: [], silent: 0 }),
      answer: () => undefined,
      tell: () => undefined
    })
  )

  /** By the shared store. */
  static readonly layer = (part: OwnPart) => Layer.effect(Replicas, makeReplicas(part))
}

const sayMs = 1000

/** Who has not been heard for so long is forgotten, in milliseconds. */
const forgottenMs = 4000

// One that was late to say that it is there may have its share of limits all the same.
const sharingMs = 60_000

const sayScript = Redis.script((keys: ReadonlyArray<string>, id: string, said: string) => [...keys, id, said], {
  numberOfKeys: 2,
  lua: `
local t = redis.call("TIME")
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call("ZADD", KEYS[1], now + ${forgottenMs}, ARGV[1])
redis.call("HSET", KEYS[2], ARGV[1], ARGV[2])
for _, id in ipairs(redis.call("ZRANGEBYSCORE", KEYS[1], "-inf", now)) do
  redis.call("ZREM", KEYS[1], id)
  redis.call("HDEL", KEYS[2], id)
end
return redis.call("HVALS", KEYS[2])`
}).withReturnType<ReadonlyArray<string>>()

const Question = Schema.Struct({
  id: Schema.String,
  from: Schema.String,
  gateway: Schema.String,
  topic: Schema.String,
  text: Schema.String
})

const readQuestion = Schema.decodeUnknownOption(Schema.fromJsonString(Question))

const readAnswer = Schema.decodeUnknownOption(
  Schema.fromJsonString(Schema.Struct({ id: Schema.String, text: Schema.String }))
)

// How long an answer is waited for.
const answerMs = 1000

const read = Schema.decodeUnknownOption(Schema.fromJsonString(Said))

const gathered = (all: ReadonlyArray<Said>, own: string): ReadonlyArray<Replica> =>
  [...Map.groupBy(all, ({ gateway }) => gateway)]
    .flatMap(([id, [first, ...others]]) =>
      first === undefined
        ? []
        : [
            {
              id,
              name: first.name,
              workers: 1 + others.length,
              version: first.version,
              ageMs: first.ageMs,
              own: id === own,
              figures: first.figures
            }
          ]
    )
    .toSorted((a, b) => Number(b.own) - Number(a.own) || (a.name < b.name ? -1 : 1))

const makeReplicas = Effect.fnUntraced(function* ({ ageMs: age, name, since, worker, workers }: OwnPart) {
  const store = yield* SharedStore
  const id = crypto.randomUUID().slice(0, 13)
  const started = performance.now() - (age ?? 0)
  // The processes of one gateway have the same parent, and began at one time.
  const gateway = since === undefined ? id : `${since.toString(36)}-${process.ppid}`
  const figures = new Map<string, () => number>()
  const said = (): Said => ({
    gateway,
    name: name ?? hostname(),
    worker,
    version,
    ageMs: Math.round(performance.now() - started),
    figures: Object.fromEntries([...figures].map(([figure, of]) => [figure, of()]))
  })
  let others: ReadonlyArray<Said> = []
  const seen = new Map<string, number>()
  const keys = [store.key("replicas"), store.key("replica")]
  const say = Effect.suspend(() => store.run(sayScript)(keys, id, JSON.stringify(said()))).pipe(
    Effect.map((all) => {
      others = all.flatMap((each) => Option.toArray(read(each)))
      const now = performance.now()
      for (const each of others) seen.set(`${each.gateway} ${each.worker}`, now)
      for (const [name, at] of seen) if (now - at > sharingMs) seen.delete(name)
    }),
    // It is said again in a moment.
    Effect.ignore
  )
  const leave = Effect.all([store.send("ZREM", keys[0] ?? "", id), store.send("HDEL", keys[1] ?? "", id)], {
    discard: true,
    concurrency: "unbounded"
  }).pipe(Effect.ignore)

  const answering = new Map<string, (question: string) => Effect.Effect<string>>()
  const asked = new Map<string, (answer: string) => void>()
  const replyTo = ({ from, gateway: asking, id: question, text, topic }: typeof Question.Type) => {
    const by = answering.get(topic)
    // One process of each gateway answers for all of it.
    if (by === undefined || worker !== 1 || asking === gateway) return Effect.void
    return Effect.flatMap(by(text), (answer) =>
      Effect.ignore(store.publish(`answers ${from}`, JSON.stringify({ id: question, text: answer })))
    )
  }
  const ask = Effect.fnUntraced(function* (topic: string, text: string) {
    const awaited = new Set(others.map((each) => each.gateway)).size - 1
    const answers: Array<string> = []
    if (awaited <= 0) return { answers, silent: 0 }
    const all = yield* Deferred.make<void>()
    const question = crypto.randomUUID()
    asked.set(question, (answer) => {
      answers.push(answer)
      if (answers.length >= awaited) Deferred.doneUnsafe(all, Effect.void)
    })
    yield* store
      .publish("questions", JSON.stringify({ id: question, from: id, gateway, topic, text }))
      .pipe(
        Effect.andThen(Effect.timeoutOption(Deferred.await(all), answerMs)),
        Effect.ignore,
        Effect.ensuring(Effect.sync(() => asked.delete(question)))
      )
    return { answers, silent: Math.max(0, awaited - answers.length) }
  })
  if (store.isOn) {
    yield* store.messages("questions").pipe(
      Stream.runForEach((message) =>
        Option.match(readQuestion(message), {
          onNone: () => Effect.void,
          onSome: (question) => Effect.forkScoped(replyTo(question))
        })
      ),
      Effect.forkScoped
    )
    yield* store.messages(`answers ${id}`).pipe(
      Stream.runForEach((message) =>
        Effect.sync(() => {
          const answer = Option.getOrUndefined(readAnswer(message))
          if (answer !== undefined) asked.get(answer.id)?.(answer.text)
        })
      ),
      Effect.forkScoped
    )
    yield* Effect.addFinalizer(() => leave)
    yield* say
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(sayMs), say)))
  }
  return Replicas.of({
    id,
    list: () => (store.isOn ? gathered(others.length === 0 ? [said()] : others, gateway) : []),
    processes: () => Math.max(workers, seen.size),
    ask,
    answer: (topic, by) => {
      answering.set(topic, by)
    },
    tell: (figure, of) => {
      figures.set(figure, of)
    }
  })
})
