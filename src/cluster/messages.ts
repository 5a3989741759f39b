/**
 * What the supervisor and its workers tell each other, one JSON value a message.
 */
import { Schema } from "effect"
import { backendTypes } from "../backend/all.ts"
import { modes } from "../domain/server.ts"
import { apiPaths } from "../domain/base-url.ts"
import { NotChanged } from "../operations/Control.ts"
import { BackendChange, ReloadChanges, ConfigStatus, NewBackend } from "../operations/api/control-api.ts"
import { Answer, Question } from "../operations/Siblings.ts"

const Ability = Schema.optionalKey(Schema.Boolean)

const ModelShape = Schema.Struct({
  id: Schema.String,
  context_length: Schema.optionalKey(Schema.Int),
  context_in_force: Schema.optionalKey(Schema.Int),
  capabilities: Schema.Struct({ vision: Ability, tools: Ability, json_mode: Ability, embeddings: Ability })
})

const CircuitShape = Schema.Struct({
  model: Schema.String,
  state: Schema.Literals(["closed", "open", "half_open"]),
  failures: Schema.Int,
  retry_in_ms: Schema.Number
})

/** A backend that the config does not name: one that was found, or a simulated one. */
const Put = Schema.TaggedStruct("Put", {
  name: Schema.String,
  url: Schema.String,
  query: Schema.optionalKey(Schema.String),
  apiPath: Schema.optionalKey(Schema.Literals(apiPaths)),
  type: Schema.Literals(backendTypes),
  priority: Schema.Int,
  origin: Schema.Literals(["discovered", "simulated", "added"]),
  key: Schema.optionalKey(Schema.String),
  insecure: Schema.optionalKey(Schema.Boolean),
  maxConcurrent: Schema.optionalKey(Schema.Int)
})

/** Type of {@link Put}. */
export type Put = typeof Put.Type

const Removed = Schema.TaggedStruct("Removed", { name: Schema.String })

/** What the probes of the supervisor say of a backend. */
const State = Schema.TaggedStruct("State", {
  name: Schema.String,
  mode: Schema.Literals(modes),
  status: Schema.Literals(["unknown", "healthy", "unhealthy", "config_error"]),
  streak: Schema.Int,
  reason: Schema.String,
  models: Schema.Array(ModelShape),
  listed: Schema.Boolean,
  apiPath: Schema.optionalKey(Schema.Literals(apiPaths)),
  probeMs: Schema.optionalKey(Schema.Number)
})

const Standing = Schema.Struct({
  name: Schema.String,
  in_flight: Schema.Int,
  cooling_ms: Schema.Number,
  circuits: Schema.Array(CircuitShape)
})

/** How the other workers stand with each backend. */
const Others = Schema.TaggedStruct("Others", { backends: Schema.Array(Standing) })

/** The text of the config that is to be in force; null when there is no file. */
const Config = Schema.TaggedStruct("Config", {
  file: Schema.NullOr(Schema.Struct({ path: Schema.String, text: Schema.String }))
})

/** How the config stands, for those who ask. */
const Status = Schema.TaggedStruct("Status", { status: ConfigStatus })

const asked = { ask: Schema.Int }

/** What a worker was asked to change: the supervisor does it. */
const Wish = Schema.Union([
  Schema.TaggedStruct("Reload", {}),
  Schema.TaggedStruct("Compare", {}),
  Schema.TaggedStruct("Add", { backend: NewBackend }),
  Schema.TaggedStruct("Remove", { name: Schema.String, save: Schema.Boolean }),
  Schema.TaggedStruct("SetMode", { name: Schema.String, mode: Schema.Literals(modes) })
])
export type Wish = typeof Wish.Type

const Change = Schema.TaggedStruct("Change", { ...asked, wish: Wish })

/** What became of the Change of that number: one of the three. */
const Changed = Schema.TaggedStruct("Changed", {
  ...asked,
  comparison: Schema.optionalKey(ReloadChanges),
  backend: Schema.optionalKey(BackendChange),
  refusal: Schema.optionalKey(NotChanged)
})
export type Changed = typeof Changed.Type
export type Change = typeof Change.Type

/** All that is known has been told: listen. */
const Start = Schema.TaggedStruct("Start", {})

/** Asks for a Pong, which comes when all that was told before has been taken in. */
const Ping = Schema.TaggedStruct("Ping", {})

/** Finish what is under way, and end. */
const Stop = Schema.TaggedStruct("Stop", {})

/** Asks what others know. */
const Recall = Schema.TaggedStruct("Recall", { ask: Schema.Int, question: Question })

/** The answer to the Recall of that number. */
const Recalled = Schema.TaggedStruct("Recalled", { ask: Schema.Int, answer: Answer })

/** From the supervisor to a worker. */
export const Down = Schema.Union([
  Config,
  Status,
  Put,
  Removed,
  State,
  Others,
  Start,
  Ping,
  Stop,
  Recall,
  Recalled,
  Changed
])
export type Down = typeof Down.Type

const Listening = Schema.TaggedStruct("Listening", { port: Schema.Int })

const Pong = Schema.TaggedStruct("Pong", {})

/** The worker cannot start. */
const Failed = Schema.TaggedStruct("Failed", { reason: Schema.String })

/** A request saw a reason to probe a backend: its connection failed, or it refused the key. */
const Suspect = Schema.TaggedStruct("Suspect", { name: Schema.String })

/** How the worker stands with each backend; ages in milliseconds, -1 for never. */
const Figures = Schema.TaggedStruct("Figures", {
  backends: Schema.Array(Schema.Struct({ ...Standing.fields, aliveAgoMs: Schema.Number, failedAgoMs: Schema.Number }))
})

/** From a worker to the supervisor. */
export const Up = Schema.Union([Listening, Pong, Failed, Suspect, Figures, Recall, Recalled, Change])
export type Up = typeof Up.Type

/** How one worker stands with one backend. */
export type Standing = typeof Standing.Type
