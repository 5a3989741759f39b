import { describe, expect, test } from "bun:test"
import { ownArguments } from "../../src/cli/own-command.ts"

const args = ["serve", "-p", "0"]

describe("a worker is started", () => {
  test("from source by the same script under the same options of Bun", () => {
    const self = { argv: ["/opt/bun", "/app/src/main.ts", "serve", "--demo"], execArgv: ["--smol"] }
    expect(ownArguments(self, args)).toEqual(["--smol", "/app/src/main.ts", ...args])
  })

  test("as the built binary by that file alone, whose script is inside it", () => {
    expect(ownArguments({ argv: ["bun", "/$bunfs/nexus", "serve"], execArgv: [] }, args)).toEqual(args)
    expect(ownArguments({ argv: ["bun", "B:\\~BUN\\nexus.exe", "serve"], execArgv: [] }, args)).toEqual(args)
  })
})
