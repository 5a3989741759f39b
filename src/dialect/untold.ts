/**
 * What of an answer its client is not told, since its dialect has no place for it. A whole answer says so in a header; a
 * stream, whose head has gone out, by its end: in a comment where its clients pass over those, else in a field that they do
 * not know.
 */

/** What such a header, comment or field is called. */
const name = "x-nexus-dropped"

/** What an answer has lost, or all of several that come in one stream: each thing is told once. */
export class Untold {
  private all: Array<string> | undefined
  private told = 0

  add(what: string): void {
    this.all ??= []
    if (!this.all.includes(what)) this.all.push(what)
  }

  /** A comment of a stream of events that names what has not been told yet; empty where there is nothing. */
  comment(): string {
    const news = this.news()
    return news.length === 0 ? "" : `: ${name}: ${news.join(", ")}\n\n`
  }

  /** The field that names what has not been told yet; none where there is nothing. */
  field(): Readonly<Record<string, ReadonlyArray<string>>> {
    const news = this.news()
    return news.length === 0 ? {} : { [name]: news }
  }

  private news(): ReadonlyArray<string> {
    const news = this.all?.slice(this.told) ?? []
    this.told += news.length
    return news
  }
}
