/**
 * Paces many streams with one timer: the period is cut into slots of a millisecond, each stream sits in one of them.
 */

/** Something that wants a tick each period. */
export interface Paced {
  slot: Set<Paced> | undefined
  readonly tick: () => void
}

interface Wheel {
  readonly slots: ReadonlyArray<Set<Paced>>
  at: number
}

const wheels = new Map<number, Wheel>()

const turn = (wheel: Wheel): void => {
  const now = Math.floor(performance.now())
  // After a long pause the missed rounds are dropped, not made up for in a burst.
  if (now - wheel.at > wheel.slots.length) wheel.at = now - wheel.slots.length
  while (wheel.at < now) {
    wheel.at += 1
    for (const member of wheel.slots[wheel.at % wheel.slots.length] ?? []) member.tick()
  }
}

const wheelOf = (periodMs: number): Wheel => {
  const known = wheels.get(periodMs)
  if (known !== undefined) return known
  const wheel: Wheel = {
    slots: Array.from({ length: periodMs }, () => new Set<Paced>()),
    at: Math.floor(performance.now())
  }
  wheels.set(periodMs, wheel)
  setInterval(() => {
    turn(wheel)
  }, 1)
  return wheel
}

/** Gives `member` a tick each `periodMs`, in the emptiest slot. */
export const join = (periodMs: number, member: Paced): void => {
  let emptiest: Set<Paced> | undefined
  for (const slot of wheelOf(periodMs).slots) {
    if (emptiest === undefined || slot.size < emptiest.size) emptiest = slot
  }
  emptiest?.add(member)
  member.slot = emptiest
}

/** Ends the ticks of `member`. */
export const leave = (member: Paced): void => {
  member.slot?.delete(member)
  member.slot = undefined
}
