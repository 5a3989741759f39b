/**
 * Ids of the calls in an answer, as a client's dialect holds them: those that a server gives stand where they fit and are
 * new, in the answer and against the history of its request. Clients pair calls with results by them.
 */
import type { AnswerContext } from "./chat.ts"

/** What a dialect takes for the id of a call, and how those begin that are made for it. */
export interface CallIdForm {
  readonly fits: RegExp
  readonly prefix: string
}

/** The ids of one answer. */
export class CallIds {
  private readonly context: AnswerContext
  private readonly form: CallIdForm
  private readonly given = new Set<string>()

  constructor(context: AnswerContext, form: CallIdForm) {
    this.context = context
    this.form = form
  }

  /** The id of the next call, for the one that its server gave. */
  of(id: string | undefined): string {
    const { callIds, id: answer } = this.context
    const { fits, prefix } = this.form
    const stands = id !== undefined && fits.test(id) && !callIds.has(id) && !this.given.has(id)
    const own = stands ? id : `${prefix}${answer}_${this.given.size + 1}`
    this.given.add(own)
    return own
  }
}
