/**
 * Faults as flags write them, such as `status=429 retry-after=3s every=2`, and which of them a request meets.
 */
import * as Result from "effect/Result"
import { nearest } from "../config/nearest.ts"
import { matchesGlob } from "../domain/glob.ts"
import { printable } from "../domain/printable.ts"
import type { MockFault } from "./mock-script.ts"

const units: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, "": 1 }

/** The seconds of a time such as 2s, 150ms or 1.5; undefined when it is none. */
const secondsOf = (text: string): number | undefined => {
  const [, count = "", unit = ""] = /^(\d{1,6}(?:\.\d{1,6})?)(ms|s|m|)$/.exec(text) ?? []
  const each = units[unit]
  // Thousandths are as fine as it gets: no float shows between them.
  return count === "" || each === undefined ? undefined : Math.round(Number(count) * each * 1000) / 1000
}

const numberOf = (text: string): number | undefined => (/^\d{1,9}(\.\d{1,9})?$/.test(text) ? Number(text) : undefined)

interface Word {
  readonly key: keyof MockFault
  readonly read: (text: string) => unknown
  readonly expected: string
}

const time = (key: keyof MockFault): Word => ({ key, read: secondsOf, expected: "a time such as 2s or 150ms" })
const count = (key: keyof MockFault, expected: string): Word => ({ key, read: numberOf, expected })
const mark = (key: keyof MockFault): Word => ({ key, read: (text) => text === "" || undefined, expected: "no value" })

const words: Readonly<Record<string, Word>> = {
  delay: time("delay_seconds"),
  status: count("status", "a status from 400 to 599"),
  "retry-after": time("retry_after_seconds"),
  garbage: mark("garbage"),
  empty: mark("empty"),
  reset: mark("reset"),
  cut: count("cut_at_piece", "a number of pieces"),
  stall: count("stall_at_piece", "a number of pieces"),
  error: count("error_at_piece", "a number of pieces"),
  every: count("every", "a number of requests"),
  probability: count("probability", "a share from 0 to 1"),
  times: count("times", "a number of requests"),
  model: { key: "model", read: (text) => text || undefined, expected: "the name of a model, or a glob" }
}

/** Reads a fault; a failure says which word of it is wrong, and what would be right. */
export const readFault = (text: string): Result.Result<Readonly<Record<string, unknown>>, string> => {
  const found: Record<string, unknown> = {}
  for (const part of text.split(/[\s,]+/).filter((each) => each !== "")) {
    const at = part.indexOf("=")
    const name = at < 0 ? part : part.slice(0, at)
    const word = Object.hasOwn(words, name) ? words[name] : undefined
    if (word === undefined) {
      const meant = nearest(name, Object.keys(words))
      const known = meant === undefined ? `there are ${Object.keys(words).join(", ")}` : `did you mean ${meant}?`
      return Result.fail(`'${printable(name.slice(0, 40))}' is no word of a fault: ${known}`)
    }
    const value = word.read(at < 0 ? "" : part.slice(at + 1))
    if (value === undefined) return Result.fail(`'${printable(part.slice(0, 60))}': ${name} takes ${word.expected}`)
    if (word.key in found) return Result.fail(`${name} is said twice`)
    found[word.key] = value
  }
  return Result.succeed(found)
}

/** Decides which fault each request meets; counts what has come and what has happened. */
export class FaultChooser {
  private readonly came: Array<number>
  private readonly done: Array<number>
  private readonly faults: ReadonlyArray<MockFault>
  private readonly random: () => number

  constructor(faults: ReadonlyArray<MockFault>, random: () => number) {
    this.random = random
    this.faults = faults
    this.came = faults.map(() => 0)
    this.done = faults.map(() => 0)
  }

  /** The fault of the next request for a model; undefined when it goes well. */
  next(model: string): MockFault | undefined {
    let chosen: MockFault | undefined
    for (const [at, fault] of this.faults.entries()) {
      if (fault.model !== undefined && !matchesGlob(fault.model, model)) continue
      const came = (this.came[at] ?? 0) + 1
      this.came[at] = came
      // One is enough; each counts what it is for all the same.
      if (chosen !== undefined || (fault.every !== undefined && came % fault.every !== 0)) continue
      if ((this.done[at] ?? 0) >= (fault.times ?? Number.POSITIVE_INFINITY)) continue
      if (fault.probability !== undefined && this.random() >= fault.probability) continue
      this.done[at] = (this.done[at] ?? 0) + 1
      chosen = fault
    }
    return chosen
  }
}
