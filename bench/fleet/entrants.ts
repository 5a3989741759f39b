/**
 * Who takes part: each puts something with a port, or a policy, in front of the servers.
 */
import type { Running } from "../processes.ts"
import { startGateway } from "./gateway.ts"
import { leastLoaded, oracle, type Policy, roundRobin } from "./placers.ts"
import { cacheAware } from "./smg.ts"
import type { SimServer } from "./server.ts"
import type { Workload } from "./workload.ts"

/** One who takes part. */
export interface Placer {
  readonly name: string
  readonly start: (
    servers: ReadonlyArray<SimServer>,
    workload: Workload,
    speed: number
  ) => Promise<{ readonly policy: Policy; readonly stop: () => Promise<unknown> }>
}

const policy = (name: string, make: (servers: ReadonlyArray<SimServer>) => Policy): Placer => ({
  name,
  start: async (servers) => ({ policy: make(servers), stop: async () => undefined })
})

const behind = (gateway: Running): Policy => {
  const placed = { port: gateway.port, ended: () => undefined }
  return () => placed
}

const nexus = (name: string, checkout: string, slotsAsLimit: boolean): Placer => ({
  name,
  start: async (servers, { batchKeys, hedged = false, fleet, keys }, speed) => {
    const gateway = await startGateway(checkout, servers, {
      batchKeys,
      hedged: hedged ? fleet.flatMap(({ models }) => models) : [],
      keys,
      slotsAsLimit,
      speed
    })
    return { policy: behind(gateway), stop: () => gateway.stop() }
  }
})

/** All of them; `before` is another checkout. */
export const placersOf = (checkout: string, before: string | undefined): ReadonlyArray<Placer> => [
  nexus("nexus", checkout, false),
  ...(before === undefined ? [] : [nexus("before", before, false), nexus("before limited", before, true)]),
  policy("round robin", roundRobin),
  policy("least loaded", leastLoaded),
  policy("cache aware", cacheAware),
  policy("oracle", oracle)
]
