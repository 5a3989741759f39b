/**
 * Knows again an event of an answer that differs from an earlier one in its text alone, as tokens do: whoever has parsed the
 * one need not parse the other.
 */
import type { ChatEvent } from "./chat.ts"

/** What an event says that says a text and nothing else. */
export type SaidText = { readonly type: "reasoning" | "text"; readonly text: string }

// What stands in no JSON string as it is.
// oxlint-disable-next-line no-control-regex -- reason: these are the letters that JSON escapes
const escaped = /["\\\u0000-\u001f]/

const unescaped = (text: string): string | undefined => {
  if (!escaped.test(text)) return text
  try {
    const json: unknown = JSON.parse(`"${text}"`)
    return typeof json === "string" ? json : undefined
  } catch {
    return undefined
  }
}

// Servers whose events differ in more than their text are not tried for ever.
const mostTries = 8

/** One event, as JSON, all of it but its text. */
export class TextTemplate {
  private readonly sole: (event: string) => SaidText | undefined
  private type: SaidText["type"] = "text"
  private before = ""
  private after = ""
  private tries = 0

  /** `sole` reads an event that says a text and nothing else; undefined of any other. */
  constructor(sole: (event: string) => SaidText | undefined) {
    this.sole = sole
  }

  /** What an event says that is the one learnt but for its text; undefined of any other. */
  read(event: string): (ChatEvent & SaidText) | undefined {
    const { after, before, type } = this
    if (before === "" || !event.startsWith(before) || !event.endsWith(after)) return undefined
    // One without a text says something else.
    if (event.length <= before.length + after.length) return undefined
    const text = unescaped(event.slice(before.length, event.length - after.length))
    return text === undefined ? undefined : { type, text }
  }

  /** Whether there is any use in showing it one more. */
  get mayLearn(): boolean {
    return this.tries < mostTries
  }

  /** Takes an event that was read in full, and what it says if that is a text and nothing else. */
  learn(event: string, said: SaidText | undefined): void {
    if (!this.mayLearn) return
    if (said === undefined) return
    this.tries += 1
    const quoted = JSON.stringify(said.text)
    const at = event.lastIndexOf(quoted)
    if (at < 0) return
    const before = event.slice(0, at + 1)
    const after = event.slice(at + quoted.length - 1)
    // The same letters may stand in another place, which is not the text.
    const other = this.sole(`${before}${quoted.slice(1, -1)}+${after}`)
    if (other?.type !== said.type || other.text !== `${said.text}+`) return
    this.type = said.type
    this.before = before
    this.after = after
  }
}
