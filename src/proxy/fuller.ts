/**
 * Servers that hear more in another dialect than in their main one: when they are asked in it, and with what of their own.
 */
import { kindNamed } from "../backend/all.ts"
import { isStrict } from "../backend/backend.ts"
import { contextNow, sizedContext, tuningFor } from "../backend/tuning.ts"
import type { Dialect } from "../dialect/Dialect.ts"
import type { RoutingNeeds } from "../domain/request.ts"
import type { Tuning } from "../domain/server.ts"
import type { Candidate } from "../registry/snapshot.ts"

type Fields = Readonly<Record<string, unknown>>

/** How a server is asked in its fuller dialect. */
export interface Fuller {
  readonly dialect: string
  /** Fields of its own that it is told. */
  readonly own: Fields
  /** The context that it is to have the model in. */
  readonly context: number | undefined
  /** The fields of the client's that are heard by it. */
  readonly heard: ReadonlyArray<string>
}

/** What is known of a request beside the server. */
export interface FullerRequest {
  readonly dialect: string
  readonly body: Uint8Array
  readonly needs: RoutingNeeds
}

const decoder = new TextDecoder()
const encoder = new TextEncoder()

// Called on the bytes as they are: a Buffer over them would make the engine give them another form.
const { indexOf } = Buffer.prototype

const encodedMarks = new WeakMap<ReadonlyArray<string>, ReadonlyArray<Uint8Array>>()

const marksOf = (marks: ReadonlyArray<string>): ReadonlyArray<Uint8Array> => {
  const known = encodedMarks.get(marks)
  if (known !== undefined) return known
  const made = marks.map((mark) => encoder.encode(mark))
  encodedMarks.set(marks, made)
  return made
}

/** Whether one of some texts is in a body; the texts are kept as bytes, and so one list of them. */
export const hasMark = (body: Uint8Array, marks: ReadonlyArray<string>): boolean =>
  marksOf(marks).some((mark) => indexOf.call(body, mark) >= 0)

/** The fields of a body; none where it is no JSON object. */
export const fieldsOfBody = (body: Uint8Array): Readonly<Record<string, unknown>> => {
  try {
    const json: unknown = JSON.parse(decoder.decode(body))
    return typeof json === "object" && json !== null ? { ...json } : {}
  } catch {
    return {}
  }
}

const contextFor = (
  { model, state: { live } }: Candidate,
  { leastContext: least, mostContext: most }: Tuning,
  needs: RoutingNeeds
): number | undefined => {
  if (least === undefined || most === undefined) return least
  const now = performance.now()
  const tokens = sizedContext({ least, most }, needs, contextNow(model, live.contexts.get(model.id), live.probedAt))
  live.contexts.set(model.id, { tokens, at: now })
  return tokens
}

/** The tuning of a candidate in its own words, with the context for this request. */
const ownOf = (candidate: Candidate, needs: RoutingNeeds): Pick<Fuller, "context" | "own"> | undefined => {
  const tuning = tuningFor(candidate.state.backend, candidate.model.id)
  const fuller = kindNamed(candidate.state.backend.type).fuller
  if (tuning === undefined || fuller === undefined) return undefined
  return { own: fuller.own(tuning), context: contextFor(candidate, tuning, needs) }
}

// What of the body its main dialect does not hear; the bytes are looked through before they are parsed.
const heardIn = (candidate: Candidate, { body, dialect }: FullerRequest): Fields | undefined => {
  const { fuller, speaks } = kindNamed(candidate.state.backend.type)
  if (fuller === undefined || dialect !== speaks.main) return undefined
  return hasMark(body, fuller.marks) ? fuller.hears(fieldsOfBody(body)) : undefined
}

const isSetting = (value: unknown): value is Fields => typeof value === "object" && value !== null

/** Whether a candidate is asked in its fuller dialect by a request in another one. */
export const wantsFuller = (candidate: Candidate, request: FullerRequest): boolean => {
  const { fuller } = kindNamed(candidate.state.backend.type)
  if (fuller === undefined || request.dialect === fuller.dialect) return false
  return (
    tuningFor(candidate.state.backend, candidate.model.id) !== undefined || heardIn(candidate, request) !== undefined
  )
}

/** How a candidate is asked in its fuller dialect; undefined where nothing calls for it. `unheard` as a chat of the hub. */
export const fullerFor = (
  candidate: Candidate,
  request: FullerRequest,
  unheard?: { readonly chat: object }
): Fuller | undefined => {
  const { fuller } = kindNamed(candidate.state.backend.type)
  if (fuller === undefined || request.dialect === fuller.dialect) return undefined
  const tuned = ownOf(candidate, request.needs)
  const heard = heardIn(candidate, request)
  if (tuned === undefined && heard === undefined && !fuller.needs({ ...unheard?.chat })) return undefined
  const own: Record<string, unknown> = { ...tuned?.own }
  for (const [name, value] of Object.entries(heard ?? {})) {
    const before = own[name]
    own[name] = isSetting(before) && isSetting(value) ? { ...before, ...value } : value
  }
  return { dialect: fuller.dialect, own, context: tuned?.context, heard: Object.keys(heard ?? {}) }
}

/** The tuning of a candidate that is asked in its fuller dialect by its client already. */
export const tunedFor = (
  candidate: Candidate,
  dialect: string,
  needs: RoutingNeeds
): Pick<Fuller, "context" | "own"> | undefined =>
  kindNamed(candidate.state.backend.type).fuller?.dialect === dialect ? ownOf(candidate, needs) : undefined

/** A body in the words of its client without what a server can make nothing of: seals of this gateway, and what only others take. */
export const openedFor = ({ model, state }: Candidate, dialect: Dialect, body: Uint8Array): Uint8Array => {
  const open = dialect.withoutSeals?.(body) ?? body
  return isStrict(state.backend, model) ? (dialect.withoutForeign?.(open) ?? open) : open
}
