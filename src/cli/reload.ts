/**
 * nexus config diff, nexus config reload: the config of the running gateway against its file.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { Command } from "effect/cli"
import { showValue } from "../config/path.ts"
import type { SettingChange, ReloadChanges } from "../api/control-api.ts"
import * as flags from "./flags.ts"
import { jsonText, shownTable } from "./output.ts"

const shown = (value: unknown): string => (value === null ? "-" : showValue(value))

/** The changes as a table; what a running gateway cannot take over is marked. */
const toTable = (changes: ReadonlyArray<SettingChange>): string =>
  shownTable(
    ["Key", "Before", "After", ""],
    changes.map(({ key, before, after, needs_restart }) => [
      key,
      shown(before),
      shown(after),
      needs_restart ? "at the next start" : ""
    ])
  )

const compared = (only: "compare" | undefined, words: (comparison: ReloadChanges) => string, none: string) =>
  Effect.fnUntraced(function* (input: flags.GatewayFlags & { readonly json: boolean }) {
    const { atGateway } = yield* Effect.promise(() => import("../remote/target.ts"))
    const { askReload } = yield* Effect.promise(() => import("../remote/gateway-client.ts"))
    const options = { config: input.config, overrides: flags.addressOverrides(input) }
    const comparison = yield* atGateway(options, (address) => askReload(address, only))
    if (input.json) return yield* Console.log(jsonText(comparison))
    yield* Console.error(comparison.changes.length === 0 ? none : words(comparison))
    if (comparison.changes.length > 0) yield* Console.log(toTable(comparison.changes))
  })

const options = { json: flags.json, config: flags.config, host: flags.host, port: flags.port }

/** What a reload would change. */
export const diff = Command.make(
  "diff",
  options,
  compared("compare", () => "A reload would change:", "The running gateway goes by the file as it is.")
).pipe(
  Command.withDescription("Show what a reload of the running gateway would change"),
  Command.withExamples([{ command: "nexus config diff" }, { command: "nexus config diff --json" }])
)

/** Has the running gateway take over its file. */
export const reload = Command.make(
  "reload",
  options,
  compared(
    undefined,
    ({ generation }) => `Taken over as generation ${generation}:`,
    "Nothing has changed: the running gateway goes by the file as it is."
  )
).pipe(
  Command.withDescription("Have the running gateway take over its config file; a file with mistakes changes nothing"),
  Command.withExamples([{ command: "nexus config reload" }])
)
