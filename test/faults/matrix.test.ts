import { afterAll, describe, expect, test } from "bun:test"
import { good, type FakeUpstream, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, startGateway, until } from "../kit/gateway.ts"
import { type Log, takeLog } from "../kit/log.ts"
import { type Answer, dial, requestBytes } from "../kit/rawClient.ts"
import { answers } from "./answers.ts"
import { connections } from "./connections.ts"
import { disguises } from "./disguises.ts"
import { expectRecord, expectSight } from "./expect.ts"
import { type Fault, impatience, patience } from "./fault.ts"
import { statuses } from "./statuses.ts"
import { streams } from "./streams.ts"

/** One cell of the table. */
interface Cell {
  readonly fault: Fault
  readonly stream: boolean
  readonly two: boolean
  readonly reused: boolean
}

/** Further attempts after the first. */
const retries = 1

const body = (stream: boolean): string =>
  JSON.stringify({ model: "m", messages: [{ role: "user", content: "hi" }], stream })

const ask = async (gateway: Gateway, stream: boolean, id: string): Promise<Answer> => {
  using client = await dial(gateway.port)
  const headers = ["Authorization: Bearer client-key", `X-Request-Id: ${id}`]
  await client.send(requestBytes("POST", "/v1/chat/completions", body(stream), headers))
  return await client.answer()
}

/** The id of a cell's request, which no other cell's has. */
const idOf = (cell: Cell): string => Bun.hash(`${cell.fault.name}: ${title(cell)}`).toString(36)

/** The faulty backend: one good answer first when its socket is to be reused, the fault from then on. */
const faulty = ({ fault, stream, reused }: Cell): Promise<FakeUpstream> => {
  let nth = 0
  return startUpstream({
    models: ["m"],
    closeProbes: true,
    script: (request) => {
      nth += 1
      return reused && nth === 1 ? good()(request) : fault.steps(stream, request)
    }
  })
}

/** A connection that dies silently may have been stale when it was reused: that attempt is no retry. */
const replaysOf = ({ fault, reused }: Cell): number => (reused && fault.silentDeath === true ? 1 : 0)

/** What must be known of the faulty backend so many milliseconds after it was asked. */
const expectBlame = ({ fault }: Cell, gateway: Gateway, log: Log, sinceMs: number): void => {
  const { status, circuits, cooling_ms } = gateway.backend("faulty")
  const failures = circuits.reduce((sum, each) => sum + each.failures, 0)
  // No request makes a backend's key a bad one: that is for a probe to say.
  expect(log.lines().filter(({ message }) => message === "backend became config_error")).toEqual([])
  // On a machine that stood still it may be over.
  const wasCooled = cooling_ms > 0 || (fault.cools !== undefined && sinceMs > fault.cools * 1000)
  expect([status, failures > 0, wasCooled]).toEqual([
    "healthy",
    fault.blame === "counted" || fault.blame === "both",
    fault.blame === "cooled" || fault.blame === "both"
  ])
  if (fault.blame !== "cooled" && fault.blame !== "both") return
  const most = (fault.cools ?? 300) * 1000
  expect(cooling_ms).toBeLessThanOrEqual(most)
  if (fault.cools !== undefined) expect(cooling_ms).toBeGreaterThan(most - 950 - sinceMs)
}

/** Exactly one line tells of the request, and what it tells is what the client saw. */
const expectLog = (cell: Cell, log: Log, answer: Answer, failedOver: boolean): void => {
  const { fault, stream } = cell
  expect(log.text()).not.toMatch(/client-key|sk-inner/)
  const [line = {}, ...more] = log
    .lines()
    .filter(({ message, request_id }) => message === "request ended" && request_id === idOf(cell))
  expect(more).toEqual([])
  expect(line).toMatchObject({ model: "m", stream, status: answer.status })
  if (!failedOver) return expectRecord(line, answer, fault.alone(stream), fault)
  const failures = [...Array(1 + replaysOf(cell))].map(() => ({
    backend: "faulty",
    model: "m",
    reason: expect.stringMatching(/\w/)
  }))
  const attempts = 1 + failures.length
  expect(line).toMatchObject({ outcome: "completed", backend: "other", attempts, bytes_out: answer.body.byteLength })
  expect(line["failures"]).toMatchObject(failures)
}

const run = async (cell: Cell, log: Log): Promise<void> => {
  const { fault, stream, two, reused } = cell
  await using first = await faulty(cell)
  await using second = await startUpstream({ models: ["m"] })
  await using gateway = await startGateway({
    server: patience,
    logging: { level: "debug", format: "json" },
    routing: { strategy: "priority_only", max_retries: retries },
    backends: [
      backendFor("faulty", first, { priority: 1, ...(fault.waits === true ? impatience : {}), ...fault.backend }),
      ...(two ? [backendFor("other", second, { priority: 2 })] : [])
    ],
    ...fault.settings
  })
  if (reused) expect((await ask(gateway, false, "good-one")).status).toBe(200)
  if (fault.down === true) await first.server.kill()
  const asked = performance.now()
  const answer = await ask(gateway, stream, idOf(cell))
  await gateway.quiet()

  const calls = first.calls().slice(reused ? 1 : 0)
  const failedOver = two && fault.failover
  // A port goes from test to test, and what is late for the one before is none of ours.
  const others = second.calls().filter(({ header }) => header("x-request-id") === idOf(cell))
  if (failedOver) {
    expect([answer.status, answer.end, answer.header("x-nexus-backend")]).toEqual([200, "complete", "other"])
    expect(answer.text).toContain(stream ? "[DONE]" : '"finish_reason":"stop"')
    expect(answer.text).not.toContain('"error"')
    expect(others.map(({ text }) => text)).toEqual([body(stream)])
  } else {
    expectSight(answer, fault.alone(stream))
    fault.headers?.(answer.header)
    expect(others).toHaveLength(0)
  }

  const replays = replaysOf(cell)
  const most = fault.down === true ? 0 : 1 + replays + (fault.again === true && !failedOver ? retries : 0)
  expect(calls.length).toBeGreaterThanOrEqual(fault.down === true ? 0 : 1 + replays)
  expect(calls.length).toBeLessThanOrEqual(most)
  expect(calls.slice(0, 1).map(({ nth }) => nth > 0)).toEqual(fault.down === true ? [] : [reused])
  for (const call of calls) expect(call.text).toBe(body(stream))

  expect(gateway.inFlight()).toBe(0)
  expectBlame(cell, gateway, log, performance.now() - asked)
  expectLog(cell, log, answer, failedOver)
  // Nobody is answered any more, and no more than the one connection that may be used again is left.
  await until(() => first.busy() === 0 && second.busy() === 0, "nobody waits for a backend")
  await until(() => first.server.open() <= 1, "at most one connection is kept")
  if (fault.closes === true) {
    await until(() => calls.every(({ connection }) => !first.server.isOpen(connection)), "none is kept")
  }
}

const title = ({ stream, two, reused }: Cell): string =>
  [stream ? "stream" : "whole", two ? "two backends" : "one backend", reused ? "reused socket" : "fresh socket"].join(
    ", "
  )

const cellsOf = (fault: Fault): ReadonlyArray<Cell> =>
  [false, true]
    .filter((stream) => fault.only === undefined || (fault.only === "stream") === stream)
    .flatMap((stream) =>
      [false, true].flatMap((two) => [false, true].map((reused): Cell => ({ fault, stream, two, reused })))
    )

/** All cells of a fault side by side, since most of each is waiting; the first one that is wanted starts them. */
const together = (fault: Fault) => {
  const cells = cellsOf(fault)
  let running: ReadonlyMap<Cell, Promise<void>> | undefined
  const start = (): ReadonlyMap<Cell, Promise<void>> => {
    const log = takeLog()
    const all = new Map(cells.map((cell) => [cell, run(cell, log)]))
    void Promise.allSettled(all.values()).then(() => log[Symbol.dispose]())
    return all
  }
  return { cells, outcome: (cell: Cell) => (running ??= start()).get(cell) }
}

const table: Readonly<Record<string, ReadonlyArray<Fault>>> = { connections, statuses, answers, streams, disguises }

for (const [group, faults] of Object.entries(table)) {
  describe(group, () => {
    for (const fault of faults) {
      describe(fault.name, () => {
        const { cells, outcome } = together(fault)
        for (const cell of cells) test(title(cell), () => outcome(cell), 120_000)
      })
    }
  })
}

afterAll(() => {
  const names = Object.values(table).flatMap((faults) => faults.map(({ name }) => name))
  expect(new Set(names).size).toBe(names.length)
})
