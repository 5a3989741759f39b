/**
 * Limits that replicas count together in the shared store. Each process takes a little of a limit for requests to come, and those
 * that it is enough for ask nobody. Others wait 5 ms at most for the store; where it does not answer by then, or is
 * away, this replica decides by its share of what was left, and what it let in is settled afterwards.
 */
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { RateLimited } from "../domain/errors.ts"
import type { LimitUse } from "../domain/limit-use.ts"
import type { LimitRule } from "../domain/rate-limits.ts"
import { patience, StorePatience } from "../replicas/patience.ts"
import { Replicas } from "../replicas/Replicas.ts"
import { SharedStore } from "../replicas/SharedStore.ts"
import { LimitCounts, type LimitDecision, Limiter, type LimitPass, refusalBy, wallClock } from "./Limiter.ts"
import {
  type EnterAnswer,
  type Entering,
  enterAnswersOf,
  enterScript,
  leaseMs,
  type LetIn,
  renewScript,
  type Settled,
  settleScript,
  takenScript,
  usesIn
} from "./limit-scripts.ts"
import { Ahead } from "./limits-ahead.ts"
import { TokenBucket } from "./token-bucket.ts"

const mostDoubtful = 1000
const minuteMs = 60_000

// How long differences are gathered, those that come to less than this part of their limit for longer, and how many requests are
// asked for or settled in one script.
const togetherMs = 50
const littlePart = 0.0005
const littleMs = 450
const mostTogether = 64

// Of so many rules at most it is asked what is taken under them.
const mostAskedOf = 1000

const isBounded = ({ limits }: LimitRule): boolean => limits.maxConcurrent !== undefined

// How often it is looked whether what was taken for requests to come is of use.
const lookMs = 500

// Leases are renewed well before they run out.
const renewMs = leaseMs / 3

/** What was let in of a rule while the store was away, as a bucket that fills again as the limit does. */
interface Owed {
  readonly rule: LimitRule
  readonly requests: TokenBucket
  readonly tokens: TokenBucket
}

/** A request that was let in. */
interface Held {
  readonly id: string
  readonly rules: ReadonlyArray<LimitRule>
  readonly since: number
  letIn: LetIn | "pending"
  /** What it took, once it has ended. */
  used: number | undefined
}

/** What is asked of the store, and who waits for it. */
interface Asked {
  readonly entering: Entering
  readonly answer: (said: EnterAnswer | undefined) => void
}

const awayWords =
  'The limits cannot be counted now: what replicas share is away ([cluster] when_away = "refuse"). Please try again in 1s'

/** Limits that are counted by all replicas together. */
export const sharedLimiter = (whenAway: () => "count_locally" | "refuse") =>
  Layer.effect(
    Limiter,
    Effect.gen(function* () {
      const store = yield* SharedStore
      const replicas = yield* Replicas
      const fork = Effect.runForkWith(yield* Effect.context<never>())
      const local = new LimitCounts(replicas.processes)
      const held = new Set<Held>()
      const owed = new Map<string, Owed>()
      // Those that the store may have let in before it went, and whose end it does not know.
      let doubtful: Array<{ readonly settled: Settled; readonly since: number }> = []
      const ahead = new Ahead(replicas.processes)
      const waitAtMost = patience((yield* StorePatience).requestMs, fork)
      let last = 0
      const wallNow = yield* wallClock
      const nextId = (): string => {
        last += 1
        return `${replicas.id}:${last.toString(36)}`
      }

      /** Does the first at once, and together what comes up after it in the same turn. */
      const inTurn = <A>(act: (all: ReadonlyArray<A>) => Effect.Effect<unknown>): ((one: A) => void) => {
        let more: Array<A> | undefined
        const turn = Effect.andThen(
          Effect.yieldNow,
          Effect.suspend(() => {
            const all = more ?? []
            more = undefined
            return Effect.forEach(Arr.chunksOf(all, mostTogether), act, { discard: true, concurrency: "unbounded" })
          })
        )
        return (one) => {
          if (more !== undefined) return void more.push(one)
          more = []
          fork(act([one]))
          fork(turn)
        }
      }

      const owe = (rules: ReadonlyArray<LimitRule>, requests: number, tokens: number, now: number): void => {
        const processes = replicas.processes()
        for (const rule of rules) {
          const perMinute = (rule.limits.requestsPerMinute ?? 0) / processes
          const tokensEach = (rule.limits.tokensPerMinute ?? 0) / processes
          let into = owed.get(rule.id)
          if (into === undefined) {
            into = { rule, requests: new TokenBucket(perMinute, now), tokens: new TokenBucket(tokensEach, now) }
            owed.set(rule.id, into)
          }
          if (perMinute > 0) into.requests.take(perMinute, requests, now)
          if (tokensEach > 0) into.tokens.take(tokensEach, tokens, now)
        }
      }

      const unsettled = (settled: Settled): void => {
        const now = performance.now()
        const { letIn, requests, reserved, rules, used } = settled
        if (letIn === "yes") owe(rules, requests - 1, used - reserved, now)
        else if (letIn === "no") owe(rules, requests, used, now)
        else if (doubtful.length < mostDoubtful) doubtful.push({ settled, since: now })
      }

      // What comes up in one turn goes there together.
      const settling = inTurn<Settled>((all) =>
        Effect.catch(store.run(settleScript)(store.key, all), () => Effect.sync(() => all.forEach(unsettled)))
      )
      const settle = (settled: Settled): void => {
        if (store.isAway()) unsettled(settled)
        else settling(settled)
      }

      // What has no place to give back is told together with others: that takes a tenth of the work.
      const differences = new Map<string, { readonly rule: LimitRule; readonly since: number; tokens: number }>()
      const settleSoon = (): void => void fork(Effect.andThen(Effect.sleep(togetherMs), Effect.sync(settleAll)))
      const settleAll = (): void => {
        const now = performance.now()
        for (const [id, { rule, since, tokens }] of differences) {
          const { tokensPerMinute = 0 } = rule.limits
          if (Math.abs(tokens) < tokensPerMinute * littlePart && now - since < littleMs) continue
          differences.delete(id)
          if (tokens !== 0) settle({ id: "", rules: [rule], letIn: "no", requests: 0, reserved: 0, used: tokens })
        }
        if (differences.size > 0) settleSoon()
      }
      const settleLater = (rules: ReadonlyArray<LimitRule>, difference: number): void => {
        if (difference === 0) return
        const isFirst = differences.size === 0
        for (const rule of rules) {
          if (rule.limits.tokensPerMinute === undefined) continue
          const known = differences.get(rule.id)
          if (known !== undefined) known.tokens += difference
          else differences.set(rule.id, { rule, since: performance.now(), tokens: difference })
        }
        if (isFirst && differences.size > 0) settleSoon()
      }

      /** What is done once a request has ended and it is known whether the store had let it in. */
      const settleHeld = ({ id, letIn, rules, used }: Held, tokens: number): void => {
        if (used === undefined || letIn === "pending") return
        if (letIn === "yes" && !rules.some(isBounded)) return settleLater(rules, used - tokens)
        settle({ id, rules, letIn, requests: 1, reserved: tokens, used })
      }

      const passOf = (of: Held, tokens: number, counted: LimitPass): LimitPass => {
        held.add(of)
        return {
          left: counted.left,
          end: (used, at) => {
            if (!held.delete(of)) return
            counted.end(used, at)
            of.used = used
            settleHeld(of, tokens)
          }
        }
      }

      const byItself = (rules: ReadonlyArray<LimitRule>, tokens: number, of: Held): LimitDecision => {
        const now = performance.now()
        const isAway = store.isAway()
        if (isAway && whenAway() === "refuse")
          return new RateLimited({ message: awayWords, retryAfterSeconds: 1, left: { at: wallNow() } })
        const counted = local.enter(rules, tokens, now, wallNow())
        if (counted instanceof RateLimited) return counted
        if (isAway) {
          owe(rules, 1, tokens, now)
          of.letIn = "yes"
        }
        return passOf(of, tokens, counted)
      }

      const byStore = (
        rules: ReadonlyArray<LimitRule>,
        tokens: number,
        of: Held,
        answer: EnterAnswer
      ): LimitDecision => {
        const now = performance.now()
        const left = local.follow(rules, answer.rules, now, wallNow())
        if (answer.isIn) {
          of.letIn = "yes"
          return passOf(of, tokens, local.hold(rules, tokens, left, now))
        }
        return (
          refusalBy(rules, answer.rules, tokens, left) ??
          new RateLimited({ message: awayWords, retryAfterSeconds: 1, left })
        )
      }

      const asking = inTurn<Asked>((all) => {
        const entering = all.map((each) => each.entering)
        return Effect.map(Effect.exit(store.run(enterScript)(store.key, entering)), (exit) => {
          const answers = Exit.isSuccess(exit) ? enterAnswersOf(entering, exit.value) : []
          for (const [at, { answer, entering: of }] of all.entries()) {
            ahead.heard(of, answers[at], performance.now())
            answer(answers[at])
          }
        })
      })

      const ask = (rules: ReadonlyArray<LimitRule>, tokens: number): Effect.Effect<LimitDecision> =>
        Effect.callback<LimitDecision>((resume) => {
          const since = performance.now()
          const of: Held = {
            id: nextId(),
            rules,
            since,
            letIn: "pending",
            used: undefined
          }
          let decision: LimitDecision | undefined
          const decide = (decided: LimitDecision): void => {
            decision = decided
            resume(Effect.succeed(decided))
          }
          const refused = (letIn: LetIn): void =>
            settle({ id: of.id, rules, letIn, requests: 0, reserved: tokens, used: 0 })
          const answer = (said: EnterAnswer | undefined): void => {
            const letIn = said === undefined ? "unknown" : said.isIn ? "yes" : "no"
            if (decision === undefined) {
              if (said !== undefined) return decide(byStore(rules, tokens, of, said))
              of.letIn = letIn
              const decided = byItself(rules, tokens, of)
              if (decided instanceof RateLimited) refused(letIn)
              return decide(decided)
            }
            // It comes too late.
            if (of.letIn === "pending") of.letIn = letIn
            if (!(decision instanceof RateLimited)) settleHeld(of, tokens)
            else if (letIn !== "no") refused(letIn)
          }
          asking({ entering: ahead.entering(of.id, rules, tokens, true), answer })
          waitAtMost({
            since,
            isOver: () => decision !== undefined,
            giveUp: () => decide(byItself(rules, tokens, of))
          })
        })

      const giveBack = (all: ReturnType<typeof ahead.unused>): void => {
        for (const { places, requests, rule, tokens } of all) {
          const rules = [rule]
          for (const id of places) settle({ id, rules, letIn: "yes", requests: 1, reserved: 0, used: 0 })
          if (requests !== 0 || tokens !== 0)
            settle({ id: "", rules, letIn: "no", requests: -requests, reserved: 0, used: -tokens })
        }
      }

      /** Lets one in that what was taken for requests to come is enough for. */
      const fromAhead = (rules: ReadonlyArray<LimitRule>, tokens: number): LimitPass | undefined => {
        const now = performance.now()
        const taken = ahead.take(rules, tokens, now, wallNow)
        if (taken === undefined) return undefined
        if (ahead.isLow(rules, tokens))
          asking({ entering: ahead.entering(nextId(), rules, tokens, false), answer: () => undefined })
        const { left, places } = taken
        // How many are under way has to be known when the store is away.
        const counted = places.length === 0 ? undefined : local.hold(rules, tokens, left, now)
        let isOver = false
        return {
          left,
          end: (used, at) => {
            if (isOver) return
            isOver = true
            counted?.end(used, at)
            settleLater(rules, used - tokens)
            if (places.length > 0) giveBack(ahead.leave(places))
          }
        }
      }

      const renew = (all: boolean): void => {
        const now = performance.now()
        const byRule = new Map(ahead.places().map(([rule, ids]) => [rule, [...ids]]))
        for (const { id, rules, since } of held) {
          if (!all && now - since < renewMs) continue
          for (const rule of rules) {
            if (!isBounded(rule)) continue
            const ids = byRule.get(rule.id) ?? []
            byRule.set(rule.id, ids)
            ids.push(id)
          }
        }
        for (const [rule, ids] of byRule) {
          // A script takes some thousand arguments.
          for (let at = 0; at < ids.length; at += 1000)
            fork(Effect.ignore(store.run(renewScript)(store.key, rule, ids.slice(at, at + 1000))))
        }
      }

      /** What was let in meanwhile is told, and who is under way is named again to a store that may have forgotten everything. */
      const returned = (): void => {
        const now = performance.now()
        // Scripts are loaded before a request has to wait for it.
        fork(Effect.ignore(store.run(enterScript)(store.key, [])))
        fork(Effect.ignore(store.run(settleScript)(store.key, [])))
        giveBack(ahead.unused(Infinity))
        const inDoubt = doubtful
        doubtful = []
        for (const { settled, since } of inDoubt) if (now - since < minuteMs) settle(settled)
        const processes = replicas.processes()
        const all = [...owed.values()]
        owed.clear()
        for (const { requests, rule, tokens } of all) {
          const { requestsPerMinute = 0, tokensPerMinute = 0 } = rule.limits
          const lacking = (bucket: TokenBucket, limit: number) =>
            limit === 0 ? 0 : bucket.missing(limit / processes, now)
          settle({
            id: "",
            rules: [rule],
            letIn: "no",
            requests: lacking(requests, requestsPerMinute),
            reserved: 0,
            used: lacking(tokens, tokensPerMinute)
          })
        }
        renew(true)
      }
      yield* Effect.forkScoped(Stream.runForEach(store.returns, () => Effect.sync(returned)))
      const each = (ms: number, act: () => void) =>
        Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(ms), Effect.sync(act))))
      yield* each(renewMs, () => renew(false))
      yield* each(lookMs, () => {
        if (!store.isAway()) giveBack(ahead.unused(performance.now()))
      })

      const takenByAll = (rules: ReadonlyArray<LimitRule>): Effect.Effect<ReadonlyArray<LimitUse>> => {
        const all = new Map([...local.rules(), ...rules].map((rule) => [rule.id, rule]))
        const parts = Arr.chunksOf([...all.values()].slice(0, mostAskedOf), mostTogether)
        const asked = Effect.forEach(parts, (part) =>
          Effect.map(store.run(takenScript)(store.key, part), (said) => usesIn(part, said))
        )
        return Effect.catch(Effect.map(asked, Arr.flatten), () => Effect.succeed([]))
      }

      return Limiter.of({
        counted: () => [],
        takenByAll: (rules) => (store.isAway() ? Effect.succeed([]) : takenByAll(rules)),
        enter: (rules, tokens) => {
          if (!store.isAway()) return fromAhead(rules, tokens) ?? ask(rules, tokens)
          return byItself(rules, tokens, {
            id: nextId(),
            rules,
            since: performance.now(),
            letIn: "yes",
            used: undefined
          })
        }
      })
    })
  )
