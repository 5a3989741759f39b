import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { createHash } from "node:crypto"
import { join } from "node:path"
import { aiSdk, langchain, langchainJs, openaiJs, openaiPython } from "../../src/connect/code.ts"
import type { ClientSetup } from "../../src/connect/client-setup.ts"
import { aider, curl } from "../../src/connect/settings.ts"
import { backendFor, type Gateway, startGateway } from "../kit/gateway.ts"
import { type FakeUpstream, startUpstream } from "../kit/FakeUpstream.ts"
import { embedding, speaking, voices } from "../kit/voices.ts"
import { plain, rich } from "./offers.ts"

// Each test starts a process, and a busy machine starts them slowly.
setDefaultTimeout(120_000)

const [voice] = voices
const key = "nx-programs"
let upstream: FakeUpstream
let open: Gateway
let locked: Gateway

beforeAll(async () => {
  if (voice === undefined) throw new Error("no voice")
  const chat = speaking(voice, () => ["It", " works"])
  upstream = await startUpstream({
    models: ["mistral:7b", "nomic-embed-text"],
    script: (request) => (request.target.endsWith("/embeddings") ? embedding(request) : chat(request))
  })
  const backends = [backendFor("one", upstream)]
  open = await startGateway({ backends })
  const digest = createHash("sha256").update(key).digest()
  locked = await startGateway({ backends }, { backendKeys: new Map(), authKeys: [{ name: "k", digest }] })
})

afterAll(async () => {
  await open[Symbol.asyncDispose]()
  await locked[Symbol.asyncDispose]()
  await upstream[Symbol.asyncDispose]()
})

const root = join(import.meta.dir, "../..")

const run = async (command: ReadonlyArray<string>, input: string): Promise<string> => {
  const child = Bun.spawn([...command], {
    cwd: root,
    env: { ...process.env, NO_COLOR: "1", NEXUS_KEY: key },
    stdin: new Blob([input]),
    stdout: "pipe",
    stderr: "pipe",
    timeout: 60_000
  })
  const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()])
  if ((await child.exited) !== 0) throw new Error(`${command.join(" ")}: ${stderr}`)
  return stdout.trim()
}

/** The open gateway with one model, and the locked one with an embedder. */
const free = (): ClientSetup => ({ ...plain, baseUrl: `${open.url}/v1` })
const keyed = (): ClientSetup => ({
  ...plain,
  baseUrl: `${locked.url}/v1`,
  keyNeeded: true,
  embedder: "nomic-embed-text"
})

describe("the program for", () => {
  const programs: ReadonlyArray<readonly [name: string, make: (offer: ClientSetup) => string, embeds: boolean]> = [
    ["openai-js", openaiJs, false],
    ["langchain-js", langchainJs, true],
    ["ai-sdk", aiSdk, true]
  ]
  for (const [name, make, embeds] of programs) {
    test(`${name} runs as it is printed, with a key and without`, async () => {
      const bun = [process.execPath, "run", "-"]
      expect(await run(bun, make(free()))).toBe("It works")
      expect(await run(bun, make(keyed()))).toBe(embeds ? "It works\n2" : "It works")
    })
  }

  // Python's packages are not installed with these tests.
  test.skipIf(Bun.which("python3") === null)("Python is Python", async () => {
    const parse = ["python3", "-c", "import ast, sys; ast.parse(sys.stdin.read()); print('ok')"]
    for (const make of [openaiPython, langchain]) {
      for (const offer of [plain, rich]) expect(await run(parse, make(offer))).toBe("ok")
    }
  })
})

describe("the shell lines for", () => {
  test.skipIf(Bun.which("curl") === null)("curl get an answer, with a key and without", async () => {
    for (const offer of [free(), keyed()]) {
      expect(JSON.parse(await run(["sh"], curl(offer)))).toMatchObject({
        choices: [{ message: { content: "It works" } }]
      })
    }
  })

  test("aider start it with the address, the key and the model", async () => {
    const stand = `aider() { echo "$OPENAI_API_BASE|$OPENAI_API_KEY|$*"; }\n`
    expect(await run(["sh"], stand + aider(free()))).toBe(`${open.url}/v1|not-needed|--model openai/mistral:7b`)
    expect(await run(["sh"], stand + aider(keyed()))).toBe(`${locked.url}/v1|${key}|--model openai/mistral:7b`)
  })
})
