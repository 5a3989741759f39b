import { describe, expect, test } from "bun:test"
import { Effect, Option } from "effect"
import { usualWaits } from "../../src/replicas/patience.ts"
import { openClient, pingOver, sendOver } from "../../src/replicas/store-client.ts"
import { startGateway, startProcess, until } from "../kit/gateway.ts"
import { startStore, storePath } from "../kit/sharedStore.ts"
import { startLink } from "../kit/tcpLink.ts"

interface ClusterPart {
  readonly store: {
    readonly status: string
    readonly for_seconds: number
    readonly reason: string | null
    readonly losses: number
  }
  readonly replicas: ReadonlyArray<{ readonly id: string; readonly name: string; readonly own: boolean }>
}

const clusterOf = async (url: string): Promise<ClusterPart | undefined> =>
  ((await (await fetch(`${url}/health`)).json()) as { cluster?: ClusterPart }).cluster

const names = (part: ClusterPart | undefined): ReadonlyArray<string> => (part?.replicas ?? []).map(({ name }) => name)

/** Asks again and again until the answer is as it should be. */
const eventually = async (url: string, holds: (part: ClusterPart) => boolean): Promise<ClusterPart> => {
  let last = await clusterOf(url)
  for (let tries = 0; tries < 400; tries += 1) {
    if (last !== undefined && holds(last)) return last
    await Bun.sleep(25)
    last = await clusterOf(url)
  }
  throw new Error(`never so: ${JSON.stringify(last)}`)
}

describe("replicas", () => {
  test("a gateway without [cluster] tells of none", async () => {
    await using gateway = await startGateway({})
    expect(await clusterOf(gateway.url)).toBeUndefined()
    expect(await (await fetch(`${gateway.url}/metrics`)).text()).not.toContain("nexus_shared_store")
  })
})

describe.skipIf(storePath === undefined)("replicas with a real store", () => {
  test("know of each other, forget one that was killed, and say when the store is away and back", async () => {
    await using store = await startStore()
    await using a = await startGateway({ cluster: { url: store.url, replica_name: "a" } })
    await using b = await startProcess({ cluster: { url: store.url, replica_name: "b" } })
    const both = await eventually(a.url, (part) => part.replicas.length === 2)
    expect(names(both)).toEqual(["a", "b"])
    expect(both).toMatchObject({
      store: { status: "connected", losses: 0, reason: null },
      replicas: [{ own: true }, { own: false }]
    })
    expect(names(await eventually(b.url, (part) => part.replicas.length === 2))).toEqual(["b", "a"])
    const metrics = await (await fetch(`${a.url}/metrics`)).text()
    expect(metrics).toContain("nexus_replicas 2")
    expect(metrics).toContain("nexus_shared_store_connected 1")

    b.signal("SIGKILL")
    await b.exited
    await eventually(a.url, (part) => part.replicas.length === 1)

    await store.kill()
    const away = await eventually(a.url, (part) => part.store.status === "away")
    expect(away.store.reason).not.toBeNull()
    // What does not answer is not waited for.
    expect((await fetch(`${a.url}/livez`)).status).toBe(200)
    await store.revive()
    const back = await eventually(a.url, (part) => part.store.status === "connected")
    expect(back.store.losses).toBe(1)
    await until(() => a.inFlight() === 0, "quiet")
  }, 60_000)

  test("a server that takes connections and answers nothing is away within a second, and back when it answers", async () => {
    await using store = await startStore()
    await using a = await startGateway({ cluster: { url: store.url } }, undefined, undefined, usualWaits)
    await eventually(a.url, (part) => part.store.status === "connected")
    store.freeze()
    expect((await eventually(a.url, (part) => part.store.status === "away")).store.reason).toContain("no answer")
    store.thaw()
    await eventually(a.url, (part) => part.store.status === "connected")
  }, 60_000)

  test("one whose store says nothing for so long that its links are opened anew goes on, and listens again afterwards", async () => {
    await using store = await startStore()
    await using a = await startProcess({ cluster: { url: store.url } })
    await eventually(a.url, (part) => part.store.status === "connected")
    store.freeze()
    await eventually(a.url, (part) => part.store.status === "away" && part.store.for_seconds >= 2)
    store.thaw()
    await eventually(a.url, (part) => part.store.status === "connected")
    let listens = 0
    for (let tries = 0; tries < 400 && listens === 0; tries += 1) {
      listens = Number((await store.client.pubsub("NUMSUB", "{nexus}:reloads"))[1])
      await Bun.sleep(25)
    }
    expect(listens).toBe(1)
  }, 60_000)

  test("one whose link lost some of the store's answers on the way uses the store again, by a new link", async () => {
    await using store = await startStore()
    using link = startLink(store.port)
    const settings = { cluster: { url: `redis://127.0.0.1:${link.port}` } }
    await using a = await startGateway(settings, undefined, undefined, usualWaits)
    await eventually(a.url, (part) => part.store.status === "connected")
    link.set("swallows")
    await eventually(a.url, (part) => part.store.status === "away")
    link.set("open")
    await eventually(a.url, (part) => part.store.status === "connected")
  }, 60_000)

  test("a link that lost one answer is opened anew, though later ones come in time for the commands before theirs", async () => {
    await using store = await startStore()
    using link = startLink(store.port)
    const settings = {
      host: "127.0.0.1",
      port: link.port,
      db: 0,
      name: "n",
      replicaName: undefined,
      whenAway: "refuse"
    } as const
    // So long that a later answer is in time on any machine.
    const waits = { ...usualWaits, commandMs: 1000, silentMs: 30_000 }
    const client = await openClient(
      { ...settings, username: undefined, password: undefined, tls: undefined },
      (host) => Promise.resolve(host),
      waits
    )
    let links = 0
    client.on("error", () => undefined).on("ready", () => (links += 1))
    await until(() => links === 1, "it is connected")
    const echo = (text: string) => Effect.runPromise(Effect.option(sendOver(client)("ECHO", text)))
    link.set("swallows")
    expect(await echo("lost")).toEqual(Option.none())
    link.set("open")
    const wrong = "it gives the answers of other commands"
    const ping = Effect.match(pingOver(client, waits), { onFailure: ({ cause }) => String(cause), onSuccess: () => "" })
    let said = ""
    for (let tries = 0; !said.includes(wrong) && tries < 100; tries += 1)
      [said] = await Promise.all([Effect.runPromise(ping), echo("next")])
    expect(said).toContain(wrong)
    await until(() => links === 2, "there is a new link")
    expect(await echo("own")).toEqual(Option.some("own"))
    client.disconnect()
  }, 60_000)

  test("a password that is wrong is told as such, and shown nowhere", async () => {
    await using store = await startStore(["--requirepass", "right-secret"], "right-secret")
    const url = `redis://:wrong-secret@127.0.0.1:${store.port}`
    await using gateway = await startProcess({ cluster: { url }, logging: { level: "debug" } })
    const { store: standing } = await eventually(gateway.url, (part) =>
      /WRONGPASS|invalid/i.test(part.store.reason ?? "")
    )
    expect(standing.status).toBe("away")
    await until(() => gateway.output().includes("the shared store is away"), "the log says so")
    expect(gateway.output()).not.toContain("wrong-secret")
    gateway.rewrite({
      cluster: { url: `redis://:right-secret@127.0.0.1:${store.port}` },
      logging: { level: "debug" }
    })
    await until(() => gateway.output().includes("take effect at the next start"), "the change is told")
    expect(gateway.output()).not.toContain("right-secret")
  }, 60_000)

  test("one that begins before its store is there serves, and joins when it comes", async () => {
    await using store = await startStore()
    await store.kill()
    await using gateway = await startGateway({ cluster: { url: store.url } })
    expect((await clusterOf(gateway.url))?.store.status).toBe("away")
    await store.revive()
    await eventually(gateway.url, (part) => part.store.status === "connected")
  }, 60_000)
})
