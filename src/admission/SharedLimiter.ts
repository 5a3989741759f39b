/**
 * Limits that replicas count together in the shared store. A request waits for it {@link usualWaitMs} at most; where it does not answer
 * by then, or is away, this replica decides by its share of what was left, and what it let in is settled afterwards.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { RateLimited } from "../domain/errors.ts"
import type { LimitRule } from "../domain/rate-limits.ts"
import { Replicas } from "../replicas/Replicas.ts"
import { SharedStore, type StoreFailed } from "../replicas/SharedStore.ts"
import { LimitCounts, type LimitDecision, Limiter, type LimitPass, refusalBy, wallClock } from "./Limiter.ts"
import {
  type EnterAnswer,
  enterAnswerOf,
  enterScript,
  leaseMs,
  type LetIn,
  renewScript,
  type Settled,
  settleScript
} from "./limit-scripts.ts"
import { TokenBucket } from "./token-bucket.ts"

/** How long a request waits for the store, in milliseconds. */
const usualWaitMs = 5

const mostDoubtful = 1000
const minuteMs = 60_000

// How long differences are gathered.
const togetherMs = 50

const isBounded = ({ limits }: LimitRule): boolean => limits.maxConcurrent !== undefined

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

const awayWords =
  'The limits cannot be counted now: what replicas share is away ([cluster] when_away = "refuse"). Please try again in 1s'

/** Limits that are counted by all replicas together. */
export const sharedLimiter = (whenAway: () => "count_locally" | "refuse", waitMs = usualWaitMs) =>
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
      let doubtful: Array<{
        readonly rules: ReadonlyArray<LimitRule>
        readonly settled: Settled
        readonly since: number
      }> = []
      let last = 0
      const wallNow = yield* wallClock

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

      const settle = (rules: ReadonlyArray<LimitRule>, settled: Settled): void => {
        const lost = (now: number): void => {
          const { letIn, requests, reserved, used } = settled
          if (letIn === "yes") owe(rules, requests - 1, used - reserved, now)
          else if (letIn === "no") owe(rules, requests, used, now)
          else if (doubtful.length < mostDoubtful) doubtful.push({ rules, settled, since: now })
        }
        if (store.isAway()) return lost(performance.now())
        fork(
          Effect.catch(store.run(settleScript)(store.key, rules, settled), () =>
            Effect.sync(() => lost(performance.now()))
          )
        )
      }

      // What has no place to give back is told together with others: that takes a tenth of the work.
      const differences = new Map<string, { readonly rule: LimitRule; tokens: number }>()
      const settleAll = (): void => {
        const all = [...differences.values()]
        differences.clear()
        for (const { rule, tokens } of all)
          if (tokens !== 0) settle([rule], { id: "", letIn: "no", requests: 0, reserved: 0, used: tokens })
      }
      const settleLater = (rules: ReadonlyArray<LimitRule>, difference: number): void => {
        if (difference === 0) return
        if (differences.size === 0) fork(Effect.andThen(Effect.sleep(togetherMs), Effect.sync(settleAll)))
        for (const rule of rules) {
          if (rule.limits.tokensPerMinute === undefined) continue
          const known = differences.get(rule.id)
          if (known === undefined) differences.set(rule.id, { rule, tokens: difference })
          else known.tokens += difference
        }
      }

      /** What is done once a request has ended and it is known whether the store had let it in. */
      const settleHeld = ({ id, letIn, rules, used }: Held, tokens: number): void => {
        if (used === undefined || letIn === "pending") return
        if (letIn === "yes" && !rules.some(isBounded)) return settleLater(rules, used - tokens)
        settle(rules, { id, letIn, requests: 1, reserved: tokens, used })
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

      const ask = (rules: ReadonlyArray<LimitRule>, tokens: number) =>
        Effect.suspend(() => {
          last += 1
          const of: Held = {
            id: `${replicas.id}:${last.toString(36)}`,
            rules,
            since: performance.now(),
            letIn: "pending",
            used: undefined
          }
          const asked: Fiber.Fiber<ReadonlyArray<number>, StoreFailed> = fork(
            store.run(enterScript)(store.key, rules, of.id, tokens)
          )
          return Effect.map(Effect.timeoutOption(Fiber.await(asked), waitMs), (exit): LimitDecision => {
            if (Option.isSome(exit)) {
              if (Exit.isSuccess(exit.value)) return byStore(rules, tokens, of, enterAnswerOf(exit.value.value))
              of.letIn = "unknown"
              const decision = byItself(rules, tokens, of)
              if (decision instanceof RateLimited)
                settle(rules, { id: of.id, letIn: "unknown", requests: 0, reserved: tokens, used: 0 })
              return decision
            }
            const decision = byItself(rules, tokens, of)
            asked.addObserver((late) => {
              const answer = Exit.isSuccess(late) ? enterAnswerOf(late.value) : undefined
              const letIn = answer === undefined ? "unknown" : answer.isIn ? "yes" : "no"
              if (of.letIn === "pending") of.letIn = letIn
              if (decision instanceof RateLimited) {
                if (letIn !== "no") settle(rules, { id: of.id, letIn, requests: 0, reserved: tokens, used: 0 })
              } else settleHeld(of, tokens)
            })
            return decision
          })
        })

      const renew = (all: boolean): void => {
        const now = performance.now()
        const byRule = new Map<string, Array<string>>()
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
        fork(Effect.ignore(store.run(enterScript)(store.key, [], "", 0)))
        settle([], { id: "", letIn: "yes", requests: 1, reserved: 0, used: 0 })
        const inDoubt = doubtful
        doubtful = []
        for (const { rules, settled, since } of inDoubt) if (now - since < minuteMs) settle(rules, settled)
        const processes = replicas.processes()
        const all = [...owed.values()]
        owed.clear()
        for (const { requests, rule, tokens } of all) {
          const { requestsPerMinute = 0, tokensPerMinute = 0 } = rule.limits
          const lacking = (bucket: TokenBucket, limit: number) =>
            limit === 0 ? 0 : bucket.missing(limit / processes, now)
          settle([rule], {
            id: "",
            letIn: "no",
            requests: lacking(requests, requestsPerMinute),
            reserved: 0,
            used: lacking(tokens, tokensPerMinute)
          })
        }
        renew(true)
      }
      yield* Effect.forkScoped(Stream.runForEach(store.returns, () => Effect.sync(returned)))
      yield* Effect.forkScoped(
        Effect.forever(
          Effect.andThen(
            Effect.sleep(renewMs),
            Effect.sync(() => renew(false))
          )
        )
      )

      return Limiter.of({
        enter: (rules, tokens) => {
          if (!store.isAway()) return ask(rules, tokens)
          last += 1
          const id = `${replicas.id}:${last.toString(36)}`
          return byItself(rules, tokens, { id, rules, since: performance.now(), letIn: "yes", used: undefined })
        }
      })
    })
  )
