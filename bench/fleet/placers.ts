/**
 * What decides where a request goes: the gateway by its port, or a policy that chooses a server for each request. A policy
 * costs no time, and sends the request to the server itself.
 */
import type { Question } from "./client.ts"
import { answerTo } from "./answer.ts"
import { promptOf, templated } from "./prompt.ts"
import type { SimServer } from "./server.ts"

/** Where a request goes. */
interface Placed {
  readonly port: number
  /** Called when its answer has ended. */
  readonly ended: () => void
}

/** A policy at work in front of some servers. */
export type Policy = (question: Question) => Placed

const nothing = (): void => undefined

const having = (servers: ReadonlyArray<SimServer>, model: string): ReadonlyArray<SimServer> =>
  servers.filter(({ machine }) => machine.spec.models.includes(model))

const least = <T>(all: ReadonlyArray<T>, by: (one: T) => number): T => {
  const [first] = all.toSorted((a, b) => by(a) - by(b))
  if (first === undefined) throw new Error("no server has the model")
  return first
}

/** One after the other. */
export const roundRobin = (servers: ReadonlyArray<SimServer>): Policy => {
  let turn = 0
  return ({ body }) => {
    const able = having(servers, body.model)
    turn += 1
    return { port: able[turn % able.length]?.port ?? 0, ended: nothing }
  }
}

/** Requests that a policy has under way at each server. */
export class InFlight {
  readonly #counts = new Map<SimServer, number>()

  of(server: SimServer): number {
    return this.#counts.get(server) ?? 0
  }

  begin(server: SimServer): Placed {
    this.#counts.set(server, this.of(server) + 1)
    return { port: server.port, ended: () => this.#counts.set(server, this.of(server) - 1) }
  }
}

/** Where the fewest are under way; of several the one that was asked longest ago. */
export const leastLoaded = (servers: ReadonlyArray<SimServer>): Policy => {
  const inFlight = new InFlight()
  const asked = new Map<SimServer, number>()
  let turn = 0
  return ({ body }) => {
    const chosen = least(having(servers, body.model), (server) => inFlight.of(server) + (asked.get(server) ?? 0) / 1e9)
    turn += 1
    asked.set(chosen, turn)
    return inFlight.begin(chosen)
  }
}

/** Looks into the servers, and takes the one where the answer is expected to be whole first. */
export const oracle =
  (servers: ReadonlyArray<SimServer>): Policy =>
  ({ body }) => {
    const prompt = promptOf(templated(body))
    const { tokens } = answerTo(body)
    for (const { machine } of servers) machine.pass()
    const chosen = least(having(servers, body.model), ({ machine }) => machine.expected(body.model, prompt, tokens))
    return { port: chosen.port, ended: nothing }
  }
