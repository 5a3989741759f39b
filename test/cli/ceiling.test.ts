import { describe, expect, test } from "bun:test"
import { backend } from "../registry/backends.ts"
import { needsMore, startOver } from "../../src/cli/ceiling.ts"

const source = {
  platform: "linux",
  execPath: "/opt/bun",
  argv: ["/opt/bun", "/app/src/main.ts", "serve", "--demo"],
  execArgv: ["--smol"],
  env: { HOME: "/tmp" }
}

describe("the ceiling of concurrent fetches", () => {
  test("is lifted by starting over, once, with the same arguments", () => {
    const again = startOver(source)
    expect(again).toEqual({
      file: "/opt/bun",
      args: ["/opt/bun", "--smol", "/app/src/main.ts", "serve", "--demo"],
      env: { HOME: "/tmp", BUN_CONFIG_MAX_HTTP_REQUESTS: "65535" }
    })
    expect(startOver({ ...source, env: again?.env ?? {} })).toBeUndefined()
  })

  test("is lifted in the compiled binary, whose script is inside it", () => {
    const binary = {
      ...source,
      execPath: "/opt/nexus",
      execArgv: [],
      argv: ["bun", "/$bunfs/root/nexus", "serve", "-p", "0"]
    }
    expect(startOver(binary)?.args).toEqual(["/opt/nexus", "serve", "-p", "0"])
  })

  test("is needed for the probes of a great many backends alone", () => {
    const plain = Array.from({ length: 100 }, (_, at) => backend(`b${String(at)}`))
    expect(needsMore({ backends: plain })).toBe(false)
    expect(needsMore({ backends: [backend("cloud", { url: "https://cloud.test" })] })).toBe(false)
    expect(needsMore({ backends: [...plain, backend("one more")] })).toBe(true)
  })

  test("stays as it is for other commands, on Windows, and where the operator has set it", () => {
    expect(startOver({ ...source, argv: ["/opt/bun", "/app/src/main.ts", "models"] })).toBeUndefined()
    expect(startOver({ ...source, platform: "win32" })).toBeUndefined()
    expect(startOver({ ...source, env: { BUN_CONFIG_MAX_HTTP_REQUESTS: "512" } })).toBeUndefined()
  })
})
