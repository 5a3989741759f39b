/**
 * The fleet at one look: what flows from models to backends, and each backend with its state and figures.
 */
import type { JSX } from "preact"
import { useState } from "preact/hooks"
import { BackendCard, cachedOf, Figure, firstTokenOf } from "./backend-card.tsx"
import { type KnownBackend, remarksOf } from "./backend-remarks.ts"
import { Chart } from "./charts.tsx"
import type { Fleet } from "./fleet-state.ts"
import { FlowMap } from "./flow-map.tsx"
import { count, number, percent, span } from "./words.ts"

const underWayOf = ({ figures: { queue = [], totals } }: Fleet): string => {
  const waiting = queue.reduce((sum, each) => sum + each.waiting, 0)
  return waiting === 0
    ? count(totals.in_flight)
    : `${count(totals.in_flight)}, ${count(waiting)} of them ${waiting === 1 ? "waits" : "wait"}`
}

const Totals = (fleet: Fleet): JSX.Element => {
  const { totals, uptime_seconds: uptime } = fleet.figures
  return (
    <dl class="figures">
      <Figure name="Under way" value={underWayOf(fleet)} />
      <Figure name="Requests a second" value={number(totals.requests_per_second)} />
      <Figure name="Pieces a second" value={count(totals.pieces_per_second)} />
      <Figure name="First token p50 · p95" value={firstTokenOf(totals)} />
      <Figure name="Errors of the last minute" value={percent(totals.error_rate)} />
      <Figure name="Prompt tokens cached" value={cachedOf(totals)} />
      <Figure name="Requests" value={count(totals.requests)} />
      <Figure name="Up for" value={span(uptime * 1000)} />
    </dl>
  )
}

const none: ReadonlyArray<never> = []

// Cards in the document at a time, and those of them that are drawn whole before it is known which are seen.
const mostCards = 240
const firstCards = 12

const trouble = ({ circuits, mode, status }: KnownBackend["backend"], isRemarked: boolean): number => {
  if (mode !== "enabled") return 2
  if (status !== "healthy" || circuits.some(({ state }) => state !== "closed")) return 0
  return isRemarked ? 1 : 3
}

// What is greatest stands first, and what is equal in it by trouble and name: cards do not change places by themselves.
const orders = {
  trouble: { title: "trouble", of: () => 0 },
  slow: { title: "slowest first token", of: ({ figures }: KnownBackend) => figures?.first_token_ms?.p95 ?? -1 },
  errors: { title: "most errors", of: ({ figures }: KnownBackend) => figures?.error_rate ?? 0 },
  busy: { title: "most under way", of: ({ backend }: KnownBackend) => backend.in_flight }
} as const

type Order = keyof typeof orders

const isOrder = (name: string): name is Order => Object.hasOwn(orders, name)

/** The view. */
export const FleetView = ({ fleet }: { readonly fleet: Fleet }): JSX.Element => {
  const [wanted, setWanted] = useState("")
  const [order, setOrder] = useState<Order>("trouble")
  const { series } = fleet
  const figures = new Map(fleet.figures.backends.map((each) => [each.name, each]))
  const text = wanted.trim().toLowerCase()
  const { of } = orders[order]
  const all = [...fleet.backends.values()].map((backend): KnownBackend => ({
    backend,
    figures: figures.get(backend.name)
  }))
  const remarks = remarksOf(all, fleet.figures.queue)
  const troubleOf = ({ backend }: KnownBackend): number => trouble(backend, remarks.has(backend.name))
  const found = all
    .filter(({ backend: { models, name, type } }) =>
      [name, type, ...models.map(({ id }) => id)].some((each) => each.toLowerCase().includes(text))
    )
    .toSorted(
      (a, b) =>
        of(b) - of(a) ||
        troubleOf(a) - troubleOf(b) ||
        a.backend.name.localeCompare(b.backend.name, "en", { numeric: true })
    )
  return (
    <>
      <Totals {...fleet} />
      <Chart
        label="The last ten minutes"
        at={series.at}
        lines={[
          { name: "requests a second", values: series.requests, color: "--blue" },
          { name: "under way", values: series.inFlight, color: "--orange" }
        ]}
      />
      <FlowMap fleet={fleet} />
      <div class="bar">
        <h2>Backends</h2>
        <input
          type="search"
          placeholder="name, kind or model"
          aria-label="Backends to show"
          value={wanted}
          onInput={({ currentTarget }) => setWanted(currentTarget.value)}
        />
        <label>
          first
          <select
            aria-label="Backends that stand first"
            value={order}
            onChange={({ currentTarget: { value } }) => {
              if (isOrder(value)) setOrder(value)
            }}
          >
            {Object.entries(orders).map(([name, { title }]) => (
              <option key={name} value={name}>
                {title}
              </option>
            ))}
          </select>
        </label>
        <span class="dim">
          {found.length} of {fleet.backends.size}
        </span>
      </div>
      <div class="cards">
        {found.slice(0, mostCards).map((known, at) => (
          <BackendCard
            key={known.backend.name}
            {...known}
            remarks={remarks.get(known.backend.name) ?? none}
            rates={fleet.rates.get(known.backend.name) ?? []}
            isFirst={at < firstCards}
          />
        ))}
      </div>
      {found.length > mostCards ? <p class="dim">{found.length - mostCards} more: search for them.</p> : null}
    </>
  )
}
