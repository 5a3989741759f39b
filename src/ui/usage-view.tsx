/**
 * What requests took and cost: by time, by key, by model and by backend, and how full each budget is.
 */
import type { JSX } from "preact"
import { useState } from "preact/hooks"
import type { UsageReport } from "../api/usage-api.ts"
import { Bars, FillBar } from "./charts.tsx"
import { useAnswer } from "./use-answer.ts"
import { count, dateOf, money, number, percent } from "./words.ts"

type FigureSums = UsageReport["total"]

const hourMs = 3_600_000

const periods = {
  day: { title: "24 hours", hours: 24, step: "hour" },
  week: { title: "7 days", hours: 7 * 24, step: "day" },
  month: { title: "30 days", hours: 30 * 24, step: "day" }
} as const

type Period = keyof typeof periods

const tokensOf = ({ cache_read: read, cache_write: write, fresh, output }: FigureSums): number =>
  fresh + read + write + output

const measures = {
  money: { title: "money", of: ({ cost_nanos: nanos }: FigureSums): number => nanos / 1e9, words: money },
  tokens: { title: "tokens", of: tokensOf, words: count },
  requests: { title: "requests", of: ({ requests }: FigureSums): number => requests, words: count }
} as const

type Measure = keyof typeof measures

// What is not chosen is the first that tells anything: prices are not always known, and tokens not of everybody.
const usualMeasure = (total: FigureSums): Measure =>
  total.cost_nanos > 0 ? "money" : tokensOf(total) > 0 ? "tokens" : "requests"

const groups = { key: "By key", model: "By model", backend: "By backend" } as const

type Group = keyof typeof groups

const unnamed: Readonly<Record<Group, string>> = { key: "no key", model: "no model", backend: "nobody" }

const costOf = ({ cost_nanos: nanos, unpriced }: FigureSums): string =>
  nanos === 0 && unpriced > 0 ? "–" : `${money(nanos / 1e9)}${unpriced > 0 ? " +" : ""}`

const pathOf = (by: string, period: Period, now: number): string =>
  `/admin/v1/usage?by=${by}&since=${Math.floor(now / hourMs) * hourMs - (periods[period].hours - 1) * hourMs}`

const Choice = <Name extends string>(props: {
  readonly label: string
  readonly all: Readonly<Record<Name, { readonly title: string }>>
  readonly chosen: Name
  readonly onChoose: (name: Name) => void
}): JSX.Element => {
  const names = Object.keys(props.all) as Array<Name> // reason: its own names are all that it has
  return (
    <div role="radiogroup" aria-label={props.label} class="choice">
      {names.map((name) => (
        <label key={name}>
          <input
            type="radio"
            name={props.label}
            checked={name === props.chosen}
            onChange={() => props.onChoose(name)}
          />
          {props.all[name].title}
        </label>
      ))}
    </div>
  )
}

// Rows in the document before somebody asks for all.
const firstRows = 10

const Shares = ({
  group,
  measure,
  report
}: {
  readonly group: Group
  readonly measure: Measure
  readonly report: UsageReport
}): JSX.Element => {
  const [isWhole, setWhole] = useState(false)
  const { of, title, words } = measures[measure]
  const whole = of(report.total)
  const rows = report.rows.toSorted((a, b) => of(b) - of(a))
  return (
    <section aria-label={groups[group]} class="shares">
      <h2>{groups[group]}</h2>
      <div class="wide" tabIndex={0}>
        <table>
          <thead>
            <tr>
              <th scope="col">{group}</th>
              <th scope="col">share of {title}</th>
              <th scope="col" class="end">
                Requests
              </th>
              <th scope="col" class="end">
                Tokens
              </th>
              <th scope="col" class="end">
                Cost
              </th>
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, isWhole ? undefined : firstRows).map((row) => {
              const name = row.of[0] ?? ""
              const share = whole === 0 ? 0 : of(row) / whole
              return (
                <tr key={name}>
                  <th scope="row">{name === "" ? <span class="dim">{unnamed[group]}</span> : name}</th>
                  <td>
                    <FillBar share={share} label={`${words(of(row))}, ${percent(share)}`} />
                  </td>
                  <td class="end">{count(row.requests)}</td>
                  <td class="end">{count(tokensOf(row))}</td>
                  <td class="end">{costOf(row)}</td>
                </tr>
              )
            })}
          </tbody>
        </table>
      </div>
      {rows.length <= firstRows || isWhole ? null : (
        <button type="button" onClick={() => setWhole(true)}>
          all {rows.length}
        </button>
      )}
    </section>
  )
}

const Budgets = ({ budgets }: Pick<UsageReport, "budgets">): JSX.Element => (
  <section aria-label="Budgets">
    <h2>Budgets</h2>
    {budgets.length === 0 ? (
      <p class="dim">
        There is none, or nothing was spent of any; <code>[[budgets]]</code> in the config makes one.
      </p>
    ) : (
      <div class="cards">
        {budgets.map(
          ({ hard_nanos: hard, name, of, reserved_nanos: reserved, soft_nanos: soft, spent_nanos: spent, to }) => {
            const limit = hard ?? soft ?? 0
            const share = limit === 0 ? 1 : spent / limit
            const isOver = soft !== null && spent >= soft
            const words = `${money(spent / 1e9)} of ${money(limit / 1e9)}, ${percent(share)}`
            return (
              <article key={`${name}/${of}`} class="card" aria-label={`Budget ${name} ${of}`}>
                <header>
                  <h3>{name}</h3>
                  <span class="dim">{of}</span>
                </header>
                <FillBar share={share} label={words} level={share >= 1 ? "full" : isOver ? "high" : "fine"} />
                <p class="dim">
                  {reserved === 0 ? "" : `${money(reserved / 1e9)} reserved for what is under way, `}
                  {hard === null ? "no hard limit, " : soft === null ? "" : `warned from ${money(soft / 1e9)} on, `}
                  until {dateOf(to)}
                </p>
              </article>
            )
          }
        )}
      </div>
    )}
  </section>
)

const Times = ({
  measure,
  report,
  step
}: {
  readonly measure: Measure
  readonly report: UsageReport
  readonly step: "hour" | "day"
}): JSX.Element => {
  const { of, title, words } = measures[measure]
  const sums = new Map(report.rows.map((row) => [Date.parse(row.of[0] ?? ""), row]))
  const stepMs = step === "hour" ? hourMs : 24 * hourMs
  // Hours and days in which nothing was asked are none of its rows.
  const begun = Math.floor(report.from / stepMs) * stepMs
  const at = Array.from({ length: Math.ceil((report.to - begun) / stepMs) }, (_, turn) => begun + turn * stepMs)
  const values = at.map((each) => {
    const row = sums.get(each)
    return row === undefined ? 0 : of(row)
  })
  const nameOf = (ms: number): string => (step === "day" ? new Date(ms).toISOString().slice(0, 10) : dateOf(ms))
  return (
    <>
      <Bars label={`${title} by ${step}`} at={at.map((ms) => ms / 1000)} values={values} words={words} step={step} />
      <details>
        <summary>The same in a table</summary>
        <table>
          <thead>
            <tr>
              <th scope="col">{step === "day" ? "Day (UTC)" : "Hour"}</th>
              <th scope="col">Requests</th>
              <th scope="col">Tokens</th>
              <th scope="col">Cost</th>
            </tr>
          </thead>
          <tbody>
            {at.flatMap((ms) => {
              const row = sums.get(ms)
              return row === undefined
                ? []
                : [
                    <tr key={ms}>
                      <th scope="row">{nameOf(ms)}</th>
                      <td>{number(row.requests)}</td>
                      <td>{number(tokensOf(row))}</td>
                      <td>{costOf(row)}</td>
                    </tr>
                  ]
            })}
          </tbody>
        </table>
      </details>
    </>
  )
}

const Totals = ({ total }: Pick<UsageReport, "total">): JSX.Element => (
  <dl class="figures">
    {[
      ["Cost", costOf(total)],
      ["Requests", count(total.requests)],
      ["Tokens read anew", count(total.fresh)],
      ["Tokens from caches", count(total.cache_read)],
      ["Tokens written", count(total.output)]
    ].map(([name, value]) => (
      <div class="figure" key={name}>
        <dt>{name}</dt>
        <dd>{value}</dd>
      </div>
    ))}
  </dl>
)

const Off = ({ why }: { readonly why: string }): JSX.Element => (
  <section aria-label="Usage" class="plain">
    <p>{why}</p>
    <p>What requests take is written down, in a file of this machine, by these lines in the config:</p>
    <pre>{"[usage]\nenabled = true"}</pre>
    <p class="dim">It counts from the next start on. Nothing of what is said is ever among it.</p>
  </section>
)

// What has been written since is looked up.
const againMs = 10_000

/** The view. */
export const UsageView = (): JSX.Element => {
  const [period, setPeriod] = useState<Period>("day")
  const [wanted, setWanted] = useState<Measure | undefined>(undefined)
  const { step } = periods[period]
  const ask = (by: string) => useAnswer<UsageReport>(() => pathOf(by, period, Date.now()), [by, period], againMs)
  const [times, keys, models, backends] = [ask(step), ask("key"), ask("model"), ask("backend")]
  if (times === undefined) return <p class="dim">…</p>
  if (times._tag === "Refused")
    return times.status === 409 ? <Off why={times.message} /> : <p class="why">{times.message}</p>
  const { budgets, ledger, total } = times.value
  const measure = wanted ?? usualMeasure(total)
  return (
    <section aria-label="Usage">
      <div class="bar">
        <Choice label="Period" all={periods} chosen={period} onChoose={setPeriod} />
        <Choice label="Measure" all={measures} chosen={measure} onChoose={setWanted} />
      </div>
      {ledger.failure === null ? null : (
        <p class="why">
          It cannot be written down now: {ledger.failure}. {count(ledger.waiting)} wait in memory.
        </p>
      )}
      {ledger.dropped === 0 ? null : <p class="why">{count(ledger.dropped)} were lost since the start.</p>}
      <Totals total={total} />
      <Times report={times.value} measure={measure} step={step} />
      {total.unpriced + total.estimated === 0 ? null : (
        <p class="dim">
          {total.unpriced === 0 ? "" : `Without ${count(total.unpriced)} whose price is not known (+). `}
          {total.estimated === 0 ? "" : `The tokens of ${count(total.estimated)} are estimates.`}
        </p>
      )}
      <Budgets budgets={budgets} />
      <div class="columns">
        {(
          [
            ["key", keys],
            ["model", models],
            ["backend", backends]
          ] as const
        ).map(([group, answer]) =>
          answer?._tag === "Done" ? <Shares key={group} group={group} measure={measure} report={answer.value} /> : null
        )}
      </div>
    </section>
  )
}
