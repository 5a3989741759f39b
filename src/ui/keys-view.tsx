/**
 * The keys of clients: what each is for and how near it is to its limits, made and shown once, taken back, and replaced.
 */
import type { JSX } from "preact"
import { useState } from "preact/hooks"
import { Alert } from "./alert.tsx"
import type { ClientKeyEntry, ClientKeyList, LimitUses, MadeClientKey, NewClientKey } from "../api/keys-api.ts"
import { type Answered, callApi } from "./call-api.ts"
import { CopyButton } from "./copy-button.tsx"
import { NearestLimit, OtherLimits } from "./limit-bars.tsx"
import { usePageFacts } from "./page-facts.ts"
import { Revocations } from "./revocations-view.tsx"
import { useAnswer } from "./use-answer.ts"
import { VirtualList, type Column } from "./virtual-list.tsx"
import { count, dateOf } from "./words.ts"

const limitsOf = (key: ClientKeyEntry): ReadonlyArray<string> => [
  ...(key.requests_per_minute === undefined ? [] : [`${count(key.requests_per_minute)} requests a minute`]),
  ...(key.tokens_per_minute === undefined ? [] : [`${count(key.tokens_per_minute)} tokens a minute`]),
  ...(key.max_concurrent === undefined ? [] : [`${count(key.max_concurrent)} at a time`])
]

/** What a key is for, in words. */
const purposeOf = (key: ClientKeyEntry): string => {
  const { admin, backends, metrics, models, networks, priority, zones } = key
  const parts = [
    ...(admin === true ? ["administration"] : []),
    ...(metrics === true ? ["metrics alone"] : []),
    ...(models === undefined ? [] : [`models ${models.join(", ")}`]),
    ...(backends === undefined ? [] : [`backends ${backends.join(", ")}`]),
    ...(zones === undefined ? [] : [`zones ${zones.join(", ")}`]),
    ...(networks === undefined ? [] : [`from ${networks.join(", ")}`]),
    ...(priority === undefined || priority === "normal" ? [] : [`priority ${priority}`]),
    ...limitsOf(key)
  ]
  return parts.length === 0 ? "all models" : parts.join("; ")
}

const timeOf = ({ expires, not_before: begins, previous_until: previous }: ClientKeyEntry): string => {
  const now = Date.now()
  if (begins !== null && begins > now) return `from ${dateOf(begins)} on`
  if (expires !== null) return `${expires <= now ? "expired" : "until"} ${dateOf(expires)}`
  return previous !== null && previous > now ? `the one before until ${dateOf(previous)}` : "always"
}

const Made = ({ made, onDone }: { readonly made: MadeClientKey; readonly onDone: () => void }): JSX.Element => (
  <section class="made" aria-label={`The key ${made.name}`}>
    <p role="status">
      The key <b>{made.name}</b> is made. It is shown this once: copy it now.
    </p>
    <p>
      <code class="secret">{made.key}</code> <CopyButton text={made.key} label={`Copy the key ${made.name}`} />{" "}
      <button type="button" onClick={onDone}>
        I have it
      </button>
    </p>
  </section>
)

const listIn = (text: string): readonly [string, ...ReadonlyArray<string>] | undefined => {
  const [first, ...others] = text
    .split(",")
    .map((each) => each.trim())
    .filter((each) => each !== "")
  return first === undefined ? undefined : [first, ...others]
}

const amountIn = (text: string): number | undefined => (text.trim() === "" ? undefined : Number(text))

const nothing = {
  name: "",
  owner: "",
  models: "",
  backends: "",
  expires: "",
  requests_per_minute: "",
  tokens_per_minute: "",
  max_concurrent: ""
} as const

type Field = keyof typeof nothing

type Written = Readonly<Record<Field, string>>

const fields: ReadonlyArray<{
  readonly name: Field
  readonly title: string
  readonly hint: string
  readonly isDate?: true
}> = [
  { name: "name", title: "Name", hint: "ci" },
  { name: "owner", title: "Owner", hint: "whose it is" },
  { name: "models", title: "Models", hint: "all; or qwen3*, gpt-4o" },
  { name: "backends", title: "Backends", hint: "all; or gpu-*" },
  { name: "expires", title: "Expires", hint: "never", isDate: true },
  { name: "requests_per_minute", title: "Requests a minute", hint: "no limit" },
  { name: "tokens_per_minute", title: "Tokens a minute", hint: "no limit" },
  { name: "max_concurrent", title: "At a time", hint: "no limit" }
]

const termsOf = (written: Written, isAdmin: boolean): NewClientKey => {
  const { expires, name, owner } = written
  const [models, backends] = [listIn(written.models), listIn(written.backends)]
  const [requests, tokens, together] = [
    amountIn(written.requests_per_minute),
    amountIn(written.tokens_per_minute),
    amountIn(written.max_concurrent)
  ]
  return {
    name: name.trim(),
    ...(owner.trim() === "" ? {} : { owner: owner.trim() }),
    ...(models === undefined ? {} : { models }),
    ...(backends === undefined ? {} : { backends }),
    ...(expires === "" ? {} : { expires }),
    ...(requests === undefined ? {} : { requests_per_minute: requests }),
    ...(tokens === undefined ? {} : { tokens_per_minute: tokens }),
    ...(together === undefined ? {} : { max_concurrent: together }),
    ...(isAdmin ? { admin: true } : {})
  }
}

const MakeForm = ({ onMade }: { readonly onMade: (made: MadeClientKey) => void }): JSX.Element => {
  const [written, setWritten] = useState<Written>(nothing)
  const [isAdmin, setAdmin] = useState(false)
  const [why, setWhy] = useState("")
  const make = async (): Promise<void> => {
    const terms = termsOf(written, isAdmin)
    const answer = await callApi<MadeClientKey>("POST", "/admin/v1/keys", terms)
    if (answer._tag === "Refused") return setWhy(answer.message)
    setWhy("")
    setWritten(nothing)
    setAdmin(false)
    onMade(answer.value)
  }
  return (
    <details class="make">
      <summary>Make a key</summary>
      <form
        aria-label="Make a key"
        onSubmit={(event) => {
          event.preventDefault()
          void make()
        }}
      >
        <div class="fields">
          {fields.map(({ hint, isDate = false, name, title }) => {
            const shared = {
              autocomplete: "off",
              placeholder: hint,
              value: written[name],
              onInput: ({ currentTarget }: { readonly currentTarget: HTMLInputElement }) =>
                setWritten({ ...written, [name]: currentTarget.value })
            }
            return (
              <label key={name}>
                {title}
                {isDate ? <input type="date" {...shared} /> : <input type="text" {...shared} />}
              </label>
            )
          })}
          <label class="check">
            <input
              type="checkbox"
              checked={isAdmin}
              onChange={({ currentTarget }) => setAdmin(currentTarget.checked)}
            />
            administration
          </label>
        </div>
        <button type="submit" disabled={written.name.trim() === ""}>
          Make the key
        </button>
        <Alert why={why} />
      </form>
    </details>
  )
}

type Wish = { readonly name: string; readonly action: "revoke" | "rotate" }

const overlaps = { "1 day": 86_400, "1 hour": 3600, "1 week": 604_800, "no time": 0 } as const

interface ConfirmProps {
  readonly wish: Wish
  readonly onDone: (made: MadeClientKey | undefined) => void
  readonly onLeave: () => void
}

/** Asks whether it is meant: what is revoked is gone, and what is replaced ends some day. */
const Confirm = ({ onDone, onLeave, wish: { action, name } }: ConfirmProps): JSX.Element => {
  const [overlap, setOverlap] = useState<keyof typeof overlaps>("1 day")
  const [why, setWhy] = useState("")
  const path = `/admin/v1/keys/${encodeURIComponent(name)}`
  const act = async (): Promise<void> => {
    const answer: Answered<MadeClientKey | { readonly name: string }> =
      action === "revoke"
        ? await callApi("DELETE", path)
        : await callApi("POST", `${path}/rotate?overlap_seconds=${overlaps[overlap]}`)
    if (answer._tag === "Refused") return setWhy(answer.message)
    onDone("key" in answer.value ? answer.value : undefined)
  }
  return (
    <section class="made" aria-label={`${action} ${name}`}>
      {action === "revoke" ? (
        <p>
          The key <b>{name}</b> will let nobody in from now on.
        </p>
      ) : (
        <p>
          Another key takes the place of <b>{name}</b>, which counts for{" "}
          <select
            aria-label="How long the old key counts"
            value={overlap}
            onChange={({ currentTarget: { value } }) => {
              for (const each of Object.keys(overlaps)) if (each === value) setOverlap(each as keyof typeof overlaps) // reason: it is one of them
            }}
          >
            {Object.keys(overlaps).map((each) => (
              <option key={each}>{each}</option>
            ))}
          </select>{" "}
          more.
        </p>
      )}
      <p class="bar">
        <button type="button" onClick={() => void act()}>
          {action === "revoke" ? `Revoke ${name}` : `Replace ${name}`}
        </button>
        <button type="button" onClick={onLeave}>
          Leave it
        </button>
      </p>
      <Alert why={why} />
    </section>
  )
}

const facts: ReadonlyArray<Column<ClientKeyEntry>> = [
  { title: "Name", width: "minmax(7rem, 1fr)", narrow: "minmax(0, 1fr)", cell: ({ name }) => name },
  { title: "Owner", width: "minmax(7rem, 1fr)", narrow: "minmax(3.6rem, 1.1fr)", cell: ({ owner }) => owner ?? "–" },
  { title: "For", width: "minmax(10rem, 2.5fr)", cell: (key) => <span title={purposeOf(key)}>{purposeOf(key)}</span> },
  { title: "Valid", width: "minmax(10rem, 1.4fr)", cell: timeOf },
  { title: "Made", width: "11rem", cell: ({ made_at: made }) => (made === null ? "–" : dateOf(made)) }
]

const NoStore = (): JSX.Element => (
  <>
    <p class="dim">
      Keys stand in the config file alone and are changed there. With a file of keys beside it they are made, replaced
      and revoked here, at once:
    </p>
    <pre>{'[auth]\nstore = "nexus-keys.sqlite"'}</pre>
  </>
)

// Requests and tokens of a minute come back all the time.
const againMs = 2000

/** The view. */
export const KeysView = (): JSX.Element => {
  const { may_change: mayChange } = usePageFacts()
  const [turn, setTurn] = useState(0)
  const [made, setMade] = useState<MadeClientKey | undefined>(undefined)
  const [wish, setWish] = useState<Wish | undefined>(undefined)
  const answer = useAnswer<ClientKeyList>(() => "/admin/v1/keys", [turn])
  const limits = useAnswer<LimitUses>(() => "/admin/v1/limits", [turn], againMs)
  if (answer === undefined) return <p class="dim">…</p>
  if (answer._tag === "Refused") return <p class="why">{answer.message}</p>
  const { keys, store: isStored = true } = answer.value
  const done = (key: MadeClientKey | undefined): void => {
    setMade(key)
    setWish(undefined)
    setTurn((before) => before + 1)
  }
  const isChangeable = mayChange && isStored
  const listed = new Set(keys.map(({ name }) => name))
  const isListed = ({ name, scope }: LimitUses["limits"][number]): boolean => scope === "key" && listed.has(name)
  const told = limits?._tag === "Done" ? limits.value.limits : []
  const uses = Map.groupBy(told.filter(isListed), ({ name }) => name)
  const taken: Column<ClientKeyEntry> = {
    title: "Taken",
    width: "minmax(13rem, 1.2fr)",
    narrow: "3.6rem",
    cell: ({ name }) => <NearestLimit uses={uses.get(name) ?? []} />
  }
  const actions: Column<ClientKeyEntry> = {
    title: "Change",
    width: "11rem",
    narrow: keys.some(({ from }) => from !== "config") ? "9.5rem" : "5.5rem",
    cell: ({ from, name }) =>
      from === "config" ? (
        <span class="dim">config file</span>
      ) : (
        (["rotate", "revoke"] as const).map((action) => (
          <button
            key={action}
            type="button"
            aria-label={`${action} ${name}`}
            onClick={(event) => {
              event.stopPropagation()
              setWish({ action, name })
            }}
          >
            {action}
          </button>
        ))
      )
  }
  return (
    <section aria-label="Keys">
      {isStored ? null : <NoStore />}
      {made === undefined ? null : <Made made={made} onDone={() => setMade(undefined)} />}
      {wish === undefined ? null : (
        <Confirm key={`${wish.action} ${wish.name}`} wish={wish} onDone={done} onLeave={() => setWish(undefined)} />
      )}
      {isChangeable ? <MakeForm onMade={done} /> : null}
      <VirtualList
        label="Keys"
        rows={keys}
        columns={[...facts, ...(uses.size === 0 ? [] : [taken]), ...(isChangeable ? [actions] : [])]}
        keyOf={({ from, name }) => `${from} ${name}`}
        empty="There is none: whoever reaches the gateway may ask."
      />
      <OtherLimits uses={told.filter((use) => !isListed(use))} />
      <Revocations isStored={isStored} />
    </section>
  )
}
