/**
 * The turns of a conversation, in an order that every server takes: results right behind their calls and in the order of
 * these, then all else of the user's turn; what a system says in between as a reminder in the turn of the user next to it.
 */
import type { ChatMessage, ChatPart, ChatTurnItem } from "./chat.ts"
import { refuseAt } from "./request-notes.ts"

/** The result of a call, and what of it is no text. */
interface CallResult {
  readonly text: string
  readonly texts: ReadonlyArray<string> | undefined
  readonly failed: boolean
  readonly shown: ReadonlyArray<ChatPart>
  readonly place: string
}

const resultOf = (
  parts: ReadonlyArray<ChatPart>,
  { failed, listed, place }: { readonly failed: boolean; readonly listed: boolean; readonly place: string }
): CallResult => {
  const shown = parts.filter(({ type }) => type !== "text")
  const texts = parts.flatMap((part) => (part.type === "text" ? [part.text] : []))
  const follows = shown.map(({ type }, at) => `[${type} ${at + 1} of this result follows in the next user message]`)
  const all = [...texts, ...follows]
  return { text: all.join("\n"), texts: listed ? all : undefined, failed, shown, place }
}

const isSaid = (part: ChatPart): boolean => part.type !== "text" || part.text.trim() !== ""

/**
 * Puts turns together from what came in any order. `anywhere` when the result of a call may stand in any place, and not
 * only in the turn behind it.
 */
export class Turns {
  readonly messages: Array<ChatMessage> = []
  private readonly anywhere: boolean
  private items: Array<ChatTurnItem> = []
  private results = new Map<string, Array<CallResult>>()
  private parts: Array<ChatPart> = []
  private answering = false
  private openCalls: ReadonlyArray<{ readonly id: string; readonly place: string }> = []

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
    this.parts.push(...parts.filter(isSaid))
  }

  /** What came of a call; `listed` where it came as a list. */
  result(id: string, parts: ReadonlyArray<ChatPart>, failed: boolean, place: string, listed = false): void {
    const result = resultOf(parts, { failed, listed, place })
    const known = this.results.get(id)
    if (known === undefined) this.results.set(id, [result])
    else known.push(result)
  }

  /** What a system says in the middle of a conversation: many models take it at the head alone. */
  reminder(text: string): void {
    this.user([{ type: "text", text: `<system-reminder>\n${text}\n</system-reminder>` }])
  }

  /** All turns. */
  end(): ReadonlyArray<ChatMessage> {
    this.endAssistant()
    this.endUser()
    this.noneLeft()
    return this.messages
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
      const result = this.results.get(id)?.shift()
      if (result === undefined) {
        return refuseAt(place, `has a call '${id}' without a result${this.anywhere ? "" : " in the turn behind it"}`)
      }
      const { failed, text, texts } = result
      this.messages.push({ role: "tool", callId: id, text, ...(texts === undefined ? {} : { texts }), failed })
      shown.push(...result.shown)
    }
    const parts = [...shown, ...this.parts]
    if (parts.length > 0) this.messages.push({ role: "user", parts })
    this.openCalls = []
    this.parts = []
    if (!this.anywhere) this.noneLeft()
  }

  private noneLeft(): void {
    for (const [id, [left]] of this.results) {
      if (left === undefined) continue
      refuseAt(
        left.place,
        `is a result of the call '${id}', which is not ${this.anywhere ? "there" : "in the turn before it"}`
      )
    }
    this.results = new Map()
  }
}
