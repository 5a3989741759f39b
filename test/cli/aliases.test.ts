import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { type FakeUpstream, startUpstream } from "../kit/FakeUpstream.ts"
import { lines, makeShell } from "../kit/shell.ts"

// Each test starts processes, and a busy machine starts them slowly.
setDefaultTimeout(120_000)

const { close, cwd, nexus, serving, tomlFor } = makeShell()

let upstream: FakeUpstream

beforeAll(async () => {
  upstream = await startUpstream({ models: ["llama", "tiny"] })
})

afterAll(async () => {
  await close()
  await upstream[Symbol.asyncDispose]()
})

test("nexus aliases shows where each name leads and who serves it, as tables or as JSON", async () => {
  const routing = `[routing.aliases]
fast = "tiny"
"gpt-4" = "big"
big = "llama"
"odd\\u001b[31m" = "nowhere"

[routing.groups]
chat = ["llama@one", "fast", "nope@one"]

[routing.fallbacks]
llama = ["fast", "nowhere"]
`
  writeFileSync(join(cwd, "aliases.toml"), `[[backends]]\nname = "one"\nurl = "${upstream.url}"\n\n${routing}`)
  const { port } = await serving("-c", "aliases.toml")
  const shown = await nexus("aliases", "--port", port)
  expect({ code: shown.code, stderr: shown.stderr }).toEqual({ code: 0, stderr: "" })
  expect(lines(shown.stdout).map((line) => line.split(/ {2,}/))).toEqual([
    ["Alias", "Model", "Via", "Served by"],
    ["big", "llama", "-", "one"],
    ["fast", "tiny", "-", "one"],
    ["gpt-4", "llama", "big", "one"],
    ["odd\\u001b[31m", "nowhere", "-", "nobody"],
    [""],
    ["Group", "Model", "Served by"],
    ["chat", "llama@one", "one"],
    ["", "fast", "one"],
    ["", "nope@one", "nobody"],
    [""],
    ["Model", "Fallback", "Served by"],
    ["llama", "tiny", "one"],
    ["", "nowhere", "nobody"]
  ])
  const { stdout } = await nexus("aliases", "--json", "--port", port)
  expect(JSON.parse(stdout)).toMatchObject({
    aliases: [
      { alias: "big" },
      { alias: "fast" },
      { alias: "gpt-4", chain: ["gpt-4", "big", "llama"], model: "llama" },
      {}
    ],
    fallbacks: [
      {
        model: "llama",
        fallbacks: [
          { model: "tiny", backends: ["one"] },
          { model: "nowhere", backends: [] }
        ]
      }
    ]
  })
})

test("nexus aliases says so when there are none, and fails in one line without a gateway", async () => {
  const { port } = await serving("--demo", "--no-discovery")
  expect(await nexus("aliases", "--port", port)).toMatchObject({ code: 0, stdout: "" })
  const { code, stdout, stderr } = await nexus("aliases", "-c", tomlFor("none.toml", {}))
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" })
  expect(lines(stderr)).toEqual([expect.stringContaining("No gateway answers at http://127.0.0.1:1")])
})
