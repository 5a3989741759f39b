/**
 * What of an answer its client is not told, since its dialect has no place for it. A whole answer says so in a header; a
 * stream, whose head has gone out, by its end: in a comment where its clients pass over those, else in a field that they do
 * not know.
 */

/** What such a header, comment or field is called. */
const name = "x-nexus-dropped"

/** What one answer has lost, each thing once. */
export class Untold {
  private all: Array<string> | undefined

  add(what: string): void {
    this.all ??= []
    if (!this.all.includes(what)) this.all.push(what)
  }

  /** A comment of a stream of events that names all of it; empty where there is nothing. */
  get comment(): string {
    return this.all === undefined ? "" : `: ${name}: ${this.all.join(", ")}\n\n`
  }

  /** The field that names all of it; none where there is nothing. */
  get field(): Readonly<Record<string, ReadonlyArray<string>>> {
    return this.all === undefined ? {} : { [name]: this.all }
  }
}
