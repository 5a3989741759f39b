/**
 * What llama-server's `/slots` shows of what each slot holds. Started as it is by default, all slots share one cache, and those that
 * are idle are emptied when another one is given work; nothing says so but that.
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { decodeEach, lenientField, RawEntries, TokenCount } from "./lenient.ts"

const Slot = Schema.Struct({
  id: Schema.Int,
  is_processing: Schema.Boolean,
  // The last task that it was given; absent before the first one.
  id_task: lenientField(Schema.Int),
  // What it holds.
  n_prompt_tokens: lenientField(TokenCount)
})

type Slot = typeof Slot.Type

const decodeSlot = Schema.decodeUnknownOption(Slot)
const decodeSlots = Schema.decodeUnknownOption(RawEntries)

const holds = ({ is_processing: busy, n_prompt_tokens: tokens }: Slot): boolean => !busy && (tokens ?? 0) > 0

const isEmptied = ({ id_task: task = -1, is_processing: busy, n_prompt_tokens: tokens }: Slot): boolean =>
  !busy && task >= 0 && tokens === 0

const latest = (slots: ReadonlyArray<Slot>): number =>
  slots.reduce((most, { id_task: task = -1 }) => Math.max(most, task), -1)

/** The slots of an answer; none where it is none. */
export const readSlots = (body: unknown): ReadonlyArray<Slot> =>
  decodeEach(decodeSlot, Option.getOrUndefined(decodeSlots(body)))

/**
 * Whether slots keep what they hold while others are given work; undefined where neither shows. `before` is what was seen of them last.
 */
export const slotsKeep = (before: ReadonlyArray<Slot>, now: ReadonlyArray<Slot>): boolean | undefined => {
  if (now.some(isEmptied)) return false
  if (latest(now) <= latest(before)) return undefined
  // Idle since then, while another one was given work.
  const kept = now.some((slot) =>
    before.some((then) => then.id === slot.id && then.id_task === slot.id_task && holds(then) && holds(slot))
  )
  return kept ? true : undefined
}
