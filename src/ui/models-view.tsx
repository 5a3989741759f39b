/**
 * The models: who serves them, what they can do, which are in memory; loaded and unloaded where a server can be told to.
 */
import type { JSX } from "preact"
import { useState } from "preact/hooks"
import type { ModelActionEvent } from "../api/lifecycle-api.ts"
import type { Stats } from "../api/stats-api.ts"
import { answerLines, refusalIn } from "./call-api.ts"
import type { Fleet } from "./fleet-state.ts"
import { usePageFacts } from "./page-facts.ts"
import { VirtualList, type Column } from "./virtual-list.tsx"
import { count, number, span } from "./words.ts"

interface Row {
  readonly id: string
  readonly backend: string
  readonly status: string
  readonly loaded: boolean | undefined
  readonly context: number | undefined
  readonly abilities: string
  readonly figures: Stats["models"][number] | undefined
}

type Action = "load" | "unload"

/** How far a load is, told as it goes on. */
const act = async (action: Action, { backend, id }: Row, tell: (words: string) => void): Promise<void> => {
  const sent = { body: JSON.stringify({ model: id, backend }), headers: { "content-type": "application/json" } }
  const response = await fetch(`../admin/v1/models/${action}`, { method: "POST", ...sent })
  if (!response.ok) return tell(await refusalIn(response))
  let isDone = false
  for await (const line of answerLines(response)) {
    if (line.trim() === "") continue
    const event = JSON.parse(line) as ModelActionEvent // reason: the contract says what the lines are
    const { completed, done, error, seconds, status, total } = event
    if (error !== undefined) return tell(error.message)
    isDone ||= done === true
    const share = completed === undefined || total === undefined ? "" : ` ${Math.round((completed / total) * 100)} %`
    tell(
      done === true ? `${action === "load" ? "loaded" : "unloaded"} in ${span(seconds * 1000)}` : `${status}${share}`
    )
  }
  if (!isDone) tell("the gateway has ended too early")
}

const loadedWords = (loaded: boolean | undefined): string => (loaded === undefined ? "–" : loaded ? "yes" : "no")

/** The view. */
export const ModelsView = ({ fleet }: { readonly fleet: Fleet }): JSX.Element => {
  const { may_change: mayChange } = usePageFacts()
  const [wanted, setWanted] = useState("")
  const [said, setSaid] = useState<ReadonlyMap<string, string>>(new Map())
  const [going, setGoing] = useState<ReadonlySet<string>>(new Set())
  const figures = new Map(fleet.figures.models.map((each) => [each.id, each]))
  const keyOf = ({ backend, id }: Row): string => `${id} ${backend}`
  const tell = (row: Row, words: string): void => setSaid((before) => new Map(before).set(keyOf(row), words))
  const begin = (action: Action, row: Row): void => {
    const key = keyOf(row)
    // Not disabled, which would take the focus from who leads by keys.
    if (going.has(key)) return
    tell(row, "…")
    setGoing((before) => new Set(before).add(key))
    void act(action, row, (words) => tell(row, words))
      .catch(() => tell(row, "the gateway does not answer"))
      .then(() => setGoing((before) => new Set([...before].filter((each) => each !== key))))
  }
  const facts: ReadonlyArray<Column<Row>> = [
    { title: "Model", width: "minmax(10rem, 2fr)", narrow: "minmax(0, 1.4fr)", cell: ({ id }) => id },
    { title: "Backend", width: "minmax(8rem, 1.2fr)", narrow: "minmax(0, 1fr)", cell: ({ backend }) => backend },
    { title: "State", width: "7rem", cell: ({ status }) => <span class={status}>{status}</span> },
    { title: "In memory", width: "6rem", cell: ({ loaded }) => loadedWords(loaded) },
    {
      title: "Context",
      width: "5.5rem",
      align: "end",
      cell: ({ context }) => (context === undefined ? "–" : count(context))
    },
    { title: "Can", width: "minmax(6rem, 1fr)", cell: ({ abilities }) => abilities },
    {
      title: "Requests in all",
      width: "8rem",
      align: "end",
      cell: ({ figures: known }) => (known === undefined ? "–" : count(known.requests))
    },
    {
      title: "Pieces/s in all",
      width: "8rem",
      align: "end",
      cell: ({ figures: known }) => (known === undefined ? "–" : number(known.pieces_per_second))
    }
  ]
  const actions: Column<Row> = {
    title: "Memory",
    width: "minmax(10rem, 1.5fr)",
    narrow: "6.6rem",
    cell: (row) => {
      const words = said.get(keyOf(row))
      if (row.loaded === undefined) return <span class="dim">not from here</span>
      const action: Action = row.loaded ? "unload" : "load"
      return (
        <>
          <button
            type="button"
            aria-label={`${action} ${row.id} at ${row.backend}`}
            aria-disabled={going.has(keyOf(row))}
            onClick={(event) => {
              event.stopPropagation()
              begin(action, row)
            }}
          >
            {action}
          </button>{" "}
          <span role="status">{words}</span>
        </>
      )
    }
  }
  const columns = mayChange ? [...facts, actions] : facts
  const text = wanted.trim().toLowerCase()
  const all = [...fleet.backends.values()].flatMap(({ mode, models, name, status }) =>
    models.map(({ capabilities, context_length: context, id, loaded }): Row => ({
      id,
      backend: name,
      status: mode === "enabled" ? status : mode,
      loaded,
      context,
      abilities: Object.entries(capabilities)
        .flatMap(([ability, can]) => (can === true ? [ability.replace("_mode", "")] : []))
        .join(", "),
      figures: figures.get(id)
    }))
  )
  const rows = all
    .filter(({ backend, id }) => `${id} ${backend}`.toLowerCase().includes(text))
    .toSorted((a, b) => (b.figures?.requests ?? 0) - (a.figures?.requests ?? 0) || (a.id < b.id ? -1 : 1))
  return (
    <section aria-label="Models">
      <div class="bar">
        <input
          type="search"
          placeholder="model or backend"
          aria-label="Models to show"
          value={wanted}
          onInput={({ currentTarget }) => setWanted(currentTarget.value)}
        />
        <span class="dim">
          {rows.length} of {all.length}
        </span>
      </div>
      <VirtualList label="Models" rows={rows} columns={columns} keyOf={keyOf} empty="No backend lists a model." />
    </section>
  )
}
