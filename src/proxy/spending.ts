/**
 * What a request may come to, reserved in the budgets that it is for before anybody is asked.
 */
import * as Effect from "effect/Effect"
import { BudgetExceeded } from "../domain/errors.ts"
import type { RoutingNeeds } from "../domain/request.ts"
import type { Candidate } from "../registry/snapshot.ts"
import { knownAs } from "../router/names.ts"
import type { Plan } from "../router/plan.ts"
import type { Reservation, Spender } from "../usage/budget.ts"
import { type Budgets, isReserving } from "../usage/Budgets.ts"
import { costOf, isFree } from "../usage/price.ts"
import type { Prices } from "../usage/Prices.ts"
import type { RequestRun } from "./request-run.ts"

/** Why a request is not sent on; undefined when it is. */
type Refusal = BudgetExceeded | undefined

// Whether others are asked first for room.
const isAsking = (refusal: Refusal | Effect.Effect<Refusal>): refusal is Effect.Effect<Refusal> =>
  refusal !== undefined && !(refusal instanceof BudgetExceeded)

// Tokens of an answer that nobody has bounded.
const usualOutput = 1000

/** What budgets and prices are looked up in. */
export interface SpendingNeeds {
  readonly budgets: Budgets["Service"]
  readonly prices: Prices["Service"]
}

// Whose money a request spends, as the ledger will tell it.
const spenderOf = ({ grant, key = "", model }: RequestRun["record"], { settings, snapshot }: Plan): Spender => ({
  key,
  owner: grant?.owner ?? "",
  model: knownAs(model, settings, snapshot)
})

const candidatesOf = ({ targets }: Pick<Plan, "targets">): ReadonlyArray<Candidate> =>
  targets.flatMap(({ candidates }) => candidates)

const mostOf = (
  { prices }: SpendingNeeds,
  { abilities, allPromptTokens, answers = 1, outputTokens, promptTokens }: RoutingNeeds,
  candidates: ReadonlyArray<Candidate>
): number => {
  const output = abilities.includes("embeddings") ? 0 : outputTokens === 0 ? usualOutput : outputTokens
  const fresh = allPromptTokens ?? promptTokens
  const tokens = { fresh, cacheRead: 0, cacheWrite: 0, output: output * answers, reasoning: 0 }
  let most = 0
  for (const { model, state } of candidates) {
    most = Math.max(most, costOf(prices.of(state.backend, model.id).price, tokens, 0))
  }
  return most
}

// What nobody knows the price of may cost anything.
const costsNothing = ({ prices }: SpendingNeeds, { model, state }: Candidate): boolean => {
  const { by, price } = prices.of(state.backend, model.id)
  return by !== "unknown" && isFree(price)
}

/** Goes on once there is money for a request; fails where there is none. */
export const onceAffordable = <E>(
  needs: SpendingNeeds,
  run: RequestRun,
  plan: Plan,
  go: () => Effect.Effect<void, E>
): Effect.Effect<void, BudgetExceeded | E> => {
  const reserved = (refusal: Refusal): Effect.Effect<void, BudgetExceeded | E> =>
    refusal === undefined ? go() : Effect.fail(refusal)
  const refusal = reserveFor(needs, run, plan, performance.now())
  return isAsking(refusal) ? Effect.flatMap(refusal, reserved) : reserved(refusal)
}

/**
 * Reserves what a request may cost at the dearest of those who may answer it. Where a budget has no room for that, it goes to
 * those who cost nothing: who serve what was asked for, and with `on_budget = "fallback"` all who may answer in its place.
 */
const reserveFor = (
  needs: SpendingNeeds,
  run: RequestRun,
  plan: Plan,
  now: number
): Refusal | Effect.Effect<Refusal> => {
  const { budgets } = needs
  const { record } = run
  const spender = spenderOf(record, plan)
  if (run.reservation !== undefined) budgets.release(run.reservation)
  run.reservation = undefined
  const note = budgets.note(spender)
  if (note !== undefined) record.spends(note)
  const candidates = candidatesOf(plan)
  const taken = (reserved: Reservation | BudgetExceeded): Refusal => {
    if (!(reserved instanceof BudgetExceeded)) {
      run.reservation = reserved
      return undefined
    }
    const [first] = plan.targets
    const others = budgets.falls(reserved.budget) ? candidates : (first?.candidates ?? [])
    if (!others.some((each) => costsNothing(needs, each))) return reserved
    for (const each of candidates) if (!costsNothing(needs, each)) plan.lose(each.state)
    if (!plan.hasNext(now)) return reserved
    record.spends(`${reserved.budget}; exceeded`)
    return undefined
  }
  const made = budgets.reserve(spender, mostOf(needs, plan.needs, candidates))
  // Whoever leaves meanwhile has what was reserved for him all the same, so that it is given back at his end.
  return isReserving(made) ? Effect.uninterruptible(Effect.map(made, taken)) : taken(made)
}
