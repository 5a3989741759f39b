import { afterAll, describe, expect, test } from "bun:test"
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Redis } from "ioredis"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, type SettingsTree, startGateway, startProcess, until } from "../kit/gateway.ts"
import { freePort, startStore, storePath } from "../kit/sharedStore.ts"
import { good, wrong } from "../kit/tls.ts"

const folder = mkdtempSync(join(tmpdir(), "nexus-store-kinds-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const file = (name: string, text: string): string => {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

interface StorePart {
  readonly status: string
  readonly reason: string | null
}

const storeOf = async ({ url }: { readonly url: string }): Promise<StorePart> =>
  ((await (await fetch(`${url}/health`)).json()) as { cluster: { store: StorePart } }).cluster.store

/** Asks again and again until it is so, and gives what it was then. */
const eventually = async (of: { readonly url: string }, holds: (part: StorePart) => boolean): Promise<StorePart> => {
  let last = await storeOf(of)
  for (let tries = 0; tries < 400 && !holds(last); tries += 1) {
    await Bun.sleep(25)
    last = await storeOf(of)
  }
  if (!holds(last)) throw new Error(`never so: ${JSON.stringify(last)}`)
  return last
}

const isConnected = ({ status }: StorePart): boolean => status === "connected"

const ask = async ({ url }: Pick<Gateway, "url">): Promise<number> => {
  const answer = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "m", messages: [{ role: "user", content: "hi" }] })
  })
  await answer.text()
  return answer.status
}

/** A server of a kind that is none of its own for tests. */
const startServer = async (args: ReadonlyArray<string>, port: number) => {
  const child: ChildProcess = spawn(storePath ?? "", args, { stdio: "ignore" })
  const client = new Redis({ port, host: "127.0.0.1", retryStrategy: () => 20, maxRetriesPerRequest: null })
  client.on("error", () => undefined)
  await until(() => client.status === "ready", "the server answers")
  return {
    client,
    [Symbol.asyncDispose]: async () => {
      client.disconnect()
      const ended = new Promise((resolve) => child.once("exit", resolve))
      child.kill("SIGKILL")
      await ended
    }
  }
}

describe.skipIf(storePath === undefined)("a shared store", () => {
  test("is talked to over TLS, by those alone who trust its certificate", async () => {
    const tlsPort = await freePort()
    const own = ["--tls-port", String(tlsPort), "--tls-auth-clients", "no"]
    const certificate = ["--tls-cert-file", file("good.pem", good.cert), "--tls-key-file", file("good.key", good.key)]
    await using _store = await startStore([...own, ...certificate])
    const url = `rediss://127.0.0.1:${tlsPort}`
    await using trusts = await startProcess({ cluster: { url, ca_file: join(folder, "good.pem") } })
    await eventually(trusts, isConnected)
    await using doubts = await startProcess({ cluster: { url } })
    const { reason } = await eventually(doubts, (part) => part.status === "away")
    expect(reason).toMatch(/certificate/i)
  }, 60_000)

  test("whose certificate is for another name is not talked to", async () => {
    const tlsPort = await freePort()
    const own = ["--tls-port", String(tlsPort), "--tls-auth-clients", "no"]
    const certificate = [
      "--tls-cert-file",
      file("wrong.pem", wrong.cert),
      "--tls-key-file",
      file("wrong.key", wrong.key)
    ]
    await using _store = await startStore([...own, ...certificate])
    const url = `rediss://127.0.0.1:${tlsPort}`
    await using doubts = await startProcess({ cluster: { url, ca_file: join(folder, "wrong.pem") } })
    const { reason } = await eventually(doubts, (part) => part.reason?.includes("IP") === true)
    expect(reason).toMatch(/127\.0\.0\.1/)
  }, 60_000)

  test("lets a user in who may do no more than the documentation says", async () => {
    await using store = await startStore()
    const docs = await Bun.file(join(import.meta.dir, "../../docs/replicas.md")).text()
    const rights = /\| rights \| [^`]*`([^`]+)`/.exec(docs)?.[1]?.split(" ") ?? []
    expect(rights.length).toBeGreaterThan(3)
    await store.client.call("ACL", "SETUSER", "nexus", "on", ">secret", "~{nexus}:*", "&{nexus}:*", ...rights)
    await using upstream = await startUpstream({ models: ["m"] })
    const settings: SettingsTree = {
      logging: { level: "warn" },
      cluster: { url: `redis://nexus:secret@127.0.0.1:${store.port}` },
      usage: { path: join(folder, "user.sqlite") },
      backends: [backendFor("b", upstream)],
      models: [{ name: "m", requests_per_minute: 1000, max_concurrent: 4 }],
      prices: [{ model: "*", request_usd: 1 }],
      budgets: [{ name: "all", hard_usd: 1000 }]
    }
    await using a = await startProcess(settings)
    await eventually(a, isConnected)
    const wanted = ["{nexus}:limit model m m", "{nexus}:replica", "{nexus}:budget all"]
    await until(async () => {
      expect(await ask(a)).toBe(200)
      const seen = await store.client.keys("*")
      return wanted.every((name) => seen.some((each) => each.startsWith(name)))
    }, "it keeps there what replicas share")
    await until(
      async () => (await store.client.pubsub("NUMSUB", "{nexus}:reloads"))[1] === 1,
      "it listens to what the others tell"
    )
    expect(a.output()).not.toContain("NOPERM")
  }, 60_000)

  test("that does not let its user do what is needed is told as such", async () => {
    await using store = await startStore()
    await store.client.call("ACL", "SETUSER", "nexus", "on", ">secret", "~{nexus}:*", "&*", "+@connection", "+@pubsub")
    await using a = await startProcess({
      logging: { level: "warn" },
      cluster: { url: `redis://nexus:secret@127.0.0.1:${store.port}` }
    })
    await eventually(a, isConnected)
    await until(() => a.output().includes("NOPERM"), "the log says so")
  }, 60_000)

  test("that is a Sentinel is told as such", async () => {
    const port = await freePort()
    const path = file("sentinel.conf", `port ${port}\nbind 127.0.0.1\ndir ${folder}\n`)
    await using _sentinel = await startServer([path, "--sentinel"], port)
    await using a = await startProcess({
      logging: { level: "warn" },
      cluster: { url: `redis://127.0.0.1:${port}` }
    })
    const { reason } = await eventually(a, (part) => part.reason?.includes("Sentinel") === true)
    expect(reason).toContain("master")
    await until(() => a.output().includes("Sentinel"), "the log says so")
  }, 60_000)

  test("that is a Cluster is found on the node that has its keys", async () => {
    const nodeAt = async (name: string) => {
      const port = await freePort()
      const own = ["--cluster-enabled", "yes", "--cluster-config-file", `${name}.conf`, "--dir", folder, "--save", ""]
      const server = await startServer(["--port", String(port), "--bind", "127.0.0.1", ...own], port)
      return { port, client: server.client, [Symbol.asyncDispose]: server[Symbol.asyncDispose] }
    }
    await using empty = await nodeAt("empty")
    await using full = await nodeAt("full")
    await full.client.call("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
    await empty.client.call("CLUSTER", "MEET", "127.0.0.1", String(full.port))
    let state = ""
    for (let tries = 0; tries < 400 && !state.includes("cluster_state:ok"); tries += 1) {
      await Bun.sleep(25)
      state = String(await empty.client.call("CLUSTER", "INFO"))
    }
    await using upstream = await startUpstream({ models: ["m"] })
    await using a = await startGateway({
      cluster: { url: `redis://127.0.0.1:${empty.port}` },
      backends: [backendFor("b", upstream)],
      models: [{ name: "m", requests_per_minute: 2 }]
    })
    await eventually(a, isConnected)
    let known: string | null = null
    for (let tries = 0; tries < 400 && known === null; tries += 1) {
      await ask(a)
      await Bun.sleep(25)
      known = await full.client.hget("{nexus}:limit model m m", "r")
    }
    expect(Number(known)).toBeLessThan(2)
    const statuses = [await ask(a), await ask(a), await ask(a)]
    expect(statuses.at(-1)).toBe(429)
  }, 60_000)
})
