/**
 * Which slot of a server is to take a request: whether that can be said in its body, and the body in which it is.
 */
import { type Backend, namedSlots, slotFieldOf, speakerOf } from "../backend/backend.ts"
import type { DialectRoute } from "../dialect/Dialect.ts"
import type { Pinning } from "../fleet/slot-pins.ts"
import type { Candidate } from "../registry/snapshot.ts"
import { isSource, type RequestBody } from "../wire/request-bytes.ts"
import { StreamedBody } from "./streamed-body.ts"

const brace = 0x7b

const { indexOf } = Buffer.prototype

// Whether a JSON text has a string that is just this, be it a name or a value.
const hasText = (body: Uint8Array, text: string): boolean => indexOf.call(body, `"${text}"`) >= 0

// What others are asked in place of: it alone has a field for it.
const isChat = (backend: Backend, { dialect, operation }: DialectRoute): boolean =>
  operation.server !== undefined && dialect.id === speakerOf(backend, undefined).speaking.main

/** How a server can be told which slot is to take a request; undefined where it has not several of which it tells. */
export const pinningFor = (
  { model, state }: Candidate,
  route: DialectRoute,
  body: Uint8Array | StreamedBody
): Omit<Pinning, "alone"> | undefined => {
  const { type } = state.backend
  const slots = namedSlots(state.backend, model)
  const field = slotFieldOf(type)
  if (slots === 0 || field === undefined) return undefined
  if (body instanceof StreamedBody || !isChat(state.backend, route)) return { slots, continues: false, names: false }
  // Who says it himself knows better.
  return { slots, continues: hasText(body, "assistant"), names: !hasText(body, field) }
}

/** A body in which the slot is named, before all other fields; it is an object that is not empty. */
export const withSlot = (body: RequestBody, { state }: Candidate, slot: number | undefined): RequestBody => {
  const field = slotFieldOf(state.backend.type)
  if (slot === undefined || field === undefined || isSource(body)) return body
  const [first, ...rest] = body instanceof Uint8Array ? [body] : body
  const at = first?.indexOf(brace) ?? -1
  if (first === undefined || at < 0) return body
  return [first.subarray(0, at + 1), Buffer.from(`"${field}":${slot},`), first.subarray(at + 1), ...rest]
}
