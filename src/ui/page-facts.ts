/**
 * What the page is told of itself: what it may do where it is, and where the rest is.
 */
import { useEffect, useState } from "preact/hooks"
import type { PageFacts } from "../api/page-places.ts"
import { callApi } from "./call-api.ts"

// Until it is told otherwise: a button that is refused says so.
let facts: PageFacts = { may_change: true, is_signed_in: false, administration: null, models: null }
const watchers = new Set<() => void>()

/** Asks for them; to be asked again when the stream opens, since before somebody has signed in nothing is told. */
export const askFacts = async (): Promise<void> => {
  const answer = await callApi<PageFacts>("GET", "/ui/session")
  if (answer._tag === "Refused") return
  facts = answer.value
  for (const watcher of watchers) watcher()
}

/** What is known now; the component is drawn anew when it changes. */
export const usePageFacts = (): PageFacts => {
  const [, draw] = useState(0)
  useEffect(() => {
    const watcher = () => draw((count) => count + 1)
    watchers.add(watcher)
    return () => void watchers.delete(watcher)
  }, [])
  return facts
}
