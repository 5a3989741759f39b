/**
 * F: one key keeps 48 requests under way beside eight that ask one at a time.
 */
import type { Told } from "../client.ts"
import { failed, firstToken, refused, throughput } from "../sums.ts"
import { aiming, atLeastOf, atMostOf, type Figure, notAbove, notBelow, type Workload, type World } from "../workload.ts"
import { keepUnderWay, question } from "./crowd.ts"

const servers = 2
const slots = 8
const seconds = 150
const others = Array.from({ length: 8 }, (_, at) => `small-${String(at)}`)
const sizes = { prompt: [300, 1200], answer: [150, 450] } as const
const rates = { prefill: 4000, decode: 50, crowding: 0.08 }
const pause = 5

const isGreedy = ({ key }: Told): boolean => key === "greedy"

const trickle = async (world: World, key: string, until: number): Promise<void> => {
  await world.clock.sleep(world.chance() * pause)
  while (world.clock.now() < until) {
    const { status } = await world.ask(question(world, key, "chat", sizes))
    await world.clock.sleep(status === 200 ? pause * (0.5 + world.chance()) : 1)
  }
}

const middle = ([from, to]: readonly [number, number]): number => (from + to) / 2

// What one of the others would get on a full machine if none of its requests had to wait.
const dueToEach =
  (middle(sizes.answer) * seconds) /
  (pause +
    middle(sizes.prompt) / rates.prefill +
    (middle(sizes.answer) * (1 + rates.crowding * (slots - 1))) / rates.decode)

/** Jain's index over what each key got of what was due to it; to the greedy one what the others leave is due. */
const fairness: Figure = {
  what: "Jain",
  digits: 2,
  better: "more",
  of: ({ answers, from }) => {
    const within = answers.filter(({ ended, status }) => status === 200 && ended <= from + seconds)
    const got = (key: string): number =>
      within.reduce((sum, answer) => sum + (answer.key === key ? answer.answerTokens : 0), 0)
    const all = within.reduce((sum, { answerTokens }) => sum + answerTokens, 0)
    const shares = [
      got("greedy") / Math.max(1, all - others.length * dueToEach),
      ...others.map((key) => got(key) / dueToEach)
    ]
    const sum = shares.reduce((total, share) => total + share, 0)
    return sum ** 2 / (shares.length * shares.reduce((total, share) => total + share ** 2, 0))
  }
}

/** The workload. */
export const greedyKey: Workload = {
  letter: "F",
  title: "one key keeps 48 under way beside 8 that trickle",
  speed: 20,
  fleet: Array.from({ length: servers }, () => ({
    kind: "vllm",
    models: ["chat"],
    slots,
    rates,
    cacheTokens: 100_000
  })),
  keys: ["greedy", ...others],
  batchKeys: [],
  drive: async (world) => {
    const until = world.clock.now() + seconds
    await Promise.all([
      keepUnderWay(world, 3 * servers * slots, () =>
        world.clock.now() < until ? question(world, "greedy", "chat", sizes) : undefined
      ),
      ...others.map((key) => trickle(world, key, until))
    ])
  },
  figures: [
    firstToken(50, (told) => !isGreedy(told), "others' "),
    aiming(
      firstToken(95, (told) => !isGreedy(told), "others' "),
      atMostOf(1 / 9, "1/9")
    ),
    aiming(fairness, notBelow(0.95)),
    aiming(throughput, atLeastOf(0.95)),
    aiming(refused, notAbove(0)),
    failed
  ]
}
