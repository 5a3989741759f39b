/**
 * What the text of an answer of chat completions goes back to: told in its place, or beside the answer for all of it.
 */
import * as Predicate from "effect/Predicate"
import type { ChatEvent } from "../chat.ts"
import { listIn } from "../read-json.ts"

type Json = Readonly<Record<PropertyKey, unknown>>

const said = (value: unknown): string => (typeof value === "string" ? value : "")

type Citation = ChatEvent & { readonly type: "citation" }

/** What a piece of a text is said to go back to. */
export const citationsIn = (annotations: unknown): ReadonlyArray<Citation> =>
  Array.isArray(annotations) && annotations.length > 0 ? citationsOf(annotations) : none

const none: ReadonlyArray<Citation> = []

const citationsOf = (annotations: ReadonlyArray<unknown>): ReadonlyArray<Citation> =>
  annotations.flatMap((each: unknown) => {
    const cited = Predicate.isObject(each) ? each["url_citation"] : undefined
    if (!Predicate.isObject(cited) || said(cited["url"]) === "") return []
    const { end_index: end, start_index: start } = cited
    const place = typeof start === "number" && typeof end === "number" ? { start, end } : {}
    const words = said(cited["content"])
    return [
      {
        type: "citation",
        url: said(cited["url"]),
        title: said(cited["title"]),
        ...place,
        ...(words === "" ? {} : { cited: words })
      }
    ]
  })

const noAddress: ReadonlySet<string> = new Set()

/**
 * What answers go back to where that stands beside them, as with Perplexity and xAI: each piece tells it again, and it is
 * all of a text that does, which has yet to come.
 */
export class ToldSources {
  private all: Map<string, Citation> | undefined

  /** Takes what a chunk tells of. */
  reads({ citations, search_results: results }: Json): void {
    if (!Array.isArray(citations) && !Array.isArray(results)) return
    const all = (this.all ??= new Map())
    for (const each of [...listIn(results), ...listIn(citations)]) {
      const { snippet, title, url } = Predicate.isObject(each) ? each : { snippet: "", title: "", url: each }
      if (said(url) === "" || all.has(said(url))) continue
      const cited = said(snippet) === "" ? {} : { cited: said(snippet) }
      all.set(said(url), { type: "citation", url: said(url), title: said(title), ...cited })
    }
  }

  /** All but those of these addresses. */
  without(told: ReadonlySet<string> = noAddress): ReadonlyArray<Citation> {
    return [...(this.all?.values() ?? [])].filter(({ url }) => !told.has(url))
  }
}
