/**
 * Whether a server that refuses has all it can work on, which is over as soon as something there ends, or has counted what was
 * asked of it in a time, which is over when that time is.
 */
import { errorWords } from "../domain/error-text.ts"
import type { ErrorStatus } from "../domain/upstream-errors.ts"

/** What is known of a server that refuses. */
export interface Refusing {
  /** Whether it is one of the user's own machines. */
  readonly local: boolean
  /** How many other requests it has of this gateway. */
  readonly working: number
}

/** How long a server that is full is left alone at least and at most, in milliseconds; less where something ends there. */
export const fullPauseMs = { least: 1000, most: 10_000 } as const

// So many at a time: that is never a matter of minutes, whoever says it.
const atOnce =
  /\b(?:concurrent|concurrency|simultaneous(?:ly)?|in[\s_-]?flight|parallel)\b|\bmaximum pending requests\b|\bhas all it can take\b/i

// So many in a time, or for so much money.
const inTime =
  /rate[\s_-]?limit|quota|\bper[\s_-](?:second|minute|hour|day|month)|\b[rt]p[smhd]\b|billing|\bcredits?\b|\bbalance\b|tokens per|too many tokens/i

// What servers say that work on as much as they can; clouds say it of all of their customers together.
const busy =
  /\b(?:server|queue|slots?|workers?|model|engine|backend|gpu|system|service)\b[^.]{0,24}\b(?:full|busy|overloaded|at capacity|saturated)\b|\bno (?:free |available |idle )?(?:slots?|workers?|capacity)\b|\bat (?:full |max(?:imum)? )?capacity\b|\ball (?:slots|workers)\b/i

// It will work, and does not yet.
const notYet = /\b(?:loading|starting|warming|not ready|maintenance|restart|shutting|draining|sleep)/i

// What is said where nobody says why; whatever else is said is an answer to whoever asks.
const vague = /^\s*$|\bbusy\b|\btoo many requests\b|\btry again\b/i

// What OpenAI's type of error and its like say whatever is short.
const typed = /rate_limit|resource_exhausted|throttl/i

const decoder = new TextDecoder()

/** Whether a refusal says, or most likely means, that the server has all it can work on. */
export const isFull = (error: ErrorStatus, { local, working }: Refusing): boolean => {
  const { body, counts, retryAfterMs, status } = error
  if (status !== 429 && status !== 503) return false
  // Who tells what is left of limits has told which of them it is.
  if (counts === true) return false
  const text = decoder.decode(body.subarray(0, 4096))
  const words = errorWords(body) ?? text
  if (atOnce.test(words)) return true
  if (!local || inTime.test(words) || notYet.test(words)) return false
  if (busy.test(words)) return true
  const isSoon = retryAfterMs !== undefined && retryAfterMs <= fullPauseMs.most
  if (status === 503) return isSoon && working > 0
  return vague.test(words) && (working > 0 || (isSoon && !typed.test(text)))
}

/** How long it is left alone, in milliseconds. */
export const pauseOf = ({ retryAfterMs = fullPauseMs.least }: Pick<ErrorStatus, "retryAfterMs">): number =>
  Math.min(fullPauseMs.most, Math.max(fullPauseMs.least, retryAfterMs))
