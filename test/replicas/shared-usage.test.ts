import { expect, test } from "bun:test"
import fc from "fast-check"
import { type FigureSums, summedFigures } from "../../src/domain/usage-words.ts"
import { reportOfAll, type UsageSums } from "../../src/usage/usage-sums.ts"

const none = Object.fromEntries(summedFigures.map((figure) => [figure, 0])) as FigureSums

const row = fc.record({
  of: fc.tuple(fc.constantFrom("2026-11-28", "2026-11-29"), fc.constantFrom("m", "n")),
  requests: fc.nat(100),
  cost_nanos: fc.nat(1000)
})

/** A report of rows, each name once. */
const reports = fc.uniqueArray(row, { maxLength: 4, selector: ({ of }) => of.join() }).map((rows): UsageSums => ({
  rows: rows.map((each) => ({ ...none, ...each })),
  total: {
    ...none,
    requests: rows.reduce((sum, { requests }) => sum + requests, 0),
    cost_nanos: rows.reduce((sum, each) => sum + each.cost_nanos, 0)
  }
}))

test("law: the report of all replicas has each row once, and loses and adds nothing", () => {
  fc.assert(
    fc.property(reports, fc.array(reports, { maxLength: 4 }), (first, others) => {
      const { rows, total } = reportOfAll(first, others, ["day", "model"])
      expect(new Set(rows.map(({ of }) => of.join())).size).toBe(rows.length)
      for (const figure of ["requests", "cost_nanos"] as const) {
        const all = [first, ...others].reduce((sum, each) => sum + each.total[figure], 0)
        expect(total[figure]).toBe(all)
        expect(rows.reduce((sum, each) => sum + each[figure], 0)).toBe(all)
      }
      const days = rows.map(({ of }) => of[0] ?? "")
      if (others.length > 0) expect(days).toEqual(days.toSorted())
    })
  )
})
