/**
 * What the page follows: the shared worker's stream, or one of its own, while it is seen.
 */
import { useEffect, useState } from "preact/hooks"
import { afterMessage, type Fleet, type Link, type LiveMessage } from "./fleet-state.ts"
import { LiveSource } from "./live-source.ts"
import type { TabWord } from "./live-worker.ts"

/** What is known, and how the stream stands. */
export interface Live {
  readonly fleet: Fleet | undefined
  readonly link: Link
}

type Say = (word: TabWord) => void

const throughWorker = (hear: (message: LiveMessage) => void): Say => {
  const { port } = new SharedWorker("live-worker.js", { name: "nexus-live" })
  port.addEventListener("message", ({ data }: MessageEvent<LiveMessage>) => hear(data))
  port.start()
  return (word) => port.postMessage(word)
}

// Other tabs hear of a sign-in or sign-out by a channel; one that nobody sees asks anew when it is seen again.
const alone = (hear: (message: LiveMessage) => void): Say => {
  const source = new LiveSource(hear)
  const channel = new BroadcastChannel(`nexus-live ${new URL("live-worker.js", location.href).pathname}`)
  channel.addEventListener("message", () => !document.hidden && source.open())
  return (word) => {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- reason: a channel is of one origin, and takes none
    if (word === "again") channel.postMessage(word)
    if (word === "asleep") source.close()
    else source.open()
  }
}

let fleet: Fleet | undefined
let link: Link = "connecting"
let isDue = false
const watchers = new Set<() => void>()

// At most once a frame, however many events came.
const changed = (): void => {
  if (isDue) return
  isDue = true
  requestAnimationFrame(() => {
    isDue = false
    for (const watcher of watchers) watcher()
  })
}

const hear = (message: LiveMessage): void => {
  if (message._tag === "Link") ({ link } = message)
  fleet = afterMessage(fleet, message, Date.now())
  changed()
}

let say: Say = () => undefined

/** Begins to follow; the stream is closed while nobody sees the page. */
export const follow = (): void => {
  say = typeof SharedWorker === "undefined" ? alone(hear) : throughWorker(hear)
  say("awake")
  document.addEventListener("visibilitychange", () => say(document.hidden ? "asleep" : "awake"))
  window.addEventListener("pagehide", () => say("asleep"))
  window.addEventListener("pageshow", ({ persisted }) => persisted && say("awake"))
}

/** Tries again after somebody has signed in or out, for all tabs. */
export const followAgain = (): void => say("again")

/** What is known now; the component is drawn anew when it changes. */
export const useLive = (): Live => {
  const [, draw] = useState(0)
  useEffect(() => {
    const watcher = () => draw((count) => count + 1)
    watchers.add(watcher)
    return () => void watchers.delete(watcher)
  }, [])
  return { fleet, link }
}
