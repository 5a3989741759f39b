/**
 * The tokens of issuers that count no more: which, revoked here and taken back.
 */
import type { JSX } from "preact"
import { useState } from "preact/hooks"
import { Alert } from "./alert.tsx"
import type { NewRevocation, RevocationEntry, RevocationList } from "../api/keys-api.ts"
import { callApi } from "./call-api.ts"
import { usePageFacts } from "./page-facts.ts"
import { useAnswer } from "./use-answer.ts"
import { type Column, VirtualList } from "./virtual-list.tsx"
import { dateOf } from "./words.ts"

const path = "/admin/v1/revocations"

const kinds = {
  subject: "all of somebody's",
  everybody: "everybody's",
  token_id: "one, by its id (jti)",
  token: "one that is at hand"
} as const

type Kind = keyof typeof kinds

const bounds = { ever: "ever, and those to come", now: "before now", moment: "before a moment" } as const

type Bound = keyof typeof bounds

interface Written {
  readonly kind: Kind
  readonly issuer: string
  /** Whose, which id, or the token. */
  readonly of: string
  readonly bound: Bound
  readonly moment: string
}

// What is taken of everybody is taken up to a moment.
const boundOf = ({ bound, kind }: Written): Bound => (kind === "everybody" && bound === "ever" ? "now" : bound)

const revocationOf = (written: Written): NewRevocation => {
  const { issuer, kind, moment } = written
  const of = written.of.trim()
  if (kind === "token") return { token: of }
  const bound = boundOf(written)
  const before = bound === "ever" ? {} : { issued_before: bound === "now" ? "now" : new Date(moment).toISOString() }
  if (kind === "token_id") return { name: issuer, token_id: of, ...before }
  return { name: `${issuer}:${kind === "everybody" ? "*" : of}`, ...before }
}

const hints: Readonly<Record<Exclude<Kind, "everybody">, readonly [title: string, hint: string]>> = {
  subject: ["Whose", "alice"],
  token_id: ["Its id", "9f1c2a"],
  token: ["The token", "eyJ…"]
}

const Choice = <Name extends string>(props: {
  readonly title: string
  readonly names: Readonly<Partial<Record<Name, string>>>
  readonly chosen: Name
  readonly onChoose: (name: Name) => void
}): JSX.Element => {
  const all = Object.keys(props.names) as Array<Name> // reason: its own names are all that it has
  return (
    <label>
      {props.title}
      <select
        value={props.chosen}
        onChange={({ currentTarget: { value } }) => {
          for (const each of all) if (each === value) props.onChoose(each)
        }}
      >
        {all.map((each) => (
          <option key={each} value={each}>
            {props.names[each]}
          </option>
        ))}
      </select>
    </label>
  )
}

interface RevokeProps {
  readonly issuers: ReadonlyArray<string>
  readonly onDone: () => void
}

const RevokeForm = ({ issuers, onDone }: RevokeProps): JSX.Element => {
  const nothing: Written = { kind: "subject", issuer: issuers[0] ?? "", of: "", bound: "ever", moment: "" }
  const [written, setWritten] = useState(nothing)
  const [why, setWhy] = useState("")
  const write = (part: Partial<Written>): void => setWritten({ ...written, ...part })
  const { kind, moment } = written
  const bound = boundOf(written)
  const shared = {
    autocomplete: "off",
    placeholder: kind === "everybody" ? "" : hints[kind][1],
    value: written.of,
    onInput: ({ currentTarget }: { readonly currentTarget: HTMLInputElement }) => write({ of: currentTarget.value })
  }
  const isWhole =
    (kind === "everybody" || written.of.trim() !== "") && (kind === "token" || bound !== "moment" || moment !== "")
  const revoke = async (): Promise<void> => {
    const answer = await callApi<RevocationEntry>("POST", path, revocationOf(written))
    if (answer._tag === "Refused") return setWhy(answer.message)
    setWhy("")
    setWritten(nothing)
    onDone()
  }
  return (
    <details class="make">
      <summary>Revoke tokens</summary>
      <form
        aria-label="Revoke tokens"
        onSubmit={(event) => {
          event.preventDefault()
          void revoke()
        }}
      >
        <div class="fields">
          <Choice
            title="Which"
            names={kinds}
            chosen={kind}
            onChoose={(next) => write({ kind: next, of: next === "token" || kind === "token" ? "" : written.of })}
          />
          {kind === "token" ? null : (
            <Choice
              title="Issuer"
              names={Object.fromEntries(issuers.map((each) => [each, each]))}
              chosen={written.issuer}
              onChoose={(issuer) => write({ issuer })}
            />
          )}
          {kind === "everybody" ? null : (
            <label>
              {hints[kind][0]}
              {kind === "token" ? <input type="password" {...shared} /> : <input type="text" {...shared} />}
            </label>
          )}
          {kind === "token" ? null : (
            <Choice
              title="Those issued"
              names={kind === "everybody" ? { now: bounds.now, moment: bounds.moment } : bounds}
              chosen={bound}
              onChoose={(next) => write({ bound: next })}
            />
          )}
          {kind === "token" || bound !== "moment" ? null : (
            <label>
              The moment
              <input
                type="datetime-local"
                value={moment}
                onInput={({ currentTarget }) => write({ moment: currentTarget.value })}
              />
            </label>
          )}
        </div>
        <button type="submit" disabled={!isWhole}>
          Revoke them
        </button>
        <Alert why={why} />
      </form>
    </details>
  )
}

const whichOf = ({ issued_before: before, name, token_id: id }: RevocationEntry): string => {
  const which = name.includes(":") ? name : id === null ? `${name}: one token` : `${name}: the token ${id}`
  return before === null ? which : `${which}, issued before ${dateOf(before)}`
}

const facts: ReadonlyArray<Column<RevocationEntry>> = [
  {
    title: "Tokens",
    width: "minmax(12rem, 2fr)",
    narrow: "minmax(0, 1fr)",
    cell: (entry) => <span title={`${whichOf(entry)} (${entry.issuer})`}>{whichOf(entry)}</span>
  },
  { title: "Revoked", width: "12rem", cell: ({ revoked_at: at }) => dateOf(at) },
  { title: "Until", width: "12rem", cell: ({ until }) => (until === null ? "they are let in again" : dateOf(until)) }
]

/** The part of the view of keys that is about tokens; nothing where no issuer's are taken. */
export const Revocations = ({ isStored }: { readonly isStored: boolean }): JSX.Element | null => {
  const { may_change: mayChange } = usePageFacts()
  const [turn, setTurn] = useState(0)
  const [why, setWhy] = useState("")
  // Several may be on their way at a time, each from a view that knows nothing of the others.
  const again = (): void => setTurn((before) => before + 1)
  const answer = useAnswer<RevocationList>(() => path, [turn])
  if (answer?._tag !== "Done") return null
  const { issuers = [], revoked } = answer.value
  if (issuers.length === 0 && revoked.length === 0) return null
  const lift = async (id: string): Promise<void> => {
    const lifted = await callApi<RevocationEntry>("DELETE", `${path}/${encodeURIComponent(id)}`)
    setWhy(lifted._tag === "Refused" ? lifted.message : "")
    again()
  }
  const actions: Column<RevocationEntry> = {
    title: "Change",
    width: "7rem",
    narrow: "6.5rem",
    cell: (entry) => (
      <button type="button" aria-label={`let in again: ${whichOf(entry)}`} onClick={() => void lift(entry.id)}>
        let in again
      </button>
    )
  }
  return (
    <section aria-label="Revoked tokens">
      <h2>Revoked tokens</h2>
      {isStored ? null : (
        <p class="dim">
          Tokens can be revoked once there is a file of keys, in which that is kept (<code>auth.store</code>).
        </p>
      )}
      {mayChange && isStored && issuers.length > 0 ? <RevokeForm issuers={issuers} onDone={again} /> : null}
      <Alert why={why} />
      <VirtualList
        label="Revoked tokens"
        rows={revoked}
        columns={mayChange && isStored ? [...facts, actions] : facts}
        keyOf={({ id }) => id}
        empty={`None: those of ${issuers.join(", ")} count until they end.`}
      />
    </section>
  )
}
