import { describe, expect, test } from "bun:test"
import { Effect } from "effect"
import { findOnce } from "../../src/discovery/Discovery.ts"
import { Transport } from "../../src/upstream/Transport.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { startGateway, startProcess } from "../kit/gateway.ts"
import { resolving } from "../discovery/stage.ts"
import { hasMulticast, loopback, startAdvertiser } from "../discovery/mdns/loopback.ts"

const limits = { connectMs: 5000, firstByteMs: 0, idleMs: 0, totalMs: 0 }

interface Told {
  readonly backends: ReadonlyArray<Record<string, unknown>>
}

const backendsOf = async (url: string) => {
  const answer = (await (await fetch(`${url}/nexus/backends`)).json()) as Told // reason: checked by what is expected of it
  return answer.backends
}

/** Asks again and again until it holds. */
const eventually = async <A>(ask: () => Promise<A | undefined>, what: string): Promise<A> => {
  const end = performance.now() + 60_000
  while (performance.now() < end) {
    const value = await ask()
    if (value !== undefined) return value
    await Bun.sleep(20)
  }
  throw new Error(`not within 20 s: ${what}`)
}

test("servers on ports of this machine and on ports of a named host are told apart by what they answer", async () => {
  await using ollama = await startUpstream({ models: ["tiny"], type: "ollama" })
  await using vllm = await startUpstream({ models: ["big"], type: "vllm" })
  await using locked = await startUpstream({
    models: ["none"],
    probe: () => ["HTTP/1.1 401 no\r\nContent-Length: 0\r\n\r\n"]
  })
  await using nexus = await startGateway({})
  const found = await Effect.runPromise(
    findOnce({
      limits,
      ownPort: undefined,
      ports: [ollama.port, locked.port, nexus.port],
      hosts: [{ host: "localhost", port: vllm.port }],
      surroundings: resolving({})
    }).pipe(Effect.provide(Transport.layer))
  )
  expect(found.map(({ name, type, url }) => [name, type, url])).toEqual([
    [`ollama-${ollama.port}`, "ollama", `http://127.0.0.1:${ollama.port}`],
    [`vllm-localhost-${vllm.port}`, "vllm", `http://localhost:${vllm.port}`]
  ])
})

test("a host of the config becomes a backend that is marked as found, and answers", async () => {
  await using upstream = await startUpstream({ models: ["tiny"], type: "vllm" })
  await using nexus = await startProcess({
    discovery: { enabled: true, hosts: [`127.0.0.1:${upstream.port}`] },
    logging: { level: "info" }
  })
  const name = `vllm-127.0.0.1-${upstream.port}`
  const found = await eventually(
    async () => (await backendsOf(nexus.url)).find((each) => each["name"] === name && each["status"] === "healthy"),
    "the backend is healthy"
  )
  expect(found["origin"]).toBe("discovered")
  expect(
    nexus.output().match(new RegExp(`"message":"backend found".*"${name}"|"${name}".*"backend found"`, "g"))
  ).toHaveLength(1)
  const answer = await fetch(`${nexus.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "tiny", messages: [{ role: "user", content: "hi" }] })
  })
  expect([answer.status, answer.headers.get("x-nexus-backend")]).toEqual([200, name])
})

describe.skipIf(!hasMulticast)("serve with mDNS (skipped where loopback carries no multicast)", () => {
  for (const workers of process.platform === "linux" ? [1, 2] : [1]) {
    test(`finds a server that announces itself, follows its move, and lets it go, with ${workers} worker(s)`, async () => {
      const type = `_nx${crypto.randomUUID().slice(0, 8)}._tcp`
      await using first = await startUpstream({ models: ["tiny"], type: "ollama" })
      await using second = await startUpstream({ models: ["tiny"], type: "ollama" })
      await using advertiser = await startAdvertiser(type, "Box")
      await using nexus = await startProcess({
        server: { workers },
        discovery: {
          enabled: true,
          mdns: true,
          mdns_types: [type],
          mdns_interface: loopback,
          grace_seconds: 1,
          interval_seconds: 1
        },
        logging: { level: "info" }
      })
      const at = (port: number) => async () =>
        (await backendsOf(nexus.url)).find(
          ({ name, url, status }) => name === "ollama-Box" && url === `http://127.0.0.1:${port}` && status === "healthy"
        )
      await advertiser.at(first.port)
      expect((await eventually(at(first.port), "it is found"))["origin"]).toBe("discovered")
      await advertiser.at(second.port)
      await eventually(at(second.port), "it has moved")
      await advertiser.goodbye()
      await eventually(
        async () => ((await backendsOf(nexus.url)).some(({ name }) => name === "ollama-Box") ? undefined : true),
        "it is gone"
      )
      const told = ["backend found", "backend has moved", "backend has gone, removed"]
      const lines = nexus
        .output()
        .split("\n")
        .filter((line) => line.includes("ollama-Box"))
      expect(told.map((words) => lines.filter((line) => line.includes(`"${words}"`)).length)).toEqual([1, 1, 1])
      nexus.signal("SIGTERM")
      expect(await nexus.exited).toBe(0)
    })
  }
})
