import { expect, test } from "bun:test"
import { addressOf, againWords, money } from "../../src/ui/words.ts"

test("a circuit that is due is said to be tried with the next request, and not in no time", () => {
  expect([0, 20_000].map(againWords)).toEqual(["with the next request", "in 20 s"])
})

test("an amount has its cents, and of less as many digits as tell something", () => {
  const digits = [0, 12.5, 0.5, 0.123, 0.0012345].map((usd) => money(usd).replace(/[^\d]/g, ""))
  expect(digits).toEqual(["000", "1250", "050", "0123", "000123"])
})

test.each([
  ["fd00::1", "[fd00::1]"],
  ["[fd00::1]", "[fd00::1]"],
  ["10.0.0.7", "10.0.0.7"],
  ["::", "gateway.lan"]
])("the link to where a gateway listens at %s leads to http://%s", (host, shown) => {
  expect(addressOf({ host, port: 8001 }, { hostname: "gateway.lan" })).toBe(`http://${shown}:8001/ui/`)
})
