/**
 * What flows now: from clients to the models and aliases that they ask for, what these are at a backend, and the backends that answer.
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

// How far its columns are apart, how wide what stands in them is, and how many letters of it are seen: with three columns, and with four.
const wide = { three: { step: 330, boxWidth: 200, letters: 26 }, four: { step: 230, boxWidth: 170, letters: 22 } }
const narrow = { three: { step: 126, boxWidth: 106, letters: 13 }, four: { step: 92, boxWidth: 82, letters: 9 } }

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

interface Flow {
  readonly client: string
  /** What was asked for: a model, or an alias. */
  readonly asked: string
  /** What it is at the backend, which is what was asked for while there is none. */
  readonly model: string
  readonly backend: string
  readonly live: boolean
}

const flowOf = (request: RequestUnderWay | RecentRequest, live: boolean): Flow => ({
  client: request.key ?? "clients",
  asked: request.model,
  model: request.upstream_model === "" ? request.model : request.upstream_model,
  backend: "phase" in request && request.phase === "queued" ? waits : request.backend,
  live
})

const throughModels = ["client", "asked", "backend"] as const
const throughAliases = ["client", "asked", "model", "backend"] as const

/** The map: keys (or all clients), what they asked for, its models where something else was asked for, the backends. */
export const FlowMap = ({ fleet: { backends, underWay, ended } }: { readonly fleet: Fleet }): JSX.Element => {
  // What was asked a moment ago shows where things go when nothing is under way.
  const flows = [
    ...underWay.map((each) => flowOf(each, true)),
    ...ended.slice(0, 50).map((each) => flowOf(each, false))
  ].filter(({ asked, backend }) => asked !== "" && backend !== "")
  if (flows.length === 0) {
    const why = ended.length === 0 ? "Nothing has been asked yet" : "None of the last requests went to a backend"
    return <p class="dim">{why}: what flows is drawn here.</p>
  }
  const hasAliases = flows.some(({ asked, model }) => asked !== model)
  const stages = hasAliases ? throughAliases : throughModels
  const { boxWidth, letters, step } = (isNarrow.matches ? narrow : wide)[hasAliases ? "four" : "three"]
  const weigh = (live: boolean): number => (live ? 1000 : 1)
  const weighted = (stage: (typeof stages)[number]): Map<string, number> => {
    const counts = new Map<string, number>()
    for (const flow of flows) counts.set(flow[stage], (counts.get(flow[stage]) ?? 0) + weigh(flow.live))
    return counts
  }
  const lists = stages.map((stage) => most(weighted(stage)))
  const places = lists.map((list) => new Map(list.map((name, at) => [name, at])))
  const live = flows.filter(({ live }) => live)
  const working = stages.map((stage) => counted(live.map((flow) => flow[stage])))
  const lines = new Map<string, { from: readonly [number, number]; to: readonly [number, number]; count: number }>()
  const join = (column: number, from: string, to: string, isLive: boolean): void => {
    const a = places[column]?.get(from)
    const b = places[column + 1]?.get(to)
    if (a === undefined || b === undefined) return
    const key = `${column} ${a} ${b}`
    const known = lines.get(key) ?? { from: [column, a], to: [column + 1, b], count: 0 }
    lines.set(key, { ...known, count: known.count + (isLive ? 1 : 0) })
  }
  for (const flow of flows)
    for (const [column, stage] of stages.entries()) {
      const next = stages[column + 1]
      if (next !== undefined) join(column, flow[stage], flow[next], flow.live)
    }
  const tall = Math.max(...lists.map((list) => list.length)) * gap + 8
  const stateOf = (stage: (typeof stages)[number] | undefined, name: string): string =>
    stage === "backend" ? (backends.get(name)?.status ?? (name === waits ? "waiting" : "gone")) : ""
  const nodes = (list: ReadonlyArray<string>, column: number): ReadonlyArray<Node> =>
    list.map((name) => ({
      name,
      weight: working[column]?.get(name) ?? 0,
      state: stateOf(stages[column], name)
    }))
  return (
    <figure class="flow" tabIndex={0} aria-label="What flows">
      <svg
        viewBox={`-1 0 ${(stages.length - 1) * step + boxWidth + 2} ${tall}`}
        role="img"
        aria-label={`What flows now: ${live.length} requests`}
      >
        {[...lines.values()].map(({ count, from, to }) => {
          const x = from[0] * step + boxWidth
          const y = from[1] * gap + boxHeight / 2 + 4
          const end = to[0] * step
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
        {lists.flatMap((list, column) =>
          nodes(list, column).map(({ name, state, weight }, at) => (
            <g
              key={`${column} ${name}`}
              class={`node ${state}`}
              transform={`translate(${column * step},${at * gap + 4})`}
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
