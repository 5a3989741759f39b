import { describe, expect } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { BudgetExceeded } from "../../src/domain/errors.ts"
import { Unreachable } from "../../src/domain/upstream-errors.ts"
import { Replicas } from "../../src/replicas/Replicas.ts"
import { SharedStore } from "../../src/replicas/SharedStore.ts"
import { RequestLog } from "../../src/telemetry/logging.ts"
import { Transport } from "../../src/upstream/Transport.ts"
import type { BudgetRule } from "../../src/usage/budget.ts"
import { Budgets, isReserving } from "../../src/usage/Budgets.ts"
import { UsageLedger } from "../../src/usage/UsageLedger.ts"
import { effect, underWallClock } from "../kit/effect.ts"

const dayMs = 86_400_000

const dollar = 1_000_000_000

const webhook = "http://hook.test/"

const rule: BudgetRule = { name: "team", each: "all", per: "day", hard: 10 * dollar, falls: false, webhook }

const who = { key: "a", owner: "", model: "m" }

interface News {
  readonly url: string
  readonly limit: string
  readonly spent: string
  readonly reserved: string
}

/** Budgets on virtual time, whose rules can be changed, with what they tell; the webhook answers as it is told to. */
const stage = Effect.fnUntraced(function* (
  first: ReadonlyArray<BudgetRule>,
  part = { number: 1, of: 1 },
  store: Layer.Layer<SharedStore> = SharedStore.none,
  ledger: Layer.Layer<UsageLedger> = UsageLedger.none
) {
  let rules = first
  let answer = 200
  let days = 0
  const told: Array<News> = []
  const lines: Array<string> = []
  const nothing = () => undefined
  const transport = Transport.layerOf({
    ask: ({ body, url }) =>
      Effect.andThen(Effect.yieldNow, () => {
        if (answer === 0) return Effect.fail(new Unreachable({ reason: "connection refused" }))
        const { limit, reserved_usd: reserved, spent_usd: spent } = JSON.parse(String(body))
        if (answer === 200) told.push({ url, limit, spent, reserved })
        return Effect.succeed({ status: answer, headers: new Headers(), text: "" })
      }),
    send: () => Promise.reject(new Error("not a question"))
  })
  const log = Layer.succeed(RequestLog, {
    debugEnabled: () => false,
    accessShare: nothing,
    accessTemplate: nothing,
    writeLines: nothing,
    makeLater: nothing,
    time: () => 0,
    write: (_level, message) => {
      lines.push(message)
    }
  })
  const layer = Budgets.layer(() => rules, part).pipe(
    Layer.provide(Layer.mergeAll(transport, log, Replicas.none, store, ledger))
  )
  const built = underWallClock(() => days * dayMs, Layer.build(layer))
  const { release, reserve, spend } = yield* Effect.provide(Budgets, yield* built)
  return {
    told,
    lines,
    spend,
    release,
    ask: (dollars: number) => {
      const made = reserve(who, dollars * dollar)
      return isReserving(made) ? made : Effect.succeed(made)
    },
    reserve: (dollars: number) => {
      const made = reserve(who, dollars * dollar)
      if (made instanceof BudgetExceeded || Effect.isEffect(made)) return undefined
      return made
    },
    reload: (next: ReadonlyArray<BudgetRule>) => {
      rules = next
    },
    answers: (status: number) => {
      answer = status
    },
    /** Sets the wall clock to the next day. */
    nextDay: () => {
      days += 1
    },
    /** Lets what was begun go on. */
    settle: TestClock.adjust(0)
  }
})

describe("a hard limit", () => {
  effect("that has no room for a request is told at its webhook and in the log, once a period", () =>
    Effect.gen(function* () {
      const at = yield* stage([rule])
      at.spend(who, 7 * dollar)
      expect(at.reserve(2)).toBeDefined()
      expect(at.reserve(2)).toBeUndefined()
      expect(at.reserve(2)).toBeUndefined()
      yield* at.settle
      expect(at.told).toEqual([{ url: webhook, limit: "hard", spent: "7.00", reserved: "2.00" }])
      expect(at.lines).toEqual(["a budget has no room for a request"])
      at.nextDay()
      at.spend(who, 7 * dollar)
      expect(at.reserve(2)).toBeUndefined()
      yield* at.settle
      expect(at.told).toHaveLength(2)
    })
  )

  effect("that had no room for one large request keeps nobody from hearing of the soft one", () =>
    Effect.gen(function* () {
      const at = yield* stage([{ ...rule, soft: 8 * dollar }])
      at.spend(who, 5 * dollar)
      expect(at.reserve(6)).toBeUndefined()
      at.spend(who, 4 * dollar)
      at.spend(who, 2 * dollar)
      yield* at.settle
      expect(at.told.map(({ limit, spent }) => [limit, spent])).toEqual([
        ["hard", "5.00"],
        ["soft", "9.00"]
      ])
    })
  )

  effect("that several share is told of once, whichever of their processes has no room", () =>
    Effect.gen(function* () {
      const none = yield* Effect.provide(SharedStore, SharedStore.none)
      const names = new Set<unknown>()
      const store = Layer.succeed(SharedStore, {
        ...none,
        isOn: true,
        isAway: () => false,
        // Others hold all of it.
        run: () => () => Effect.succeed([0, 10 * dollar, 0]),
        send: <A>(_: string, name?: string) => Effect.sync(() => (names.size < names.add(name).size ? "OK" : null) as A) // reason: what SET answers
      })
      for (const number of [2, 3]) {
        const at = yield* stage([rule], { number, of: 3 }, store)
        expect(yield* at.ask(2)).toBeInstanceOf(BudgetExceeded)
        yield* at.settle
        expect(at.told.map(({ limit }) => limit)).toEqual(number === 2 ? ["hard"] : [])
      }
    })
  )

  effect(
    "without room is told of once by workers that share a ledger, whichever has none, and not after a start again",
    () =>
      Effect.gen(function* () {
        const folder = mkdtempSync(join(tmpdir(), "nexus-news-"))
        yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(folder, { recursive: true, force: true })))
        const settings = { path: join(folder, "usage.sqlite"), recordsMs: dayMs, sumsMs: dayMs, prunes: false }
        const quiet = Layer.succeed(RequestLog, {
          debugEnabled: () => false,
          accessShare: () => undefined,
          accessTemplate: () => undefined,
          writeLines: () => undefined,
          makeLater: () => undefined,
          time: () => 0,
          write: () => undefined
        })
        const ledger = Layer.provide(UsageLedger.layer(settings), quiet)
        const tell = Effect.fnUntraced(function* (number: number) {
          const at = yield* stage([rule], { number, of: 2 }, SharedStore.none, ledger)
          expect(at.reserve(6)).toBeDefined()
          expect(at.reserve(6)).toBeUndefined()
          yield* at.settle
          return at
        })
        const second = yield* tell(2)
        expect(second.told.map(({ limit }) => limit)).toEqual(["hard"])
        for (const number of [1, 2]) expect((yield* tell(number)).told).toEqual([])
        second.nextDay()
        expect(second.reserve(6)).toBeUndefined()
        yield* second.settle
        expect(second.told).toHaveLength(2)
      })
  )

  effect("is not said to be reached for a request that is larger than all of it", () =>
    Effect.gen(function* () {
      const at = yield* stage([rule])
      expect(at.reserve(11)).toBeUndefined()
      yield* at.settle
      expect([at.told, at.lines]).toEqual([[], []])
    })
  )
})

describe("settings that are read anew", () => {
  effect("leave what is reserved for requests under way reserved, and tell nothing twice", () =>
    Effect.gen(function* () {
      const at = yield* stage([{ ...rule, soft: 0 }])
      const underWay = at.reserve(6)
      at.spend(who, dollar)
      yield* at.settle
      at.reload([{ ...rule, soft: 0 }])
      expect(at.reserve(5)).toBeUndefined()
      yield* at.settle
      expect(at.told.map(({ limit }) => limit)).toEqual(["soft", "hard"])
      if (underWay !== undefined) at.release(underWay)
      expect(at.reserve(5)).toBeDefined()
    })
  )

  effect("and change one limit tell nothing twice of the other", () =>
    Effect.gen(function* () {
      const at = yield* stage([{ ...rule, soft: 0 }])
      expect(at.reserve(6)).toBeDefined()
      at.spend(who, 0.5 * dollar)
      at.reload([{ ...rule, soft: 0, hard: 6 * dollar }])
      expect(at.reserve(1)).toBeUndefined()
      yield* at.settle
      expect(at.told.map(({ limit }) => limit)).toEqual(["soft", "hard"])
    })
  )

  effect("let in by the new limit what is under way by the old one counts under", () =>
    Effect.gen(function* () {
      const at = yield* stage([rule])
      expect(at.reserve(6)).toBeDefined()
      at.reload([{ ...rule, hard: 12 * dollar }])
      expect(at.reserve(7)).toBeUndefined()
      expect(at.reserve(6)).toBeDefined()
    })
  )
})

describe("a webhook", () => {
  effect("is told of what the last requests of a gateway spent before that ends", () =>
    Effect.gen(function* () {
      const at = yield* Effect.scoped(
        Effect.tap(stage([rule]), ({ spend }) => Effect.sync(() => spend(who, 10 * dollar)))
      )
      expect(at.told.map(({ limit }) => limit)).toEqual(["hard"])
    })
  )

  effect("that is away or refuses is told again for a minute and a half, and then given up", () =>
    Effect.gen(function* () {
      const at = yield* stage([rule])
      at.answers(0)
      expect([at.reserve(6), at.reserve(6)]).toEqual([expect.anything(), undefined])
      yield* TestClock.adjust("10 seconds")
      at.answers(503)
      yield* TestClock.adjust("20 seconds")
      expect(at.told).toEqual([])
      at.answers(200)
      yield* TestClock.adjust("70 seconds")
      expect(at.told).toEqual([{ url: webhook, limit: "hard", spent: "0.00", reserved: "6.00" }])
      at.answers(503)
      at.nextDay()
      expect([at.reserve(4), at.reserve(4)]).toEqual([expect.anything(), undefined])
      yield* TestClock.adjust("2 minutes")
      expect(at.lines).toEqual([
        "a budget has no room for a request",
        "a budget has no room for a request",
        "the webhook of a budget refuses"
      ])
    })
  )
})
