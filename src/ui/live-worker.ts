/**
 * The one stream of events for all tabs: browsers open six connections to a place, and a seventh tab would not even load.
 */
import { afterMessage, type Fleet, type Link, type LiveMessage, toldWhole } from "./fleet-state.ts"
import { LiveSource } from "./live-source.ts"

/** What a tab says of itself. */
export type TabWord = "awake" | "asleep" | "again"

const awake = new Set<MessagePort>()
let fleet: Fleet | undefined
let link: Link = "connecting"

const source = new LiveSource((message) => {
  if (message._tag === "Link") ({ link } = message)
  fleet = afterMessage(fleet, message, Date.now())
  for (const port of awake) port.postMessage(message)
})

const heard = (port: MessagePort, word: TabWord): void => {
  if (word === "asleep") {
    awake.delete(port)
    if (awake.size === 0) source.close()
    return
  }
  awake.add(port)
  const whole: ReadonlyArray<LiveMessage> = [
    { _tag: "Link", link },
    ...(fleet === undefined ? [] : [{ _tag: "Event" as const, event: toldWhole(fleet) }])
  ]
  for (const message of whole) port.postMessage(message)
  if (word === "again" || !source.isOpen) source.open()
}

const scope = globalThis as unknown as EventTarget // reason: the types of a page and of a worker name it alike

scope.addEventListener("connect", (event) => {
  const [port] = event instanceof MessageEvent ? event.ports : []
  if (port === undefined) return
  port.addEventListener("message", ({ data }: MessageEvent<TabWord>) => heard(port, data))
  port.start()
})
