/**
 * Chance that can be repeated: the same seed gives the same run of numbers.
 */

/** Numbers from 0 (included) to 1 (excluded). */
export type Chance = () => number

/** The numbers of a seed. */
export const chanceOf = (seed: number): Chance => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** A key of the weights, as often as its weight says. */
export const pick = <K extends string>(chance: Chance, weights: Readonly<Record<K, number>>): K => {
  const entries = Object.entries<number>(weights)
  let left = chance() * entries.reduce((sum, [, weight]) => sum + weight, 0)
  for (const [key, weight] of entries) {
    left -= weight
    if (left < 0) return key as K // reason: a key of the record
  }
  throw new Error("no weights")
}

/** A whole number from `from` to `to`, both included. */
export const between = (chance: Chance, from: number, to: number): number =>
  from + Math.floor(chance() * (to - from + 1))
