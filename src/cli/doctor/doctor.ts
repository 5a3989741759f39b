/**
 * nexus doctor: says what is wrong and how to mend it.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import { Command, Flag, TerminalCapabilities } from "effect/cli"
import { countFindings, type Finding } from "../../doctor/finding.ts"
import { reportTo, silentReport } from "../../doctor/report.ts"
import { CliFailure } from "../exit-failure.ts"
import * as flags from "../flags.ts"
import { jsonText } from "../output.ts"

const marks = { ok: "✓", info: "i", warning: "!", error: "✗" } as const

// Red is for what keeps requests from being answered, and for nothing else.
const colours = { ok: 32, info: 36, warning: 33, error: 31 } as const

const checkWidth = 12

const painted = (text: string, code: number): string => `\u001b[${code}m${text}\u001b[0m`

/** The heading of a section. */
export const headingText = (name: string, about: string, colour: boolean): string =>
  `${colour ? painted(name, 1) : name} (${about})`

/** A finding, and below it what would mend it. */
export const findingText = ({ check, severity, seen, fix }: Finding, colour: boolean): string => {
  const mark = colour ? painted(marks[severity], colours[severity]) : marks[severity]
  const words = colour && severity === "error" ? painted(seen, colours.error) : seen
  return [
    `  ${mark} ${check.padEnd(checkWidth)}${words}`,
    ...(fix === undefined ? [] : [`    ${" ".repeat(checkWidth)}→ ${fix}`])
  ].join("\n")
}

const noInference = flags.onOff("no-inference", "Spend no tokens: leave out the questions that a model answers")

const bundle = Flag.String("bundle").pipe(
  Flag.withMetavar("FILE"),
  Flag.withDescription("Write a report to share, without any secret"),
  Flag.optional
)

const plural = (number: number, word: string): string => `${number} ${word}${number === 1 ? "" : "s"}`

/** Exit codes beside 0, which says that nothing is wrong. */
const exitCodes = { errors: 1, warnings: 3 } as const

const spending =
  "Asks one model of each backend up to four short questions, and one for an embedding: less than 400 tokens each. --no-inference leaves them out."

/** The command; it fails with 1 when there are errors, with 3 when there are warnings alone. */
export const doctorCommand = Command.make(
  "doctor",
  { json: flags.json, noInference, bundle, config: flags.config, host: flags.host, port: flags.port },
  Effect.fnUntraced(function* (input) {
    if (!input.noInference) yield* Console.error(spending)
    const out = yield* Console.Console
    const { canColor } = yield* TerminalCapabilities.TerminalCapabilities
    let isFirst = true
    const report = input.json
      ? silentReport
      : reportTo({
          heading: (name, about) => {
            out.log(`${isFirst ? "" : "\n"}${headingText(name, about, canColor)}`)
            isFirst = false
          },
          finding: (finding) => out.log(findingText(finding, canColor))
        })
    const options = {
      config: input.config,
      overrides: flags.addressOverrides(input),
      inference: !input.noInference,
      report
    }
    const { diagnose } = yield* Effect.promise(() => import("../../doctor/diagnose.ts"))
    const diagnosis = yield* diagnose(options)
    const { sections } = diagnosis
    if (Option.isSome(input.bundle)) {
      const file = input.bundle.value
      const fs = yield* FileSystem.FileSystem
      yield* fs
        .writeFileString(file, `${jsonText(diagnosis)}\n`, { mode: 0o600 })
        .pipe(Effect.mapError(() => new CliFailure({ message: `${file} cannot be written` })))
      yield* Console.error(`Wrote ${file}.`)
    }
    const [errors, warnings] = [countFindings(sections, "error"), countFindings(sections, "warning")]
    if (input.json) yield* Console.log(jsonText({ errors, warnings, sections }))
    if (errors + warnings === 0) return
    return yield* new CliFailure({
      message: `${plural(errors, "error")}, ${plural(warnings, "warning")}`,
      code: errors > 0 ? exitCodes.errors : exitCodes.warnings,
      mild: errors === 0
    })
  })
).pipe(
  Command.withDescription(
    "Look for what is wrong with the config, the machine and each backend, and say how to mend it; exit code 0 when nothing is, 1 with errors, 3 with warnings alone"
  ),
  Command.withExamples([{ command: "nexus doctor" }, { command: "nexus doctor --no-inference --bundle report.json" }])
)
