/**
 * nexus audit: which hosts the gateway may contact, and which it has contacted.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { Command } from "effect/cli"
import type { Audit } from "../api/audit-api.ts"
import * as flags from "./flags.ts"
import { duration, jsonText, shownTable } from "./output.ts"
import { hostInUrl } from "../domain/url-host.ts"

const hostText = (host: string, port: number | null): string => `${hostInUrl(host)}${port === null ? "" : `:${port}`}`

const auditText = ({ complete, contacted, mode, networks, possible }: Audit): string => {
  const may = possible.map((each) => [
    hostText(each.host, each.port),
    each.zone,
    each.purpose,
    each.why_not === null ? "" : `no: ${each.why_not}`
  ])
  const has = (contacted ?? []).map((each) => [
    hostText(each.host, each.port),
    each.zones.join(", "),
    each.addresses.join(", "),
    String(each.connections),
    String(each.calls),
    `${duration(Math.round(each.last_ms_ago / 1000))} ago`
  ])
  const within = networks.length === 0 ? "" : `, networks ${networks.join(", ")}`
  return [
    `Mode: ${mode}${within}`,
    "",
    shownTable(["May be contacted", "Zone", "Purpose", ""], may),
    "",
    contacted === null
      ? "No gateway runs that could tell what was contacted."
      : has.length === 0
        ? "Nothing has been contacted since the start."
        : shownTable(["Was contacted", "Zone", "Addresses", "Connections", "Calls", "Last"], has),
    ...(complete ? [] : ["A worker did not answer in time: what it has contacted is missing."])
  ].join("\n")
}

/** The command. */
export const auditCommand = Command.make(
  "audit",
  { json: flags.json, config: flags.config, host: flags.host, port: flags.port },
  Effect.fnUntraced(function* (input) {
    const { auditHosts } = yield* Effect.promise(() => import("../remote/survey.ts"))
    const audit = yield* auditHosts(flags.places(input))
    yield* Console.log(input.json ? jsonText(audit) : auditText(audit))
  })
).pipe(
  Command.withDescription("List every host that the gateway may contact, and every one that it has contacted"),
  Command.withExamples([{ command: "nexus audit" }, { command: "nexus audit --json" }])
)
