/**
 * Budgets: how much may be spent by whom in a day, a week or a month. What a request may come to is reserved before it is sent
 * and given back when it has ended, so that many at a time spend no more than one by one.
 */
import { matchesAny } from "../domain/glob.ts"
import type { BudgetPeriod, BudgetShare } from "../domain/usage-words.ts"

/** A budget; money in billionths of a dollar. */
export interface BudgetRule {
  readonly name: string
  /** Whose requests count, as patterns; anybody's when absent. */
  readonly keys?: ReadonlyArray<string>
  readonly owners?: ReadonlyArray<string>
  readonly models?: ReadonlyArray<string>
  readonly each: BudgetShare
  readonly per: BudgetPeriod
  readonly soft?: number
  readonly hard?: number
  /** Whether others may answer who cost nothing, where what is asked for is too dear. */
  readonly falls: boolean
  readonly webhook?: string
}

/** Who spends: the name of a key, its owner, and the model as it was asked for. */
export interface Spender {
  readonly key: string
  readonly owner: string
  readonly model: string
}

const dayMs = 86_400_000

// The first of January 1970 was a Thursday.
const mondayMs = 4 * dayMs

/** When the period began that a moment is in, in milliseconds since 1970. */
export const periodStart = (per: BudgetPeriod, at: number): number => {
  if (per === "day") return Math.floor(at / dayMs) * dayMs
  if (per === "week") return Math.floor((at - mondayMs) / (7 * dayMs)) * 7 * dayMs + mondayMs
  const date = new Date(at)
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth())
}

/** When it ends. */
export const periodEnd = (per: BudgetPeriod, at: number): number => {
  if (per === "day") return periodStart(per, at) + dayMs
  if (per === "week") return periodStart(per, at) + 7 * dayMs
  const date = new Date(at)
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1)
}

/** Whether two rules count the same requests in the same periods, whatever they allow. */
const isSameCount = (one: BudgetRule, other: BudgetRule): boolean =>
  one.name === other.name &&
  one.each === other.each &&
  one.per === other.per &&
  JSON.stringify(one.keys) === JSON.stringify(other.keys) &&
  JSON.stringify(one.owners) === JSON.stringify(other.owners) &&
  JSON.stringify(one.models) === JSON.stringify(other.models)

const isFor = ({ keys, models, owners }: BudgetRule, { key, model, owner }: Spender): boolean =>
  (keys === undefined || matchesAny(keys, key)) &&
  (owners === undefined || matchesAny(owners, owner)) &&
  (models === undefined || matchesAny(models, model))

/** What was spent of one budget by one of those who have their own, in a period. */
export interface Account {
  rule: BudgetRule
  /** Of whom it is, where each has one; empty otherwise. */
  readonly of: string
  /** When its period began, and when it ends. */
  from: number
  to: number
  spent: number
  reserved: number
  /** What others have spent and reserved, as far as this process has heard. */
  elsewhere: number
  heldElsewhere: number
  /** What `spent` and `reserved` here may come to while nothing is heard of others; undefined where there are none. */
  ceiling: number | undefined
  /** Which limits have been told of in this period. */
  readonly told: { soft: boolean; hard: boolean }
}

/** What a request has reserved, to be given back once. */
export interface Reservation {
  readonly nanos: number
  readonly accounts: ReadonlyArray<Account>
}

/** The budget that has no room for a request, or of which nobody can say whether it has. */
export interface NoRoom {
  readonly account: Account
  readonly isUnknown?: boolean
}

// Those of keys and models that come and go.
const mostAccounts = 20_000

/** The accounts of all budgets of a process. */
export class BudgetBook {
  private readonly rules: ReadonlyArray<BudgetRule>
  // Those of each rule, by whose they are.
  private readonly accounts: ReadonlyArray<Map<string, Account>>
  private count = 0
  private readonly hasSoft: boolean

  /** Takes the accounts over of a book before it that count the same: what is reserved under way stays so. */
  constructor(rules: ReadonlyArray<BudgetRule>, before?: BudgetBook) {
    this.rules = rules
    this.accounts = rules.map((rule) => before?.given(rule) ?? new Map<string, Account>())
    this.count = this.accounts.reduce((sum, { size }) => sum + size, 0)
    this.hasSoft = rules.some(({ soft }) => soft !== undefined)
  }

  /** Counts what was spent at a moment. */
  spend(spender: Spender, at: number, nanos: number, now: number): ReadonlyArray<Account> {
    if (nanos === 0) return []
    // What was spent in a period that is over counts no more.
    const own = this.accountsOf(spender, now)
    const counting = at >= now ? own : own.filter(({ rule }) => periodStart(rule.per, now) <= at)
    for (const account of counting) account.spent += nanos
    return counting
  }

  /** Reserves what a request may come to in every budget that it is for, or in none where one has no room for it. */
  reserve(spender: Spender, nanos: number, now: number): Reservation | NoRoom {
    const own = this.accountsOf(spender, now)
    const full = own.find(
      ({ ceiling, reserved, rule, spent }) =>
        rule.hard !== undefined && spent + reserved + nanos > (ceiling ?? rule.hard)
    )
    if (full !== undefined) return { account: full }
    return this.hold(own, nanos)
  }

  /** Reserves what is known to have room. */
  hold(accounts: ReadonlyArray<Account>, nanos: number): Reservation {
    for (const account of accounts) account.reserved += nanos
    return { nanos, accounts }
  }

  /**
   * Takes over what all have spent and what others hold, so many processes together; of what is left this one has its share.
   * `own` is what it had spent and reserved when that was counted: it may have more by now.
   */
  hear(
    account: Account,
    { others, total }: { readonly total: number; readonly others: number },
    processes: number,
    own: Pick<Account, "reserved" | "spent">
  ): void {
    const { rule, spent } = account
    account.elsewhere = Math.max(0, total - spent)
    account.heldElsewhere = others
    const left = Math.max(0, (rule.hard ?? 0) - total - others - own.reserved)
    account.ceiling = rule.hard === undefined ? undefined : own.spent + own.reserved + left / processes
  }

  /** All accounts of this period, those that all have together even while nothing is spent. */
  all(now: number): ReadonlyArray<Account> {
    for (const [at, rule] of this.rules.entries()) if (rule.each === "all") this.account(rule, at, "", now)
    const all = this.every
    for (const account of all) this.turn(account, now)
    return all
  }

  /** Gives back what was reserved. */
  release({ accounts, nanos }: Reservation): void {
    for (const account of accounts) account.reserved -= nanos
  }

  /** The accounts that a spender has a part in, those with a limit that is passed first. */
  passed(spender: Spender, now: number): Account | undefined {
    if (!this.hasSoft) return undefined
    return this.accountsOf(spender, now).find(
      ({ elsewhere, rule, spent }) => rule.soft !== undefined && spent + elsewhere >= rule.soft
    )
  }

  /** All of this period in which something was spent or is reserved. */
  standing(now: number): ReadonlyArray<Account> {
    return this.every.filter((account) => {
      this.turn(account, now)
      return account.spent > 0 || account.reserved > 0 || account.elsewhere > 0 || account.heldElsewhere > 0
    })
  }

  /** When the first of the periods began that count now. */
  earliest(now: number): number {
    return this.rules.reduce((first, { per }) => Math.min(first, periodStart(per, now)), now)
  }

  /** Takes what was spent by these for all that was; what is reserved stays. */
  restate(spent: ReadonlyArray<Spender & { readonly at: number; readonly nanos: number }>, now: number): void {
    for (const account of this.every) account.spent = 0
    for (const each of spent) this.spend(each, each.at, each.nanos, now)
  }

  /** Whether it is one of these accounts. */
  has(account: Account): boolean {
    return this.accounts[this.rules.indexOf(account.rule)]?.get(account.of) === account
  }

  /** Whether there is any budget. */
  get isEmpty(): boolean {
    return this.rules.length === 0
  }

  /** The accounts that a spender has a part in. */
  accountsOf(spender: Spender, now: number): ReadonlyArray<Account> {
    const accounts: Array<Account> = []
    for (let at = 0; at < this.rules.length; at += 1) {
      const rule = this.rules[at]
      if (rule === undefined || !isFor(rule, spender)) continue
      accounts.push(this.account(rule, at, rule.each === "all" ? "" : spender[rule.each], now))
    }
    return accounts
  }

  private given(rule: BudgetRule): Map<string, Account> | undefined {
    const accounts = this.accounts[this.rules.findIndex((each) => isSameCount(each, rule))]
    for (const account of accounts?.values() ?? []) {
      // What was told of another limit was not told of this one.
      if (account.rule.hard !== rule.hard) account.told.hard = false
      if (account.rule.soft !== rule.soft) account.told.soft = false
      account.rule = rule
      account.ceiling = undefined
    }
    return accounts
  }

  private account(rule: BudgetRule, at: number, of: string, now: number): Account {
    let account = this.accounts[at]?.get(of)
    if (account === undefined) {
      account = {
        rule,
        of,
        from: periodStart(rule.per, now),
        to: periodEnd(rule.per, now),
        spent: 0,
        reserved: 0,
        elsewhere: 0,
        heldElsewhere: 0,
        ceiling: undefined,
        told: { soft: false, hard: false }
      }
      if (this.count >= mostAccounts) this.forget(now)
      this.accounts[at]?.set(of, account)
      this.count += 1
    }
    this.turn(account, now)
    return account
  }

  private turn(account: Account, now: number): void {
    // A clock that is set back begins no period again.
    if (now < account.to) return
    account.from = periodStart(account.rule.per, now)
    account.to = periodEnd(account.rule.per, now)
    account.spent = 0
    account.elsewhere = 0
    account.ceiling = undefined
    account.told.soft = false
    account.told.hard = false
  }

  private forget(now: number): void {
    for (const accounts of this.accounts) {
      for (const [of, account] of accounts) {
        this.turn(account, now)
        if (account.spent === 0 && account.reserved === 0 && accounts.delete(of)) this.count -= 1
      }
    }
  }

  private get every(): Array<Account> {
    return this.accounts.flatMap((accounts) => [...accounts.values()])
  }
}
