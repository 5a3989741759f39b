/**
 * Several gateways in front of the same machines in virtual time: each question comes in at one of them by chance, and what
 * replicas tell each other they are told by the same clock.
 */
import type { HeardQueue } from "../../src/admission/queues-elsewhere.ts"
import { type Adopted, nothingAdopted, standingToTell, takeStandings } from "../../src/registry/replica-standings.ts"
import { ComputedPrompts, takePrompts } from "../../src/registry/told-prompts.ts"
import { type Chance, chanceOf } from "../soak/chance.ts"
import type { Question, Told } from "./client.ts"
import type { Machine } from "./machine.ts"
import type { VirtualClock } from "./virtual-clock.ts"
import { VirtualNexus } from "./virtual-nexus.ts"
import type { Workload } from "./workload.ts"

/** How many replicas there are, and which part of what they know they tell each other. */
export interface ReplicaSetup {
  readonly count: number
  /** Requests under way, circuits and pauses alone; the queues and what the machines have computed as well. */
  readonly tells: "standings" | "all"
}

/** How often they tell each other, in milliseconds of the gateway; while somebody waits, and else. */
const tellMs = { contended: 50, usual: 250 } as const

interface Replica {
  readonly name: string
  readonly nexus: VirtualNexus
  readonly computed: ComputedPrompts
  readonly adopted: Map<string, Adopted>
}

/** The replicas. */
export class VirtualReplicas {
  readonly #clock: VirtualClock
  readonly #chance: Chance
  readonly #replicas: ReadonlyArray<Replica>
  readonly #tells: ReplicaSetup["tells"]

  /** `performance.now` has to go by the same clock. */
  constructor(
    clock: VirtualClock,
    machines: ReadonlyArray<Machine>,
    workload: Workload,
    seed: number,
    { count, tells }: ReplicaSetup
  ) {
    this.#clock = clock
    this.#chance = chanceOf(seed + 991)
    this.#tells = tells
    this.#replicas = Array.from({ length: count }, (_, at) => ({
      name: String(at),
      nexus: new VirtualNexus(clock, machines, workload, seed + at * 1000),
      computed: new ComputedPrompts(),
      adopted: new Map<string, Adopted>()
    }))
    if (count > 1) this.#tell()
  }

  get waited(): number {
    return this.#replicas.reduce((sum, { nexus }) => sum + nexus.waited, 0)
  }

  /** What the first one has found of the slots. */
  get found(): ReadonlyArray<ReadonlyArray<number>> {
    return this.#replicas[0]?.nexus.found ?? []
  }

  /** Asks one of them; resolves at the end of the answer. */
  ask(question: Question): Promise<Told> {
    const chosen = this.#replicas[Math.floor(this.#chance() * this.#replicas.length)]
    if (chosen === undefined) throw new Error("there is no replica")
    return chosen.nexus.ask(question)
  }

  #tell(): void {
    const now = performance.now()
    const all = this.#tells === "all"
    const said = this.#replicas.map(({ adopted, computed, name, nexus }) => {
      if (all) computed.follows(nexus.snapshot)
      const queue = all ? nexus.queue.tells(now) : undefined
      return {
        from: name,
        standings: new Map(
          [...nexus.snapshot.backends].map(([server, { live }]) => {
            const taken = adopted.get(server) ?? nothingAdopted()
            adopted.set(server, taken)
            return [server, standingToTell(live, taken, now)]
          })
        ),
        prompts: computed.take(),
        queues: queue === undefined ? [] : [{ from: name, told: queue } satisfies HeardQueue]
      }
    })
    for (const { adopted, name, nexus } of this.#replicas) {
      const others = said.filter(({ from }) => from !== name)
      for (const [server, state] of nexus.snapshot.backends) {
        const heard = others.map(({ from, standings }) => ({ from, at: now, standing: standings.get(server) }))
        takeStandings(state.live, heard, adopted.get(server) ?? nothingAdopted(), now)
        for (const { prompts } of others) takePrompts(state, prompts.get(server) ?? [])
      }
      nexus.queue.hears(
        "replicas",
        others.flatMap(({ queues }) => queues)
      )
    }
    const isContended = this.#replicas.some(({ nexus }) => nexus.queue.isContended)
    const pause = all && isContended ? tellMs.contended : tellMs.usual
    const { at, now: time, speed } = this.#clock
    at(time() + (pause * speed) / 1000, () => this.#tell())
  }
}
