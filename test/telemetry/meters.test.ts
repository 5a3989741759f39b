import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { endpoints } from "../../src/dialect/openai/openai-endpoints.ts"
import { outcomes } from "../../src/domain/request.ts"
import { coveredSeconds, RecentCounts } from "../../src/telemetry/recent-counts.ts"
import { MeterTable, mostMeters, noBackendLabel, otherLabel } from "../../src/telemetry/meter-table.ts"
import { lastingFigures, processFigures, sumFigures } from "../../src/telemetry/process-figures.ts"
import {
  attemptOutcomes,
  type EndedRequest,
  Meter,
  counterPlaces,
  hedgeOutcomes,
  requestCells as cellsOf
} from "../../src/telemetry/meter.ts"

const requestCells = cellsOf(endpoints)

const ended = fc.record({
  endpoint: fc.constantFrom(...endpoints),
  stream: fc.boolean(),
  outcome: fc.constantFrom(...outcomes),
  status: fc.constantFrom(200, 400, 429, 499, 502, 503),
  started: fc.constant(1000),
  firstByteAt: fc.constantFrom(0, 1010, 1500),
  awaitedMs: fc.constantFrom(0, 9, 400)
})

const sum = (numbers: ArrayLike<number>, from: number, count: number): number =>
  Array.from({ length: count }, (_, at) => numbers[from + at] ?? 0).reduce((total, value) => total + value, 0)

const requestsOf = (numbers: ArrayLike<number>): number => sum(numbers, counterPlaces.requests, requestCells.length)

describe("a meter", () => {
  test("counts each ended request once, in the cell of its own labels", () =>
    fc.assert(
      fc.property(fc.array(ended), (all) => {
        const meter = new Meter("b", "m", endpoints)
        for (const each of all) meter.ended(each, 2000)
        const matches = ({ endpoint, stream, outcome, status }: EndedRequest, cell: (typeof requestCells)[number]) =>
          cell.endpoint === endpoint &&
          cell.stream === stream &&
          cell.outcome === outcome &&
          cell.status === (status < 400 ? "2xx" : status < 500 ? "4xx" : "5xx")
        expect([...meter.numbers.subarray(counterPlaces.requests)]).toEqual(
          requestCells.map((cell) => all.filter((each) => matches(each, cell)).length)
        )
      })
    ))

  test("keeps what it counts of one thing apart from all others", () => {
    const meter = new Meter("b", "m", endpoints)
    for (const outcome of attemptOutcomes) meter.attempted(outcome, 1)
    meter.left()
    meter.used({ prompt: 10, cached: 20, completion: 30 }, 1)
    for (const outcome of hedgeOutcomes) meter.hedged(outcome)
    expect([...meter.numbers.subarray(counterPlaces.attempts, counterPlaces.requestSeconds)]).toEqual([
      ...attemptOutcomes.map(() => 1),
      1,
      10,
      20,
      30,
      ...hedgeOutcomes.map(() => 1)
    ])
    expect(requestsOf(meter.numbers)).toBe(0)
  })

  test("tells of first tokens for one to two minutes", () => {
    const meter = new Meter("b", "m", endpoints)
    const stream: EndedRequest = {
      endpoint: "chat/completions",
      stream: true,
      outcome: "completed",
      status: 200,
      started: 0,
      firstByteAt: 50,
      awaitedMs: 0
    }
    const seen = (now: number) => sum(meter.firstTokens(now), 0, 17)
    meter.ended(stream, 100)
    expect([seen(100), seen(59_000), seen(61_000), seen(122_000), seen(500_000)]).toEqual([1, 1, 1, 0, 0])
  })
})

describe("what happened lately", () => {
  test("is the sum over the seconds looked back on, whatever the pauses", () =>
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(70_000), fc.nat(9), fc.nat(1)), { maxLength: 60 }),
        fc.nat(62),
        fc.nat(70_000),
        (steps, seconds, after) => {
          const lately = new RecentCounts(2)
          let now = 0
          const events = steps.map(([pause, amount, thing]) => {
            now += pause
            lately.add(thing, amount, now)
            return { second: Math.floor(now / 1000), amount, thing }
          })
          now += after
          const since = Math.floor(now / 1000) - seconds
          const expected = (wanted: number) =>
            events
              .filter(({ second, thing }) => second >= since && thing === wanted)
              .reduce((total, { amount }) => total + amount, 0)
          expect([0, 1].map((thing) => lately.sum(thing, seconds, now))).toEqual([0, 1].map(expected))
        }
      )
    ))

  test("looks back no further than the process is old", () => {
    expect([coveredSeconds(10, 500), coveredSeconds(10, 10_000), coveredSeconds(10, 60_250)]).toEqual([0.5, 10, 10.25])
  })
})

const names = fc.array(fc.tuple(fc.nat(12), fc.nat(80)), { maxLength: 1500, size: "max" })

describe("the ledger", () => {
  test("loses no count, and is bounded, whatever the names", () =>
    fc.assert(
      fc.property(names, fc.boolean(), (all, served) => {
        const ledger = new MeterTable(endpoints, () => served)
        for (const [backend, model] of all) ledger.meter(`b${backend}`, `m${model}`).left()
        const meters = ledger.meters()
        expect(meters.length).toBeLessThanOrEqual(mostMeters + 101)
        expect(meters.reduce((total, { numbers }) => total + (numbers[counterPlaces.failovers] ?? 0), 0)).toBe(
          all.length
        )
      }),
      { numRuns: 30 }
    ))

  test("gives up what is not served any more before it lumps together what is", () => {
    let gone = true
    const ledger = new MeterTable(endpoints, (backend) => !gone || backend === "kept")
    gone = false
    for (let at = 0; at < mostMeters - 1; at += 1) ledger.meter("old", `m${at}`).left()
    const busy = ledger.meter("old", "busy")
    busy.inFlight = 1
    gone = true
    const fresh = ledger.meter("kept", "new")
    expect([fresh.backend, fresh.model]).toEqual(["kept", "new"])
    expect(ledger.meter("old", "busy")).toBe(busy)
    expect(ledger.meter(otherLabel, otherLabel).numbers[counterPlaces.failovers]).toBe(mostMeters - 1)
  })
})

const workOf = (ledger: MeterTable, all: ReadonlyArray<readonly [number, number]>): void => {
  for (const [backend, model] of all) {
    ledger
      .meter(backend === 0 ? noBackendLabel : `b${backend}`, `m${model}`)
      .used({ prompt: 1, cached: 0, completion: 2 }, 1)
  }
}

const few = fc.array(fc.tuple(fc.nat(3), fc.nat(3)), { maxLength: 40 })

/** Counters of each pair, in an order of their own. */
const counters = (whole: ReturnType<typeof sumFigures>) =>
  whole.tallies
    .map(({ backend, model, numbers }) => [backend, model, ...numbers])
    .toSorted((a, b) => (`${a[0]} ${a[1]}` < `${b[0]} ${b[1]}` ? -1 : 1))

describe("the figures of several processes", () => {
  test("come to those of one that had done it all", () =>
    fc.assert(
      fc.property(few, few, few, (a, b, c) => {
        const parts = [a, b, c].map((work) => {
          const ledger = new MeterTable(endpoints, () => true)
          workOf(ledger, work)
          return processFigures(ledger, 1, 1000)
        })
        const one = new MeterTable(endpoints, () => true)
        workOf(one, [...a, ...b, ...c])
        expect(counters(sumFigures(parts))).toEqual(counters(sumFigures([processFigures(one, 1, 1000)])))
        expect(counters(sumFigures([lastingFigures(parts)]))).toEqual(counters(sumFigures(parts)))
      })
    ))
})
