/**
 * What a replay comes to, for a person.
 */
import type { ReplayAnswer, ReplayedRequest } from "../api/admin-api.ts"
import { shownTable } from "./output.ts"

/** Requests that are listed one by one at most. */
const mostListed = 20

type Choice = ReplayedRequest["after"]

const choiceText = (choice: Choice, waits: boolean): string => {
  if (choice === null) return waits ? "waits for a slot" : "nobody"
  const { backend, canary, model, rule } = choice
  return `${backend} (${model})${rule === null ? "" : ` by ${rule}`}${canary ? ", canary" : ""}`
}

const grouped = (texts: ReadonlyArray<string>): ReadonlyArray<readonly [text: string, count: number]> => {
  const counts = new Map<string, number>()
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1)
  return [...counts].toSorted(([, a], [, b]) => b - a)
}

const counted = (count: number): string => (count === 1 ? "1 request" : `${count} requests`)

/** A replay as tables: what changes all in all, the last requests that would change, and what cannot be known. */
export const replayText = ({ notes, requests }: ReplayAnswer, since: string): string => {
  const changed = requests.filter((each) => each.changed)
  const refused = changed.filter(({ after, waits }) => after === null && !waits.after)
  const lines = [
    `${counted(requests.length)} of the last ${since}: ${changed.length} would change${refused.length === 0 ? "" : `, ${refused.length} of them refused`}.`
  ]
  if (changed.length > 0) {
    const moves = grouped(
      changed.map(
        ({ after, before, waits }) => `${choiceText(before, waits.before)} -> ${choiceText(after, waits.after)}`
      )
    )
    const rows = moves.map(([move, count]) => [String(count), move])
    lines.push("", shownTable(["Requests", "Before -> after"], rows))
    const last = changed
      .slice(0, mostListed)
      .map(({ after, at, before, id, model, waits }) => [
        new Date(at).toISOString(),
        id,
        model,
        choiceText(before, waits.before),
        choiceText(after, waits.after)
      ])
    lines.push("", shownTable(["At", "Request", "Model", "Before", "After"], last, 2))
    if (changed.length > mostListed) lines.push(`... and ${changed.length - mostListed} before them (--json has all)`)
  }
  const unknown = grouped(requests.flatMap((each) => each.unknown)).map(
    ([text, count]) => `${text} (${counted(count)})`
  )
  const all = [...notes, ...unknown]
  if (requests.length > 0)
    all.push(
      "Who would have been asked first is told, by the figures of each request's beginning: other choices before it would have made them others"
    )
  return [...lines, ...(all.length === 0 ? [] : ["", "What cannot be known:", ...all.map((note) => `- ${note}`)])].join(
    "\n"
  )
}
