/**
 * Placement as SGLang's router and SMG do it with their policy `cache_aware` on text: a tree of all prompts sent to each
 * server, longest match when it is more than half of the prompt, else the server with the smallest tree; and the fewest
 * under way once the loads are far apart.
 */
import { InFlight, type Policy } from "./placers.ts"
import { leadingBlocks, promptOf, templated } from "./prompt.ts"
import type { SimServer } from "./server.ts"

const cacheThreshold = 0.5
const balanceAbsolute = 32
const balanceRelative = 1.0001

/** The policy. */
export const cacheAware = (servers: ReadonlyArray<SimServer>): Policy => {
  const trees = new Map(servers.map((server) => [server, new Set<number>()]))
  const inFlight = new InFlight()
  return ({ body }) => {
    const prompt = promptOf(templated(body))
    const able = servers
      .filter(({ machine }) => machine.spec.models.includes(body.model))
      .map((server) => {
        const tree = trees.get(server) ?? new Set<number>()
        return { server, tree, load: inFlight.of(server), match: leadingBlocks(prompt, (block) => tree.has(block)) }
      })
    const loads = able.map(({ load }) => load)
    const [most, fewest] = [Math.max(...loads), Math.min(...loads)]
    const apart = most - fewest > balanceAbsolute && most > balanceRelative * fewest
    const [byLoad] = able.toSorted((one, other) => one.load - other.load)
    const [byMatch] = able.toSorted((one, other) => other.match - one.match)
    const [bySize] = able.toSorted((one, other) => one.tree.size - other.tree.size)
    const matched = (byMatch?.match ?? 0) / Math.max(1, prompt.blocks.length)
    const chosen = apart ? byLoad : matched > cacheThreshold ? byMatch : bySize
    if (chosen === undefined) throw new Error("no server has the model")
    for (const block of prompt.blocks) chosen.tree.add(block)
    return inFlight.begin(chosen.server)
  }
}
