/**
 * The fleet at one look: what flows from models to backends, and each backend with its state and figures.
 */
import type { JSX } from "preact"
import { useState } from "preact/hooks"
import type { BackendEntry } from "../api/backend-entry.ts"
import type { BackendChange } from "../api/control-api.ts"
import type { Stats } from "../api/stats-api.ts"
import { callApi } from "./call-api.ts"
import { Chart, Spark } from "./charts.tsx"
import type { Fleet } from "./fleet-state.ts"
import { FlowMap } from "./flow-map.tsx"
import { usePageFacts } from "./page-facts.ts"
import { againWords, count, number, percent, span } from "./words.ts"

type BackendFigures = Stats["backends"][number]

const Figure = ({ name, value }: { readonly name: string; readonly value: string }): JSX.Element => (
  <div class="figure">
    <dt>{name}</dt>
    <dd>{value}</dd>
  </div>
)

const firstTokenOf = ({ first_token_ms: first }: Pick<BackendFigures, "first_token_ms">): string =>
  first === null ? "–" : `${span(first.p50)} · ${span(first.p95)}`

const Totals = ({ figures: { totals, uptime_seconds: uptime } }: Fleet): JSX.Element => (
  <dl class="figures">
    <Figure name="Under way" value={count(totals.in_flight)} />
    <Figure name="Requests a second" value={number(totals.requests_per_second)} />
    <Figure name="Pieces a second" value={count(totals.pieces_per_second)} />
    <Figure name="First token p50 · p95" value={firstTokenOf(totals)} />
    <Figure name="Errors of the last minute" value={percent(totals.error_rate)} />
    <Figure name="Prompt tokens cached" value={cachedOf(totals)} />
    <Figure name="Requests" value={count(totals.requests)} />
    <Figure name="Up for" value={span(uptime * 1000)} />
  </dl>
)

const cachedOf = ({ cached_tokens: cached, prompt_tokens: prompt }: Stats["totals"] | BackendFigures): string =>
  prompt === 0 ? "–" : percent(cached / prompt)

const stateOf = ({ mode, status }: BackendEntry): string => (mode === "enabled" ? status : mode)

const actions: Readonly<Record<BackendEntry["mode"], ReadonlyArray<"enable" | "drain" | "disable">>> = {
  enabled: ["drain", "disable"],
  draining: ["enable", "disable"],
  disabled: ["enable"]
}

const slotsOf = ({ slots }: BackendFigures): string =>
  slots === undefined ? "" : ` of ${slots.reduce((most, each) => Math.max(most, each.slots), 0)}`

const BackendCard = ({
  backend,
  figures,
  rates
}: {
  readonly backend: BackendEntry
  readonly figures: BackendFigures | undefined
  readonly rates: ReadonlyArray<number>
}): JSX.Element => {
  const { may_change: mayChange } = usePageFacts()
  const [said, setSaid] = useState("")
  const act = async (action: string): Promise<void> => {
    const path = `/admin/v1/backends/${encodeURIComponent(backend.name)}/${action}`
    const answer = await callApi<BackendChange>("POST", path)
    setSaid(answer._tag === "Refused" ? answer.message : (answer.value.note ?? ""))
  }
  const loaded = backend.models.filter(({ loaded }) => loaded === true).map(({ id }) => id)
  const open = backend.circuits.filter(({ state }) => state !== "closed")
  return (
    <article class={`card is-${stateOf(backend)}`} aria-label={`Backend ${backend.name}`}>
      <header>
        <h3>{backend.name}</h3>
        <span class="state">{stateOf(backend)}</span>
      </header>
      <p class="dim">
        {backend.type} · {backend.url}
      </p>
      {backend.reason === "" ? null : <p class="why">{backend.reason}</p>}
      {open.map(({ failures, model, retry_in_ms: retry }) => (
        <p key={model} class="why">
          {model}: left alone after {failures} failures, tried again {againWords(retry)}
        </p>
      ))}
      {backend.cooling_ms > 0 ? <p class="why">asked to be left alone for {span(backend.cooling_ms)}</p> : null}
      {figures === undefined ? null : (
        <>
          <dl class="figures small">
            <Figure name="Under way" value={`${backend.in_flight}${slotsOf(figures)}`} />
            <Figure name="First token p50 · p95" value={firstTokenOf(figures)} />
            <Figure name="Pieces a second" value={number(figures.pieces_per_second)} />
            <Figure name="Errors" value={percent(figures.error_rate)} />
            <Figure name="Cached" value={cachedOf(figures)} />
            <Figure name="Requests" value={count(figures.requests)} />
          </dl>
          <Spark label={`Pieces a second of ${backend.name}`} values={rates} />
        </>
      )}
      <p class="dim">
        {backend.models.length} {backend.models.length === 1 ? "model" : "models"}
        {loaded.length === 0 ? "" : `, in memory: ${loaded.join(", ")}`}
      </p>
      <footer>
        {(mayChange ? actions[backend.mode] : []).map((action) => (
          <button key={action} type="button" aria-label={`${action} ${backend.name}`} onClick={() => void act(action)}>
            {action}
          </button>
        ))}
        {said === "" ? null : <span role="status">{said}</span>}
      </footer>
    </article>
  )
}

// Cards in the document at a time: beyond them people search.
const mostCards = 60

const trouble = ({ mode, status }: BackendEntry): number => (mode !== "enabled" ? 1 : status === "healthy" ? 2 : 0)

/** The view. */
export const FleetView = ({ fleet }: { readonly fleet: Fleet }): JSX.Element => {
  const [wanted, setWanted] = useState("")
  const { series } = fleet
  const figures = new Map(fleet.figures.backends.map((each) => [each.name, each]))
  const text = wanted.trim().toLowerCase()
  const found = [...fleet.backends.values()]
    .filter(({ models, name, type }) =>
      [name, type, ...models.map(({ id }) => id)].some((each) => each.toLowerCase().includes(text))
    )
    .toSorted((a, b) => trouble(a) - trouble(b) || b.in_flight - a.in_flight || (a.name < b.name ? -1 : 1))
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
        <span class="dim">
          {found.length} of {fleet.backends.size}
        </span>
      </div>
      <div class="cards">
        {found.slice(0, mostCards).map((backend) => (
          <BackendCard
            key={backend.name}
            backend={backend}
            figures={figures.get(backend.name)}
            rates={fleet.rates.get(backend.name) ?? []}
          />
        ))}
      </div>
      {found.length > mostCards ? <p class="dim">{found.length - mostCards} more: search for them.</p> : null}
    </>
  )
}
