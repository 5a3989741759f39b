/**
 * What a workload is: a fleet, clients who ask, and figures of how it went.
 */
import type { Chance } from "../soak/chance.ts"
import type { Question, Told } from "./client.ts"
import type { MachineSpec } from "./machine.ts"
import type { Counted } from "./runner.ts"
import type { SimClock } from "./sim-clock.ts"

/** What clients have. */
export interface World {
  readonly clock: SimClock
  readonly chance: Chance
  /** Asks, and resolves at the end of the answer; it is told of in the result as well. */
  readonly ask: (question: Question) => Promise<Told>
  /** Starts all servers anew, with nothing in their caches of prompts; nobody is told. */
  readonly restart: () => void
}

/** How a run went. */
export interface Result {
  readonly answers: ReadonlyArray<Told>
  /** Of each server, in the order of the fleet. */
  readonly counted: ReadonlyArray<Counted>
  /** When the first question was asked. */
  readonly from: number
  /** Seconds from the first question to the end of the last answer. */
  readonly makespan: number
}

/** What a figure of Nexus has to keep to. */
export interface Target {
  readonly text: string
  /** Judges the figure by the better one of Nexus as it was. */
  readonly ok: (value: number, before: number) => boolean
}

/** One figure of a run. */
export interface Figure {
  readonly what: string
  readonly digits: number
  readonly better: "less" | "more"
  readonly of: (result: Result) => number
  readonly target?: Target
}

/** The figure with a target. */
export const aiming = (figure: Figure, target: Target): Figure => ({ ...figure, target })

/** At most such a part of what it was. */
export const atMostOf = (part: number, text: string): Target => ({
  text: `≤ ${text} of before`,
  ok: (value, before) => value <= part * before
})

/** At least such a part of what it was. */
export const atLeastOf = (part: number): Target => ({
  text: `≥ ${String(part)} of before`,
  ok: (value, before) => value >= part * before
})

/** At most so much, whatever it was. */
export const notAbove = (limit: number): Target => ({ text: `≤ ${String(limit)}`, ok: (value) => value <= limit })

/** At least so much, whatever it was. */
export const notBelow = (limit: number): Target => ({ text: `≥ ${String(limit)}`, ok: (value) => value >= limit })

/** A workload. */
export interface Workload {
  readonly letter: string
  readonly title: string
  /** How many times as fast as real time it is run, unless told. */
  readonly speed: number
  readonly fleet: ReadonlyArray<MachineSpec>
  readonly keys: ReadonlyArray<string>
  readonly batchKeys: ReadonlyArray<string>
  /** Whether the config asks for a second attempt where a first token is late. */
  readonly hedged?: boolean
  readonly drive: (world: World) => Promise<void>
  readonly figures: ReadonlyArray<Figure>
}
