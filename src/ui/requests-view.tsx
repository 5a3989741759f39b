/**
 * The requests under way and those that ended last, as one table that is filtered; each opens to its decision.
 */
import type { ComponentChildren, JSX } from "preact"
import { useState } from "preact/hooks"
import type { RecentRequest, RequestUnderWay } from "../api/admin-api.ts"
import type { Fleet } from "./fleet-state.ts"
import { RequestDetail } from "./request-detail.tsx"
import { VirtualList, type Column } from "./virtual-list.tsx"
import { span, timeOf } from "./words.ts"

type Row = RequestUnderWay | RecentRequest

const isUnderWay = (row: Row): row is RequestUnderWay => "phase" in row

const states = ["all", "under way", "completed", "failed"] as const

type State = (typeof states)[number]

const good = new Set<string>(["completed", "client_closed", "cancelled"])

const isIn = (row: Row, state: State): boolean => {
  if (state === "all") return true
  if (isUnderWay(row)) return state === "under way"
  return state === "completed" ? row.outcome === "completed" : state === "failed" && !good.has(row.outcome)
}

const textOf = ({ backend, endpoint, id, key = "", model }: Row): string =>
  `${id} ${model} ${backend} ${endpoint} ${key}`.toLowerCase()

// Where there is little room, the number alone says that all went well.
const stateOf = (row: Row): ComponentChildren =>
  isUnderWay(row) ? (
    row.phase
  ) : (
    <>
      <span class={row.outcome === "completed" ? "usual" : ""}>{row.outcome} </span>
      {row.status}
    </>
  )

const lasts = (row: Row): number => (isUnderWay(row) ? row.age_ms : row.duration_ms)

const columns: ReadonlyArray<Column<Row>> = [
  { title: "Began", width: "6rem", cell: ({ at }) => timeOf(at) },
  {
    title: "State",
    width: "minmax(8.5rem, 1fr)",
    narrow: "5.5rem",
    cell: (row) => <span class={isUnderWay(row) ? "live" : row.outcome}>{stateOf(row)}</span>
  },
  { title: "Model", width: "minmax(8rem, 2fr)", narrow: "minmax(0, 1.5fr)", cell: ({ model }) => model },
  { title: "Backend", width: "minmax(7rem, 1.5fr)", narrow: "minmax(0, 1fr)", cell: ({ backend }) => backend },
  { title: "Endpoint", width: "minmax(7rem, 1.2fr)", cell: ({ endpoint }) => endpoint },
  { title: "Tries", width: "4rem", align: "end", cell: ({ attempts }) => attempts },
  {
    title: "First byte",
    width: "6rem",
    align: "end",
    cell: ({ first_byte_ms: first }) => (first === null ? "–" : span(first))
  },
  { title: "Lasted", width: "6rem", narrow: "4.2rem", align: "end", cell: (row) => span(lasts(row)) }
]

const keyColumn: Column<Row> = { title: "Key", width: "minmax(7rem, 1fr)", cell: ({ key = "–" }) => key }

// What the one that is open tells beside the table.
const told = new Set(["Endpoint", "Tries", "First byte"])

const variants = [false, true].map((hasKeys) => {
  // Where nobody has a key, nothing is said of it.
  const all = hasKeys ? columns.toSpliced(2, 0, keyColumn) : columns
  return { alone: all, beside: all.filter(({ title }) => !told.has(title)) }
})

const columnsFor = (hasKeys: boolean, isBeside: boolean): ReadonlyArray<Column<Row>> =>
  variants[hasKeys ? 1 : 0]?.[isBeside ? "beside" : "alone"] ?? columns

interface RequestsProps {
  readonly fleet: Fleet
  /** The id of the request that is open, empty for none. */
  readonly chosen: string
  /** What is looked for at first. */
  readonly of: string
}

/** The view. */
export const RequestsView = ({ chosen, fleet, of }: RequestsProps): JSX.Element => {
  const [wanted, setWanted] = useState(of)
  const [state, setState] = useState<State>("all")
  const text = wanted.trim().toLowerCase()
  const all: ReadonlyArray<Row> = [...fleet.underWay.toReversed(), ...fleet.ended]
  const rows = all.filter((row) => isIn(row, state) && (text === "" || textOf(row).includes(text)))
  return (
    <div class={chosen === "" ? "split" : "split open"}>
      <section aria-label="Requests">
        <div class="bar">
          <input
            type="search"
            placeholder="model, backend, key or id"
            aria-label="Requests to show"
            value={wanted}
            onInput={({ currentTarget }) => setWanted(currentTarget.value)}
          />
          <div role="radiogroup" aria-label="State" class="choice">
            {states.map((each) => (
              <label key={each}>
                <input type="radio" name="state" checked={each === state} onChange={() => setState(each)} />
                {each}
              </label>
            ))}
          </div>
          <span class="dim">
            {rows.length} of {all.length}
            {fleet.underWayTotal > fleet.underWay.length
              ? `, ${fleet.underWayTotal - fleet.underWay.length} more under way`
              : ""}
          </span>
        </div>
        <VirtualList
          label="Requests"
          rows={rows}
          columns={columnsFor(
            all.some(({ key }) => key !== undefined),
            chosen !== ""
          )}
          keyOf={({ at, id }) => `${at} ${id}`}
          chosen={rows.filter(({ id }) => id === chosen).map(({ at, id }) => `${at} ${id}`)[0]}
          onChoose={({ id }) => {
            window.location.hash = `#/requests/${encodeURIComponent(id)}`
          }}
          isGrowing
          empty="No request of this kind is remembered."
        />
      </section>
      {chosen === "" ? null : (
        <RequestDetail id={chosen} key={chosen} isUnderWay={fleet.underWay.some(({ id }) => id === chosen)} />
      )}
    </div>
  )
}
