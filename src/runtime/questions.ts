/**
 * Questions that one worker asks the others by way of their supervisor, which waits for all their answers.
 */
import { type Memories, noMemories } from "../http/Siblings.ts"
import type { Down, Up } from "./messages.ts"

interface Open<Slot> {
  readonly from: Slot
  /** The number that the asking worker gave it. */
  readonly ask: number
  waiting: number
  memories: Memories
}

/** Questions that wait for an answer at most; what is older was asked of a worker that has ended. */
const mostOpen = 100

/** Passes questions on to everyone else, and their answers back. */
export class Questions<Slot> {
  private readonly open = new Map<number, Open<Slot>>()
  private readonly others: (slot: Slot) => ReadonlyArray<Slot>
  private readonly tell: (slot: Slot, message: Down) => void
  private next = 0

  constructor(others: (slot: Slot) => ReadonlyArray<Slot>, tell: (slot: Slot, message: Down) => void) {
    this.others = others
    this.tell = tell
  }

  /** Takes a question or an answer of a worker. */
  take(from: Slot, message: Up & { readonly _tag: "Recall" | "Recalled" }): void {
    if (message._tag === "Recall") this.asked(from, message.ask, message.id)
    else this.answered(message.ask, message)
  }

  private asked(from: Slot, ask: number, id: string | undefined): void {
    const others = this.others(from)
    if (others.length === 0) return this.tell(from, { _tag: "Recalled", ask, ...noMemories })
    for (const oldest of this.open.keys()) {
      if (this.open.size < mostOpen) break
      this.open.delete(oldest)
    }
    this.next += 1
    this.open.set(this.next, { from, ask, waiting: others.length, memories: noMemories })
    for (const other of others) {
      this.tell(other, { _tag: "Recall", ask: this.next, ...(id === undefined ? {} : { id }) })
    }
  }

  private answered(number: number, { requests, explained }: Memories): void {
    const question = this.open.get(number)
    if (question === undefined) return
    const { memories } = question
    question.memories = {
      requests: [...memories.requests, ...requests],
      explained: [...memories.explained, ...explained]
    }
    question.waiting -= 1
    if (question.waiting > 0) return
    this.open.delete(number)
    this.tell(question.from, { _tag: "Recalled", ask: question.ask, ...question.memories })
  }
}
