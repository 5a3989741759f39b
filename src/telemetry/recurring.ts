/**
 * What is made of values that recur, kept for the next time that they do: whoever asks, for what and of whom differs little
 * from one request to the next, and to put it into words again costs more than to see that it is the same.
 */

type Value = string | number | boolean | undefined | null

interface Slot<Values, Made> {
  readonly values: Values
  readonly made: Made
}

// As many as there are combinations at a time in all but the largest fleets; with more of them some are made again.
const slots = 256

const placeOf = (values: ReadonlyArray<Value>): number => {
  let hash = 0
  for (const value of values) {
    if (typeof value === "string") hash = (hash * 31 + value.length * 7 + value.charCodeAt(value.length - 1)) | 0
    else hash = (hash * 31 + Number(value ?? -1)) | 0
  }
  return hash & (slots - 1)
}

const isOf = (slot: Slot<ReadonlyArray<Value>, unknown>, values: ReadonlyArray<Value>): boolean => {
  const known = slot.values
  for (let at = 0; at < values.length; at += 1) if (values[at] !== known[at]) return false
  return true
}

/** What a pure function makes of values, remembered for those that came last. */
export class Recurring<Values extends ReadonlyArray<Value>, Made> {
  private readonly slots: Array<Slot<Values, Made> | undefined> = Array.from({ length: slots })
  private last: Slot<Values, Made> | undefined
  private readonly make: (...values: Values) => Made

  constructor(make: (...values: Values) => Made) {
    this.make = make
  }

  /** What is made of these; no list is made of them that are those of the last time, as nearly all are. */
  of(...values: Values): Made {
    const { last } = this
    return last !== undefined && isOf(last, values) ? last.made : this.find(...values)
  }

  private find(...values: Values): Made {
    const place = placeOf(values)
    let slot = this.slots[place]
    if (slot === undefined || !isOf(slot, values)) {
      slot = { values, made: this.make(...values) }
      this.slots[place] = slot
    }
    this.last = slot
    return slot.made
  }
}
