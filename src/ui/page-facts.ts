/**
 * What the page is told of itself: what it may do where it is, and where the rest is.
 */
import { useEffect, useState } from "preact/hooks"
import type { OtherPlace, PageFacts } from "../api/page-places.ts"
import { callApi } from "./call-api.ts"

// Until it is told otherwise: a button that is refused says so.
let facts: PageFacts = { may_change: true, administration: null, models: null }
const watchers = new Set<() => void>()

/** Asks for them; again after somebody has signed in, since before nothing is told. */
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

const loopback = /^(localhost|127\.\d+\.\d+\.\d+|\[?::1\]?)$/

const anywhere = new Set(["0.0.0.0", "::", "[::]"])

/** The address of the page at another place as it is reached from here; undefined where it is not. */
export const addressOf = (place: OtherPlace, here: Pick<Location, "hostname">): string | undefined => {
  if ("socket" in place) return undefined
  const { host, port } = place
  if (loopback.test(host) && !loopback.test(here.hostname)) return undefined
  const name = anywhere.has(host) || loopback.test(host) ? here.hostname : host
  return `http://${name}:${port}/ui/`
}

/** A place in words. */
export const placeWords = (place: OtherPlace): string =>
  "socket" in place ? `the Unix socket ${place.socket}` : `${place.host}:${place.port}`
