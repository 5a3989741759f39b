import { expect, test } from "bun:test"
import { addressOf, againWords } from "../../src/ui/words.ts"

test("a circuit that is due is said to be tried with the next request, and not in no time", () => {
  expect([0, 20_000].map(againWords)).toEqual(["with the next request", "in 20 s"])
})

test.each([
  ["fd00::1", "[fd00::1]"],
  ["[fd00::1]", "[fd00::1]"],
  ["10.0.0.7", "10.0.0.7"],
  ["::", "gateway.lan"]
])("the link to where a gateway listens at %s leads to http://%s", (host, shown) => {
  expect(addressOf({ host, port: 8001 }, { hostname: "gateway.lan" })).toBe(`http://${shown}:8001/ui/`)
})
