/**
 * What `nexus top` shows and how keys change that: backends, requests under way, and what is asked of the one that is chosen.
 */
import type { RequestUnderWay } from "../../api/admin-api.ts"
import type { Stats } from "../../api/stats-api.ts"
import { printable } from "../../domain/printable.ts"
import { narrowedTable } from "../output.ts"
import { requestRows } from "../requests.ts"
import { backendLines, clippedLine, queueLines, type TerminalSize, totalLines } from "../status/status-view.ts"

/** What is wanted of the gateway. */
export type TopAction =
  | { readonly _tag: "Cancel"; readonly id: string }
  | { readonly _tag: "Explain"; readonly id: string }
  | { readonly _tag: "SetMode"; readonly name: string; readonly mode: "drain" | "enable" }

/** All that the screen is made of. */
export interface TopState {
  readonly stats: Stats
  readonly requests: ReadonlyArray<RequestUnderWay>
  /** Why nothing newer is shown; empty while there is. */
  readonly trouble: string
  readonly pane: "requests" | "backends"
  /** The chosen one of each pane, by its id or name. */
  readonly request: string | undefined
  readonly backend: string | undefined
  /** What is done once it is confirmed. */
  readonly wanted: TopAction | undefined
  /** What came of the last wish. */
  readonly told: string
  /** A text that is read in place of all else, and how far it is scrolled. */
  readonly page: { readonly lines: ReadonlyArray<string>; readonly from: number } | undefined
}

/** What is shown at first. */
export const topState = (stats: Stats, requests: ReadonlyArray<RequestUnderWay>): TopState => ({
  stats,
  requests,
  trouble: "",
  pane: "requests",
  request: requests[0]?.id,
  backend: stats.backends[0]?.name,
  wanted: undefined,
  told: "",
  page: undefined
})

const near = (
  all: ReadonlyArray<string>,
  chosen: string | undefined,
  before: ReadonlyArray<string>
): string | undefined =>
  chosen !== undefined && all.includes(chosen) ? chosen : (all[Math.max(0, before.indexOf(chosen ?? ""))] ?? all.at(-1))

const idsOf = (requests: ReadonlyArray<RequestUnderWay>): ReadonlyArray<string> => requests.map(({ id }) => id)

const namesOf = ({ backends }: Stats): ReadonlyArray<string> => backends.map(({ name }) => name)

/** The same with what is there now; the one that was chosen stays chosen while it is there, and then the one at its place. */
export const withLook = (state: TopState, stats: Stats, requests: ReadonlyArray<RequestUnderWay>): TopState => ({
  ...state,
  stats,
  requests,
  trouble: "",
  request: near(idsOf(requests), state.request, idsOf(state.requests)),
  backend: near(namesOf(stats), state.backend, namesOf(state.stats))
})

const moved = (all: ReadonlyArray<string>, chosen: string | undefined, by: number): string | undefined =>
  all[Math.min(all.length - 1, Math.max(0, all.indexOf(chosen ?? "") + by))]

const step = (state: TopState, by: number, room: number): TopState => {
  if (state.page !== undefined) {
    const { from, lines } = state.page
    const next = Math.max(0, Math.min(from + by, lines.length - room))
    return { ...state, page: { lines, from: next } }
  }
  return state.pane === "requests"
    ? { ...state, request: moved(idsOf(state.requests), state.request, by) }
    : { ...state, backend: moved(namesOf(state.stats), state.backend, by) }
}

/** What a key makes of the state, and what it has done; `quit` ends the command. */
export interface Pressed {
  readonly state: TopState
  readonly does?: TopAction | "quit"
}

// How far a key leads, in lines, where a screen has so many.
const stepOf = (key: string, room: number): number | undefined => {
  if (key === "up" || key === "k") return -1
  if (key === "down" || key === "j") return 1
  if (key === "pageup") return -room
  if (key === "pagedown") return room
  if (key === "home") return -Infinity
  return key === "end" ? Infinity : undefined
}

/** Takes a key, by its character or its name; `room` is how many lines are read at a time. */
export const press = (state: TopState, key: string, room = 10): Pressed => {
  const { backend, page, pane, request, wanted } = state
  if (key === "ctrl-c") return { state, does: "quit" }
  if (wanted !== undefined) {
    const calm = { ...state, wanted: undefined }
    return key === "y" ? { state: calm, does: wanted } : { state: { ...calm, told: "Nothing was done." } }
  }
  const by = stepOf(key, room)
  if (by !== undefined) return { state: step({ ...state, told: "" }, by, room) }
  if (page !== undefined) return { state: { ...state, page: undefined } }
  if (key === "q") return { state, does: "quit" }
  if (key === "tab") return { state: { ...state, pane: pane === "requests" ? "backends" : "requests", told: "" } }
  if (pane === "requests" && request !== undefined) {
    if (key === "c") return { state: { ...state, wanted: { _tag: "Cancel", id: request } } }
    if (key === "e" || key === "enter") return { state, does: { _tag: "Explain", id: request } }
  }
  if (pane === "backends" && backend !== undefined && key === "d") {
    const isOn = state.stats.backends.find(({ name }) => name === backend)?.mode === "enabled"
    return { state: { ...state, wanted: { _tag: "SetMode", name: backend, mode: isOn ? "drain" : "enable" } } }
  }
  return { state }
}

const question = (action: TopAction): string => {
  if (action._tag === "Cancel") return `Cancel request ${action.id}? y is yes, any other key no`
  if (action._tag === "Explain") return ""
  const what = action.mode === "drain" ? "Give no more requests to" : "Give requests again to"
  return `${what} ${action.name}? y is yes, any other key no`
}

const help = ({ page, pane }: TopState): string => {
  if (page !== undefined) return "↑↓ scroll   any other key back"
  const own = pane === "requests" ? "c cancel   e explain" : "d drain or enable"
  return `↑↓ choose   tab ${pane === "requests" ? "backends" : "requests"}   ${own}   q quit`
}

/** A line, and how it looks. */
interface Line {
  readonly text: string
  readonly look?: "chosen" | "heading" | "good" | "bad" | "fading"
}

// Without colours what is chosen has to be seen as well.
const plainLooks: ReadonlySet<string> = new Set(["chosen", "heading"])

const codes = { chosen: 7, heading: 1, good: 32, bad: 31, fading: 33 } as const

// The part of the rows in which the chosen one is.
const windowed = (rows: ReadonlyArray<Line>, room: number): ReadonlyArray<Line> => {
  if (rows.length <= room) return rows
  const chosen = Math.max(
    0,
    rows.findIndex(({ look }) => look === "chosen")
  )
  const from = Math.min(Math.max(0, chosen - Math.floor(room / 2)), rows.length - room)
  return rows.slice(from, from + Math.max(0, room))
}

const backendTable = ({ backend, pane, stats }: TopState, columns: number): ReadonlyArray<Line> => {
  const [heading = "", ...rows] = backendLines(stats, columns)
  if (stats.backends.length === 0) return [{ text: heading, look: "heading" }]
  return [
    { text: heading, look: "heading" },
    ...rows.map((text, at): Line => {
      const of = stats.backends[at]
      if (pane === "backends" && of?.name === backend) return { text, look: "chosen" }
      if (of?.mode !== "enabled") return { text, look: "fading" }
      return { text, look: of.status === "healthy" ? "good" : of.status === "unknown" ? "fading" : "bad" }
    })
  ]
}

const requestTable = ({ pane, request, requests }: TopState, columns: number): ReadonlyArray<Line> => {
  if (requests.length === 0) return [{ text: "No request is under way.", look: "heading" }]
  const { heading, rows } = requestRows(requests)
  const [first = "", ...rest] = narrowedTable(heading, rows, columns, 3)
  return [
    { text: first, look: "heading" },
    ...rest.map((text, at): Line =>
      pane === "requests" && requests[at]?.id === request ? { text, look: "chosen" } : { text }
    )
  ]
}

const headed = ([heading, ...rows]: ReadonlyArray<Line>, room: number): ReadonlyArray<Line> =>
  heading === undefined || room <= 0 ? [] : [heading, ...windowed(rows, room - 1)]

const fewRows = 17

// The lines of a screen beside the last one, which tells the keys.
const pageLines = (rows: number): number => Math.max(0, rows - 1)

/** What stands above the tables, and how many lines each of them has, its heading among them. */
const layoutOf = (
  { requests, stats }: TopState,
  url: string,
  rows: number
): { readonly head: ReadonlyArray<string>; readonly backends: number; readonly requests: number } => {
  const { backends, queue = [] } = stats
  const totals = totalLines(stats, url)
  const waits = queue.length === 0 ? [] : ["", ...queueLines(queue, Math.max(2, Math.floor(rows / 4)))]
  // What can be chosen goes before what is only told.
  const head = rows < fewRows ? totals.slice(0, 2) : [...totals, ...waits]
  const left = pageLines(rows) - head.length - 2
  // What one of them has no use for is the other one's.
  const most = Math.max(2, Math.floor(left / 2), left - requests.length - 1)
  const forBackends = Math.min(backends.length + 1, most)
  return { head, backends: forBackends, requests: left - forBackends }
}

/** How many lines are seen at a time of what keys lead through: the text that is read, or the rows of the pane. */
export const linesAtATime = (state: TopState, url: string, rows: number): number => {
  if (state.page !== undefined) return pageLines(rows)
  return Math.max(1, layoutOf(state, url, rows)[state.pane] - 1)
}

/** The screen, in lines that fit. */
export const topLines = (
  state: TopState,
  url: string,
  { columns, rows }: TerminalSize,
  inColour: boolean
): ReadonlyArray<string> => {
  const { page, trouble, wanted } = state
  const last: Line =
    wanted !== undefined
      ? { text: question(wanted), look: "bad" }
      : trouble !== ""
        ? { text: trouble, look: "bad" }
        : { text: state.told === "" ? help(state) : `${state.told}   ${help(state)}` }
  const room = pageLines(rows)
  const body = (): ReadonlyArray<Line> => {
    if (page !== undefined) return page.lines.slice(page.from, page.from + room).map((text) => ({ text }))
    const layout = layoutOf(state, url, rows)
    return [
      ...layout.head.map((text): Line => ({ text })),
      { text: "" },
      ...headed(backendTable(state, columns), layout.backends),
      { text: "" },
      ...headed(requestTable(state, columns), layout.requests)
    ].slice(0, room)
  }
  const all = body()
  const gap = Array.from({ length: room - all.length }, (): Line => ({ text: "" }))
  return [...all, ...gap, last].slice(0, rows).map(({ look, text }) => {
    const fitting = clippedLine(printable(text), columns)
    return look === undefined || !(inColour || plainLooks.has(look))
      ? fitting
      : `\u001b[${codes[look]}m${fitting}\u001b[0m`
  })
}
