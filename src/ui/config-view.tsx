/**
 * The config in force, what a reload would change of it, and what would have become of the last requests then.
 */
import type { JSX } from "preact"
import { useEffect, useState } from "preact/hooks"
import type { ReplayAnswer, ReplayedRequest } from "../api/admin-api.ts"
import type { ReloadChanges, SettingsInForce } from "../api/control-api.ts"
import { type Answered, callApi } from "./call-api.ts"
import type { Fleet } from "./fleet-state.ts"
import { usePageFacts } from "./page-facts.ts"
import { useAnswer } from "./use-answer.ts"
import { VirtualList, type Column } from "./virtual-list.tsx"
import { count, dateOf } from "./words.ts"

const shown = (value: unknown): string =>
  value === null ? "–" : typeof value === "string" ? value : JSON.stringify(value)

const Changes = ({
  changes,
  title
}: {
  readonly changes: ReloadChanges["changes"]
  readonly title: string
}): JSX.Element =>
  changes.length === 0 ? (
    <p class="dim">{title}: nothing.</p>
  ) : (
    <div class="wide" tabIndex={0}>
      <table>
        <caption>{title}</caption>
        <thead>
          <tr>
            <th scope="col">Key</th>
            <th scope="col">Before</th>
            <th scope="col">After</th>
            <th scope="col">Takes effect</th>
          </tr>
        </thead>
        <tbody>
          {changes.map(({ after, before, key, needs_restart: later }) => (
            <tr key={key}>
              <td>
                <code>{key}</code>
              </td>
              <td>{shown(before)}</td>
              <td>{shown(after)}</td>
              <td>{later ? "at the next start" : "at once"}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )

/** What is wrong with a config, a line of its own for each mistake, with the line of the file where one is named. */
const Mistakes = ({ message, title }: { readonly message: string; readonly title: string }): JSX.Element => (
  <section aria-label={title}>
    <p class="why">{title}:</p>
    <ul class="why">
      {message.split("\n").map((line, at) => {
        const [, place = "", words = line] = /^(\S.*?:\d+(?::\d+)?): (.*)$/s.exec(line) ?? []
        return (
          <li key={at}>
            {place === "" ? null : (
              <>
                <code>{place}</code>{" "}
              </>
            )}
            {words}
          </li>
        )
      })}
    </ul>
  </section>
)

const choiceWords = (choice: ReplayedRequest["after"], waits: boolean): string => {
  if (choice === null) return waits ? "waits for a slot" : "nobody"
  const { backend, canary, model, rule } = choice
  return `${backend} (${model})${rule === null ? "" : ` by ${rule}`}${canary ? ", canary" : ""}`
}

/** How many of the last requests would have gone elsewhere, and from where to where. */
const Replayed = ({ replay: { notes, requests } }: { readonly replay: ReplayAnswer }): JSX.Element => {
  const changed = requests.filter((each) => each.changed)
  const moves = new Map<string, { readonly of: ReplayedRequest; readonly number: number }>()
  for (const each of changed) {
    const key = `${each.model}\n${choiceWords(each.before, each.waits.before)}\n${choiceWords(each.after, each.waits.after)}`
    moves.set(key, { of: each, number: (moves.get(key)?.number ?? 0) + 1 })
  }
  const unknown = [...new Set([...notes, ...requests.flatMap((each) => each.unknown)])]
  return (
    <section aria-label="The last requests under it">
      <p role="status">
        Of the {count(requests.length)} requests of the last hour that are remembered, {count(changed.length)} would
        have been asked of somebody else first.
      </p>
      {moves.size === 0 ? null : (
        <div class="wide" tabIndex={0}>
          <table>
            <thead>
              <tr>
                <th scope="col">Model</th>
                <th scope="col">Asked first of</th>
                <th scope="col">Would be asked first of</th>
                <th scope="col" class="end">
                  Requests
                </th>
              </tr>
            </thead>
            <tbody>
              {[...moves.entries()]
                .toSorted(([, a], [, b]) => b.number - a.number)
                .map(
                  ([
                    key,
                    {
                      number,
                      of: { after, before, model, waits }
                    }
                  ]) => (
                    <tr key={key}>
                      <td>{model}</td>
                      <td>{choiceWords(before, waits.before)}</td>
                      <td>{choiceWords(after, waits.after)}</td>
                      <td class="end">{count(number)}</td>
                    </tr>
                  )
                )}
            </tbody>
          </table>
        </div>
      )}
      {unknown.length === 0 ? null : (
        <details>
          <summary>What cannot be known</summary>
          <ul>
            {unknown.map((note) => (
              <li key={note}>{note}</li>
            ))}
          </ul>
        </details>
      )}
    </section>
  )
}

type Setting = SettingsInForce["settings"][number]

const columns: ReadonlyArray<Column<Setting>> = [
  { title: "Key", width: "minmax(14rem, 1fr)", narrow: "minmax(0, 1.4fr)", cell: ({ key }) => <code>{key}</code> },
  {
    title: "Value",
    width: "minmax(10rem, 1.4fr)",
    narrow: "minmax(0, 1fr)",
    cell: ({ value }) => <span title={shown(value)}>{shown(value)}</span>
  },
  { title: "From", width: "minmax(8rem, 0.6fr)", cell: ({ origin }) => origin }
]

/** All settings in force, those first that somebody has set. */
const InForce = ({ generation }: { readonly generation: number }): JSX.Element => {
  const [wanted, setWanted] = useState("")
  const [isAll, setAll] = useState(false)
  const answer = useAnswer<SettingsInForce>(() => "/admin/v1/config/settings", [generation])
  if (answer === undefined) return <p class="dim">…</p>
  if (answer._tag === "Refused") return <p class="why">{answer.message}</p>
  const text = wanted.trim().toLowerCase()
  const { settings } = answer.value
  const rows = settings.filter(
    ({ key, origin, value }) =>
      (isAll || origin !== "default") && `${key} ${shown(value)} ${origin}`.toLowerCase().includes(text)
  )
  return (
    <section aria-label="Settings in force">
      <div class="bar">
        <h2>In force</h2>
        <input
          type="search"
          placeholder="key or value"
          aria-label="Settings to show"
          value={wanted}
          onInput={({ currentTarget }) => setWanted(currentTarget.value)}
        />
        <label>
          <input type="checkbox" checked={isAll} onChange={({ currentTarget }) => setAll(currentTarget.checked)} />
          defaults too
        </label>
        <span class="dim">
          {rows.length} of {settings.length}
        </span>
      </div>
      <VirtualList label="Settings" rows={rows} columns={columns} keyOf={({ key }) => key} empty="None is set." />
    </section>
  )
}

/** The view. */
export const ConfigView = ({ fleet: { config } }: { readonly fleet: Fleet }): JSX.Element => {
  const { may_change: mayChange } = usePageFacts()
  const [found, setFound] = useState<Answered<ReloadChanges> | undefined>(undefined)
  const [replay, setReplay] = useState<Answered<ReplayAnswer> | undefined>(undefined)
  const [done, setDone] = useState<Answered<ReloadChanges> | undefined>(undefined)
  const look = async (): Promise<void> => {
    setReplay(undefined)
    const changes = await callApi<ReloadChanges>("GET", "/admin/v1/config/diff")
    setFound(changes)
    if (changes._tag === "Done" && changes.value.changes.length > 0)
      setReplay(await callApi<ReplayAnswer>("GET", "/admin/v1/config/replay"))
  }
  useEffect(() => void look(), [config.generation])
  const reload = async (): Promise<void> => {
    setDone(await callApi<ReloadChanges>("POST", "/admin/v1/config/reload"))
    await look()
  }
  return (
    <section aria-label="Config">
      <dl class="facts">
        <dt>File</dt>
        <dd>{config.path ?? "none: settings of the environment alone"}</dd>
        <dt>In force since</dt>
        <dd>
          {dateOf(config.loaded_at)} (number {config.generation})
        </dd>
        {config.needs_restart.length === 0 ? null : (
          <>
            <dt>Waits for the next start</dt>
            <dd>{config.needs_restart.join(", ")}</dd>
          </>
        )}
      </dl>
      <div class="bar">
        <button type="button" onClick={() => void look()}>
          look again
        </button>
        {mayChange ? (
          <button type="button" onClick={() => void reload()}>
            reload
          </button>
        ) : null}
      </div>
      {config.failure === null || found?._tag === "Refused" ? null : (
        <Mistakes
          title={`The last reload was refused (${dateOf(config.failure.at)})`}
          message={config.failure.message}
        />
      )}
      {found?._tag === "Refused" ? (
        <Mistakes title="The file cannot be taken over; what is in force stays" message={found.message} />
      ) : null}
      {found?._tag === "Done" ? <Changes title="What a reload would change" changes={found.value.changes} /> : null}
      {replay?._tag === "Done" ? <Replayed replay={replay.value} /> : null}
      {replay?._tag === "Refused" ? <p class="why">{replay.message}</p> : null}
      {done?._tag === "Done" ? <Changes title="What the reload has changed" changes={done.value.changes} /> : null}
      <InForce generation={config.generation} />
    </section>
  )
}
