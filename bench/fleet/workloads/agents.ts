/**
 * A: coding agents. Each has a repository of its own in its prompt and the same system prompt and tools as the others; it
 * asks, runs the tool that it was told to call, and asks again with the result.
 */
import { between } from "../../soak/chance.ts"
import { seedOf } from "../answer.ts"
import type { Message } from "../prompt.ts"
import { prose } from "../prose.ts"
import { cachedShare, endToEnd, failed, firstToken, makespan, refused } from "../sums.ts"
import type { MachineSpec } from "../machine.ts"
import { aiming, atMostOf, notAbove, notBelow, type Target, type Workload, type World } from "../workload.ts"

const agents = 12
const turns = 26
const systemTokens = 2500

const tools = Array.from({ length: 6 }, (_, at) => ({
  type: "function",
  function: {
    name: at === 0 ? "run" : `tool_${String(at)}`,
    description: prose(9000 + at, 80),
    parameters: { type: "object", properties: { path: { type: "string" } } }
  }
}))

const agent = async (world: World, at: number, variety: number): Promise<void> => {
  const { ask, chance, clock } = world
  const plan = Array.from({ length: turns }, () => ({
    answer: between(chance, 60, 220),
    result: between(chance, 150, 1450),
    pause: 0.5 + chance() * 4
  }))
  const messages: Array<Message> = [
    { role: "system", content: prose(1, systemTokens) },
    { role: "user", content: prose(variety, 3000 + between(chance, 0, 3000)) }
  ]
  await clock.sleep(at * 1.2 + chance())
  for (const [turn, { answer, pause, result }] of plan.entries()) {
    const seed = seedOf(variety + turn, answer, turn < turns - 1)
    const told = await ask({
      key: `agent-${String(at)}`,
      body: { model: "coder", messages: messages.slice(), tools, seed }
    })
    if (told.status !== 200) {
      await clock.sleep(pause)
      continue
    }
    const id = `call_${String(turn)}`
    messages.push(
      {
        role: "assistant",
        content: told.text,
        ...(told.call === undefined
          ? {}
          : { tool_calls: [{ id, type: "function", function: { name: "run", arguments: told.call } }] })
      },
      { role: "tool", content: prose(variety * 31 + turn, result), tool_call_id: id }
    )
    await clock.sleep(pause)
  }
}

/** Coding agents before such machines. */
const agentsOn = (letter: string, title: string, target: Target, machine: MachineSpec): Workload => ({
  letter,
  title,
  speed: 20,
  fleet: Array.from({ length: 4 }, () => machine),
  keys: Array.from({ length: agents }, (_, at) => `agent-${String(at)}`),
  batchKeys: [],
  drive: async (world) => {
    const variety = between(world.chance, 1000, 90_000)
    await Promise.all(Array.from({ length: agents }, (_, at) => agent(world, at, variety + at * 100)))
  },
  figures: [
    firstToken(50),
    aiming(firstToken(95), target),
    firstToken(99),
    endToEnd(95),
    aiming(cachedShare, notBelow(90)),
    makespan,
    aiming(refused, notAbove(0)),
    failed
  ]
})

/** On vLLM. */
export const agentsOnVllm = agentsOn("A", "12 coding agents on 4 vLLM", atMostOf(1 / 7, "1/7"), {
  kind: "vllm",
  models: ["coder"],
  slots: 8,
  rates: { prefill: 2800, decode: 60, crowding: 0.1 },
  cacheTokens: 160_000
})

/** On llama-server. */
export const agentsOnLlama = agentsOn("G", "12 coding agents on 4 llama-servers", atMostOf(1 / 6, "1/6"), {
  kind: "llamacpp",
  models: ["coder"],
  slots: 4,
  rates: { prefill: 2800, decode: 60, crowding: 0.1 },
  cacheTokens: 65_000
})
