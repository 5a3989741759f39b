/**
 * Clients that several workloads have: who keeps so many requests under way, and who arrives by chance.
 */
import { between } from "../../soak/chance.ts"
import { seedOf } from "../answer.ts"
import { prose } from "../prose.ts"
import type { Question, Told } from "../client.ts"
import type { World } from "../workload.ts"

/** How long prompts and answers are, in tokens; each has a bit of its own and nothing shared. */
export interface Sizes {
  readonly prompt: readonly [from: number, to: number]
  readonly answer: readonly [from: number, to: number]
}

/** A question of its own, of one message. */
export const question = ({ chance }: World, key: string, model: string, { answer, prompt }: Sizes): Question => {
  const variety = between(chance, 0, 90_000)
  return {
    key,
    body: {
      model,
      messages: [{ role: "user", content: prose(variety, between(chance, ...prompt)) }],
      seed: seedOf(variety, between(chance, ...answer), false)
    }
  }
}

/** Seconds that a client waits who was refused. */
const afterRefusal = 1

/** Keeps so many questions under way, until there are no more; those refused are lost. */
export const keepUnderWay = async (world: World, count: number, next: () => Question | undefined): Promise<void> => {
  const one = async (): Promise<void> => {
    for (let asked = next(); asked !== undefined; asked = next()) {
      const { status } = await world.ask(asked)
      if (status !== 200) await world.clock.sleep(afterRefusal)
    }
  }
  await Promise.all(Array.from({ length: count }, one))
}

/** Asks by chance, so many a second on average, whether answers come or not. */
export const arrive = async (
  { ask, chance, clock }: World,
  perSecond: number,
  questions: ReadonlyArray<Question>
): Promise<void> => {
  const pending: Array<Promise<Told>> = []
  let at = clock.now()
  for (const each of questions) {
    at += -Math.log(1 - chance()) / perSecond
    await clock.sleep(at - clock.now())
    pending.push(ask(each))
  }
  await Promise.all(pending)
}
