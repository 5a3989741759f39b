/**
 * What of a streamed answer is held back until it has been judged: a pure step machine. Events come in, texts of several
 * events are shown as one, and what goes on is whole events, in their order. One law: under a judge that changes nothing, all
 * that goes out is what came in, however it was cut and whenever it was shown.
 */
import type { EventFrame } from "../dialect/event-frames.ts"
import { isRepeat, type ShownText, textsOfAnswer, withoutEchoes } from "../dialect/shown-texts.ts"

/** How much is held. */
export interface WindowLimits {
  readonly chars: number
  readonly overlap: number
}

/** One text that is shown: what its channel has said in the events that are held. */
export type WindowText = Omit<ShownText, "channel" | "put">

interface Said {
  // All that has come of a channel, what of it has gone on, and as what.
  came: string
  went: string
  wentAs: string
}

interface Piece {
  readonly channel: string
  readonly shown: ShownText
  /** The channel that has said all this before; undefined where nobody has. */
  readonly repeats: Said | undefined
}

interface Held {
  readonly frame: EventFrame
  readonly pieces: ReadonlyArray<Piece>
}

interface Group {
  readonly channel: string
  readonly text: WindowText
  /** Its pieces, with the places of their events. */
  readonly parts: Array<{ readonly at: number; readonly shown: ShownText }>
}

const commonEnd = (one: string, other: string): number => {
  const most = Math.min(one.length, other.length)
  let length = 0
  while (length < most && one.charCodeAt(one.length - 1 - length) === other.charCodeAt(other.length - 1 - length)) {
    length += 1
  }
  return length
}

const lengthFrom = ({ parts }: Group, from: number): number =>
  parts.reduce((sum, { at, shown }) => (at < from ? sum : sum + shown.text.length), 0)

const textLength = ({ pieces }: Held): number =>
  pieces.reduce((sum, { repeats, shown }) => sum + (repeats === undefined ? shown.text.length : 0), 0)

/** The events of one answer that have not gone on. */
export class AnswerWindow {
  /** Characters that have come and not been shown. */
  fresh = 0
  /** Bytes, roughly, of all events that are held. */
  size = 0
  /** Images, files and sounds among them. */
  media = 0
  /** Whether an event that is held cannot be read. */
  isDark = false
  private held: Array<Held> = []
  private shown: ReadonlyArray<Group> = []
  // How many events that was.
  private shownEvents = 0
  private readonly said = new Map<string, Said>()
  private changed = false
  private count = 0
  private readonly limits: WindowLimits

  constructor(limits: WindowLimits) {
    this.limits = limits
  }

  /** Whether there is nothing in it. */
  get isEmpty(): boolean {
    return this.held.length === 0
  }

  /** Whether it is to be shown now. */
  get isFull(): boolean {
    return this.fresh >= this.limits.chars || this.isDark
  }

  /** Whether something could go on if it were shown. */
  get isWorthIt(): boolean {
    return this.fresh > 0 && this.held.reduce((sum, each) => sum + textLength(each), 0) > this.limits.overlap
  }

  /** Takes events; gives those that go on at once, since neither they nor what is before them has a text. */
  push(frames: ReadonlyArray<EventFrame>): string {
    let free = ""
    for (const frame of frames) {
      const held = this.read(frame)
      if (this.held.length === 0 && held.pieces.length === 0 && !frame.isDark) free += this.plain(frame)
      else this.hold(held)
    }
    return free
  }

  /** The texts of all events that are held. */
  texts(): ReadonlyArray<WindowText> {
    const groups = new Map<string, Group>()
    for (const [at, { pieces }] of this.held.entries()) {
      for (const { channel, repeats, shown } of pieces) {
        if (repeats !== undefined) continue
        const known = groups.get(channel)
        const { isJson, kind, message, name, role, text } = shown
        if (known === undefined) {
          groups.set(channel, { channel, text: { isJson, kind, message, name, role, text }, parts: [{ at, shown }] })
        } else {
          known.parts.push({ at, shown })
          groups.set(channel, { ...known, text: { ...known.text, text: known.text.text + text } })
        }
      }
    }
    this.shown = [...groups.values()]
    this.shownEvents = this.held.length
    this.fresh = 0
    return this.shown.map(({ text }) => text)
  }

  /**
   * Lets the events that were shown last go on with these texts in the place of theirs. The last ones stay, to be shown again
   * with what comes next, unless all are to go or their texts were changed.
   */
  goes(texts: ReadonlyArray<string>, all: boolean): string {
    const groups = this.shown
    this.shown = []
    const until = all ? this.shownEvents : this.bound(groups, texts)
    for (const [nth, group] of groups.entries()) this.settle(group, texts[nth] ?? group.text.text, until)
    const gone = this.held.splice(0, until)
    this.isDark = this.held.some(({ frame }) => frame.isDark)
    this.size = this.held.reduce((sum, { frame }) => sum + frame.raw.length, 0)
    return gone.map((each) => this.written(each)).join("")
  }

  /** Where the events begin that stay. */
  private bound(groups: ReadonlyArray<Group>, texts: ReadonlyArray<string>): number {
    let from = this.shownEvents
    for (let left = this.limits.overlap; left > 0 && from > 0; from -= 1) {
      const each = this.held[from - 1]
      left -= each === undefined ? 0 : textLength(each)
    }
    const stays = (at: number): boolean =>
      groups.every((group, nth) => {
        const { text } = group.text
        const other = texts[nth] ?? text
        const kept = lengthFrom(group, at)
        // Where all of it stays there is nothing that other words could stand in.
        return kept === 0 || (kept === text.length ? other === text : commonEnd(text, other) >= kept)
      })
    while (from < this.shownEvents && !stays(from)) from += 1
    return from
  }

  private settle({ channel, parts, text: { text } }: Group, other: string, until: number): void {
    const going = parts.filter(({ at }) => at < until)
    if (going.length === 0) return
    const kept = parts.reduce((sum, { at, shown }) => (at < until ? sum : sum + shown.text.length), 0)
    const said = this.said.get(channel)
    const goes = other.slice(0, other.length - kept)
    if (said !== undefined) {
      said.went += text.slice(0, text.length - kept)
      said.wentAs += goes
    }
    if (other === text) return
    this.changed = true
    const [first, ...more] = going
    first?.shown.put(goes)
    for (const { shown } of more) shown.put("")
  }

  private written({ frame, pieces }: Held): string {
    for (const { repeats, shown } of pieces) if (repeats !== undefined) shown.put(repeats.wentAs)
    return this.plain(frame)
  }

  private plain(frame: EventFrame): string {
    if (!this.changed || frame.json === undefined) return frame.raw
    withoutEchoes(frame.json)
    return frame.written()
  }

  private read(frame: EventFrame): Held {
    if (frame.json === undefined) return { frame, pieces: [] }
    const { media, texts } = textsOfAnswer(frame.json)
    this.media += media
    const again = isRepeat(frame.json)
    return { frame, pieces: texts.map((shown) => (again ? this.repeated(shown) : this.piece(shown))) }
  }

  private piece(shown: ShownText): Piece {
    if (shown.isJson) return this.alone(shown)
    const { channel } = shown
    const said = this.said.get(channel)
    if (said === undefined) this.said.set(channel, { came: shown.text, went: "", wentAs: "" })
    else said.came += shown.text
    return { channel, shown, repeats: undefined }
  }

  private repeated(shown: ShownText): Piece {
    for (const said of this.said.values()) {
      if (said.came === shown.text) return { channel: shown.channel, shown, repeats: said }
    }
    return this.alone(shown)
  }

  // What is no piece of a longer text.
  private alone(shown: ShownText): Piece {
    this.count += 1
    const channel = `${shown.channel} ${this.count}`
    // What has been said here may be said again.
    if (!shown.isJson) this.said.set(channel, { came: shown.text, went: "", wentAs: "" })
    return { channel, shown, repeats: undefined }
  }

  private hold(held: Held): void {
    this.held.push(held)
    this.fresh += textLength(held)
    this.size += held.frame.raw.length
    this.isDark ||= held.frame.isDark
  }
}
