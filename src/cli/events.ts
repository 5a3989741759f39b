/**
 * nexus events: what changes in the gateway, as it changes.
 */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import { Command, Flag } from "effect/cli"
import * as Option from "effect/Option"
import type { RecentRequest } from "../api/admin-api.ts"
import type { BackendEntry } from "../api/backend-entry.ts"
import { printable } from "../domain/printable.ts"
import type { FollowedEvent } from "../remote/follow-events.ts"
import * as flags from "./flags.ts"
import { writeLine } from "./screen.ts"

const backendWords = ({ mode, name, reason, status }: BackendEntry): string =>
  `${name} is ${mode === "enabled" ? status : mode}${reason === "" ? "" : ` (${reason})`}`

const requestWords = ({ backend, duration_ms: ms, id, key, model, outcome, status }: RecentRequest): string =>
  `${id} ${model === "" ? "-" : model} ${backend === "" ? "-" : backend}: ${outcome} ${status} after ${Math.round(ms)} ms${key === undefined ? "" : `, asked by ${key}`}`

/** A moment in milliseconds since 1970 as the time of day where the reader is. */
const timeOf = (at: number): string =>
  DateTime.formatLocal(DateTime.makeUnsafe(at), { locale: "en-GB", timeStyle: "medium" })

/**
 * What an event tells at `now`, in milliseconds since 1970, a line each; figures change all the time and are left out, those
 * of backends as well. `said` are the words of backends so far.
 */
export const eventWords = (event: FollowedEvent, said: Map<string, string>, now: number): ReadonlyArray<string> => {
  const told = (words: string, at = now): string => `${timeOf(at)} ${words}`
  const fresh = (backend: BackendEntry): ReadonlyArray<string> => {
    const words = backendWords(backend)
    if (said.get(backend.name) === words) return []
    said.set(backend.name, words)
    return [told(words)]
  }
  switch (event.event) {
    case "everything":
      return event.data.backends.flatMap(fresh)
    case "backend":
      return fresh(event.data)
    case "backend_gone":
      said.delete(event.data.name)
      return [told(`${event.data.name} is gone`)]
    case "ended":
      return event.data.requests.map((each) => told(requestWords(each), each.at + each.duration_ms))
    case "config": {
      const { failure, generation } = event.data
      return [told(failure === null ? `config ${generation} is in force` : `a reload was refused: ${failure.message}`)]
    }
    case "standings":
    case "under_way":
    case "figures":
      return []
  }
}

const after = Flag.String("after").pipe(
  Flag.withMetavar("ID"),
  Flag.withDescription("Go on after the event with this id"),
  Flag.optional
)

/** The command. */
export const eventsCommand = Command.make(
  "events",
  { after, json: flags.json, config: flags.config, host: flags.host, port: flags.port },
  Effect.fnUntraced(function* (input) {
    const { atGateway } = yield* Effect.promise(() => import("../remote/target.ts"))
    const { followEvents } = yield* Effect.promise(() => import("../remote/follow-events.ts"))
    const said = new Map<string, string>()
    return yield* atGateway({ config: input.config, overrides: flags.addressOverrides(input) }, (address) =>
      followEvents(address, Option.getOrUndefined(input.after), (event) =>
        input.json
          ? writeLine(printable(JSON.stringify(event)))
          : Effect.flatMap(Clock.currentTimeMillis, (now) =>
              Effect.forEach(eventWords(event, said, now), (line) => writeLine(printable(line)), { discard: true })
            )
      )
    )
  })
).pipe(
  Command.withDescription(
    "Follow what changes: backends, requests that end, the config; --json tells all of it, a line each"
  ),
  Command.withExamples([{ command: "nexus events" }, { command: "nexus events --json" }])
)
