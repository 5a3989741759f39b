import { expect, test } from "bun:test"
import fc from "fast-check"
import { spliced } from "../../src/proxy/streamed-body.ts"

test("pieces with a part replaced are the whole with that part replaced, however it is cut (law)", () =>
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 12 }), { maxLength: 6 }),
      fc.nat(),
      fc.nat(),
      fc.uint8Array({ maxLength: 8 }),
      (pieces, one, other, by) => {
        const whole = Buffer.concat(pieces)
        const places = [one % (whole.length + 1), other % (whole.length + 1)].sort((a, b) => a - b)
        const [from = 0, to = 0] = places
        const got = spliced(pieces, { from, to }, by)
        expect(Buffer.concat(got)).toEqual(Buffer.concat([whole.subarray(0, from), by, whole.subarray(to)]))
        expect(got.every(({ byteLength }) => byteLength > 0)).toBe(true)
      }
    )
  ))
