/**
 * How long what a server works on is going to take, by the speeds and averages that were measured of it. Times in milliseconds.
 */
import { awaited, type RecentTurns } from "./recent-turns.ts"
import type { Running, Seen } from "./running.ts"
import type { Speeds } from "./speeds.ts"
import type { TokenAverages } from "./token-averages.ts"

// A request that has taken longer than was expected is taken to go on for this share of the time that it has taken, or that was
// expected where that is more: it never counts as about to end.
const overdue = 0.25

/** What one server with one model is expected to do. */
export class Forecast {
  private readonly running: ReadonlyArray<Running>
  private readonly speeds: Speeds
  private readonly tokens: TokenAverages
  private readonly turns: RecentTurns

  /** `running` is what it works on, which may change; the others are what was learned of it. */
  constructor(running: ReadonlyArray<Running>, speeds: Speeds, tokens: TokenAverages, turns: RecentTurns) {
    this.running = running
    this.speeds = speeds
    this.tokens = tokens
    this.turns = turns
  }

  /** From the beginning of a request to its first token; undefined where nothing was measured. */
  firstToken({ ahead, cached, work }: Running): number | undefined {
    const { baseMs, readMs } = this.speeds
    if (readMs === undefined && baseMs === undefined) return undefined
    return (ahead + this.tokens.ofPrompt(work) - cached) * (readMs ?? 0) + (baseMs ?? 0)
  }

  /** From the beginning of a request until anything is seen of its answer: all of it where it comes in one piece. */
  firstSeen(running: Running): number | undefined {
    const { output, whole = false } = running.work
    const first = this.firstToken(running)
    if (first === undefined || !whole) return first
    const writeMs = this.speeds.writeMs(this.running.length)
    return writeMs === undefined ? undefined : first + output * writeMs
  }

  /** By how much later a whole answer came than was to be expected of a model that is in memory; undefined where that is not known. */
  wholeBeyond(running: Running, { tokens }: Seen, now: number): number | undefined {
    const took = now - running.at
    const first = this.firstToken(running)
    if (running.work.output === 0) return first === undefined ? undefined : Math.max(0, took - first)
    const writeMs = this.speeds.writeMs(this.running.length)
    const count = tokens !== undefined && tokens.completion > 0 ? tokens.completion : this.tokens.answer
    if (writeMs === undefined || count === undefined) return undefined
    return Math.max(0, took - (first ?? 0) - count * writeMs)
  }

  /** From now until one of `places`, all of them taken, is free for a request that waits behind `before` others. */
  freeIn(places: number, before: number, now: number): number {
    const { running } = this
    const which = running.length - places + before
    if (which < 0) return 0
    const left = running.map((each) => this.leftOf(each, now)).toSorted((a, b) => a - b)
    const round = left.at(-1) ?? 0
    return (left[which % left.length] ?? 0) + Math.floor(which / Math.max(1, left.length)) * round
  }

  /** From now until everything that it works on is done. */
  idleIn(now: number): number {
    let most = 0
    for (const each of this.running) most = Math.max(most, this.leftOf(each, now))
    return most
  }

  /**
   * How long the next turns of `count` conversations that are here are likely to wait, in sum, because a prompt is read from `from`
   * to `to` (from now), when they come `pauseMs` after the answers to the last ones, on average.
   */
  keepsWaiting(count: number, from: number, to: number, pauseMs: number, now: number): number {
    const { running, tokens, turns } = this
    const writeMs = this.speeds.writeMs(running.length)
    const writing = tokens.answer === undefined || writeMs === undefined ? Infinity : tokens.answer * writeMs
    let sum = 0
    let idle = count
    for (const { firstAt, work } of running) {
      // Of those whose answers are not over by then it only matters how many they are.
      if (idle <= 0 && overdue * writing >= to) break
      const left = firstAt === 0 ? from + writing : Math.max(overdue * writing, firstAt + writing - now)
      if (work.chain === undefined || (left >= to && idle <= 0) || !turns.has(work.chain.root)) continue
      idle -= 1
      if (left < to) sum += awaited(to - left, pauseMs) - awaited(from - left, pauseMs)
    }
    return idle <= 0 ? sum : sum + idle * (awaited(to, pauseMs) - awaited(from, pauseMs))
  }

  // From now until one of those that it works on is done.
  private leftOf({ ahead, at, cached, firstAt, work }: Running, now: number): number {
    const { readMs = 0 } = this.speeds
    const reading = (ahead + this.tokens.ofPrompt(work) - cached) * readMs + (this.speeds.baseMs ?? 0)
    // How many tokens an answer may have says little of how many it has.
    const writing =
      Math.min(work.output, this.tokens.answer ?? Infinity) * (this.speeds.writeMs(this.running.length) ?? 0)
    const since = now - (firstAt === 0 ? at : firstAt)
    const whole = firstAt === 0 ? reading + writing : writing
    return Math.max(whole - since, overdue * Math.max(whole, since))
  }
}
