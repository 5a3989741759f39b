/**
 * One workload once, before one placer: fresh servers, a fresh clock, the same chance for each.
 */
import { chanceOf } from "../soak/chance.ts"
import { Client, type Told } from "./client.ts"
import type { Placer } from "./entrants.ts"
import { startServer } from "./server.ts"
import { startClock } from "./sim-clock.ts"
import type { Result, Workload } from "./workload.ts"

/** Runs it. */
export const runOnce = async (workload: Workload, placer: Placer, speed: number, seed: number): Promise<Result> => {
  const clock = startClock(speed)
  const servers = workload.fleet.map((spec, at) => startServer(`server-${String(at)}`, spec, clock, seed + at))
  const { policy, stop } = await placer.start(servers, workload, speed)
  const client = new Client(clock)
  const answers: Array<Told> = []
  const from = clock.now()
  try {
    await workload.drive({
      clock,
      chance: chanceOf(seed),
      restart: () => {
        for (const { machine } of servers) machine.restart()
      },
      ask: async (question) => {
        const started = clock.now()
        const placed = policy(question)
        const told = await client.ask(placed.port, question, started)
        placed.ended()
        answers.push(told)
        return told
      }
    })
    const counted = servers.map(({ machine }) => ({ ...machine.counted }))
    return { answers, counted, from, makespan: clock.now() - from }
  } finally {
    client.close()
    await stop()
    await Promise.all(servers.map((server) => server.stop()))
  }
}
