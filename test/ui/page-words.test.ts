import { expect, test } from "bun:test"
import { addressOf } from "../../src/ui/words.ts"

test.each([
  ["fd00::1", "[fd00::1]"],
  ["[fd00::1]", "[fd00::1]"],
  ["10.0.0.7", "10.0.0.7"],
  ["::", "gateway.lan"]
])("the link to where a gateway listens at %s leads to http://%s", (host, shown) => {
  expect(addressOf({ host, port: 8001 }, { hostname: "gateway.lan" })).toBe(`http://${shown}:8001/ui/`)
})
