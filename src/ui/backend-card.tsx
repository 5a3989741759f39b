/**
 * A backend as a card: its state and why, its figures, what can be done with it.
 */
import type { JSX } from "preact"
import { useEffect, useRef, useState } from "preact/hooks"
import type { BackendEntry } from "../api/backend-entry.ts"
import type { BackendChange } from "../api/control-api.ts"
import { slotsText } from "../api/slots-text.ts"
import type { Stats } from "../api/stats-api.ts"
import { callApi } from "./call-api.ts"
import { Spark } from "./charts.tsx"
import { usePageFacts } from "./page-facts.ts"
import { againWords, count, number, percent, span } from "./words.ts"

/** The figures of a backend. */
export type BackendFigures = Stats["backends"][number]

/** A figure with its name. */
export const Figure = ({ name, value }: { readonly name: string; readonly value: string }): JSX.Element => (
  <div class="figure">
    <dt>{name}</dt>
    <dd>{value}</dd>
  </div>
)

/** How long the first token took. */
export const firstTokenOf = ({ first_token_ms: first }: Pick<BackendFigures, "first_token_ms">): string =>
  first === null ? "–" : `${span(first.p50)} · ${span(first.p95)}`

/** The share of prompts that came from caches. */
export const cachedOf = ({ cached_tokens: cached, prompt_tokens: prompt }: Stats["totals"] | BackendFigures): string =>
  prompt === 0 ? "–" : percent(cached / prompt)

const stateOf = ({ mode, status }: BackendEntry): string => (mode === "enabled" ? status : mode)

const actions: Readonly<Record<BackendEntry["mode"], ReadonlyArray<"enable" | "drain" | "disable">>> = {
  enabled: ["drain", "disable"],
  draining: ["enable", "disable"],
  disabled: ["enable"]
}

// Each of several models has slots of its own, and all that is under way at their backend says nothing of these.
const slotWords = (known: NonNullable<BackendFigures["slots"]>): string => {
  if (known.length === 0) return ""
  const busy = known.length === 1 ? [] : known.filter(({ in_flight: working = 0 }) => working > 0)
  const inUse = busy.map(({ in_flight: working, model, slots }) => `${model} ${working} of ${slots}`)
  return `slots: ${slotsText(known)}${inUse.length === 0 ? "" : `, in use: ${inUse.join(", ")}`}`
}

const watched = new WeakMap<Element, (isNear: boolean) => void>()

const watcher = new IntersectionObserver(
  (entries) => entries.forEach(({ isIntersecting, target }) => watched.get(target)?.(isIntersecting)),
  { rootMargin: "50% 0px" }
)

interface CardProps {
  readonly backend: BackendEntry
  readonly figures: BackendFigures | undefined
  /** What is worth a look although it answers. */
  readonly remarks: ReadonlyArray<string>
  readonly rates: ReadonlyArray<number>
}

const Body = ({ backend, figures, rates, remarks }: CardProps): JSX.Element => {
  const { may_change: mayChange } = usePageFacts()
  const [said, setSaid] = useState("")
  const { name } = backend
  const act = async (action: string): Promise<void> => {
    const path = `/admin/v1/backends/${encodeURIComponent(name)}/${action}`
    const answer = await callApi<BackendChange>("POST", path)
    setSaid(answer._tag === "Refused" ? answer.message : (answer.value.note ?? ""))
  }
  const loaded = backend.models.filter(({ loaded }) => loaded === true).map(({ id }) => id)
  const slots = slotWords(figures?.slots ?? [])
  const open = backend.circuits.filter(({ state }) => state !== "closed")
  return (
    <>
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
      {remarks.map((remark) => (
        <p key={remark} class="note">
          {remark}
        </p>
      ))}
      {figures === undefined ? null : (
        <>
          <dl class="figures small">
            <Figure name="Under way" value={count(backend.in_flight)} />
            <Figure name="First token p50 · p95" value={firstTokenOf(figures)} />
            <Figure name="Pieces/s" value={number(figures.pieces_per_second)} />
            <Figure name="Errors" value={percent(figures.error_rate)} />
            <Figure name="Prompt tokens cached" value={cachedOf(figures)} />
            <Figure name="Requests" value={count(figures.requests)} />
          </dl>
          {slots === "" ? null : <p class="dim">{slots}</p>}
          <Spark label={`Pieces a second of ${name}`} values={rates} />
        </>
      )}
      <p class="dim">
        {backend.models.length} {backend.models.length === 1 ? "model" : "models"}
        {loaded.length === 0 ? "" : `, in memory: ${loaded.join(", ")}`}
      </p>
      <footer>
        {(mayChange ? actions[backend.mode] : []).map((action) => (
          <button key={action} type="button" aria-label={`${action} ${name}`} onClick={() => void act(action)}>
            {action}
          </button>
        ))}
        <a href={`#/requests?of=${encodeURIComponent(name)}`} aria-label={`requests of ${name}`}>
          requests
        </a>
        {said === "" ? null : <span role="status">{said}</span>}
      </footer>
    </>
  )
}

/** The card; drawn whole while it is near what is seen, since hundreds of them cost, and otherwise by its name alone. */
export const BackendCard = ({ isFirst, ...card }: CardProps & { readonly isFirst: boolean }): JSX.Element => {
  const place = useRef<HTMLElement>(null)
  const [isNear, setNear] = useState(isFirst)
  useEffect(() => {
    const element = place.current
    if (element === null) return undefined
    watched.set(element, setNear)
    watcher.observe(element)
    return () => watcher.unobserve(element)
  }, [])
  const { backend } = card
  return (
    <article
      ref={place}
      class={`card is-${stateOf(backend)}${isNear ? "" : " far"}`}
      aria-label={`Backend ${backend.name}`}
    >
      <header>
        <h3>{backend.name}</h3>
        <span class="state">{stateOf(backend)}</span>
      </header>
      {isNear ? <Body {...card} /> : null}
    </article>
  )
}
