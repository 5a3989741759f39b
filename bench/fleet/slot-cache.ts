/**
 * What a llama-server started with `-np N` keeps: the last sequence of each slot, and copies in RAM of sequences that were
 * pushed out of theirs.
 */
import { usable, type PromptCache } from "./caches.ts"
import { blockTokens, leadingBlocks, type Prompt } from "./prompt.ts"

type Sequence = ReadonlyArray<number>

interface Slot {
  sequence: Sequence
  busy: boolean
  /** When it was taken last, as a count of takings. */
  taken: number
}

/** Part of a new prompt that a slot must share to be taken for it. */
const likeEnough = 0.1

/** Part of its sequence that a slot must keep not to be saved, and RAM not to be searched. */
const keepsEnough = 0.5

/** Part of a copy that must be of use for it to be restored. */
const worthRestoring = 0.25

const shared = (prompt: Prompt, sequence: Sequence): number =>
  leadingBlocks(prompt, (block, at) => sequence[at] === block)

const share = (blocks: number, sequence: Sequence): number => (sequence.length === 0 ? 1 : blocks / sequence.length)

/** Slots with one sequence each, and so many tokens of copies. */
export const slotCache = (count: number, ramTokens: number): PromptCache => {
  const slots: ReadonlyArray<Slot> = Array.from({ length: count }, () => ({ sequence: [], busy: false, taken: 0 }))
  const copies: Array<Sequence> = []
  let takings = 0

  const choose = (prompt: Prompt, wanted: number | undefined): Slot | undefined => {
    if (wanted !== undefined) return slots[wanted % count]
    const idle = slots.filter(({ busy }) => !busy)
    const [likest] = idle
      .map((slot) => ({ slot, blocks: shared(prompt, slot.sequence) }))
      .toSorted((one, other) => other.blocks - one.blocks)
    if (likest !== undefined && likest.blocks > likeEnough * prompt.blocks.length) return likest.slot
    return idle.toSorted((one, other) => one.taken - other.taken)[0]
  }

  const copyFor = (prompt: Prompt, slot: Slot): Sequence | undefined => {
    const have = shared(prompt, slot.sequence)
    if (slot.sequence.length === 0 || share(have, slot.sequence) >= keepsEnough) return undefined
    const [best] = copies
      .map((copy) => ({ copy, blocks: shared(prompt, copy) }))
      .filter(({ blocks, copy }) => blocks > have && share(blocks, copy) >= worthRestoring)
      .toSorted((one, other) => other.blocks - one.blocks)
    return best?.copy
  }

  const save = (sequence: Sequence): void => {
    copies.push(sequence)
    let held = copies.reduce((sum, { length }) => sum + length, 0) * blockTokens
    while (held > ramTokens) held -= (copies.shift()?.length ?? 0) * blockTokens
  }

  return {
    take: (prompt, wanted) => {
      const slot = choose(prompt, wanted)
      if (slot === undefined || slot.busy) return undefined
      const copy = copyFor(prompt, slot)
      if (slot.sequence.length > 0 && share(shared(prompt, slot.sequence), slot.sequence) < keepsEnough) {
        save(slot.sequence)
      }
      if (copy !== undefined) {
        copies.splice(copies.indexOf(copy), 1)
        slot.sequence = copy
      }
      takings += 1
      slot.busy = true
      slot.taken = takings
      return slots.indexOf(slot)
    },
    cached: (at, prompt) => usable(shared(prompt, slots[at]?.sequence ?? []), prompt),
    filled: (at, prompt) => {
      const slot = slots[at]
      if (slot !== undefined) slot.sequence = prompt.blocks
    },
    release: (at, whole) => {
      const slot = slots[at]
      if (slot === undefined) return
      slot.busy = false
      slot.sequence = whole.blocks
    },
    peek: (prompt) => {
      const slot = choose(prompt, undefined)
      return slot === undefined ? 0 : usable(shared(prompt, copyFor(prompt, slot) ?? slot.sequence), prompt)
    },
    held: () => slots.map(({ busy, sequence }) => ({ busy, tokens: sequence.length * blockTokens })),
    clear: () => {
      copies.length = 0
      for (const slot of slots) slot.sequence = []
    }
  }
}
