import { expect, test } from "bun:test"
import fc from "fast-check"
import { standingIn } from "../../src/upstream/acknowledged.ts"

const title =
  "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                                                     \n"

const hex = (value: number) => value.toString(16).toUpperCase().padStart(8, "0")

const row = (at: number, unacknowledged: number, timer: number, tries: number, inode: number) =>
  `${String(at).padStart(4)}: 01004D0A:B376 02004D0A:1F90 01 ${hex(unacknowledged)}:00000000 0${timer}:0000001F ${hex(tries)}     0        0 ${inode} 2 00000000ce3aa058 40 4 30 10 -1                    \n`

const sockets = fc.uniqueArray(
  fc.record({
    inode: fc.integer({ min: 1, max: 9_999_999 }),
    unacknowledged: fc.nat(0xffffffff),
    timer: fc.integer({ min: 0, max: 4 }),
    tries: fc.nat(20)
  }),
  { selector: ({ inode }) => inode, maxLength: 30 }
)

test("each socket of a table is found by its inode, whatever the others are", () =>
  fc.assert(
    fc.property(sockets, (all) => {
      const table =
        title +
        all.map(({ inode, timer, tries, unacknowledged }, at) => row(at, unacknowledged, timer, tries, inode)).join("")
      for (const { inode, timer, tries, unacknowledged } of all) {
        expect(standingIn(table, String(inode))).toEqual({ unacknowledged, tries: timer === 1 ? tries : 0 })
      }
      expect(standingIn(table, "10000000")).toBeUndefined()
    })
  ))

test("a number that stands elsewhere in a row is not taken for the socket", () => {
  expect(standingIn(title + row(0, 1, 1, 3, 7) + row(1, 5, 1, 2, 40), "40")).toEqual({ unacknowledged: 5, tries: 2 })
  expect(standingIn(title + row(0, 1, 1, 3, 7), "40")).toBeUndefined()
  expect(standingIn("", "40")).toBeUndefined()
})
