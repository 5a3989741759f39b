/**
 * Questions that one worker asks the others by way of their supervisor, which waits for all their answers.
 */
import { type Answer, joined, noAnswer, type Question } from "../operations/Siblings.ts"
import { Legacy } from "./ended-workers.ts"
import type { Down, Up } from "./messages.ts"

interface Open<Slot> {
  readonly from: Slot
  /** The number that the asking worker gave it. */
  readonly ask: number
  readonly question: Question
  readonly waiting: Set<Slot>
  answer: Answer
}

/** Questions that wait for an answer at most; what is older was asked of a worker that has ended. */
const mostOpen = 100

// What the one who asks tells of itself is for the supervisor.
const forOthers = (question: Question): Question => (question._tag === "Measures" ? { _tag: "Measures" } : question)

/** Passes questions on to everyone else, and their answers back. */
export class Questions<Slot> {
  private readonly open = new Map<number, Open<Slot>>()
  private readonly others: (slot: Slot) => ReadonlyArray<Slot>
  private readonly tell: (slot: Slot, message: Down) => void
  private readonly legacy = new Legacy<Slot>()
  private next = 0

  constructor(others: (slot: Slot) => ReadonlyArray<Slot>, tell: (slot: Slot, message: Down) => void) {
    this.others = others
    this.tell = tell
  }

  /** Takes a question or an answer of a worker. */
  take(from: Slot, message: Up & { readonly _tag: "Recall" | "Recalled" }): void {
    this.legacy.hear(from, message)
    if (message._tag === "Recall") this.asked(from, message.ask, message.question)
    else this.answered(message.ask, from, message.answer)
  }

  /** A worker has ended: questions do not wait for it any more, and its figures stay. */
  gone(slot: Slot): void {
    const answer = this.legacy.leave(slot)
    for (const [number, { question }] of this.open) {
      this.answered(number, slot, question._tag === "Measures" ? answer : noAnswer)
    }
  }

  private asked(from: Slot, ask: number, question: Question): void {
    const others = this.others(from)
    const answer = this.legacy.answerTo(question)
    if (others.length === 0) return this.tell(from, { _tag: "Recalled", ask, answer })
    for (const oldest of this.open.keys()) {
      if (this.open.size < mostOpen) break
      this.open.delete(oldest)
    }
    this.next += 1
    this.open.set(this.next, { from, ask, question, waiting: new Set(others), answer })
    for (const other of others) this.tell(other, { _tag: "Recall", ask: this.next, question: forOthers(question) })
  }

  private answered(number: number, by: Slot, answer: Answer): void {
    const question = this.open.get(number)
    if (question === undefined || !question.waiting.delete(by)) return
    question.answer = joined(question.answer, answer)
    if (question.waiting.size > 0) return
    this.open.delete(number)
    this.tell(question.from, { _tag: "Recalled", ask: question.ask, answer: question.answer })
  }
}
