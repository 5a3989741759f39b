/**
 * What doctor finds, as a person sees it.
 */
import type { Finding } from "../../doctor/finding.ts"

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
