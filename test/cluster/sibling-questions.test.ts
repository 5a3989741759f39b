import { expect, test } from "bun:test"
import { Effect } from "effect"
import fc from "fast-check"
import { brokenReply, type CallMessage, Calls, type ReplyMessage } from "../../src/cluster/calls.ts"
import { QuestionRelay } from "../../src/cluster/sibling-questions.ts"
import { siblingQuestions } from "../../src/operations/Siblings.ts"
import { type ProcessFigures, sumFigures } from "../../src/telemetry/process-figures.ts"
import { measuresOf } from "./places.ts"

const turnedAway = (told: unknown): number =>
  sumFigures(told as ReadonlyArray<ProcessFigures>).turnedAway.reduce((sum, number) => sum + number, 0) // reason: these tests told it

interface Worker {
  readonly number: number
}

/** Three workers, by their numbers, and the questions between them. */
const three = () => {
  const workers = [1, 2, 3].map((number): Worker => ({ number }))
  const alive = new Set([1, 2, 3])
  const sent: Array<{ readonly to: number; readonly call: CallMessage }> = []
  const replies: Array<{ readonly to: number; readonly reply: ReplyMessage }> = []
  const there = () => workers.filter(({ number }) => alive.has(number))
  const workerOf = (number: number): Worker => workers[number - 1] ?? { number }
  const calls = new Calls<Worker>(({ number }, call) => void sent.push({ to: number, call }))
  const questions = new QuestionRelay<Worker>(calls, there)
  return {
    alive,
    /** What a worker was asked. */
    recalls: (to: number) => sent.flatMap((each) => (each.to === to ? [each.call] : [])),
    /** What it was answered. */
    recalled: (to: number) => replies.flatMap((each) => (each.to === to ? [each.reply] : [])),
    ask: (from: number, id: number, name: string, payload: unknown = {}) => {
      const reply = questions.reply(workerOf(from), { _tag: "Call", id, name, payload })
      if (reply !== undefined) Effect.runFork(Effect.map(reply, (one) => void replies.push({ to: from, reply: one })))
    },
    answer: (from: number, id: number, items: ReadonlyArray<unknown>) =>
      calls.replied(workerOf(from), { _tag: "Reply", id, outcome: "done", value: items }),
    fail: (from: number, id: number) => calls.replied(workerOf(from), brokenReply(id)),
    end: (which: number) => {
      alive.delete(which)
      questions.lost(workerOf(which))
    },
    /** Another worker in the place of one that has ended. */
    replace: (which: number) => {
      workers[which - 1] = { number: which }
      alive.add(which)
    }
  }
}

const requests = siblingQuestions.requests.name
const measures = siblingQuestions.measures.name

test("a question goes to everybody but the one who asks, who is answered once all have answered", () => {
  const { ask, answer, recalls, recalled } = three()
  ask(1, 7, requests)
  const [two, three_] = [2, 3].map((to) => recalls(to)[0]?.id ?? 0)
  expect(recalls(1)).toEqual([])
  answer(2, two ?? 0, ["b"])
  expect(recalled(1)).toEqual([])
  answer(3, three_ ?? 0, ["c", "d"])
  expect(recalled(1)).toEqual([{ _tag: "Reply", id: 7, outcome: "done", value: ["b", "c", "d"] }])
})

test("who is alone is answered at once", () => {
  const { ask, end, recalled } = three()
  end(2)
  end(3)
  ask(1, 1, requests)
  expect(recalled(1)).toEqual([{ _tag: "Reply", id: 1, outcome: "done", value: [] }])
})

test("an answer that nobody waits for, or that comes twice, changes nothing", () => {
  const { ask, answer, recalls, recalled } = three()
  answer(2, 99, [])
  ask(1, 1, measures)
  const [two, three_] = [2, 3].map((to) => recalls(to)[0]?.id ?? 0)
  answer(2, two ?? 0, [measuresOf(2, 5)])
  answer(2, two ?? 0, [measuresOf(2, 5)])
  expect(recalled(1)).toEqual([])
  answer(3, three_ ?? 0, [measuresOf(3, 1)])
  answer(3, three_ ?? 0, [measuresOf(3, 1)])
  expect(recalled(1).map(({ value }) => turnedAway(value))).toEqual([6])
})

test("what is asked of workers that hang is kept in bounds, and whoever asks too much is told so at once", () => {
  const { ask, answer, recalls, recalled } = three()
  for (let nth = 1; nth <= 3000; nth += 1) ask(1, nth, requests)
  expect(recalls(2).length).toBeLessThan(3000)
  expect(recalled(1).every(({ outcome }) => outcome === "broken")).toBe(true)
  for (const { id } of recalls(2)) answer(2, id, [])
  for (const { id } of recalls(3)) answer(3, id, [])
  expect(new Set(recalled(1).map(({ id }) => id)).size).toBe(3000)
  ask(1, 3001, requests)
  expect(recalls(2).at(-1)?.id).toBeGreaterThan(0)
  answer(2, recalls(2).at(-1)?.id ?? 0, [])
  answer(3, recalls(3).at(-1)?.id ?? 0, [])
  expect(recalled(1).at(-1)).toMatchObject({ id: 3001, outcome: "done" })
})

test("an answer that is missing one worker's part is none, and what is no question of siblings is left alone", () => {
  const { ask, answer, fail, recalls, recalled } = three()
  ask(1, 1, requests)
  answer(2, recalls(2)[0]?.id ?? 0, ["b"])
  fail(3, recalls(3)[0]?.id ?? 0)
  expect(recalled(1)).toMatchObject([{ id: 1, outcome: "broken" }])
  ask(1, 2, "no such question")
  expect(recalled(1)).toHaveLength(1)
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
          for (const { id } of recalls(to).slice(seen.get(to) ?? 0)) open.get(to)?.push(id)
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
        if (next !== undefined) answer(who, next, [])
        if (does === "die") end(who)
      }
      // Who is still there answers all that it was asked.
      for (const who of alive) for (const id of open.get(who) ?? []) answer(who, id, [])
      for (const who of alive) {
        const answered = recalled(who).map(({ id }) => id)
        expect(answered.toSorted((a, b) => a - b)).toEqual(asked.get(who) ?? [])
      }
    })
  ))

test("what a worker had told stays in the sums when it has ended, and they never go back (law)", () =>
  fc.assert(
    fc.property(steps, (all) => {
      const { alive, ask, answer, end, recalls, recalled, replace } = three()
      const counted = new Map([1, 2, 3].map((each) => [each, 0]))
      let last = 0
      let nth = 0
      let left = 0
      const scrape = (from: number) => {
        nth += 1
        const own = measuresOf(from, counted.get(from) ?? 0)
        ask(from, nth, measures, { own })
        for (const other of alive) {
          const question = recalls(other).at(-1)
          if (other !== from && question !== undefined)
            answer(other, question.id, [measuresOf(other, counted.get(other) ?? 0)])
        }
        const told = recalled(from).at(-1)
        expect(told?.id).toBe(nth)
        return (counted.get(from) ?? 0) + turnedAway(told?.value ?? [])
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
          replace(who)
          counted.set(who, 0)
          expect(scrape(asking)).toBe(last)
        }
      }
    })
  ))

test("a worker that ends while it is asked leaves its figures to the one who asks", () => {
  const { ask, answer, end, recalls, recalled } = three()
  const last = (to: number) => recalls(to).at(-1)?.id ?? 0
  ask(1, 1, measures)
  answer(2, last(2), [measuresOf(2, 4)])
  answer(3, last(3), [measuresOf(3, 2)])
  ask(1, 2, measures)
  answer(3, last(3), [measuresOf(3, 2)])
  end(2)
  expect(recalled(1).map(({ value }) => turnedAway(value))).toEqual([6, 6])
})

test("a worker in the place of one that has ended is not taken for it, whatever numbers it uses", () => {
  const { ask, answer, end, recalls, recalled, replace } = three()
  ask(1, 1, requests)
  const [two, three_] = [2, 3].map((to) => recalls(to)[0]?.id ?? 0)
  end(2)
  replace(2)
  answer(2, two ?? 0, ["not asked for"])
  answer(2, three_ ?? 0, ["not asked for"])
  answer(3, three_ ?? 0, ["c"])
  expect(recalled(1)).toMatchObject([{ value: ["c"] }])
})
