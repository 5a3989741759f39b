/**
 * What doctor finds: one thing it looked at, how bad it is, and what would mend it.
 */

/** How bad it is, from good to bad. */
type Severity = "ok" | "info" | "warning" | "error"

/** One thing that was looked at; `fix` is a command or a line of the config. */
export interface Finding {
  readonly check: string
  readonly severity: Severity
  readonly seen: string
  readonly fix?: string
}

/** All that was found of the gateway or of one backend. */
export interface ReportSection {
  /** `gateway`, or the name of a backend. */
  readonly name: string
  /** What it is, such as type and address. */
  readonly about: string
  readonly findings: ReadonlyArray<Finding>
}

/** A finding that all is well. */
export const ok = (check: string, seen: string): Finding => ({ check, severity: "ok", seen })

/** A finding that is good to know. */
export const info = (check: string, seen: string, fix?: string): Finding => found(check, "info", seen, fix)

/** A finding that will bite some day. */
export const warning = (check: string, seen: string, fix?: string): Finding => found(check, "warning", seen, fix)

/** A finding that keeps requests from being answered. */
export const error = (check: string, seen: string, fix?: string): Finding => found(check, "error", seen, fix)

const found = (check: string, severity: Severity, seen: string, fix: string | undefined): Finding =>
  fix === undefined ? { check, severity, seen } : { check, severity, seen, fix }

/** How many findings of a severity there are. */
export const countFindings = (sections: ReadonlyArray<ReportSection>, severity: Severity): number =>
  sections.reduce((sum, { findings }) => sum + findings.filter((each) => each.severity === severity).length, 0)
