/**
 * What is wrong and how it is mended: looked for from inside of the gateway, each finding shown as it comes.
 */
import type { JSX } from "preact"
import { useEffect, useRef, useState } from "preact/hooks"
import type { DoctorEvent } from "../api/doctor-api.ts"
import { answerLines, refusalIn } from "./call-api.ts"
import { count } from "./words.ts"

type Finding = Extract<DoctorEvent, { readonly event: "finding" }>

interface Section {
  readonly name: string
  readonly about: string
  readonly findings: ReadonlyArray<Finding>
}

type State =
  | { readonly _tag: "Idle" }
  | { readonly _tag: "Looking" }
  | { readonly _tag: "Refused"; readonly why: string }
  | (Omit<Extract<DoctorEvent, { readonly event: "done" }>, "event"> & { readonly _tag: "Done" })

const marks = { ok: "✓", info: "i", warning: "!", error: "✗" } as const

const ranks = { error: 0, warning: 1, info: 2, ok: 3 } as const

const worst = ({ findings }: Section): number => Math.min(3, ...findings.map(({ severity }) => ranks[severity]))

const withFinding = (sections: ReadonlyArray<Section>, found: Finding): ReadonlyArray<Section> =>
  sections.map((each) => (each.name === found.section ? { ...each, findings: [...each.findings, found] } : each))

const plural = (number: number, word: string): string => `${count(number)} ${word}${number === 1 ? "" : "s"}`

const stateWords = (state: State): string => {
  switch (state._tag) {
    case "Idle":
      return ""
    case "Looking":
      return "looking …"
    case "Refused":
      return state.why
    case "Done":
      return state.complete
        ? `done: ${plural(state.errors, "error")}, ${plural(state.warnings, "warning")}`
        : "not all was looked at: the gateway stops, or its log says why"
  }
}

/** The view. */
export const DoctorView = (): JSX.Element => {
  const [asksModels, setAsksModels] = useState(false)
  const [isBrief, setBrief] = useState(false)
  const [state, setState] = useState<State>({ _tag: "Idle" })
  const [sections, setSections] = useState<ReadonlyArray<Section>>([])
  const ending = useRef<AbortController | undefined>(undefined)
  useEffect(() => () => ending.current?.abort(), [])
  const hear = (event: DoctorEvent): void => {
    if (event.event === "section")
      setSections((before) => [...before, { name: event.section, about: event.about, findings: [] }])
    else if (event.event === "finding") setSections((before) => withFinding(before, event))
    else if (event.event === "done") setState({ _tag: "Done", ...event })
  }
  const look = async (): Promise<void> => {
    const control = new AbortController()
    ending.current = control
    setSections([])
    setState({ _tag: "Looking" })
    const response = await fetch("../admin/v1/doctor", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ inference: asksModels }),
      signal: control.signal
    })
    if (!response.ok) return setState({ _tag: "Refused", why: await refusalIn(response) })
    for await (const line of answerLines(response)) {
      if (line.trim() !== "") hear(JSON.parse(line) as DoctorEvent) // reason: the contract says what the lines are
    }
    setState((before) =>
      before._tag === "Looking" ? { _tag: "Refused", why: "The gateway has ended too early" } : before
    )
  }
  const begin = (): void =>
    void look().catch(() =>
      setState({
        _tag: "Refused",
        why: ending.current?.signal.aborted === true ? "stopped" : "The gateway does not answer"
      })
    )
  const isLooking = state._tag === "Looking"
  const shown = isBrief
    ? sections
        .map(({ about, findings, name }) => ({
          name,
          about,
          findings: findings.filter(({ severity }) => ranks[severity] < 2)
        }))
        .filter(({ findings }) => findings.length > 0)
    : sections
  // Once all is known what is worst stands first; before that nothing is to move away.
  const ordered = state._tag === "Done" ? shown.toSorted((a, b) => worst(a) - worst(b)) : shown
  return (
    <section aria-label="Doctor" class="plain">
      <p class="dim">
        Looks at the file of the config in its present state, at open files and files of keys, and at each backend from
        its address to its models.
      </p>
      <div class="bar">
        {isLooking ? (
          <button type="button" onClick={() => ending.current?.abort()}>
            stop
          </button>
        ) : (
          <button type="button" onClick={begin}>
            look for what is wrong
          </button>
        )}
        <label>
          <input
            type="checkbox"
            checked={asksModels}
            disabled={isLooking}
            onChange={({ currentTarget }) => setAsksModels(currentTarget.checked)}
          />
          ask a model of each backend too: up to five short questions, less than 400 tokens each
        </label>
        <label>
          <input type="checkbox" checked={isBrief} onChange={({ currentTarget }) => setBrief(currentTarget.checked)} />
          only what is wrong
        </label>
      </div>
      <p role="status" class={state._tag === "Refused" || (state._tag === "Done" && state.errors > 0) ? "why" : ""}>
        {stateWords(state)}
      </p>
      {ordered.map(({ about, findings, name }) => (
        <section key={name} aria-label={name} class="findings">
          <h2>
            {name} <small>{about}</small>
          </h2>
          <ul>
            {findings.map(({ check, fix, seen, severity }, at) => (
              <li key={at} class={`is-${severity}`}>
                <span class="mark" role="img" aria-label={severity}>
                  {marks[severity]}
                </span>
                <span class="dim">{check}</span>
                <span>
                  {seen}
                  {fix === undefined ? null : (
                    <>
                      <br />→ <code>{fix}</code>
                    </>
                  )}
                </span>
              </li>
            ))}
          </ul>
        </section>
      ))}
    </section>
  )
}
