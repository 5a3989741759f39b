/**
 * The budgets of the gateway: what may still be spent, and what is told of it.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { BudgetExceeded } from "../domain/errors.ts"
import { SharedStore } from "../replicas/SharedStore.ts"
import { RequestLog } from "../telemetry/logging.ts"
import { Transport } from "../upstream/Transport.ts"
import {
  type Account,
  BudgetBook,
  type BudgetRule,
  type NoRoom,
  periodEnd,
  type Reservation,
  type Spender
} from "./budget.ts"
import { UsageLedger } from "./UsageLedger.ts"

/** What was spent of one budget; money in billionths of a dollar, times in milliseconds since 1970. */
export interface BudgetStanding {
  readonly name: string
  readonly of: string
  readonly from: number
  readonly to: number
  readonly spent: number
  readonly reserved: number
  readonly soft: number | undefined
  readonly hard: number | undefined
}

/** Who may spend how much. */
export class Budgets extends Context.Service<
  Budgets,
  {
    /** Whether there is any budget now. */
    readonly isOn: () => boolean
    /** Reserves what a request may come to; fails where a budget has no room for it. */
    readonly reserve: (
      spender: Spender,
      nanos: number
    ) => Reservation | BudgetExceeded | Effect.Effect<Reservation | BudgetExceeded>
    readonly release: (reservation: Reservation) => void
    /** Whether others may answer who cost nothing, where a budget has no room. */
    readonly falls: (name: string) => boolean
    /** Counts what a request cost. */
    readonly spend: (spender: Spender, nanos: number) => void
    /** What clients are told of a soft limit that is passed; undefined when none is. */
    readonly note: (spender: Spender) => string | undefined
    readonly standing: () => ReadonlyArray<BudgetStanding>
    /** The limits of the moment, whether anything was spent or not. */
    readonly rules: () => ReadonlyArray<Pick<BudgetRule, "hard" | "name" | "soft">>
  }
>()("nexus/usage/Budgets") {
  /** None. */
  static readonly none = Layer.succeed(Budgets, {
    isOn: () => false,
    reserve: (_, nanos) => ({ nanos, accounts: [] }),
    release: () => undefined,
    falls: () => false,
    spend: () => undefined,
    note: () => undefined,
    standing: () => [],
    rules: () => []
  })

  /**
   * By the rules of the moment; `part` is which of several processes this is, that know of each other by the ledger, and
   * `whenAway` what becomes of requests under hard limits while the store is away that replicas share.
   */
  static readonly layer = (
    rules: () => ReadonlyArray<BudgetRule>,
    part: { readonly number: number; readonly of: number },
    whenAway: () => "count_locally" | "refuse" = () => "count_locally"
  ) => Layer.effect(Budgets, makeBudgets(rules, part, whenAway))
}

/** Whether somebody else is asked first; a refusal can be run as an effect too, and is none of these. */
export const isReserving = (
  made: Reservation | BudgetExceeded | Effect.Effect<Reservation | BudgetExceeded>
): made is Effect.Effect<Reservation | BudgetExceeded> => !(made instanceof BudgetExceeded) && Effect.isEffect(made)

/** Billionths of a dollar in dollars, for people. */
const dollars = (nanos: number): string => (nanos / 1e9).toFixed(nanos > 0 && nanos < 1e9 ? 6 : 2)

const whose = ({ of, rule }: Account): string => (of === "" ? rule.name : `${rule.name}/${of}`)

// What this process is called where its ledger has no name since it cannot be written.
const ownId = crypto.randomUUID()

// How often what other processes have spent is looked up: with the time that it waits to be written, within two seconds.
const lookMs = 1500

const hookMs = 5000

// How long the end of the gateway waits for what is being told.
const lastMs = 500

// A webhook that does not take what it is told is told again after 1, 4, 16 and 64 seconds.
const hookAgain = { schedule: Schedule.exponential("1 second", 4), times: 4 }

const makeBudgets = Effect.fnUntraced(function* (
  rulesNow: () => ReadonlyArray<BudgetRule>,
  part: { readonly number: number; readonly of: number },
  whenAway: () => "count_locally" | "refuse"
) {
  const store = yield* SharedStore
  const clock = yield* Clock.Clock
  const log = yield* RequestLog
  const ledger = yield* UsageLedger
  const transport = yield* Transport
  const telling = yield* FiberSet.make()
  const run = yield* FiberSet.runtime(telling)()
  // What is passed now is not told after the next start: whoever leaves tells it.
  yield* Effect.addFinalizer(() => Effect.timeoutOption(Effect.interruptible(FiberSet.awaitEmpty(telling)), lastMs))
  const wallNow = (): number => clock.currentTimeMillisUnsafe()
  // What several spend together is told by one.
  const tells = part.number === 1
  let rules: ReadonlyArray<BudgetRule> = []
  let book = new BudgetBook(rules)
  let isRead = true
  // What was passed before the start was told then.
  let hasBegun = false

  const hook = (url: string, said: Readonly<Record<string, string>>): void => {
    const call = transport.ask({
      method: "POST",
      url,
      headers: { "content-type": "application/json" },
      body: JSON.stringify(said),
      timeoutMs: hookMs
    })
    const taken = Effect.flatMap(call, ({ status }) => (status < 400 ? Effect.void : Effect.fail({ status })))
    run(
      Effect.match(Effect.retry(taken, hookAgain), {
        onSuccess: () => undefined,
        onFailure: (why) => {
          const { budget } = said
          if ("status" in why) log.write("warn", "the webhook of a budget refuses", { budget, status: why.status })
          else log.write("warn", "the webhook of a budget does not answer", { budget })
        }
      })
    )
  }

  /** Tells once of each limit that is passed; the hard one is too where it has no room for a request. */
  const tell = (account: Account, isNews: boolean, hasNoRoom = false): void => {
    const { of, rule, told } = account
    const spent = account.spent + account.elsewhere
    const isOver = rule.hard !== undefined && (hasNoRoom || spent >= rule.hard)
    const level = isOver ? "hard" : rule.soft !== undefined && spent >= rule.soft ? "soft" : undefined
    if (level === undefined || told[level]) return
    told[level] = true
    // A hard limit that is passed says all that the soft one would; no room for one request does not.
    if (isOver && !hasNoRoom) told.soft = true
    // Who has no room is known to that one alone; all that share a store or a ledger ask whether one of them has told already.
    const limit = (level === "hard" ? rule.hard : rule.soft) ?? 0
    const isShared = store.isOn && !store.isAway()
    if (!isNews || !(tells || hasNoRoom)) return
    if (
      !isShared &&
      !(ledger.isNews({ budget: rule.name, of, begun: account.from, news: `${level} ${limit}` }) ?? tells)
    )
      return
    const said = {
      budget: rule.name,
      of,
      limit: level,
      spent_usd: dollars(spent),
      limit_usd: dollars(limit),
      ...(hasNoRoom ? { reserved_usd: dollars(account.reserved + account.heldElsewhere) } : {}),
      per: rule.per
    }
    const say = (): void => {
      log.write("warn", hasNoRoom ? "a budget has no room for a request" : "a budget is passed", said)
      if (rule.webhook !== undefined) hook(rule.webhook, said)
    }
    if (together === undefined) say()
    else run(Effect.map(together.tells(account, level), (own) => (own ? say() : undefined)))
  }

  /** Counts anew, by the ledger. */
  const restate = (isNews: boolean): void => {
    const now = wallNow()
    try {
      book.restate(ledger.spending(book.earliest(now)), now)
      isRead = true
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      if (isRead)
        log.write("error", "what was spent cannot be read; budgets count what is spent from now on", { reason })
      isRead = false
    }
    for (const account of book.standing(now)) tell(account, isNews)
  }

  const current = (): BudgetBook => {
    const wanted = rulesNow()
    if (wanted !== rules) {
      rules = wanted
      book = new BudgetBook(wanted, book)
      if (!book.isEmpty) restate(hasBegun)
    }
    return book
  }

  const exceeded = (account: Account): BudgetExceeded => {
    const { rule } = account
    const spent = account.spent + account.elsewhere
    const reserved = account.reserved + account.heldElsewhere
    const now = wallNow()
    const until = periodEnd(rule.per, now)
    const held = reserved > 0 ? `, $${dollars(reserved)} are reserved for requests under way` : ""
    return new BudgetExceeded({
      budget: rule.name,
      message: `The budget '${whose(account)}' has no room for this request: $${dollars(spent)} of $${dollars(rule.hard ?? 0)} are spent this ${rule.per}${held}; it begins anew at ${new Date(until).toISOString().slice(0, 16)}Z`,
      retryAfterSeconds: Math.max(1, Math.ceil((until - now) / 1000))
    })
  }

  const uncounted = (account: Account): BudgetExceeded => {
    const why = store.isAway() ? 'is away ([cluster] when_away = "refuse")' : "does not say in time what is left"
    return new BudgetExceeded({
      budget: account.rule.name,
      isUnknown: true,
      message: `The budget '${whose(account)}' cannot be counted now: what replicas share ${why}`,
      retryAfterSeconds: 1
    })
  }

  const decided = (made: Reservation | NoRoom, nanos: number): Reservation | BudgetExceeded => {
    if (!("account" in made)) return made
    const { account, isUnknown } = made
    if (isUnknown === true) return uncounted(account)
    // What no period would have room for says nothing of this one.
    if (nanos <= (account.rule.hard ?? 0)) tell(account, true, true)
    return exceeded(account)
  }

  current()
  hasBegun = true
  const together = store.isOn
    ? yield* (yield* Effect.promise(() => import("./shared-accounts.ts"))).sharedAccounts({
        bookNow: () => book,
        wallNow,
        ledgerId: () => ledger.identity() ?? ownId,
        restated: () => {
          for (const account of book.standing(wallNow())) tell(account, true)
        },
        whenAway
      })
    : undefined

  const looking = Effect.andThen(
    Effect.sleep(lookMs),
    Effect.sync(() => {
      if (!current().isEmpty) restate(true)
    })
  )
  // Alone, all that is spent is spent here, unless the ledger could not be read.
  const retrying = Effect.andThen(
    Effect.sleep(lookMs),
    Effect.sync(() => {
      if (!isRead && !current().isEmpty) restate(true)
    })
  )
  const sharing = Effect.andThen(
    looking,
    Effect.suspend(() => together?.restate ?? Effect.void)
  )
  yield* Effect.forkScoped(Effect.forever(together !== undefined ? sharing : part.of > 1 ? looking : retrying))

  return Budgets.of({
    isOn: () => !current().isEmpty,
    reserve: (spender, nanos) => {
      const own = current()
      if (together === undefined) return decided(own.reserve(spender, nanos, wallNow()), nanos)
      const made = together.reserve(spender, nanos)
      return Effect.isEffect(made) ? Effect.map(made, (one) => decided(one, nanos)) : decided(made, nanos)
    },
    release: (reservation) => {
      book.release(reservation)
      together?.release(reservation)
    },
    falls: (name) => rules.find((rule) => rule.name === name)?.falls === true,
    spend: (spender, nanos) => {
      const now = wallNow()
      const accounts = current().spend(spender, now, nanos, now)
      for (const account of accounts) tell(account, true)
      together?.spend(accounts)
    },
    note: (spender) => {
      const passed = current().passed(spender, wallNow())
      if (passed === undefined) return undefined
      const { rule } = passed
      const spent = passed.spent + passed.elsewhere
      return `${whose(passed)}; spent=${dollars(spent)}; soft=${dollars(rule.soft ?? 0)}; per=${rule.per}`
    },
    rules: rulesNow,
    standing: () => {
      const now = wallNow()
      return current()
        .standing(now)
        .map(({ elsewhere, from, heldElsewhere, of, reserved, rule, spent }) => ({
          name: rule.name,
          of,
          from,
          to: periodEnd(rule.per, now),
          spent: spent + elsewhere,
          reserved: reserved + heldElsewhere,
          soft: rule.soft,
          hard: rule.hard
        }))
    }
  })
})
