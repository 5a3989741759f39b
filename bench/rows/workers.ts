/**
 * What a second worker brings, on a machine whose cores the generator and the mock need as well: by processor time, since
 * throughput cannot show it there; and how connections spread over two.
 */
import { median } from "../figures.ts"
import { isNexus, type LegName, smallRequest, startNexus } from "../legs.ts"
import { closedLoop, type Load, openLoop } from "../load.ts"
import { above, type Context, type Outcome, Readings, type Row } from "../measure.ts"
import { everyCore, ready, type Running, startMockProcess } from "../processes.ts"
import { childrenOf, connectionsOf, cpuOf, cpuOfFamily } from "../procfs.ts"
import { connect, get, type Wire } from "../wire.ts"

// Requests a second that both are given, which one worker has room for.
const equalRate = 1000

const counts = [1, 2] as const

const named = (count: number): string => `${String(count)} worker${count === 1 ? "" : "s"}`

const crowds = [2, 8, 64] as const

const spreads = 20

/** A worker takes a connection once something has come on it. */
const spoken = (wire: Wire): Promise<void> =>
  new Promise((resolve) => {
    wire.send(get("/livez"), { end: () => resolve(), broken: () => resolve() })
  })

/** The share of so many connections that the busier worker has, in percent. */
const busierShare = async ({ pid, port }: Running, crowd: number): Promise<number> => {
  const wires = await Promise.all(Array.from({ length: crowd }, () => connect(port)))
  await Promise.all(wires.map(spoken))
  const taken = childrenOf(pid).map((worker) => connectionsOf(worker, port))
  for (const wire of wires) wire.close()
  return (100 * Math.max(...taken)) / crowd
}

/** Throughput and processor time with one and with two workers, and how many cores each side used. */
export const workers: Row = {
  name: "workers",
  title: "Workers on every core, c=64",
  run: async (context: Context): Promise<Outcome> => {
    const readings = new Readings()
    const mock = await startMockProcess()
    const request = smallRequest()
    const others = (): number => cpuOf(process.pid) + cpuOf(mock.pid)
    const read = async (leg: LegName, count: number, { pid, port }: Running): Promise<void> => {
      const costOf = async (load: () => Promise<Load>) => {
        const before = { gateway: cpuOfFamily(pid), others: others() }
        const { done, perSecond } = await load()
        return { done, perSecond, gateway: cpuOfFamily(pid) - before.gateway, others: others() - before.others }
      }
      const name = named(count)
      const closed = await costOf(() => closedLoop(port, request, 64, context.seconds))
      const seconds = closed.done / closed.perSecond
      readings.add(`throughput, ${name}`, leg, closed.perSecond)
      readings.add(`cores of the gateway, ${name}`, leg, closed.gateway / seconds / 1e6)
      readings.add(`cores of generator and mock, ${name}`, leg, closed.others / seconds / 1e6)
      readings.add(`CPU of a request, ${name}`, leg, closed.gateway / closed.done)
      const open = await costOf(() => openLoop(port, request, equalRate, context.seconds))
      readings.add(`CPU of a request at ${String(equalRate)}/s, ${name}`, leg, open.gateway / open.done)
    }
    // Two do so many times the work of one in the same time of each.
    const compare = (leg: LegName, load: string, as: string): void => {
      const [one = [], two = []] = counts.map((count) => readings.of(`${load}, ${named(count)}`)[leg] ?? [])
      for (const [at, value] of two.entries()) readings.add(as, leg, (2 * (one[at] ?? Number.NaN)) / value)
    }
    for (const leg of context.legs.filter(isNexus)) {
      const from = leg === "binary" ? "binary" : "nexus"
      const gateways = counts.map((count) => {
        const setup = { mockPort: mock.port, server: [`workers = ${String(count)}`] }
        return [count, startNexus(from, setup, { core: everyCore })] as const
      })
      for (const [, gateway] of gateways) {
        await ready(gateway, request)
        await closedLoop(gateway.port, request, 64, context.seconds)
      }
      for (let trial = 0; trial < context.trials; trial += 1) {
        const order = trial % 2 === 1 ? gateways.toReversed() : gateways
        for (const [count, gateway] of order) await read(leg, count, gateway)
      }
      for (const [count, gateway] of gateways) {
        if (count > 1) {
          for (const crowd of crowds) {
            const shares: Array<number> = []
            for (let at = 0; at < spreads; at += 1) shares.push(await busierShare(gateway, crowd))
            readings.add(`connections of the busier worker, of ${String(crowd)}`, leg, median(shares))
          }
        }
        await gateway.stop("SIGTERM")
      }
      compare(leg, "CPU of a request", "2 workers against 1, by CPU")
      compare(
        leg,
        `CPU of a request at ${String(equalRate)}/s`,
        `2 workers against 1, by CPU at ${String(equalRate)}/s`
      )
    }
    await mock.stop()
    return {
      measures: [
        ...counts
          .map(named)
          .flatMap((name) => [
            readings.measure(`throughput, ${name}`, "1/s", 0),
            readings.measure(`cores of the gateway, ${name}`, "", 2),
            readings.measure(`cores of generator and mock, ${name}`, "", 2),
            readings.measure(`CPU of a request, ${name}`, "µs", 1),
            readings.measure(`CPU of a request at ${String(equalRate)}/s, ${name}`, "µs", 1)
          ]),
        readings.measure("2 workers against 1, by CPU", "×", 2, above(1.8, "×")),
        readings.measure(`2 workers against 1, by CPU at ${String(equalRate)}/s`, "×", 2),
        ...crowds.map((crowd) => readings.measure(`connections of the busier worker, of ${String(crowd)}`, "%", 0))
      ],
      notes: [
        "generator and mock share one of the cores, so two workers have one core and what is left of the other",
        "by CPU: twice the CPU of a request with one worker by that with two, supervisor included",
        `of connections: the median of ${String(spreads)} times; where they go is the system's to say, a coin tossed for each`
      ]
    }
  }
}
