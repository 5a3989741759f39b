import { expect, test } from "bun:test"
import fc from "fast-check"
import { ExportQueue } from "../../src/telemetry/export-queue.ts"

type Step = { readonly push: number } | "take" | "take and put back"

const steps = fc.array(
  fc.oneof(
    fc.integer({ min: 1, max: 40 }).map((push): Step => ({ push })),
    fc.constant<Step>("take"),
    fc.constant<Step>("take and put back")
  ),
  { maxLength: 40 }
)

test("what is sent, what waits and what was dropped are all that came, in order, whatever the receiver does", () =>
  fc.assert(
    fc.property(steps, (all) => {
      let dropped = 0
      let came = 0
      const sent: Array<number> = []
      const queue = new ExportQueue<number>(20, 8, (count) => {
        dropped += count
      })
      for (const step of all) {
        if (typeof step === "object") for (let at = 0; at < step.push; at += 1) queue.push(came++)
        else {
          const batch = queue.take()
          expect(batch.length).toBeLessThanOrEqual(8)
          if (step === "take") sent.push(...batch)
          else queue.putBack(batch)
        }
        expect(queue.size).toBeLessThanOrEqual(22)
        expect(sent.length + queue.size + dropped).toBe(came)
        expect(sent).toEqual(sent.toSorted((a, b) => a - b))
      }
    })
  ))

test("whoever waits is woken by the first one, or by a whole batch, and by nothing once that is taken back", () => {
  const queue = new ExportQueue<number>(20, 3, () => undefined)
  const woken: Array<string> = []
  queue.whenAny("one", () => woken.push("one"))
  queue.push(1)
  queue.whenAny("batch", () => woken.push("batch"))
  queue.push(2)
  expect(woken).toEqual(["one"])
  queue.push(3)
  expect(woken).toEqual(["one", "batch"])
  queue.take()
  queue.whenAny("one", () => woken.push("never"))()
  queue.push(4)
  expect(woken).toEqual(["one", "batch"])
})
