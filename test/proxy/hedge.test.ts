import { describe, expect, test } from "bun:test"
import * as fc from "fast-check"
import type { Backend } from "../../src/backend/backend.ts"
import type { HedgeSettings } from "../../src/domain/routing.ts"
import { ConnectionLost, Unreachable } from "../../src/domain/upstream-errors.ts"
import type { ProxyLimits } from "../../src/proxy/Proxy.ts"
import { standingOf, Ticket } from "../../src/registry/live-state.ts"
import { counterPlaces, hedgeOutcomes } from "../../src/telemetry/meter.ts"
import { chatEvents } from "../kit/answers.ts"
import { type Feed, makeStage, nothingHeld, rounds, type Sent, wholeAnswer } from "../kit/stage.ts"
import { until } from "../kit/gateway.ts"

const events = { "content-type": "text/event-stream" }
const [first = "", ...rest] = chatEvents("m", ["a"])

const lost = new ConnectionLost({ reason: "connection closed before any answer", answered: false })
const refused = new Unreachable({ reason: "connection refused" })

type Stage = Awaited<ReturnType<typeof makeStage>>

const hedging = (settings: Partial<HedgeSettings> = {}): { readonly hedge: HedgeSettings } => ({
  hedge: { models: new Set(["m"]), maxShare: 1, minWaitMs: 500, clouds: false, ...settings }
})

/** Lets a call speak. */
const speaks = async (call: Sent): Promise<Feed> => {
  const body = call.answer(200, events)
  await rounds(() => body.taken, "the answer is read")
  body.piece(first)
  return body
}

const ends = (body: Feed): void => {
  for (const each of rest) body.piece(each)
  body.end()
}

/** A stream that is answered without delay. */
const quick = async (stage: Stage, id: string): Promise<void> => {
  const nth = stage.sent.length
  const answered = stage.post(id, true)
  ends(await speaks(await stage.call(nth)))
  await (await answered).text()
  await rounds(() => stage.proxy.active() === 0, "it is let go")
}

/** Backends of which enough is known to tell when one is late. */
const seasoned = async (
  names: ReadonlyArray<string>,
  routing = hedging(),
  backends: Partial<Backend> = {},
  limits: Partial<ProxyLimits> = {}
): Promise<Stage> => {
  const stage = await makeStage(names, limits, routing, backends)
  for (let nth = 0; nth < 20; nth += 1) await quick(stage, `warm-${nth}`)
  stage.sent.length = 0
  return stage
}

/** Waits until a first token is late. */
const late = (stage: Stage) => stage.pass(700)

const hedgesOf = (stage: Stage) => {
  const sums = new Map<string, number>()
  for (const { backend, numbers } of stage.ledger.meters()) {
    for (const [at, outcome] of hedgeOutcomes.entries()) {
      const count = numbers[counterPlaces.hedges + at] ?? 0
      if (count > 0) sums.set(`${backend} ${outcome}`, count)
    }
  }
  return Object.fromEntries(sums)
}

const told = (answer: Response) =>
  ["x-nexus-backend", "x-nexus-route-reason", "x-nexus-attempts", "x-nexus-hedge"].map((name) =>
    answer.headers.get(name)
  )

const blameless = (stage: Stage) =>
  expect(stage.live().map(({ circuits, failures }) => [failures, circuits.size])).toEqual(
    stage.live().map(() => [0, 0])
  )

describe("a stream whose first token is late", () => {
  test("is asked of a second backend, which is kept when it speaks first; the first is closed, and nobody is blamed", async () => {
    await using stage = await seasoned(["a", "b"])
    const answered = stage.post("r", true)
    const slow = await stage.call(0)
    await late(stage)
    const other = await stage.call(1)
    expect([slow.dropped(), other.backend]).toEqual([false, "b"])
    expect(stage.history.underWay.list()).toMatchObject([
      { backend: "a", attempts: 2, hedge: { backend: "b", model: "m", outcome: null } }
    ])
    const body = await speaks(other)
    const answer = await answered
    expect(slow.dropped()).toBe(true)
    // What comes late of it is nobody's.
    slow.answer(200, events)
    ends(body)
    expect(await answer.text()).toBe([first, ...rest].join(""))
    expect([answer.status, ...told(answer)]).toEqual([200, "b", "hedge", "2", "won"])
    expect(stage.history.list()[0]).toMatchObject({
      outcome: "completed",
      backend: "b",
      failures: [],
      hedge: { backend: "b", outcome: "won" }
    })
    expect(hedgesOf(stage)).toEqual({ "a won": 1 })
    expect(stage.held()).toEqual(nothingHeld)
    blameless(stage)
  })

  test("is kept at the first backend when that one speaks first after all, and the second is closed", async () => {
    await using stage = await seasoned(["a", "b"])
    const answered = stage.post("r", true)
    const slow = await stage.call(0)
    await late(stage)
    const other = await stage.call(1)
    const body = await speaks(slow)
    const answer = await answered
    expect([slow.dropped(), other.dropped()]).toEqual([false, true])
    ends(body)
    await answer.text()
    expect(told(answer)).toEqual(["a", "capability-match", "2", "lost"])
    expect(stage.history.list()[0]).toMatchObject({ backend: "a", hedge: { backend: "b", outcome: "lost" } })
    expect(hedgesOf(stage)).toEqual({ "a lost": 1 })
    expect(stage.held()).toEqual(nothingHeld)
    blameless(stage)
  })

  test("is answered by the second one when the first fails meanwhile, and that is told of", async () => {
    await using stage = await seasoned(["a", "b", "c"])
    const answered = stage.post("r", true)
    const slow = await stage.call(0)
    await late(stage)
    const other = await stage.call(1)
    slow.fail(lost)
    await rounds(() => stage.history.underWay.list()[0]?.failures.length === 1, "the failure is noted")
    expect(stage.history.underWay.list()).toMatchObject([{ backend: "b", failures: [{ backend: "a" }] }])
    ends(await speaks(other))
    const answer = await answered
    await answer.text()
    expect([stage.sent.length, ...told(answer)]).toEqual([2, "b", "hedge", "2", "won"])
    expect(stage.live().map(({ failures }) => failures)).toEqual([1, 0, 0])
    expect(stage.held()).toEqual(nothingHeld)
  })

  test("is answered by the first one when the second fails, which is told of", async () => {
    await using stage = await seasoned(["a", "b"])
    const answered = stage.post("r", true)
    const slow = await stage.call(0)
    await late(stage)
    ;(await stage.call(1)).fail(refused)
    await rounds(() => stage.history.underWay.list()[0]?.failures.length === 1, "the failure is noted")
    expect(stage.history.underWay.list()).toMatchObject([{ backend: "a", failures: [{ backend: "b" }] }])
    ends(await speaks(slow))
    const answer = await answered
    await answer.text()
    expect(told(answer)).toEqual(["a", "capability-match", "2", "lost"])
    expect(stage.held()).toEqual(nothingHeld)
  })

  test("goes on to the next candidate when both have failed", async () => {
    await using stage = await seasoned(["a", "b", "c"])
    const answered = stage.post("r", true)
    const slow = await stage.call(0)
    await late(stage)
    slow.fail(lost)
    ;(await stage.call(1)).fail(refused)
    const third = await stage.call(2)
    ends(await speaks(third))
    const answer = await answered
    await answer.text()
    expect([third.backend, ...told(answer)]).toEqual(["c", "c", "failover", "3", "failed"])
    expect(hedgesOf(stage)).toEqual({ "a failed": 1 })
    expect(stage.held()).toEqual(nothingHeld)
  })

  test("is closed at both when its client leaves, and nobody is blamed", async () => {
    await using stage = await seasoned(["a", "b"])
    const client = new AbortController()
    const answered = stage.post("r", true, { signal: client.signal })
    const calls = [await stage.call(0)]
    await late(stage)
    calls.push(await stage.call(1))
    client.abort()
    await answered
    await rounds(() => stage.proxy.active() === 0, "it is let go")
    expect(calls.map((call) => call.dropped())).toEqual([true, true])
    expect(stage.history.list()[0]).toMatchObject({ outcome: "client_closed", hedge: { outcome: "abandoned" } })
    expect(hedgesOf(stage)).toEqual({ "a abandoned": 1 })
    expect(stage.held()).toEqual(nothingHeld)
    blameless(stage)
  })

  test("has its time limits at each of them: one that passes at the first ends that alone", async () => {
    await using stage = await seasoned(["a", "b"])
    const answered = stage.post("r", true)
    const slow = await stage.call(0)
    await late(stage)
    const other = await stage.call(1)
    const [clock] = stage.watches
    clock?.expire("phase")
    await rounds(() => slow.dropped(), "the first is given up")
    expect(other.dropped()).toBe(false)
    ends(await speaks(other))
    expect((await answered).status).toBe(200)
    await (await answered).text()
    expect(stage.held()).toEqual(nothingHeld)
  })

  test("makes the one that kept it waiting count as no faster than that", async () => {
    await using stage = await seasoned(["a", "b"])
    const before = stage.live()[0]?.firstByteMs ?? 0
    const answered = stage.post("r", true)
    const slow = await stage.call(0)
    await late(stage)
    const sent = performance.now()
    await until(() => performance.now() > sent + 10 * before, "it takes longer than it usually did")
    ends(await speaks(await stage.call(1)))
    await (await answered).text()
    expect(slow.dropped()).toBe(true)
    expect(stage.live()[0]?.firstByteMs).toBeGreaterThan(before)
    const lateBy = stage.live().map((live) => standingOf(live, "m").lateness.by(performance.now()))
    expect(lateBy.map((ms) => ms > 0)).toEqual([true, false])
  })

  test("makes the smart strategy ask others first, which is forgotten in time", async () => {
    const smart = { ...hedging(), strategy: "smart" as const }
    await using stage = await seasoned(["a", "b"], smart, { priority: 0 })
    const [one] = stage.live()
    if (one === undefined) throw new Error("no first one")
    // It has waited for ten seconds.
    const now = performance.now()
    new Ticket(one, "m", now - 10_000, () => undefined).late(now)
    one.inFlight -= 1
    const standing = standingOf(one, "m")
    standing.running.length = 0
    for (let nth = 0; nth < 3; nth += 1) await quick(stage, `next-${nth}`)
    expect(stage.sent.map(({ backend }) => backend)).toEqual(["b", "b", "b"])
    expect(standing.lateness.by(now)).toBeGreaterThan(400)
    expect(standing.lateness.by(now + 600_000)).toBeLessThan(1)
  })
})

describe("no second backend is asked", () => {
  const isAskedOnce = async (stage: Stage, answered: Promise<Response>) => {
    const call = await stage.call(0)
    await late(stage)
    await late(stage)
    expect(stage.sent.length).toBe(1)
    const body = call.answer(200)
    await rounds(() => body.taken, "the answer is read")
    body.piece(wholeAnswer)
    body.end()
    await (await answered).text()
    expect(stage.held()).toEqual(nothingHeld)
  }

  test("for a model that is not named for it", async () => {
    await using stage = await seasoned(["a", "b"], hedging({ models: new Set(["another"]) }))
    await isAskedOnce(stage, stage.post("r", true))
    expect(hedgesOf(stage)).toEqual({})
  })

  test("for a whole answer, which has no first token", async () => {
    await using stage = await seasoned(["a", "b"])
    await isAskedOnce(stage, stage.post("r"))
  })

  test("before enough was seen to tell what is late", async () => {
    await using stage = await makeStage(["a", "b"], {}, hedging())
    for (let nth = 0; nth < 3; nth += 1) await quick(stage, `warm-${nth}`)
    stage.sent.length = 0
    await isAskedOnce(stage, stage.post("r", true))
  })

  test("where the only other one has as many requests as it takes, until it has room", async () => {
    await using stage = await seasoned(["a", "b"], hedging(), { maxConcurrent: 1 })
    const [, other] = stage.live()
    if (other !== undefined) other.inFlight += 1
    const answered = stage.post("r", true)
    await stage.call(0)
    await late(stage)
    await late(stage)
    expect(stage.sent.length).toBe(1)
    if (other !== undefined) other.inFlight -= 1
    await stage.pass(250)
    ends(await speaks(await stage.call(1)))
    expect(told(await answered)[3]).toBe("won")
    await (await answered).text()
    expect(stage.held()).toEqual(nothingHeld)
  })

  test("where the only other one has been left alone for its failures", async () => {
    await using stage = await seasoned(["a", "b"])
    const [, other] = stage.live()
    if (other === undefined) throw new Error("no second one")
    other.cooling.set("m", Infinity)
    other.marked = true
    await isAskedOnce(stage, stage.post("r", true))
    expect(hedgesOf(stage)).toEqual({ "a refused": 1 })
  })

  test("among clouds, unless the settings say so", async () => {
    const cloud = { type: "openai" } as const
    for (const each of [cloud, { zone: "cloud" }, { ...cloud, zone: "eu" }]) {
      await using stage = await seasoned(["a", "b"], hedging(), each)
      await isAskedOnce(stage, stage.post("r", true))
    }
    await using open = await seasoned(["a", "b"], hedging({ clouds: true }), cloud)
    const answered = open.post("r", true)
    await open.call(0)
    await late(open)
    ends(await speaks(await open.call(1)))
    expect(told(await answered)[3]).toBe("won")
  })

  test("beyond the share of requests that may be asked twice", async () => {
    await using stage = await seasoned(["a", "b"], hedging({ maxShare: 0.1 }))
    let twice = 0
    for (let nth = 0; nth < 10; nth += 1) {
      stage.sent.length = 0
      const answered = stage.post(`r${nth}`, true)
      const slow = await stage.call(0)
      // The last one that may be is asked later than others.
      await late(stage)
      await late(stage)
      const [, other] = stage.sent
      ends(await speaks(other ?? slow))
      await (await answered).text()
      if (other !== undefined) twice += 1
    }
    // Of 30 requests that would be three, and five may be at first.
    expect(twice).toBe(5)
    expect(hedgesOf(stage)).toEqual({ "a won": 5, "a refused": 5 })
    expect(stage.held()).toEqual(nothingHeld)
  })

  test("more often than once for a request", async () => {
    await using stage = await seasoned(["a", "b", "c", "d"])
    const answered = stage.post("r", true)
    const slow = await stage.call(0)
    await late(stage)
    await stage.call(1)
    await late(stage)
    await late(stage)
    expect(stage.sent.length).toBe(2)
    slow.fail(lost)
    ;(await stage.call(1)).fail(lost)
    await rounds(() => stage.proxy.active() === 0, "it gives up after two that broke")
    expect((await answered).status).toBe(502)
    expect(stage.held()).toEqual(nothingHeld)
  })
})

describe("a request that may be asked twice, whatever happens to it,", () => {
  const steps = fc.array(fc.constantFrom("speaks", "refused", "lost", "bad", "empty", "limit", "leaves", "cancel"), {
    minLength: 1,
    maxLength: 5
  })
  const which = fc.array(fc.nat(3), { minLength: 6, maxLength: 6 })

  test("gives everything back, is accounted for once, and has one answer", async () => {
    await fc.assert(
      fc.asyncProperty(steps, fc.nat(2), which, async (others, lateAt, places) => {
        const script = [...others.slice(0, lateAt), "late", ...others.slice(lateAt)]
        await using stage = await seasoned(["a", "b", "c"])
        const client = new AbortController()
        let heads = 0
        const answered = stage.post("r", true, { signal: client.signal }).then((answer) => {
          heads += 1
          return answer
        })
        await stage.call(0)
        const settles = async () => {
          for (let round = 0; round < 20; round += 1) await new Promise((resume) => setImmediate(resume))
        }
        for (const [nth, step] of script.entries()) {
          if (stage.phase("r") !== "attempting") break
          const open = stage.sent.filter((call) => !call.dropped())
          const call = open[(places[nth] ?? 0) % Math.max(1, open.length)]
          const watches = [...stage.watches]
          if (step === "late") await late(stage)
          else if (step === "refused") call?.fail(refused)
          else if (step === "lost") call?.fail(lost)
          else if (step === "limit") watches[(places[nth] ?? 0) % watches.length]?.expire("phase")
          else if (step === "leaves") client.abort()
          else if (step === "cancel") stage.history.underWay.cancel("r")
          else {
            const body = step === "bad" ? call?.answer(500) : call?.answer(200, events)
            await settles()
            body?.piece(step === "bad" ? '{"error":{"message":"no"}}' : first)
            await settles()
            if (step === "speaks") for (const each of rest) body?.piece(each)
            body?.end()
          }
          await settles()
        }
        // Whoever is still asked says nothing more.
        for (let round = 0; round < 10 && stage.proxy.active() > 0; round += 1) {
          for (const watch of stage.watches) watch.expire("phase")
          await settles()
        }
        await (await answered).text().catch(() => undefined)
        await rounds(() => stage.proxy.active() === 0, "it is let go")
        expect(heads).toBe(1)
        expect(stage.held()).toEqual(nothingHeld)
        expect(stage.history.list().filter(({ id }) => id === "r")).toHaveLength(1)
        // Each call has ended once.
        const ended = stage.ledger
          .meters()
          .reduce(
            (sum, { numbers }) => sum + numbers.subarray(0, counterPlaces.failovers).reduce((a, b) => a + b, 0),
            0
          )
        expect(ended).toBe(20 + stage.sent.length)
      }),
      { numRuns: 100 }
    )
  }, 60_000)
})
