/**
 * B: people who chat, beside a batch that keeps three times as many requests under way as there are slots.
 */
import { answered, doneAfter, failed, firstToken, refused } from "../sums.ts"
import type { Told } from "../client.ts"
import { aiming, atMostOf, notAbove, type Workload, type World } from "../workload.ts"
import { keepUnderWay, question } from "./crowd.ts"

const servers = 2
const slots = 8
const people = 6
const jobs = 240

const isBatch = ({ key }: Told): boolean => key === "batch"
const isChat = (told: Told): boolean => !isBatch(told)

const chat = async (world: World, key: string, over: () => boolean): Promise<void> => {
  await world.clock.sleep(5 + world.chance() * 10)
  while (!over()) {
    await world.ask(question(world, key, "chat", { prompt: [150, 600], answer: [40, 160] }))
    await world.clock.sleep(4 + world.chance() * 8)
  }
}

/** The workload. */
export const busyBatch: Workload = {
  letter: "B",
  title: "chats beside a batch at three times saturation",
  speed: 20,
  fleet: Array.from({ length: servers }, () => ({
    kind: "vllm",
    models: ["chat"],
    slots,
    rates: { prefill: 4000, decode: 50, crowding: 0.08 },
    cacheTokens: 100_000
  })),
  keys: ["batch", "chat"],
  batchKeys: ["batch"],
  drive: async (world) => {
    const work = Array.from({ length: jobs }, () =>
      question(world, "batch", "chat", { prompt: [500, 1500], answer: [250, 550] })
    )
    let over = false
    const batch = keepUnderWay(world, 3 * servers * slots, () => work.pop()).then(() => {
      over = true
    })
    await Promise.all([batch, ...Array.from({ length: people }, () => chat(world, "chat", () => over))])
  },
  figures: [
    firstToken(50, isChat, "chats' "),
    aiming(firstToken(95, isChat, "chats' "), atMostOf(1 / 12, "1/12")),
    aiming(doneAfter("batch done", isBatch), atMostOf(1.15, "1.15")),
    answered("batch answered", isBatch),
    answered("chats answered", isChat),
    aiming(refused, notAbove(0)),
    failed
  ]
}
