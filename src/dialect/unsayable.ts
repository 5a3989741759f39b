/**
 * What of a request a server cannot be told, where the answer would be another one without it.
 */
import { BadRequest } from "../domain/errors.ts"
import type { ChatField, ServerTraits } from "./chat.ts"

/** Ends the writing of a request; `why` goes behind the name of the client's field. */
export class Unsayable extends Error {
  readonly field: ChatField

  constructor(field: ChatField, why: string) {
    super(why)
    this.field = field
  }
}

/** That images are wanted of who makes none. */
export const noImages = (): Unsayable =>
  new Unsayable("images", "asks for images, and the backend of this model makes none")

/** The refusal in the client's words, which names the field in its text: not every dialect has a place for it besides. */
export const refusalOf = (error: unknown, { word }: Pick<ServerTraits, "word">): BadRequest => {
  if (!(error instanceof Unsayable)) throw error
  const param = word(error.field)
  return new BadRequest({ message: `'${param}' ${error.message}`, param })
}
