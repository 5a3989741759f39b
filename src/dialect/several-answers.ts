/**
 * Several answers to one request: each is read, and written, by itself, as if there were no other.
 */
import type { ChatEvent, ChatUsage } from "./chat.ts"

/** What reads one answer. */
interface AnswerReading {
  /** Everything that has been read since it was last taken. */
  readonly take: () => ReadonlyArray<ChatEvent>
  /** No more of it comes. */
  readonly ends: () => void
}

/** Reads answers that come in one. */
export class SeveralReading<Reading extends AnswerReading> {
  private readonly most: number
  private readonly begin: () => Reading
  private readonly all = new Map<number, Reading>()
  private events: Array<ChatEvent> = []
  private choice = 0
  private over = false

  constructor(most: number, begin: () => Reading) {
    this.most = most
    this.begin = begin
  }

  take(): ReadonlyArray<ChatEvent> {
    const { events } = this
    this.events = []
    return events
  }

  /** Takes what is said of one of them; of those that nobody has asked for nothing is told. */
  of(choice: number, take: (reading: Reading) => void): void {
    if (this.over || choice >= this.most) return
    let reading = this.all.get(choice)
    if (reading === undefined) this.all.set(choice, (reading = this.begin()))
    take(reading)
    for (const event of reading.take()) this.tell(choice, event)
  }

  /** Takes what is said of all of them. */
  tells(event: ChatEvent): void {
    if (this.over) return
    this.over = event.type === "error" || event.type === "done"
    this.events.push(event)
  }

  fails(message: string): void {
    this.tells({ type: "error", message })
  }

  /** No more comes: all is there when each one is that has begun. */
  ends(usage?: ChatUsage): void {
    if (this.all.size === 0) this.all.set(0, this.begin())
    for (const [choice, reading] of this.all) {
      if (this.over) return
      reading.ends()
      for (const event of reading.take()) if (event.type !== "done") this.tell(choice, event)
    }
    if (usage !== undefined) this.tells({ type: "usage", usage })
    this.tells({ type: "done" })
  }

  private tell(choice: number, event: ChatEvent): void {
    if (choice !== this.choice) this.tells({ type: "choice", choice })
    this.choice = choice
    this.tells(event)
  }
}

/** What writes one answer. */
interface AnswerWriting<Out> {
  /** Whether it has come to its end. */
  readonly over: boolean
  readonly event: (event: ChatEvent) => void
  /** Everything that has been written since it was last taken. */
  readonly take: () => ReadonlyArray<Out>
  /** Writes why it ended; whether it could. */
  readonly finish: () => boolean
  /** Writes what there is to tell of all of them; the first one is asked for it. */
  readonly end: () => void
  /** Writes what is held back, where all ends before that is whole; absent where nothing is. */
  readonly tellWhatWaits?: () => void
}

/** Writes answers into one. */
export class SeveralWriting<Out> {
  private readonly begin: (choice: number) => AnswerWriting<Out>
  private readonly first: AnswerWriting<Out>
  private readonly others = new Map<number, AnswerWriting<Out>>()
  private current: AnswerWriting<Out>
  private ready: Array<Out> = []
  /** Whether they have all come to their end. */
  over = false

  constructor(begin: (choice: number) => AnswerWriting<Out>) {
    this.begin = begin
    this.current = this.first = begin(0)
  }

  take(): ReadonlyArray<Out> {
    const { ready } = this
    this.ready = []
    return ready
  }

  event(event: ChatEvent): void {
    if (this.over) return
    const { first } = this
    this.over = event.type === "done" || event.type === "error"
    if (event.type === "choice") this.current = event.choice === 0 ? first : this.other(event.choice)
    else if (event.type === "usage") first.event(event)
    else if (event.type === "done") this.finish()
    else {
      if (event.type === "error") this.tellWhatWaits()
      this.current.event(event)
      this.written(this.current)
      // What one of them cannot be told is the end of all.
      this.over ||= this.current.over
    }
  }

  /** Writes what each of them holds back, where all ends before that is whole. */
  tellWhatWaits(): void {
    for (const writing of [this.first, ...this.others.values()]) {
      writing.tellWhatWaits?.()
      this.written(writing)
    }
  }

  private finish(): void {
    const { first, others } = this
    for (const writing of [...others.values(), first]) {
      const isGood = writing.finish()
      this.written(writing)
      if (!isGood) return
    }
    first.end()
    this.written(first)
  }

  private written(writing: AnswerWriting<Out>): void {
    for (const each of writing.take()) this.ready.push(each)
  }

  private other(choice: number): AnswerWriting<Out> {
    let writing = this.others.get(choice)
    if (writing === undefined) this.others.set(choice, (writing = this.begin(choice)))
    return writing
  }
}

/** The events of each of several answers, without what is said of all of them. */
export const eventsByChoice = (events: ReadonlyArray<ChatEvent>): ReadonlyMap<number, ReadonlyArray<ChatEvent>> => {
  let current: Array<ChatEvent> = []
  const all = new Map([[0, current]])
  for (const event of events) {
    if (event.type === "choice") all.set(event.choice, (current = all.get(event.choice) ?? []))
    else current.push(event)
  }
  return new Map([...all].toSorted(([a], [b]) => a - b))
}
