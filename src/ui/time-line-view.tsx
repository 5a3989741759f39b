/**
 * A request as a line in time: its waits for a slot and each call to a backend, with what took how long of it.
 */
import type { JSX } from "preact"
import type { Explained, ExplainedUnderWay, TimePart } from "../api/admin-api.ts"
import { span } from "./words.ts"

interface Segment {
  readonly kind: "read" | "queue" | "connect" | "first" | "stream" | "lost"
  readonly from: number
  readonly to: number
}

interface Row {
  readonly title: string
  readonly note: string
  readonly segments: ReadonlyArray<Segment>
}

const words: Readonly<Record<Segment["kind"], string>> = {
  read: "read and decided",
  queue: "waited for a slot",
  connect: "connect",
  first: "first token",
  stream: "stream",
  lost: "in vain"
}

// What comes at once has no first token that could be told from the rest.
const wholeWords = { ...words, first: "first byte", stream: "the rest" }

// Shorter waits were over in the same moment: others stood in line, and this one found a slot that was free.
const leastWaitMs = 0.5

const isSeen = ({ from_ms: from, part, to_ms: to }: TimePart): boolean => part !== "queue" || to - from >= leastWaitMs

const outcomes = { answered: "", failed: "failed", outrun: "another one was faster", under_way: "under way" } as const

const rowOf = (part: TimePart): Row => {
  const { from_ms: from, to_ms: to } = part
  if (part.part === "queue") return { title: "queue", note: "", segments: [{ kind: "queue", from, to }] }
  const { backend, connected_ms: connected, first_byte_ms: first, hedge, outcome, reason } = part
  const isLost = outcome === "failed" || outcome === "outrun"
  const waits = connected ?? to
  return {
    title: backend === "" ? "nobody" : backend,
    note: [...(hedge ? ["asked beside the first, which was late"] : []), reason ?? outcomes[outcome]]
      .filter((each) => each !== "")
      .join("; "),
    segments: [
      { kind: "connect" as const, from, to: waits },
      ...(connected === null
        ? []
        : [{ kind: isLost ? ("lost" as const) : ("first" as const), from: waits, to: first ?? to }]),
      ...(first === null ? [] : [{ kind: "stream" as const, from: first, to }])
    ]
  }
}

/** The line. */
export const TimeLine = ({ told }: { readonly told: Explained | ExplainedUnderWay }): JSX.Element => {
  const { request, time_line: parts = [] } = told
  const whole = Math.max(0.1, "phase" in request ? request.age_ms : request.duration_ms)
  const first = parts[0]?.from_ms ?? whole
  const before: Row = { title: "request", note: "", segments: [{ kind: "read", from: 0, to: first }] }
  const names = request.stream ? words : wholeWords
  const share = (ms: number): string => `${Math.max(0, Math.min(100, (ms / whole) * 100)).toFixed(2)}%`
  return (
    <>
      <h3>What took how long: {span(whole)}</h3>
      <ol class="time-line" aria-label="What took how long">
        {[before, ...parts.filter(isSeen).map(rowOf)].map(({ note, segments, title }, at) => (
          <li key={at}>
            <b>{title}</b>
            <div class="track" aria-hidden="true">
              {segments.map(({ from, kind, to }) => (
                <i key={kind} class={kind} style={{ left: share(from), width: share(to - from) }} />
              ))}
            </div>
            <span class="dim">
              {segments.map(({ from, kind, to }) => `${names[kind]} ${span(to - from)}`).join(" · ")}
              {note === "" ? "" : ` · ${note}`}
            </span>
          </li>
        ))}
      </ol>
    </>
  )
}
