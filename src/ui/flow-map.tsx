/**
 * What flows now: from clients to the models that they ask for, and on to the backends that answer.
 */
import type { JSX } from "preact"
import type { RecentRequest, RequestUnderWay } from "../api/admin-api.ts"
import type { Fleet } from "./fleet-state.ts"

interface Node {
  readonly name: string
  readonly weight: number
  readonly state: string
}

// Where those stand that have no backend yet; no backend has a name that begins with a blank.
const waits = " waiting"

// Of each column those with the most under way.
const mostNodes = 12
const gap = 34
const boxHeight = 26

// Where its columns are, how wide what stands in them is, and how many letters of it are seen.
const wide = { columns: [0, 330, 660], boxWidth: 200, letters: 26 } as const
const narrow = { columns: [0, 126, 252], boxWidth: 106, letters: 13 } as const

const isNarrow = window.matchMedia("(max-width: 600px)")

const counted = (names: ReadonlyArray<string>): Map<string, number> => {
  const counts = new Map<string, number>()
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
  return counts
}

const most = (counts: ReadonlyMap<string, number>): ReadonlyArray<string> =>
  [...counts]
    .toSorted(([a, n], [b, m]) => m - n || (a < b ? -1 : 1))
    .slice(0, mostNodes)
    .map(([name]) => name)

const short = (text: string, letters: number): string =>
  text.length > letters ? `${text.slice(0, letters - 1)}…` : text

/** The map: keys (or all clients), the models that were asked for, the backends. */
export const FlowMap = ({ fleet: { backends, underWay, ended } }: { readonly fleet: Fleet }): JSX.Element => {
  const { boxWidth, columns, letters } = isNarrow.matches ? narrow : wide
  // What was asked a moment ago shows where things go when nothing is under way.
  const flowOf = (request: RequestUnderWay | RecentRequest, live: boolean) => ({
    client: request.key ?? "clients",
    model: request.model,
    backend: "phase" in request && request.phase === "queued" ? waits : request.backend,
    live
  })
  const flows = [
    ...underWay.map((each) => flowOf(each, true)),
    ...ended.slice(0, 50).map((each) => flowOf(each, false))
  ].filter(({ backend, model }) => model !== "" && backend !== "")
  if (flows.length === 0) {
    const why = ended.length === 0 ? "Nothing has been asked yet" : "None of the last requests went to a backend"
    return <p class="dim">{why}: what flows is drawn here.</p>
  }
  const weigh = (live: boolean): number => (live ? 1000 : 1)
  const weighted = (pick: (flow: (typeof flows)[number]) => string): Map<string, number> => {
    const counts = new Map<string, number>()
    for (const flow of flows) counts.set(pick(flow), (counts.get(pick(flow)) ?? 0) + weigh(flow.live))
    return counts
  }
  const lists = [
    most(weighted(({ client }) => client)),
    most(weighted(({ model }) => model)),
    most(weighted(({ backend }) => backend))
  ] as const
  const places = lists.map((list) => new Map(list.map((name, at) => [name, at])))
  const live = flows.filter(({ live }) => live)
  const working = [
    counted(live.map(({ client }) => client)),
    counted(live.map(({ model }) => model)),
    counted(live.map(({ backend }) => backend))
  ]
  const lines = new Map<string, { from: readonly [number, number]; to: readonly [number, number]; count: number }>()
  const join = (column: 0 | 1, from: string, to: string, isLive: boolean): void => {
    const a = places[column]?.get(from)
    const b = places[column + 1]?.get(to)
    if (a === undefined || b === undefined) return
    const key = `${column} ${a} ${b}`
    const known = lines.get(key) ?? { from: [column, a], to: [column + 1, b], count: 0 }
    lines.set(key, { ...known, count: known.count + (isLive ? 1 : 0) })
  }
  for (const { backend, client, live: isLive, model } of flows) {
    join(0, client, model, isLive)
    join(1, model, backend, isLive)
  }
  const tall = Math.max(...lists.map((list) => list.length)) * gap + 8
  const nodes = (column: 0 | 1 | 2): ReadonlyArray<Node> =>
    lists[column].map((name) => ({
      name,
      weight: working[column]?.get(name) ?? 0,
      state: column === 2 ? (backends.get(name)?.status ?? (name === waits ? "waiting" : "gone")) : ""
    }))
  return (
    <figure class="flow" tabIndex={0} aria-label="What flows">
      <svg
        viewBox={`-1 0 ${columns[2] + boxWidth + 2} ${tall}`}
        role="img"
        aria-label={`What flows now: ${live.length} requests`}
      >
        {[...lines.values()].map(({ count, from, to }) => {
          const x = (columns[from[0]] ?? 0) + boxWidth
          const y = from[1] * gap + boxHeight / 2 + 4
          const end = columns[to[0]] ?? 0
          const down = to[1] * gap + boxHeight / 2 + 4
          const half = (x + end) / 2
          return (
            <path
              key={`${from} ${to}`}
              class={count > 0 ? "live" : ""}
              d={`M${x},${y} C${half},${y} ${half},${down} ${end},${down}`}
              stroke-width={count === 0 ? 1 : Math.min(12, 1.5 + Math.sqrt(count))}
            />
          )
        })}
        {([0, 1, 2] as const).flatMap((column) =>
          nodes(column).map(({ name, state, weight }, at) => (
            <g
              key={`${column} ${name}`}
              class={`node ${state}`}
              transform={`translate(${columns[column]},${at * gap + 4})`}
            >
              <title>{name}</title>
              <rect width={boxWidth} height={boxHeight} rx="5" />
              <text x="9" y="17">
                {short(name, weight === 0 ? letters : letters - 4)}
              </text>
              {weight === 0 ? null : (
                <text x={boxWidth - 9} y="17" text-anchor="end" class="weight">
                  {weight}
                </text>
              )}
            </g>
          ))
        )}
      </svg>
    </figure>
  )
}
