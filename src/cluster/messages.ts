/**
 * What the supervisor and its workers tell each other, one JSON value a message; questions and their answers are calls.
 */
import * as Schema from "effect/Schema"
import { ToldQueue } from "../admission/queues-elsewhere.ts"
import { backendTypes } from "../backend/all.ts"
import { healthStatuses } from "../domain/backend-health.ts"
import { ModelShape, ServedShape } from "../domain/model-shapes.ts"
import { modes } from "../domain/server.ts"
import { apiPaths } from "../domain/base-url.ts"
import { ToldPrompt } from "../registry/told-prompts.ts"
import { ConfigStatus } from "../api/control-api.ts"
import { CallMessage, type CallContract, ReplyMessage } from "./calls.ts"

const CircuitShape = Schema.Struct({
  model: Schema.String,
  state: Schema.Literals(["closed", "open", "half_open"]),
  failures: Schema.Int,
  retry_in_ms: Schema.Number
})

/** A backend that the config does not name: one that was found, or a simulated one. */
const BackendPut = Schema.TaggedStruct("Put", {
  name: Schema.String,
  url: Schema.String,
  query: Schema.optionalKey(Schema.String),
  apiPath: Schema.optionalKey(Schema.Literals(apiPaths)),
  type: Schema.Literals(backendTypes),
  zone: Schema.optionalKey(Schema.String),
  priority: Schema.Int,
  origin: Schema.Literals(["discovered", "member", "simulated", "added"]),
  /** Of a member; the worker knows by the config what it is like. */
  address: Schema.optionalKey(Schema.String),
  memberOf: Schema.optionalKey(Schema.String),
  key: Schema.optionalKey(Schema.String),
  insecure: Schema.optionalKey(Schema.Boolean),
  maxConcurrent: Schema.optionalKey(Schema.Int)
})

/** Type of {@link BackendPut}. */
export type BackendPut = typeof BackendPut.Type

const Removed = Schema.TaggedStruct("Removed", { name: Schema.String })

/** What the probes of the supervisor say of a backend. */
const State = Schema.TaggedStruct("State", {
  name: Schema.String,
  mode: Schema.Literals(modes),
  status: Schema.Literals(healthStatuses),
  streak: Schema.Int,
  reason: Schema.String,
  models: Schema.Array(ModelShape),
  listed: Schema.Boolean,
  apiPath: Schema.optionalKey(Schema.Literals(apiPaths)),
  served: Schema.optionalKey(ServedShape),
  probeMs: Schema.optionalKey(Schema.Number)
})

const SharedStanding = Schema.Struct({
  name: Schema.String,
  in_flight: Schema.Int,
  /** How many of these have begun to be answered. */
  answering: Schema.optionalKey(Schema.Int),
  cooling_ms: Schema.Number,
  circuits: Schema.Array(CircuitShape)
})

const ToldBackend = Schema.Struct({
  name: Schema.String,
  models: Schema.Array(
    Schema.Struct({
      model: Schema.String,
      running: Schema.optionalKey(Schema.Int),
      waiting: Schema.optionalKey(Schema.Int),
      age_ms: Schema.Number
    })
  )
})

/** Type of {@link ToldBackend}. */
export type ToldBackend = typeof ToldBackend.Type

/** What a server has computed since that was last told. */
const ServerPrompts = Schema.Struct({ name: Schema.String, prompts: Schema.Array(ToldPrompt) })

/** Type of {@link ServerPrompts}. */
export type ServerPrompts = typeof ServerPrompts.Type

/** Wrong keys: the address that each came from, and by what it is known again. */
const Tries = Schema.Array(Schema.Tuple([Schema.String, Schema.Finite]))

/** Type of {@link Tries}. */
export type Tries = typeof Tries.Type

/** How the other workers stand with each backend. */
const Others = Schema.TaggedStruct("Others", {
  backends: Schema.Array(SharedStanding),
  /** What they tell of their queues, and what has been computed for them. */
  queues: Schema.optionalKey(Schema.Array(Schema.Struct({ from: Schema.String, told: ToldQueue }))),
  prompts: Schema.optionalKey(Schema.Array(ServerPrompts)),
  tries: Schema.optionalKey(Tries),
  /** What servers told of their work lately. */
  told: Schema.optionalKey(Schema.Array(ToldBackend))
})

/** The text of the config that is to be in force; null when there is no file. */
const Config = Schema.TaggedStruct("Config", {
  file: Schema.NullOr(Schema.Struct({ path: Schema.String, text: Schema.String }))
})

/** How the config stands, for those who ask. */
const Status = Schema.TaggedStruct("Status", { status: ConfigStatus })

/** All that is known has been told: listen. */
const Start = Schema.TaggedStruct("Start", {})

/** Finish what is under way, and end. */
const Stop = Schema.TaggedStruct("Stop", {})

/** Asks for a reply that comes when all that was told before has been taken in. */
export const pingWorker: CallContract<object, object> = {
  name: "ping",
  payload: Schema.Struct({}),
  success: Schema.Struct({}),
  failure: Schema.Never,
  withinMs: 1000
}

/** From the supervisor to a worker. */
export const ToWorker = Schema.Union([
  Config,
  Status,
  BackendPut,
  Removed,
  State,
  Others,
  Start,
  Stop,
  CallMessage,
  ReplyMessage
])
/** Type of {@link ToWorker}. */
export type ToWorker = typeof ToWorker.Type

const Listening = Schema.TaggedStruct("Listening", { port: Schema.Int })

/** The worker cannot start. */
const Failed = Schema.TaggedStruct("Failed", { reason: Schema.String })

/** A request saw a reason to probe a backend: its connection failed, or it refused the key. */
const Suspect = Schema.TaggedStruct("Suspect", { name: Schema.String })

/** A request wants a backend that is not there. */
const Wanted = Schema.TaggedStruct("Wanted", { name: Schema.String })

/** How the worker stands with each backend; ages in milliseconds, -1 for never. */
const Figures = Schema.TaggedStruct("Figures", {
  /** Whether the others are to hear of it at once: places have been taken or freed of which there are only so many. */
  urgent: Schema.optionalKey(Schema.Boolean),
  backends: Schema.Array(
    Schema.Struct({ ...SharedStanding.fields, aliveAgoMs: Schema.Number, failedAgoMs: Schema.Number })
  ),
  /** What its queue tells, where that is anything. */
  queue: Schema.optionalKey(ToldQueue),
  prompts: Schema.optionalKey(Schema.Array(ServerPrompts)),
  tries: Schema.optionalKey(Tries)
})

/** From a worker to the supervisor. */
export const ToSupervisor = Schema.Union([Listening, Failed, Suspect, Wanted, Figures, CallMessage, ReplyMessage])
/** Type of {@link ToSupervisor}. */
export type ToSupervisor = typeof ToSupervisor.Type

/** How one worker stands with one backend. */
export type SharedStanding = typeof SharedStanding.Type
