/**
 * The config in force, and what a reload would change.
 */
import type { JSX } from "preact"
import { useEffect, useState } from "preact/hooks"
import type { ReloadChanges } from "../api/control-api.ts"
import { type Answered, callApi } from "./call-api.ts"
import type { Fleet } from "./fleet-state.ts"
import { usePageFacts } from "./page-facts.ts"
import { dateOf } from "./words.ts"

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
  )

/** The view. */
export const ConfigView = ({ fleet: { config } }: { readonly fleet: Fleet }): JSX.Element => {
  const { may_change: mayChange } = usePageFacts()
  const [found, setFound] = useState<Answered<ReloadChanges> | undefined>(undefined)
  const [done, setDone] = useState<Answered<ReloadChanges> | undefined>(undefined)
  const look = (): void => void callApi<ReloadChanges>("GET", "/admin/v1/config/diff").then(setFound)
  useEffect(look, [config.generation])
  const reload = async (): Promise<void> => {
    setDone(await callApi<ReloadChanges>("POST", "/admin/v1/config/reload"))
    look()
  }
  return (
    <section aria-label="Config" class="plain">
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
      {config.failure === null ? null : (
        <>
          <p class="why">The last reload was refused ({dateOf(config.failure.at)}):</p>
          <pre class="why">{config.failure.message}</pre>
        </>
      )}
      <div class="bar">
        <button type="button" onClick={look}>
          look again
        </button>
        {mayChange ? (
          <button type="button" onClick={() => void reload()}>
            reload
          </button>
        ) : null}
      </div>
      {found?._tag === "Refused" ? <pre class="why">{found.message}</pre> : null}
      {found?._tag === "Done" ? <Changes title="What a reload would change" changes={found.value.changes} /> : null}
      {done?._tag === "Refused" ? <pre class="why">{done.message}</pre> : null}
      {done?._tag === "Done" ? <Changes title="What the reload has changed" changes={done.value.changes} /> : null}
    </section>
  )
}
