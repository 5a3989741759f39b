/**
 * What is spent and reserved of budgets by all replicas together. Each process tells the store how it stands, and holds a little of
 * what is left for requests to come: those that it is enough for ask nobody. Others wait 5 ms at most for the store to
 * say that there is room.
 */
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schedule from "effect/Schedule"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import { patience, StorePatience } from "../replicas/patience.ts"
import { Replicas } from "../replicas/Replicas.ts"
import { SharedStore } from "../replicas/SharedStore.ts"
import { type Account, type BudgetBook, type NoRoom, periodEnd, type Reservation, type Spender } from "./budget.ts"
import { holdMs, saidOf, type AccountStatement, stateScript } from "./budget-scripts.ts"

// The part of what is left that all processes together hold for requests to come, and how long after the last request.
const aheadPart = 0.01
const aheadMs = 1000

// Whoever holds less than so many times what a request takes asks for more.
const lowTimes = 4

// Of what its share has beyond what it holds, the part that is given away while the store is late: others may take of it as well.
const guessedPart = 0.25

// How long it is gathered what is told, and the part of what is held that is no news: that is told with all else.
const togetherMs = 50
const littlePart = 0.1

// How often it is asked what all have spent, and of how many accounts at a time; of all of more of them every two seconds.
const hearMs = 250
const mostTold = 200

// How long the start of the gateway waits for the store, and its end.
const firstMs = 1000
const lastMs = 500

// Whoever holds something may not be sure of it any more a while before it is free for others.
const sureMs = holdMs / 2

type Reserved = Reservation | NoRoom

const idOf = ({ from, of, rule }: Account): string => `${rule.name} ${rule.per} ${from} ${of}`

/** What this process holds of an account. */
interface Grant {
  /** What it may have spent and reserved of it without asking, in a period and up to a moment. */
  enough: number
  from: number
  until: number
  held: number
  /** What was spent and reserved of it when it was last known what is left. */
  had: number
  /** What came last, and when. */
  least: number
  usedAt: number
  /** Whether one was let in that it was not enough for, since the store was last heard. */
  guessed: boolean
}

/** A request that waits to be let in. */
interface Waiting {
  readonly accounts: ReadonlyArray<Account>
  readonly nanos: number
  readonly decide: (reserved: Reserved) => void
}

const ownOf = ({ reserved, spent }: Account): number => reserved + spent

const isBound = ({ rule }: Account): boolean => rule.hard !== undefined

/** What the accounts in the shared store are of. */
interface SharedAccountsOptions {
  readonly bookNow: () => BudgetBook
  readonly wallNow: () => number
  /** What this gateway's ledger is called. */
  readonly ledgerId: () => string
  /** Called when the accounts of the book have been told what all have spent. */
  readonly restated: () => void
  readonly whenAway: () => "count_locally" | "refuse"
}

/** The accounts in the shared store. */
export const sharedAccounts = Effect.fnUntraced(function* ({
  bookNow,
  ledgerId,
  restated,
  wallNow,
  whenAway
}: SharedAccountsOptions) {
  const store = yield* SharedStore
  const replicas = yield* Replicas
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  // What is told and heard comes in one order.
  const line = yield* Semaphore.make(1)
  const waitAtMost = patience((yield* StorePatience).requestMs, fork)
  const grants = new WeakMap<Account, Grant>()
  let waiting: Array<Waiting> = []
  let telling = new Set<Account>()
  let isAsking = false
  let isGathering = false
  let isLeaving = false

  const grantOf = (account: Account): Grant => {
    let grant = grants.get(account)
    if (grant === undefined || grant.from !== account.from) {
      grant = { enough: 0, from: account.from, until: 0, held: 0, had: 0, usedAt: 0, least: 0, guessed: false }
      grants.set(account, grant)
    }
    return grant
  }

  const isEnough = (account: Account, nanos: number, now: number): boolean => {
    if (!isBound(account)) return true
    const { enough, until } = grantOf(account)
    return now < until && ownOf(account) + nanos <= enough
  }

  /** Of what nobody has told yet what is left of it, this process has its share as well. */
  const ceilingOf = (account: Account): number => {
    const { elsewhere, heldElsewhere, spent } = account
    if (account.ceiling === undefined) {
      bookNow().hear(account, { total: spent + elsewhere, others: heldElsewhere }, replicas.processes(), account)
      grantOf(account).had = ownOf(account)
    }
    return account.ceiling ?? Infinity
  }

  /** What becomes of a request of which the store does not say in time whether there is room for it. */
  const withoutStore = (accounts: ReadonlyArray<Account>, nanos: number): Reserved => {
    const bound = accounts.filter(isBound)
    const [first] = bound
    if (first === undefined) return bookNow().hold(accounts, nanos)
    if (whenAway() === "refuse") return { account: first, isUnknown: true }
    const full = bound.find((account) => ownOf(account) + nanos > ceilingOf(account))
    if (full !== undefined) return { account: full }
    if (store.isAway()) return bookNow().hold(accounts, nanos)
    // Others may take what is left meanwhile: no more than one is let in, or a little of this process's share.
    const doubtful = bound.find((account) => {
      const { guessed, had } = grantOf(account)
      return guessed && ownOf(account) + nanos > had + (ceilingOf(account) - had) * guessedPart
    })
    if (doubtful !== undefined) return { account: doubtful, isUnknown: true }
    for (const account of bound) grantOf(account).guessed = true
    return bookNow().hold(accounts, nanos)
  }

  /** Lets in who has room by what was heard, and refuses whom there is no room for; others wait on. */
  const decide = (): void => {
    const now = performance.now()
    const all = waiting
    waiting = []
    for (const each of all) {
      const { accounts, nanos } = each
      if (accounts.every((account) => isEnough(account, nanos, now))) each.decide(bookNow().hold(accounts, nanos))
      else {
        const full = accounts.find((account) => {
          const { elsewhere, heldElsewhere, rule } = account
          return rule.hard !== undefined && ownOf(account) + elsewhere + heldElsewhere + nanos > rule.hard
        })
        if (full === undefined) waiting.push(each)
        else each.decide({ account: full })
      }
    }
  }

  const stated = (account: Account, now: number, processes: number): AccountStatement => {
    const { from, reserved, rule, spent } = account
    const grant = grantOf(account)
    const { enough, least, until, usedAt } = grant
    const isInUse = !isLeaving && now - usedAt < aheadMs
    // What is given back is for others from here on: nobody is let in on it while the answer is on its way.
    const kept = isInUse && now < until ? Math.max(0, Math.min(enough - ownOf(account), lowTimes * least)) : 0
    grant.enough = Math.min(enough, ownOf(account) + kept)
    return {
      id: idOf(account),
      hard: rule.hard,
      ends: periodEnd(rule.per, from),
      spent,
      reserved: reserved + kept,
      needed: waiting.reduce((sum, { accounts, nanos }) => (accounts.includes(account) ? sum + nanos : sum), 0),
      part: isInUse ? aheadPart / processes : 0,
      least
    }
  }

  const tellSome = (accounts: ReadonlyArray<Account>) =>
    Effect.suspend(() => {
      const now = performance.now()
      const processes = replicas.processes()
      // Those of settings that are no more do not count for those that are.
      const all = accounts
        .filter((account) => bookNow().has(account))
        .map((account) => ({
          account,
          from: account.from,
          had: ownOf(account),
          told: stated(account, now, processes)
        }))
      const statements = all.map(({ told }) => told)
      return Effect.map(store.run(stateScript)(store.key, replicas.id, ledgerId(), statements), (answer) => {
        for (const [place, { account, from, had, told }] of all.entries()) {
          // A period that has ended meanwhile.
          if (account.from !== from) continue
          const said = saidOf(answer, place)
          const grant = grantOf(account)
          grant.until = now + sureMs
          grant.held = said.held
          grant.had = had
          grant.enough = told.spent + said.held
          grant.guessed = false
          bookNow().hear(account, said, processes, told)
        }
      })
    })

  /** Tells how accounts stand here, and hears what all have spent and what is held for this process. */
  const tell = (accounts: ReadonlyArray<Account>) =>
    Effect.forEach(Arr.chunksOf(accounts, mostTold), (some) => line.withPermits(1)(tellSome(some)), { discard: true })

  /** Tells of what has changed and of what somebody waits for, again and again as long as there is any of it. */
  const ask = (): void => {
    if (isAsking || (telling.size === 0 && waiting.length === 0)) return
    isAsking = true
    const accounts = new Set([...telling, ...waiting.flatMap((each) => each.accounts)])
    telling = new Set()
    fork(
      Effect.map(Effect.exit(tell([...accounts])), (exit) => {
        isAsking = false
        if (Exit.isSuccess(exit)) decide()
        else {
          const all = waiting
          waiting = []
          for (const { accounts: of, decide: decided, nanos } of all) decided(withoutStore(of, nanos))
        }
        if (waiting.length > 0) ask()
      })
    )
  }

  // What is held is reserved for the others as well.
  const isLittle = (account: Account, now: number): boolean => {
    const { had, held, until } = grantOf(account)
    return now < until && Math.abs(ownOf(account) - had) < held * littlePart
  }

  const tellSoon = (accounts: ReadonlyArray<Account>): void => {
    if (accounts.length === 0 || store.isAway()) return
    const now = performance.now()
    for (const account of accounts) if (!isLittle(account, now)) telling.add(account)
    if (isGathering || telling.size === 0) return
    isGathering = true
    fork(
      Effect.andThen(
        Effect.sleep(togetherMs),
        Effect.sync(() => {
          isGathering = false
          ask()
        })
      )
    )
  }

  const reserve = (spender: Spender, nanos: number): Reserved | Effect.Effect<Reserved> => {
    const accounts = bookNow().accountsOf(spender, wallNow())
    if (store.isAway() || !accounts.some(isBound)) return withoutStore(accounts, nanos)
    const now = performance.now()
    let hasRoom = true
    let isLow = false
    for (const account of accounts) {
      const grant = grantOf(account)
      grant.usedAt = now
      grant.least = nanos
      if (!isBound(account)) continue
      const rest = now < grant.until ? grant.enough - ownOf(account) : -Infinity
      if (rest < nanos) hasRoom = false
      // What is reserved now counts as well.
      if (rest < lowTimes * nanos) {
        telling.add(account)
        isLow = true
      }
    }
    if (hasRoom) {
      const reserved = bookNow().hold(accounts, nanos)
      if (isLow) ask()
      return reserved
    }
    return Effect.callback<Reserved>((resume) => {
      const own: Waiting = { accounts, nanos, decide: (made) => resume(Effect.succeed(made)) }
      waiting.push(own)
      waitAtMost({
        since: now,
        isOver: () => !waiting.includes(own),
        giveUp: () => {
          waiting = waiting.filter((each) => each !== own)
          own.decide(withoutStore(accounts, nanos))
        }
      })
      ask()
    })
  }

  /** Tells what is spent here of all accounts, and hears what all have spent. */
  const restate = Effect.suspend(() => {
    const accounts = bookNow().all(wallNow())
    return accounts.length === 0 ? Effect.void : Effect.andThen(tell(accounts), Effect.sync(restated))
  }).pipe(Effect.ignore)

  // What is left is known here not much later than others take of it, and what is held is renewed.
  const listened = Effect.suspend(() => {
    const accounts = bookNow().all(wallNow())
    if (accounts.length <= mostTold) return restate
    const own = accounts.filter((account) => account.reserved > 0 || grantOf(account).held > 0)
    return own.length === 0 ? Effect.void : Effect.ignore(tell(own))
  })
  // What all have spent is known before the first request comes, where the store is there.
  yield* Effect.timeoutOption(Effect.ignore(Effect.suspend(() => tell(bookNow().all(wallNow())))), firstMs)
  // Who leaves tells what was spent last, and holds nothing for requests to come.
  yield* Effect.addFinalizer(() => {
    isLeaving = true
    const news = bookNow()
      .all(wallNow())
      .filter((account) => grantOf(account).held > 0 || ownOf(account) !== grantOf(account).had)
    if (store.isAway() || news.length === 0) return Effect.void
    return Effect.timeoutOption(Effect.interruptible(Effect.ignore(tell(news))), lastMs)
  })
  yield* Effect.forkScoped(Effect.repeat(listened, Schedule.spaced(hearMs)))
  // One that was restarted knows of nothing that was held.
  const returned = Effect.andThen(
    Effect.sync(() => {
      for (const account of bookNow().all(wallNow())) grantOf(account).until = 0
    }),
    // The script is loaded before a request has to wait for it.
    Effect.andThen(Effect.ignore(store.run(stateScript)(store.key, "", "", [])), restate)
  )
  yield* Effect.forkScoped(Stream.runForEach(store.returns, () => returned))

  return {
    reserve,
    restate,
    release: ({ accounts }: Reservation): void => tellSoon(accounts),
    spend: tellSoon,
    /** Whether this replica is the one that tells of something, which one of them does. */
    tells: (account: Account, level: string): Effect.Effect<boolean> => {
      const { hard, soft } = account.rule
      const name = store.key(`told ${level} ${(level === "hard" ? hard : soft) ?? 0} ${idOf(account)}`)
      const left = String(Math.max(1000, periodEnd(account.rule.per, account.from) - wallNow()))
      return store.send<string | null>("SET", name, replicas.id, "NX", "PX", left).pipe(
        Effect.map((answer) => answer !== null),
        Effect.orElseSucceed(() => true)
      )
    }
  }
})
