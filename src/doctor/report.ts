/**
 * Sections of a report that are worked on at a time and told one after the other: each finding as soon as it is known and all
 * sections before its own have ended.
 */
import type { Finding } from "./finding.ts"

/** Where a report is told. */
export interface ReportOutput {
  readonly heading: (name: string, about: string) => void
  readonly finding: (finding: Finding) => void
}

/** One section that has begun. */
export interface OpenSection {
  readonly say: (finding: Finding) => void
  readonly end: () => void
}

/** Begins sections in the order in which they are to be told. */
export type Report = (name: string, about: string) => OpenSection

/** A report that is told by `teller`. */
export const reportTo = (teller: ReportOutput): Report => {
  const waiting: Array<{ readonly tell: () => void; over: boolean; held: Array<Finding> }> = []
  const proceed = (): void => {
    while (waiting[0]?.over === true) {
      waiting.shift()
      const [next] = waiting
      if (next === undefined) return
      next.tell()
      for (const finding of next.held) teller.finding(finding)
      next.held = []
    }
  }
  return (name, about) => {
    const own = { tell: () => teller.heading(name, about), over: false, held: [] as Array<Finding> } // reason: it is empty at first
    waiting.push(own)
    if (waiting[0] === own) own.tell()
    return {
      say: (finding) => {
        if (waiting[0] === own) teller.finding(finding)
        else own.held.push(finding)
      },
      end: () => {
        own.over = true
        proceed()
      }
    }
  }
}

/** A report that nobody is told. */
export const silentReport: Report = () => ({ say: () => undefined, end: () => undefined })
