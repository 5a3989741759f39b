import { expect, test } from "bun:test"
import fc from "fast-check"
import { type Answer, noAnswer, type Question } from "../../src/operations/Siblings.ts"
import type { Down } from "../../src/cluster/messages.ts"
import { Questions } from "../../src/cluster/questions.ts"
import { together } from "../../src/telemetry/measures.ts"
import { figures, measuresOf } from "./places.ts"

const turnedAway = (answer: Answer): number =>
  together(answer.measures).turnedAway.reduce((sum, number) => sum + number, 0)

/** Three workers, by their numbers, and the questions between them. */
const three = () => {
  const alive = new Set([1, 2, 3])
  const told: Array<{ readonly to: number; readonly message: Down }> = []
  const questions = new Questions<number>(
    (from) => [...alive].filter((other) => other !== from),
    (to, message) => void told.push({ to, message })
  )
  const recalls = (to: number) =>
    told.flatMap((each) => (each.to === to && each.message._tag === "Recall" ? [each.message] : []))
  const recalled = (to: number) =>
    told.flatMap((each) => (each.to === to && each.message._tag === "Recalled" ? [each.message] : []))
  return {
    alive,
    recalls,
    recalled,
    ask: (from: number, ask: number, question: Question) => questions.take(from, { _tag: "Recall", ask, question }),
    answer: (from: number, ask: number, answer: Answer) => questions.take(from, { _tag: "Recalled", ask, answer }),
    end: (which: number) => {
      alive.delete(which)
      questions.gone(which)
    }
  }
}

const requests: Question = { _tag: "Requests" }

test("a question goes to everybody but the one who asks, who is answered once all have answered", () => {
  const { ask, answer, recalls, recalled } = three()
  ask(1, 7, requests)
  const [two, three_] = [2, 3].map((to) => recalls(to)[0]?.ask ?? 0)
  expect(recalls(1)).toEqual([])
  answer(2, two ?? 0, noAnswer)
  expect(recalled(1)).toEqual([])
  answer(3, three_ ?? 0, noAnswer)
  expect(recalled(1)).toEqual([{ _tag: "Recalled", ask: 7, answer: noAnswer }])
})

test("who is alone is answered at once", () => {
  const { ask, end, recalled } = three()
  end(2)
  end(3)
  ask(1, 1, requests)
  expect(recalled(1)).toEqual([{ _tag: "Recalled", ask: 1, answer: noAnswer }])
})

test("an answer that nobody waits for, or that comes twice, changes nothing", () => {
  const { ask, answer, recalls, recalled } = three()
  answer(2, 99, noAnswer)
  ask(1, 1, { _tag: "Measures" })
  const [{ ask: number } = { ask: 0 }] = recalls(2)
  answer(2, number, figures(2, 5))
  answer(2, number, figures(2, 5))
  expect(recalled(1)).toEqual([])
  answer(3, number, figures(3, 1))
  answer(3, number, figures(3, 1))
  expect(recalled(1).map((each) => turnedAway(each.answer))).toEqual([6])
})

test("a question asked of workers that never answer keeps no others from their answers", () => {
  const { ask, answer, recalls, recalled } = three()
  for (let nth = 1; nth <= 1000; nth += 1) ask(1, nth, requests)
  for (const { ask: number } of recalls(2)) answer(2, number, noAnswer)
  for (const { ask: number } of recalls(3)) answer(3, number, noAnswer)
  const answered = recalled(1).map((each) => each.ask)
  expect(answered).toContain(1000)
  expect(answered.length).toBeLessThan(1000)
  expect(new Set(answered).size).toBe(answered.length)
})

const worker = fc.integer({ min: 1, max: 3 })
const steps = fc.array(
  fc.oneof(
    fc.record({ does: fc.constant("ask"), worker }),
    fc.record({ does: fc.constant("answer"), worker }),
    fc.record({ does: fc.constant("count"), worker }),
    fc.record({ does: fc.constant("die"), worker })
  ),
  { maxLength: 60 }
)

test("each question is answered once and with its own number, whoever answers or ends in which order (law)", () =>
  fc.assert(
    fc.property(steps, (all) => {
      const { alive, ask, answer, end, recalls, recalled } = three()
      const asked = new Map<number, Array<number>>([1, 2, 3].map((each) => [each, []]))
      const open = new Map<number, Array<number>>([1, 2, 3].map((each) => [each, []]))
      const seen = new Map<number, number>()
      let nth = 0
      const take = () => {
        for (const to of [1, 2, 3]) {
          for (const { ask: number } of recalls(to).slice(seen.get(to) ?? 0)) open.get(to)?.push(number)
          seen.set(to, recalls(to).length)
        }
      }
      for (const { does, worker: who } of all) {
        if (!alive.has(who)) continue
        if (does === "ask") {
          nth += 1
          asked.get(who)?.push(nth)
          ask(who, nth, requests)
        }
        take()
        const next = does === "answer" ? open.get(who)?.shift() : undefined
        if (next !== undefined) answer(who, next, noAnswer)
        if (does === "die") end(who)
      }
      // Who is still there answers all that it was asked.
      for (const who of alive) for (const number of open.get(who) ?? []) answer(who, number, noAnswer)
      for (const who of alive) {
        const answered = recalled(who).map((each) => each.ask)
        expect(answered.toSorted((a, b) => a - b)).toEqual(asked.get(who) ?? [])
      }
    })
  ))

test("what a worker had told stays in the sums when it has ended, and they never go back (law)", () =>
  fc.assert(
    fc.property(steps, (all) => {
      const { alive, ask, answer, end, recalls, recalled } = three()
      const counted = new Map([1, 2, 3].map((each) => [each, 0]))
      let last = 0
      let nth = 0
      let left = 0
      const scrape = (from: number) => {
        nth += 1
        const own = measuresOf(from, counted.get(from) ?? 0)
        ask(from, nth, { _tag: "Measures", own })
        for (const other of alive) {
          const question = recalls(other).at(-1)
          if (other !== from && question !== undefined)
            answer(other, question.ask, figures(other, counted.get(other) ?? 0))
        }
        const told = recalled(from).at(-1)
        expect(told?.ask).toBe(nth)
        return (counted.get(from) ?? 0) + turnedAway(told?.answer ?? noAnswer)
      }
      for (const { does, worker: who } of all) {
        if (!alive.has(who)) continue
        if (does === "count") counted.set(who, (counted.get(who) ?? 0) + 1)
        if (does === "ask") {
          const sum = scrape(who)
          expect(sum).toBe([...alive].reduce((all, each) => all + (counted.get(each) ?? 0), left))
          expect(sum).toBeGreaterThanOrEqual(last)
          last = sum
        }
        if (does === "die" && alive.size > 1) {
          // All have told what they counted, since somebody asked before.
          const asking = [...alive].find((each) => each !== who) ?? 0
          last = scrape(asking)
          left += counted.get(who) ?? 0
          end(who)
          alive.add(who)
          counted.set(who, 0)
          expect(scrape(asking)).toBe(last)
        }
      }
    })
  ))

test("a worker that ends while it is asked leaves its figures to the one who asks", () => {
  const { ask, answer, end, recalls, recalled } = three()
  ask(1, 1, { _tag: "Measures" })
  const [{ ask: first } = { ask: 0 }] = recalls(2)
  answer(2, first, figures(2, 4))
  answer(3, first, figures(3, 2))
  ask(1, 2, { _tag: "Measures" })
  const second = recalls(3).at(-1)?.ask ?? 0
  answer(3, second, figures(3, 2))
  end(2)
  expect(recalled(1).map((each) => turnedAway(each.answer))).toEqual([6, 6])
})
