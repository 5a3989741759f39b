/**
 * The stream of events of the gateway, opened anew whenever it ends; used by the shared worker, and by the page itself where
 * there is none.
 */
import type { LiveEvent } from "../api/events-api.ts"
import type { Link, LiveMessage } from "./fleet-state.ts"

const names: ReadonlyArray<LiveEvent["event"]> = [
  "everything",
  "backend",
  "standings",
  "backend_gone",
  "under_way",
  "ended",
  "figures",
  "config"
]

// From a stream that has ended for good to the next try, in milliseconds.
const againMs = 2000

const address = "../admin/v1/events"

/** Follows the events; `tell` is called with what comes. `now` in milliseconds since 1970 is the browser's own. */
export class LiveSource {
  private stream: EventSource | undefined
  private timer: ReturnType<typeof setTimeout> | undefined
  private last = ""
  // Goes on with each that is opened or closed: what was asked of one before says nothing of it.
  private turn = 0
  private readonly tell: (message: LiveMessage) => void

  constructor(tell: (message: LiveMessage) => void) {
    this.tell = tell
  }

  get isOpen(): boolean {
    return this.stream !== undefined || this.timer !== undefined
  }

  open(): void {
    this.close()
    this.link("connecting")
    const stream = new EventSource(this.last === "" ? address : `${address}?after=${encodeURIComponent(this.last)}`)
    this.stream = stream
    stream.addEventListener("open", () => this.link("open"))
    for (const name of names) {
      stream.addEventListener(name, ({ data, lastEventId }: MessageEvent<string>) => {
        this.last = lastEventId
        const event = { event: name, data: JSON.parse(data) } as LiveEvent // reason: the name tells what the data are
        this.tell({ _tag: "Event", event })
      })
    }
    stream.addEventListener("error", () => {
      // The browser comes back by itself unless it was refused.
      if (stream.readyState !== EventSource.CLOSED) return this.link("lost")
      this.close()
      const { turn } = this
      void this.why().then((link) => {
        if (turn !== this.turn) return
        // Who signs in is told everything, and goes on from nothing that somebody else has seen.
        if (link === "sign in") this.last = ""
        this.link(link)
        if (link === "sign in") return
        this.timer = setTimeout(() => this.open(), againMs)
      })
    })
  }

  close(): void {
    this.turn += 1
    this.stream?.close()
    this.stream = undefined
    clearTimeout(this.timer)
    this.timer = undefined
  }

  private link(link: Link): void {
    this.tell({ _tag: "Link", link })
  }

  private why(): Promise<Link> {
    return fetch("../admin/v1/config").then(
      ({ status }) => (status === 401 || status === 403 ? "sign in" : "lost"),
      () => "lost"
    )
  }
}
