import { expect, test } from "bun:test"
import fc from "fast-check"
import { EndOfTurn } from "../../src/domain/EventLoopTurns.ts"

const round = () => new Promise((resolve) => setImmediate(resolve))

const doneIn = (rounds: ReadonlyArray<number>) =>
  (async () => {
    const done: Array<number> = []
    const behind: Array<number> = []
    const together = new EndOfTurn<number>((each) => void done.push(each))
    let asked = 0
    for (const count of rounds) {
      for (let each = 0; each < count; each += 1) {
        together.add(asked)
        asked += 1
        behind.push(asked - done.length)
      }
      await round()
    }
    await round()
    return { done, asked, most: Math.max(0, ...behind) }
  })()

const someRounds = fc.array(fc.integer({ min: 0, max: 80 }), { maxLength: 12 })

test("law: all that is asked for in any rounds is done once, in its order, and never do more than 31 wait", () =>
  fc.assert(
    fc.asyncProperty(someRounds, async (rounds) => {
      const { asked, done, most } = await doneIn(rounds)
      expect(done).toEqual([...Array(asked).keys()])
      expect(most).toBeLessThanOrEqual(31)
    })
  ))

test("what comes in one round is done together when the round is over", async () => {
  const done: Array<string> = []
  const together = new EndOfTurn<string>((each) => void done.push(each))
  together.add("first")
  together.add("second")
  await Promise.resolve()
  expect(done).toEqual([])
  await round()
  expect(done).toEqual(["first", "second"])
})

test("where one comes in each round it is soon done at once, and together again when more come", async () => {
  const done: Array<number> = []
  const together = new EndOfTurn<number>((each) => void done.push(each))
  const waited: Array<boolean> = []
  const ask = (each: number) => {
    together.add(each)
    waited.push(done.at(-1) !== each)
  }
  for (let each = 0; each < 72; each += 1) {
    ask(each)
    await round()
  }
  expect(waited.filter(Boolean)).toHaveLength(8)
  ask(72)
  ask(73)
  expect(waited.slice(-2)).toEqual([true, true])
  await round()
  expect(done).toEqual([...Array(74).keys()])
})

test("what is asked for while others are done is done as well", async () => {
  const done: Array<number> = []
  const together = new EndOfTurn<number>((each) => {
    done.push(each)
    if (each < 3) together.add(each + 1)
  })
  together.add(1)
  await round()
  await round()
  await round()
  expect(done).toEqual([1, 2, 3])
})
