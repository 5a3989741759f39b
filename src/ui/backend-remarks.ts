/**
 * What is worth a look at a backend that answers: calls of it that fail, first tokens that come late, and requests that wait
 * for one of its slots.
 */
import type { BackendEntry } from "../api/backend-entry.ts"
import type { Stats } from "../api/stats-api.ts"
import { count, percent, span } from "./words.ts"

type Figures = Stats["backends"][number]

/** A backend with its figures. */
export interface KnownBackend {
  readonly backend: BackendEntry
  readonly figures: Figures | undefined
}

type Queue = NonNullable<Stats["queue"]>

interface Remarked {
  readonly backend: Pick<BackendEntry, "in_flight" | "mode" | "name"> & {
    readonly models: ReadonlyArray<{ readonly id: string }>
  }
  readonly figures: Pick<Figures, "error_rate" | "first_token_ms" | "slots"> | undefined
}

// Less than that happens to everybody.
const manyErrors = 0.1
const lateMs = 300
const lateTimes = 3

// The middle one of all but this one, which is among them; they are in their order.
const middleBeside = (value: number, sorted: ReadonlyArray<number>): number | undefined => {
  const middle = Math.floor((sorted.length - 1) / 2)
  return sorted[middle < sorted.indexOf(value) ? middle : middle + 1]
}

const firstOf = ({ figures }: Remarked): number | undefined => figures?.first_token_ms?.p50

/** That it has all it can take while others wait for what it has; one with a slot that is free, or that is left alone, is not full. */
const fullness = ({ backend, figures }: Remarked, queue: Queue): string | undefined => {
  const { in_flight: working, mode, models, name } = backend
  if (working === 0 || mode !== "enabled") return undefined
  const isTaken = (model: string): boolean => {
    const known = figures?.slots?.find((each) => each.model === model)
    return models.some(({ id }) => id === model) && (known === undefined || (known.in_flight ?? working) >= known.slots)
  }
  // A group goes by other names at backends.
  const isWanted = ({ candidates, model }: Queue[number]): boolean =>
    candidates === undefined
      ? isTaken(model)
      : candidates.some((candidate) => candidate.backend === name && isTaken(candidate.model))
  const line = queue.find((each) => each.waiting > 0 && isWanted(each))
  if (line === undefined) return undefined
  const { longest_wait_ms: longest, model, waiting } = line
  const wait = waiting === 1 ? "1 request waits" : `${count(waiting)} requests wait`
  return `full: ${wait} for a slot of ${model}, the first for ${span(longest)}`
}

/**
 * What is to be said of each, by name; of most there is nothing. Late is what is so beside others with the same models; `queue`
 * is what waits for slots.
 */
export const remarksOf = (
  all: ReadonlyArray<Remarked>,
  queue: Queue = []
): ReadonlyMap<string, ReadonlyArray<string>> => {
  const byModel = new Map<string, Array<Remarked>>()
  for (const known of all) {
    if (firstOf(known) === undefined) continue
    for (const { id } of known.backend.models) {
      const withIt = byModel.get(id)
      if (withIt === undefined) byModel.set(id, [known])
      else withIt.push(known)
    }
  }
  // Those with the same models stand beside the same ones.
  const beside = new Map<string, ReadonlyArray<number>>()
  const timesBeside = (ids: ReadonlyArray<string>): ReadonlyArray<number> => {
    const key = JSON.stringify(ids)
    const known = beside.get(key)
    if (known !== undefined) return known
    const each = [...new Set(ids.flatMap((id) => byModel.get(id) ?? []))]
    const times = each.flatMap((one) => firstOf(one) ?? []).toSorted((a, b) => a - b)
    beside.set(key, times)
    return times
  }
  const lateness = (known: Remarked): string | undefined => {
    const first = firstOf(known) ?? 0
    if (first < lateMs) return undefined
    const usual = middleBeside(first, timesBeside(known.backend.models.map(({ id }) => id)))
    if (usual === undefined || first < lateTimes * usual) return undefined
    return `slow: its first token takes ${span(first)}, that of others with its models ${span(usual)}`
  }
  const remarks = new Map<string, ReadonlyArray<string>>()
  for (const known of all) {
    const rate = known.figures?.error_rate ?? 0
    const failing = rate < manyErrors ? undefined : `${percent(rate)} of its calls failed in the last minute`
    const said = [failing, fullness(known, queue), lateness(known)].filter((each) => each !== undefined)
    if (said.length > 0) remarks.set(known.backend.name, said)
  }
  return remarks
}
