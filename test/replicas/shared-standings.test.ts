import { describe, expect, test } from "bun:test"
import { json } from "../kit/answers.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { askAs, keyOf } from "../kit/clientKeys.ts"
import { backendFor, type SettingsTree, startGateway, startProcess } from "../kit/gateway.ts"
import { startStore, storePath } from "../kit/sharedStore.ts"

const ask = (url: string, model = "m") =>
  fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, messages: [{ role: "user", content: "hi" }] })
  })

interface Told {
  readonly cooling_ms: number
  readonly in_flight: number
}

const told = async (url: string): Promise<Told> => {
  const { backends } = (await (await fetch(`${url}/nexus/backends`)).json()) as { backends: ReadonlyArray<Told> } // reason: its shape is tested elsewhere
  const [first] = backends
  if (first === undefined) throw new Error("no backend")
  return first
}

/** Looks again and again until it is so. */
const eventually = async <A>(look: () => Promise<A>, holds: (seen: A) => boolean): Promise<A> => {
  let last = await look()
  for (let tries = 0; tries < 400; tries += 1) {
    if (holds(last)) return last
    await Bun.sleep(25)
    last = await look()
  }
  throw new Error(`never so: ${JSON.stringify(last)}`)
}

describe.skipIf(storePath === undefined)("replicas with a real store", () => {
  test("leave a backend alone together that asked one of them to, whatever becomes of that one", async () => {
    await using store = await startStore()
    await using upstream = await startUpstream({
      models: ["m"],
      script: () => [json({ error: { message: "slow down" } }, 429, ["retry-after: 60"])]
    })
    const settings = { cluster: { url: store.url }, backends: [backendFor("one", upstream)] }
    await using a = await startProcess(settings)
    await using b = await startGateway(settings)
    expect((await ask(a.url)).status).toBe(429)
    await eventually(
      () => told(b.url),
      ({ cooling_ms }) => cooling_ms > 50_000
    )
    expect((await ask(b.url)).status).not.toBe(200)
    expect(upstream.calls().length).toBe(1)
    a.signal("SIGKILL")
    await a.exited
    expect((await told(b.url)).cooling_ms).toBeGreaterThan(50_000)
  }, 60_000)

  test("count together what is under way at a backend, and forget within seconds what a killed one had", async () => {
    await using store = await startStore()
    await using upstream = await startUpstream({ models: ["m"], script: () => ["hang"] })
    const settings = { cluster: { url: store.url }, backends: [backendFor("one", upstream)] }
    await using a = await startProcess(settings)
    await using b = await startGateway(settings)
    ask(a.url).catch(() => undefined)
    await eventually(
      () => told(b.url),
      ({ in_flight }) => in_flight === 1
    )
    a.signal("SIGKILL")
    await a.exited
    await eventually(
      () => told(b.url),
      ({ in_flight }) => in_flight === 0
    )
  }, 60_000)

  test("ask a server once for all: one that begins takes over what another has found", async () => {
    await using store = await startStore()
    await using upstream = await startUpstream({ models: ["m"] })
    const settings = { cluster: { url: store.url }, backends: [backendFor("one", upstream)] }
    await using a = await startGateway(settings)
    expect(a.backend("one").status).toBe("healthy")
    const probes = upstream.probes().length
    await using b = await startGateway(settings)
    expect([b.backend("one").status, b.backend("one").models.map(({ id }) => id)]).toEqual(["healthy", ["m"]])
    expect(upstream.probes().length).toBe(probes)
    // Another key is another question.
    await using c = await startGateway({ ...settings, backends: [backendFor("two", upstream)] })
    expect(c.backend("two").status).toBe("healthy")
    expect(upstream.probes().length).toBeGreaterThan(probes)
  }, 60_000)

  test("ask a server themselves within seconds of the end of one that was killed while it asked", async () => {
    await using store = await startStore()
    await using upstream = await startUpstream({ models: ["m"] })
    const settings = { cluster: { url: store.url }, backends: [backendFor("one", upstream)] }
    {
      await using a = await startGateway(settings)
      expect(a.backend("one").status).toBe("healthy")
    }
    const [found = ""] = await store.client.keys("{nexus}:probed:*")
    expect(found).not.toBe("")
    await store.client.del(found)
    await store.client.set(found.replace("probed", "probing"), "killed", "PX", 500)
    const probes = upstream.probes().length
    await using b = await startGateway(settings)
    expect(b.backend("one").status).toBe("healthy")
    expect(upstream.probes().length).toBeGreaterThan(probes)
  }, 60_000)

  test("tell which of them have another config, and read theirs anew when one is told to", async () => {
    await using store = await startStore()
    const before = { server: { watch_config: false } }
    // Replicas on one machine have names and files of their own, which is no other config.
    const own = (name: string) => ({
      cluster: { url: store.url, replica_name: name },
      usage: { enabled: true, path: `${name}.sqlite` },
      auth: { store: `${name}-keys.sqlite`, keys: [keyOf("boss", { admin: true })] }
    })
    await using a = await startProcess({ ...before, ...own("a") })
    await using b = await startProcess({ ...before, ...own("b") })
    const drift = async () =>
      (
        (await askAs(a, "boss", "/health")).json() as {
          cluster: { config_differs: ReadonlyArray<string>; replicas: ReadonlyArray<object> }
        }
      ).cluster
    // Again and again: who tells the others does so once, whether the store is slow then or not.
    const reloaded = async () => {
      await askAs(a, "boss", "/admin/v1/config/reload", {})
      return drift()
    }
    expect((await eventually(drift, ({ replicas }) => replicas.length === 2)).config_differs).toEqual([])
    const after = { ...before, routing: { max_retries: 7 } }
    a.rewrite({ ...after, ...own("a") })
    await eventually(reloaded, ({ config_differs: names }) => names.length === 1 && names[0] === "b")
    b.rewrite({ ...after, ...own("b") })
    await eventually(reloaded, ({ config_differs: names }) => names.length === 0)
  }, 60_000)

  test("read their config anew when one is told to, though they began before their store was there", async () => {
    await using store = await startStore()
    await store.kill()
    const settings = (name: string, more: SettingsTree = {}): SettingsTree => ({
      ...more,
      cluster: { url: store.url, replica_name: name },
      server: { watch_config: false }
    })
    await using a = await startProcess(settings("a"))
    await using b = await startProcess(settings("b"))
    await store.revive()
    const listening = async () => store.client.pubsub("NUMSUB", "{nexus}:reloads")
    await eventually(listening, ([, count]) => count === 2)
    b.rewrite(settings("b", { routing: { max_retries: 7 } }))
    // Again and again: who tells the others does so once, whether the store is slow then or not.
    const differing = async () => {
      await fetch(`${a.url}/admin/v1/config/reload`, { method: "POST" })
      return ((await (await fetch(`${a.url}/health`)).json()) as { cluster: { config_differs: ReadonlyArray<string> } })
        .cluster.config_differs
    }
    // Only the file of one has changed.
    await eventually(differing, (names) => names.length === 1 && names[0] === "b")
  }, 60_000)
})
