/**
 * How near keys, owners and models are to their limits.
 */
import type { JSX } from "preact"
import type { LimitUses } from "../api/keys-api.ts"
import { FillBar } from "./charts.tsx"
import { count, percent } from "./words.ts"

type LimitUse = LimitUses["limits"][number]

const quotaWords: Readonly<Record<LimitUse["quota"], string>> = {
  requests_per_minute: "requests/min",
  tokens_per_minute: "tokens/min",
  max_concurrent: "at a time"
}

const shareOf = ({ allowed, taken }: LimitUse): number => taken / allowed

const wordsOf = ({ allowed, quota, taken }: LimitUse): string =>
  `${count(Math.ceil(taken))} of ${count(allowed)} ${quotaWords[quota]}`

const near = 0.8

// A part of a request that has come back lets none in.
const isFull = ({ allowed, taken }: LimitUse): boolean => Math.ceil(taken) >= allowed

/** The limit that is nearest, all of them when it is pointed at; nothing where there is none. */
export const NearestLimit = ({ uses }: { readonly uses: ReadonlyArray<LimitUse> }): JSX.Element | null => {
  const [nearest, ...others] = uses.toSorted((a, b) => shareOf(b) - shareOf(a))
  if (nearest === undefined) return null
  const share = shareOf(nearest)
  return (
    <div title={[nearest, ...others].map(wordsOf).join("; ")}>
      <FillBar
        share={share}
        level={isFull(nearest) ? "full" : share >= near ? "high" : "fine"}
        label={
          <>
            <b class="share-words">{wordsOf(nearest)}</b>
            <b class="share-alone">{percent(Math.round(share * 100) / 100)}</b>
          </>
        }
      />
    </div>
  )
}

/** The limits of owners, of models, and of keys that stand in no list since tokens make them. */
export const OtherLimits = ({ uses }: { readonly uses: ReadonlyArray<LimitUse> }): JSX.Element | null => {
  const holders = [...Map.groupBy(uses, ({ name, scope }) => `${scope} ${name}`).values()]
  return holders.length === 0 ? null : (
    <section aria-label="Other limits" class="plain">
      <h2>Owners, models and keys of tokens under limits</h2>
      <div class="wide" tabIndex={0}>
        <table>
          <thead>
            <tr>
              <th scope="col">Of the</th>
              <th scope="col">Name</th>
              <th scope="col">Taken</th>
            </tr>
          </thead>
          <tbody>
            {holders.map((own) => {
              const { name = "", scope = "key" } = own[0] ?? {}
              return (
                <tr key={`${scope} ${name}`}>
                  <td>{scope}</td>
                  <th scope="row">{name}</th>
                  <td>
                    <NearestLimit uses={own} />
                  </td>
                </tr>
              )
            })}
          </tbody>
        </table>
      </div>
    </section>
  )
}
