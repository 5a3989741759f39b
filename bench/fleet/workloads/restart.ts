/**
 * R: chats on two llama-servers that are both started anew in the middle, which nobody tells. Eight chats share a system prompt, and
 * ask turn by turn, one after the other.
 */
import { between } from "../../soak/chance.ts"
import { seedOf } from "../answer.ts"
import type { Message } from "../prompt.ts"
import { prose } from "../prose.ts"
import { failed, firstToken, refused } from "../sums.ts"
import type { Figure, Workload } from "../workload.ts"

const chats = 8
const turns = 8

// Before this turn both servers are started anew.
const forgets = 5

const sizes = { system: 2000, user: 200, answer: 120 } as const

/** Part of the prompts of one turn that was cached, as clients were told; of chats that ask in step, so many answers each turn. */
export const cachedIn = (turn: number): Figure => ({
  what: `cached in turn ${String(turn)} (%)`,
  digits: 0,
  better: "more",
  of: ({ answers }) => {
    const those = answers.toSorted((a, b) => a.started - b.started).slice((turn - 1) * chats, turn * chats)
    const prompts = those.reduce((sum, { promptTokens }) => sum + promptTokens, 0)
    return (100 * those.reduce((sum, { cachedTokens }) => sum + cachedTokens, 0)) / prompts
  }
})

/** The workload. */
export const restarted: Workload = {
  letter: "R",
  title: "8 chats on 2 llama-servers that are started anew before turn 5",
  speed: 20,
  fleet: Array.from({ length: 2 }, () => ({
    kind: "llamacpp" as const,
    models: ["tiny"],
    slots: 4,
    rates: { prefill: 2800, decode: 60, crowding: 0.1 },
    cacheTokens: 65_000
  })),
  keys: ["chats"],
  batchKeys: [],
  drive: async ({ ask, chance, clock, restart }) => {
    const variety = between(chance, 1000, 90_000)
    const all = Array.from({ length: chats }, (): Array<Message> => [
      { role: "system", content: prose(variety, sizes.system) }
    ])
    const one = async (messages: Array<Message>, seed: number): Promise<void> => {
      // Somebody reads the answer before.
      await clock.sleep(chance() * 0.05)
      messages.push({ role: "user", content: prose(seed, sizes.user) })
      const told = await ask({
        key: "chats",
        body: { model: "tiny", messages: messages.slice(), seed: seedOf(seed, sizes.answer, false) }
      })
      messages.push({ role: "assistant", content: told.text })
    }
    for (let turn = 1; turn <= turns; turn += 1) {
      if (turn === forgets) restart()
      for (const [at, messages] of all.entries()) await one(messages, variety + at * 100 + turn)
    }
  },
  figures: [...[2, 4, 5, 6, 7, 8].map(cachedIn), firstToken(50), firstToken(95), refused, failed]
}
