/**
 * What is spent and reserved of budgets by all replicas together.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { Replicas } from "../replicas/Replicas.ts"
import { SharedStore } from "../replicas/SharedStore.ts"
import { commandMs } from "../replicas/store-client.ts"
import { type Account, type BudgetBook, periodEnd, type Reservation, type Spender } from "./budget.ts"
import { holdMs, keepScript, releaseScript, reserveScript, restateScript, type StoreAccount } from "./budget-scripts.ts"

// What is let in on a guess is spent: under a hard limit the answer is waited for, which comes or fails within this.
const patienceMs = commandMs + 10

// How often it is asked what all have spent, and of how many accounts at most; of more of them every two seconds.
const hearMs = 250
const mostHeard = 200

/** What was reserved or the account that has no room for it. */
type Reserved = Reservation | { readonly account: Account }

const ownOf = (accounts: ReadonlyArray<Account>): ReadonlyArray<number> =>
  accounts.map(({ reserved, spent }) => spent + reserved)

const stored = ({ from, of, rule }: Account): StoreAccount => ({
  id: `${rule.name} ${rule.per} ${from} ${of}`,
  hard: rule.hard,
  ends: periodEnd(rule.per, from)
})

/**
 * The accounts in the shared store. `ledgerId` is what this gateway's ledger is called, and `restated` is called when the accounts of
 * the book have been told what all have spent.
 */
export const sharedAccounts = Effect.fnUntraced(function* (
  bookNow: () => BudgetBook,
  wallNow: () => number,
  ledgerId: () => string,
  restated: () => void
) {
  const store = yield* SharedStore
  const replicas = yield* Replicas
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const held = new Map<string, Reservation>()
  let last = 0
  // Whether one was let in while the store was there and did not say so, since it was last heard.
  let unsure = false

  const hear = (accounts: ReadonlyArray<Account>, said: ReadonlyArray<number>, own: ReadonlyArray<number>): void => {
    unsure = false
    for (const [at, account] of accounts.entries())
      bookNow().hear(account, said[2 * at] ?? 0, said[2 * at + 1] ?? 0, replicas.processes(), own[at] ?? 0)
  }

  const give = (accounts: ReadonlyArray<Account>, id: string, nanos: number): void => {
    held.delete(id)
    // What is not given back is not held for long.
    if (!store.isAway()) fork(Effect.ignore(store.run(releaseScript)(store.key, accounts.map(stored), id, nanos)))
  }

  /** Where the store is away, or nothing has an end, it is decided here. */
  const needsStore = (accounts: ReadonlyArray<Account>): boolean =>
    !store.isAway() && accounts.some(({ rule }) => rule.hard !== undefined)

  const reserve = (spender: Spender, nanos: number): Reserved | Effect.Effect<Reserved> => {
    const book = bookNow()
    const accounts = book.accountsOf(spender, wallNow())
    const alone = (): Reserved => {
      // Of what nobody has told yet what is left of it, this process has its share as well.
      for (const account of accounts) {
        const { ceiling, elsewhere, heldElsewhere, reserved, spent } = account
        const own = spent + reserved
        if (ceiling === undefined)
          book.hear(account, spent + elsewhere, reserved + heldElsewhere, replicas.processes(), own)
      }
      return book.reserve(spender, nanos, wallNow())
    }
    if (!needsStore(accounts)) return alone()
    last += 1
    const id = `${replicas.id}:${last.toString(36)}`
    const reserved = (of: Reserved): Reserved => {
      if ("account" in of) return of
      const reservation = { ...of, id }
      held.set(id, reservation)
      return reservation
    }
    return Effect.suspend(() => {
      const sums = accounts.map(({ spent }) => spent)
      const own = ownOf(accounts)
      const asked = fork(store.run(reserveScript)(store.key, accounts.map(stored), id, nanos, ledgerId(), sums))
      return Effect.map(Effect.timeoutOption(Fiber.await(asked), patienceMs), (exit): Reserved => {
        if (Option.isSome(exit) && Exit.isSuccess(exit.value)) {
          const [full = 0, ...said] = exit.value.value
          const short = accounts[full - 1]
          const of = short === undefined ? book.hold(accounts, nanos) : { account: short }
          hear(accounts, said, short === undefined ? own.map((each) => each + nanos) : own)
          return reserved(of)
        }
        // No more than one, as long as nobody knows what is left: others may have taken all of it.
        const bound = accounts.find(({ rule }) => rule.hard !== undefined)
        const guessed = unsure && bound !== undefined && !store.isAway() ? { account: bound } : alone()
        unsure = true
        const decided = reserved(guessed)
        asked.addObserver((late) => {
          if (Exit.isSuccess(late)) hear(accounts, late.value.slice(1), own)
          if ("account" in decided) give(accounts, id, nanos)
        })
        return decided
      })
    })
  }

  // Told as a sum, and not as what is added to it: it may be told twice, and what did not come there comes with the next one.
  const tell = (accounts: ReadonlyArray<Account>) => {
    const sums = accounts.map(({ spent }) => spent)
    const own = ownOf(accounts)
    return Effect.map(store.run(restateScript)(store.key, accounts.map(stored), ledgerId(), sums), (said) =>
      hear(accounts, said, own)
    )
  }

  /** Tells what is spent here of all accounts, and hears what all have spent. */
  const restate = Effect.suspend(() => {
    const accounts = bookNow().all(wallNow())
    return accounts.length === 0 ? Effect.void : Effect.andThen(tell(accounts), Effect.sync(restated))
  }).pipe(Effect.ignore)

  const keep = Effect.suspend(() =>
    Effect.forEach(
      [...held],
      ([id, { accounts, nanos }]) => Effect.ignore(store.run(keepScript)(store.key, accounts.map(stored), id, nanos)),
      { discard: true, concurrency: 16 }
    )
  )
  yield* Effect.forkScoped(Effect.repeat(keep, Schedule.spaced(holdMs / 3)))
  // What is left is known here not much later than others take of it, so that it is not shared out twice when the store goes.
  const listened = Effect.suspend(() => (bookNow().all(wallNow()).length > mostHeard ? Effect.void : restate))
  yield* Effect.forkScoped(Effect.repeat(listened, Schedule.spaced(hearMs)))
  // Scripts are loaded before a request has to wait for it.
  const loaded = Effect.ignore(store.run(reserveScript)(store.key, [], "", 0, "", []))
  const returned = Effect.andThen(restate, Effect.andThen(loaded, keep))
  yield* Effect.forkScoped(Stream.runForEach(store.returns, () => returned))

  return {
    isAway: store.isAway,
    reserve,
    restate,
    release: ({ accounts, id, nanos }: Reservation): void => {
      if (id !== undefined) give(accounts, id, nanos)
    },
    spend: (accounts: ReadonlyArray<Account>, nanos: number): void => {
      if (nanos === 0 || accounts.length === 0 || store.isAway()) return
      fork(Effect.ignore(Effect.suspend(() => tell(accounts))))
    },
    /** Whether this replica is the one that tells of something, which one of them does. */
    tells: (account: Account, level: string): Effect.Effect<boolean> => {
      const { ends, id } = stored(account)
      const name = store.key(`told ${level} ${id}`)
      const left = String(Math.max(1000, ends - wallNow()))
      return store.send<string | null>("SET", name, replicas.id, "NX", "PX", left).pipe(
        Effect.map((answer) => answer !== null),
        Effect.orElseSucceed(() => true)
      )
    }
  }
})
