/**
 * Finds workers that hang: they are there, and say nothing any more.
 */
import * as Effect from "effect/Effect"
import { awakeMs } from "../upstream/ProcessPauses.ts"
import type { WorkerSlot } from "./broadcast.ts"

/** What is asked of a worker's place. */
type Watched = Pick<WorkerSlot, "number" | "child" | "said" | "listens">

/** Since when a worker has said nothing, in milliseconds in which its supervisor ran. */
export interface WorkerSilence {
  readonly child: WorkerSlot["child"]
  readonly said: number
  readonly since: number
}

/** Longest silence of a worker that listens, which tells its figures four times a second, in milliseconds. */
export const silentMs = 3500

/** Longest time a worker may take to start, in milliseconds. */
export const startMs = 30_000

const lookEveryMs = 250

/** The silence of a worker now; a new one begins with every word, and with every new worker. */
export const silenceOf = (before: WorkerSilence | undefined, { child, said }: Watched, now: number): WorkerSilence =>
  before !== undefined && before.child === child && before.said === said ? before : { child, said, since: now }

/** Whether a silence has been too long. */
export const isHanging = ({ since }: WorkerSilence, { child, listens }: Watched, now: number): boolean =>
  child !== undefined && now - since > (listens ? silentMs : startMs)

/** Ends the workers that hang, for ever: their places do the rest. */
export const endHanging = (slots: ReadonlyArray<Watched>): Effect.Effect<never> => {
  const silences = new Map<Watched, WorkerSilence>()
  const look = Effect.flatMap(awakeMs, (now) => {
    const hanging = slots.filter((slot) => {
      const silence = silenceOf(silences.get(slot), slot, now)
      silences.set(slot, silence)
      return isHanging(silence, slot, now)
    })
    return Effect.forEach(
      hanging,
      ({ number, child }) => {
        // The signal that a stopped process cannot keep waiting.
        child?.kill("SIGKILL")
        return Effect.annotateLogs(Effect.logError("worker does not answer, it is ended"), { worker: number })
      },
      { discard: true }
    )
  })
  return Effect.forever(Effect.andThen(Effect.sleep(lookEveryMs), look))
}
