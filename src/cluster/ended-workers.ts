/**
 * What workers have counted that have ended: a worker that is started anew counts from 0, and the whole must not go back.
 */
import { type Answer, noAnswer, type Question } from "../operations/Siblings.ts"
import { bequeathed, type Measures } from "../telemetry/measures.ts"
import type { Up } from "./messages.ts"

/** Keeps the figures that each worker told last, and those of the ones that have ended. */
export class Legacy<Slot> {
  private readonly told = new Map<Slot, Measures>()
  private left: Measures = bequeathed([])

  /** Notes the figures that a worker tells with a question or an answer. */
  hear(slot: Slot, message: Up & { readonly _tag: "Recall" | "Recalled" }): void {
    const measures =
      message._tag === "Recalled"
        ? message.answer.measures[0]
        : message.question._tag === "Measures"
          ? message.question.own
          : undefined
    if (measures !== undefined) this.told.set(slot, measures)
  }

  /** A worker has ended: what it leaves to those who still wait for its answer. */
  leave(slot: Slot): Answer {
    const last = this.told.get(slot)
    if (last === undefined) return noAnswer
    this.told.delete(slot)
    this.left = bequeathed([this.left, last])
    return { ...noAnswer, measures: [bequeathed([last])] }
  }

  /** The part of an answer that no worker can give. */
  answerTo(question: Question): Answer {
    return question._tag === "Measures" ? { ...noAnswer, measures: [this.left] } : noAnswer
  }
}
