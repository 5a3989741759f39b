import { expect, test } from "bun:test"
import fc from "fast-check"
import { ExportQueue } from "../../src/telemetry/export-queue.ts"

type Step = { readonly push: number } | { readonly note: number } | "take" | "take and put back"

const steps = fc.array(
  fc.oneof(
    fc.integer({ min: 1, max: 40 }).map((push): Step => ({ push })),
    // Written later; a count of it is that of all.
    fc.integer({ min: 1, max: 40 }).map((note): Step => ({ note })),
    fc.constant<Step>("take"),
    fc.constant<Step>("take and put back")
  ),
  { maxLength: 40 }
)

const push = (queue: ExportQueue, text: string): void => {
  queue.out.text(text)
  queue.added()
}

const wordsIn = (bytes: Uint8Array): ReadonlyArray<number> =>
  new TextDecoder().decode(bytes).split(" ").filter(Boolean).map(Number)

test("what is sent, what waits and what was dropped are all that came, in order, whatever the receiver does", () =>
  fc.assert(
    fc.property(steps, (all) => {
      let dropped = 0
      let came = 0
      const sent: Array<number> = []
      const queue = new ExportQueue({ waiting: 20, batch: 8, batchBytes: 15 }, (count) => {
        dropped += count
      })
      const noted: Array<string> = []
      const write = () => {
        for (const text of noted.splice(0)) push(queue, text)
      }
      for (const step of all) {
        if (typeof step === "object" && "note" in step) {
          for (let at = 0; at < step.note; at += 1) noted.push(`${came++} `)
          queue.writeLater(write)
        } else if (typeof step === "object") {
          write()
          for (let at = 0; at < step.push; at += 1) push(queue, `${came++} `)
        } else {
          const batch = queue.take()
          expect(batch === undefined).toBe(sent.length + dropped === came)
          if (batch === undefined) continue
          const words = wordsIn(batch.bytes)
          expect(words).toHaveLength(batch.count)
          expect(batch.count).toBeLessThanOrEqual(8)
          expect(batch.bytes.length).toBeLessThan(20)
          if (step === "take") {
            sent.push(...words)
            queue.release(batch)
          } else queue.putBack(batch)
        }
        expect(queue.size).toBeLessThanOrEqual(27)
        expect(sent.length + queue.size + dropped).toBe(came)
        expect(sent).toEqual(sent.toSorted((a, b) => a - b))
      }
    })
  ))

test("whoever waits is woken by the first one, or by a whole batch, and by nothing once that is taken back", () => {
  const queue = new ExportQueue({ waiting: 20, batch: 3, batchBytes: 100 }, () => undefined)
  const woken: Array<string> = []
  queue.whenAny("one", () => woken.push("one"))
  push(queue, "1")
  queue.whenAny("batch", () => woken.push("batch"))
  push(queue, "2")
  expect(woken).toEqual(["one"])
  push(queue, "3")
  expect(woken).toEqual(["one", "batch"])
  queue.take()
  queue.whenAny("one", () => woken.push("never"))()
  push(queue, "4")
  expect(woken).toEqual(["one", "batch"])
  queue.take()
  queue.whenAny("batch", () => woken.push("batch of those that are written later"))
  queue.writeLater(() => undefined)
  expect(woken).toEqual(["one", "batch"])
  queue.whenAny("one", () => woken.push("one that is written later"))
  expect(woken).toEqual(["one", "batch", "one that is written later"])
})
