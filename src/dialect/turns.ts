/**
 * The turns of a conversation, in an order that every server takes: results right behind their calls and in the order of
 * these, then all else of the user's turn; what a system says in between as a reminder in the turn of the user next to it.
 */
import type { CacheMark, ChatMessage, ChatPart, ChatTurnItem } from "./chat.ts"
import { refuseAt } from "./request-notes.ts"

/** The result of a call, and what of it is no text. */
interface CallResult {
  readonly text: string
  readonly texts: ReadonlyArray<string> | undefined
  readonly failed: boolean
  readonly shown: ReadonlyArray<ChatPart>
  readonly place: string
  readonly cache: CacheMark | undefined
}

/** A list of which the last one has the mark of all. */
export const markedLast = <A extends object>(
  all: ReadonlyArray<A>,
  mark: { readonly cache?: CacheMark }
): ReadonlyArray<A> =>
  mark.cache === undefined ? all : all.map((each, at) => (at === all.length - 1 ? { ...each, ...mark } : each))

const noCalls: ReadonlyArray<never> = []

/** How a result came. */
interface ResultFacts {
  readonly failed: boolean
  /** Whether it came as a list. */
  readonly listed: boolean
  readonly cache?: CacheMark | undefined
}

const resultOf = (
  parts: ReadonlyArray<ChatPart>,
  { cache, failed, listed, place }: ResultFacts & { readonly place: string }
): CallResult => {
  const shown = parts.filter(({ type }) => type !== "text")
  const texts = parts.flatMap((part) => (part.type === "text" ? [part.text] : []))
  const follows = shown.map(({ type }, at) => `[${type} ${at + 1} of this result follows in the next user message]`)
  const all = [...texts, ...follows]
  // Behind a mark within it there is nothing but the rest of it.
  const mark = cache ?? parts.findLast((part) => part.cache !== undefined)?.cache
  return { text: all.join("\n"), texts: listed ? all : undefined, failed, shown, place, cache: mark }
}

const silence: ChatMessage = { role: "user", parts: [{ type: "text", text: "" }] }

const isSaid = (part: ChatPart): boolean => part.type !== "text" || part.text.trim() !== ""

/**
 * Puts turns together from what came in any order. `anywhere` when the result of a call may stand in any place, and not
 * only in the turn behind it.
 */
export class Turns {
  readonly messages: Array<ChatMessage> = []
  private readonly anywhere: boolean
  private items: Array<ChatTurnItem> = []
  private results: Map<string, Array<CallResult>> | undefined
  private parts: Array<ChatPart> = []
  private answering = false
  private asked = false
  private openCalls: ReadonlyArray<{ readonly id: string; readonly place: string }> = noCalls

  constructor({ anywhere }: { readonly anywhere: boolean }) {
    this.anywhere = anywhere
  }

  /** What the model has said, in one turn with what it has said just before. */
  assistant(items: ReadonlyArray<ChatTurnItem>, place: string): void {
    if (!this.answering) this.endUser()
    this.answering = true
    this.items.push(...items)
    const calls = items.flatMap((item) => (item.type === "call" ? [{ id: item.id, place }] : []))
    this.openCalls = [...this.openCalls, ...calls]
  }

  /** Ends the turn of the model: what comes next is said to it. */
  user(parts: ReadonlyArray<ChatPart>): void {
    this.endAssistant()
    this.asked ||= parts.length > 0
    for (const part of parts) if (isSaid(part)) this.parts.push(part)
  }

  /** What came of a call. */
  result(id: string, parts: ReadonlyArray<ChatPart>, place: string, facts: Partial<ResultFacts> = {}): void {
    const result = resultOf(parts, { failed: false, listed: false, ...facts, place })
    const results = (this.results ??= new Map())
    const known = results.get(id)
    if (known === undefined) results.set(id, [result])
    else known.push(result)
  }

  /** What a system says in the middle of a conversation: many models take it at the head alone. */
  reminder(text: string, cache?: CacheMark): void {
    const marked = cache === undefined ? {} : { cache }
    this.user([{ type: "text", text: `<system-reminder>\n${text}\n</system-reminder>`, ...marked }])
  }

  /** All turns. */
  end(): ReadonlyArray<ChatMessage> {
    this.endAssistant()
    this.endUser()
    this.noneLeft()
    // Nothing said is another thing than nothing asked.
    return this.messages.length === 0 && this.asked ? [silence] : this.messages
  }

  private endAssistant(): void {
    if (!this.answering) return
    this.answering = false
    const before = this.messages.at(-1)
    // What stood in between was told of elsewhere.
    const said = before?.role === "assistant" ? this.messages.splice(-1).flatMap(() => before.items) : []
    this.messages.push({ role: "assistant", items: [...said, ...this.items] })
    this.items = []
  }

  private endUser(): void {
    const shown: Array<ChatPart> = []
    for (const { id, place } of this.openCalls) {
      const result = this.results?.get(id)?.shift()
      if (result === undefined) {
        return refuseAt(place, `has a call '${id}' without a result${this.anywhere ? "" : " in the turn behind it"}`)
      }
      const { cache, failed, text, texts } = result
      const told = { ...(texts === undefined ? {} : { texts }), ...(cache === undefined ? {} : { cache }) }
      this.messages.push({ role: "tool", callId: id, text, ...told, failed })
      shown.push(...result.shown)
    }
    const parts = shown.length === 0 ? this.parts : [...shown, ...this.parts]
    this.openCalls = noCalls
    if (parts.length > 0) {
      this.messages.push({ role: "user", parts })
      this.parts = []
    }
    if (!this.anywhere) this.noneLeft()
  }

  private noneLeft(): void {
    if (this.results === undefined) return
    for (const [id, [left]] of this.results) {
      if (left === undefined) continue
      refuseAt(
        left.place,
        `is a result of the call '${id}', which is not ${this.anywhere ? "there" : "in the turn before it"}`
      )
    }
    this.results = undefined
  }
}
