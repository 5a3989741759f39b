/**
 * What tests of the live page have in common: a gateway before one server, and the page at it.
 */
import type { Page } from "playwright-core"
import type { Secrets } from "../../src/config/compile.ts"
import { type FakeUpstream, good, startUpstream } from "./FakeUpstream.ts"
import { createHash, generateKeyPairSync } from "node:crypto"
import { writeFileSync } from "node:fs"
import { json } from "./answers.ts"
import { backendFor, type Gateway, type Process, type SettingsTree, startGateway, startProcess } from "./gateway.ts"
import type { Step } from "./rawServer.ts"

/** Asks for a chat, and waits for the whole answer. */
export const chat = (
  gateway: Pick<Gateway, "url">,
  body: object,
  id: string = crypto.randomUUID(),
  key = ""
): Promise<string> =>
  fetch(`${gateway.url}/v1/chat/completions`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "x-request-id": id,
      ...(key === "" ? {} : { authorization: `Bearer ${key}` })
    },
    body: JSON.stringify({ model: "m", messages: [{ role: "user", content: "Hello" }], ...body })
  }).then((response) => response.text())

/** Opens a view of the page, and waits until it follows what happens. */
export const open = async (page: Page, gateway: Pick<Gateway, "url">, view: string): Promise<void> => {
  await page.goto(`${gateway.url}/ui/#/${view}`)
  await page.getByRole("status").getByText("live").waitFor()
}

/** A gateway before one server of these models; requests are answered when `gate` opens. `more` is said of the server. */
export const started = async (
  models: ReadonlyArray<string> = ["m"],
  settings: SettingsTree = {},
  secrets?: Secrets,
  gate?: Promise<void>,
  more: SettingsTree = {}
) => {
  const held = async function* (request: Parameters<ReturnType<typeof good>>[0]): AsyncGenerator<Step> {
    if (gate !== undefined) yield { until: gate }
    yield* good()(request)
  }
  const upstream: FakeUpstream = await startUpstream({ models: [...models], script: held })
  const gateway = await startGateway({ backends: [backendFor("a", upstream, more)], ...settings }, secrets)
  return {
    gateway,
    upstream,
    [Symbol.asyncDispose]: async () => {
      await gateway[Symbol.asyncDispose]()
      await upstream[Symbol.asyncDispose]()
    }
  }
}

/** A gateway as a program before three servers, one quick, one slow and one that fails, which has been asked by two keys. */
export interface FleetAtWork extends AsyncDisposable {
  readonly gateway: Process
  /** The key that opens the administration. */
  readonly bossKey: string
}

const bossKey = "boss-key"

/** Signs in on the page. */
export const signIn = async (page: Page, { url }: Pick<Gateway, "url">, key: string): Promise<void> => {
  await page.goto(`${url}/ui/`)
  await page.getByLabel("Key").fill(key)
  await page.getByRole("button", { name: "Sign in" }).click()
  await page.getByRole("article").first().waitFor()
}

const slowly = async function* (request: Parameters<ReturnType<typeof good>>[0]): AsyncGenerator<Step> {
  yield { pause: 250 }
  yield* good()(request)
}

/** Starts it; `folder` is for its files. The file of its config says something else by then than what is in force. */
export const startFleet = async (folder: string): Promise<FleetAtWork> => {
  const desk = await startUpstream({ models: ["qwen3:8b"] })
  const attic = await startUpstream({ models: ["qwen3:8b", "llama3.3:70b"], script: slowly })
  const cellar = await startUpstream({
    models: ["qwen3:8b"],
    script: () => [json({ error: { message: "out of memory" } }, 500)]
  })
  const keyOf = (name: string, more: object) => ({
    name,
    sha256: createHash("sha256").update(`${name}-key`).digest("hex"),
    ...more
  })
  const jwks = `${folder}/jwks.json`
  const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" })
  writeFileSync(jwks, JSON.stringify({ keys: [{ ...publicKey.export({ format: "jwk" }), kid: "1", alg: "ES256" }] }))
  const settings = (priority: number) => ({
    server: { watch_config: false },
    backends: [
      backendFor("desk", desk, { priority, slots: 4 }),
      backendFor("attic", attic, { priority: 4, slots: 2, models: [{ id: "llama3.3:70b", slots: 1 }] }),
      backendFor("cellar", cellar, { priority: 1 })
    ],
    routing: {
      strategy: "priority_only",
      aliases: { large: "llama3.3:70b" },
      fallbacks: { "llama3.3:70b": ["qwen3:8b"] }
    },
    auth: {
      store: `${folder}/keys.sqlite`,
      keys: [
        keyOf("boss", { admin: true }),
        keyOf("search", { owner: "search team", requests_per_minute: 10 }),
        keyOf("chat", { owner: "web", tokens_per_minute: 100_000, max_concurrent: 4 })
      ],
      // Its keys are told by a file: nobody is asked.
      issuers: [{ name: "corp", issuer: "https://login.example/corp", audience: ["nexus"], jwks_file: jwks }]
    },
    limits: { owners: [{ name: "search team", tokens_per_minute: 20_000 }] },
    usage: { enabled: true, path: `${folder}/usage.sqlite` },
    budgets: [{ name: "month", each: "key", per: "month", soft_usd: 8, hard_usd: 900 }],
    prices: [{ model: "*", input_usd: 10, output_usd: 400_000 }]
  })
  const gateway = await startProcess(settings(2))
  for (let turn = 0; turn < 9; turn += 1)
    await chat(gateway, { model: "qwen3:8b", stream: turn % 2 === 0 }, `search-${turn}`, "search-key")
  for (let turn = 0; turn < 3; turn += 1)
    await chat(gateway, { model: turn === 0 ? "llama3.3:70b" : "large", stream: true }, `chat-${turn}`, "chat-key")
  await fetch(`${gateway.url}/admin/v1/revocations`, {
    method: "POST",
    headers: { authorization: `Bearer ${bossKey}`, "content-type": "application/json" },
    body: JSON.stringify({ name: "corp:alice", issued_before: "now" })
  })
  gateway.rewrite(settings(5))
  return {
    gateway,
    bossKey,
    [Symbol.asyncDispose]: async () => {
      await gateway[Symbol.asyncDispose]()
      for (const each of [desk, attic, cellar]) await each[Symbol.asyncDispose]()
    }
  }
}
