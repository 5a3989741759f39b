/**
 * Hooks as the settings have them: who judges requests and answers outside of the gateway, and which ones.
 */
import type * as Redacted from "effect/Redacted"
import { matchesAny } from "./glob.ts"

/** What a hook is shown. */
export const hookPhases = ["request", "answer"] as const

/** One of {@link hookPhases}. */
export type HookPhase = (typeof hookPhases)[number]

/** What becomes of a request that a hook cannot judge. */
export const hookFailures = ["block", "allow"] as const

/** What has come of asking a hook: of several times, what weighs most, the heaviest last. */
export const hookActions = ["allow", "replace", "unseen", "failed", "block"] as const

/** One of {@link hookActions}. */
export type HookAction = (typeof hookActions)[number]

/** A hook. */
export interface HookRule {
  readonly name: string
  readonly url: string
  readonly key: Redacted.Redacted<string> | undefined
  readonly phases: ReadonlyArray<HookPhase>
  /** Models by any of their names; all when absent. */
  readonly models?: ReadonlyArray<string>
  /** Names of keys; requests without a key have none. All when absent. */
  readonly keys?: ReadonlyArray<string>
  readonly timeoutMs: number
  readonly onError: (typeof hookFailures)[number]
  /** How much of a stream it is shown at a time: so many characters, or what has come in so many milliseconds. */
  readonly windowChars: number
  readonly windowMs: number
  /** How many characters of a window come again in the next one. */
  readonly overlapChars: number
}

/** What has come of asking a hook for one request, however often. */
export interface HookNote {
  readonly hook: string
  readonly phase: HookPhase
  readonly action: HookAction
  readonly calls: number
  /** Milliseconds that it took, all calls together. */
  readonly ms: number
}

/** Whether a hook is for a request; its model is known by several names, or by none yet. */
export const isHookFor = (
  { keys, models }: Pick<HookRule, "keys" | "models">,
  names: Iterable<string> | undefined,
  key: string | undefined
): boolean => {
  if (keys !== undefined && (key === undefined || !matchesAny(keys, key))) return false
  if (models === undefined || names === undefined) return true
  for (const name of names) if (matchesAny(models, name)) return true
  return false
}

/** The notes with one more call. */
export const withHookCall = (
  notes: ReadonlyArray<HookNote>,
  call: Omit<HookNote, "calls">
): ReadonlyArray<HookNote> => {
  const same = ({ hook, phase }: HookNote): boolean => hook === call.hook && phase === call.phase
  const before = notes.find(same)
  if (before === undefined) return [...notes, { ...call, calls: 1 }]
  const heavier = hookActions.indexOf(call.action) > hookActions.indexOf(before.action) ? call.action : before.action
  return notes.map((note) =>
    note === before ? { ...note, action: heavier, calls: note.calls + 1, ms: note.ms + call.ms } : note
  )
}
