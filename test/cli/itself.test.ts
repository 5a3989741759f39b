import { describe, expect, test } from "bun:test"
import { argumentsOf } from "../../src/cli/itself.ts"

const args = ["serve", "-p", "0"]

describe("a worker is started", () => {
  test("from source by the same script under the same options of Bun", () => {
    const self = { argv: ["/opt/bun", "/app/src/main.ts", "serve", "--demo"], execArgv: ["--smol"] }
    expect(argumentsOf(self, args)).toEqual(["--smol", "/app/src/main.ts", ...args])
  })

  test("as the built binary by that file alone, whose script is inside it", () => {
    expect(argumentsOf({ argv: ["bun", "/$bunfs/nexus", "serve"], execArgv: [] }, args)).toEqual(args)
    expect(argumentsOf({ argv: ["bun", "B:\\~BUN\\nexus.exe", "serve"], execArgv: [] }, args)).toEqual(args)
  })
})
