import { describe, expect, test } from "bun:test"
import { createHash } from "node:crypto"
import fc from "fast-check"
import { addressThrough, isLocal } from "../../src/admission/client-address.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type SettingsTree, startGateway, until } from "../kit/gateway.ts"
import { takeLog } from "../kit/log.ts"
import { dial, requestBytes } from "../kit/rawClient.ts"

describe("the address of a client behind proxies that are trusted", () => {
  const through = addressThrough(["10.0.0.0/8", "127.0.0.1/32", "fd00::/8"])

  test("is the last one in X-Forwarded-For that is none of theirs", () => {
    const told: ReadonlyArray<readonly [string, string | null, string]> = [
      ["10.0.0.1", "203.0.113.9", "203.0.113.9"],
      ["::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9"],
      ["127.0.0.1", "198.51.100.1, 203.0.113.9, 10.0.0.2", "203.0.113.9"],
      ["10.0.0.1", "203.0.113.9:4711", "203.0.113.9"],
      ["fd00::1", "[2001:db8::1]:4711", "2001:db8::1"],
      ["10.0.0.1", "2001:db8::1", "2001:db8::1"],
      ["10.0.0.1", "10.0.0.3,10.0.0.2", "10.0.0.3"],
      ["10.0.0.1", null, "10.0.0.1"],
      ["10.0.0.1", "", "10.0.0.1"],
      ["10.0.0.1", "203.0.113.9, unknown", "10.0.0.1"],
      ["10.0.0.1", "203.0.113.9, unknown, 10.0.0.2", "10.0.0.2"]
    ]
    for (const [peer, header, client] of told)
      expect([peer, header, through(peer, header)]).toEqual([peer, header, client])
    expect(through(undefined, "203.0.113.9")).toBeUndefined()
  })

  test("is never this machine where another one has passed it on, though it came to a proxy here in the end", () => {
    expect(through("127.0.0.1", "127.0.0.1, 10.0.0.5")).toBe("10.0.0.5")
    expect(through("127.0.0.1", "203.0.113.9, 127.0.0.1, 10.0.0.5")).toBe("203.0.113.9")
    expect(through("127.0.0.1", "127.0.0.1")).toBe("127.0.0.1")
  })

  test("is nobody's where a proxy on this machine passes on what is no address", () => {
    for (const written of ["unix:", "unknown", "203.0.113.9, unknown", "unknown, 127.0.0.1"])
      expect(through("127.0.0.1", written)).toBeUndefined()
  })

  const words = fc.oneof(
    fc.ipV4(),
    fc.ipV6(),
    fc.constantFrom("127.0.0.1", "::1", "10.0.0.7", "::ffff:127.0.0.1", "localhost", "unknown", ""),
    fc.string()
  )
  const anything = fc.array(words).map((entries) => entries.join(","))

  test("is what nobody else says, whatever a client writes there itself (law)", () => {
    fc.assert(
      fc.property(anything, fc.ipV4(), (written, peer) => {
        fc.pre(!peer.startsWith("10.") && peer !== "127.0.0.1")
        expect(through(peer, written)).toBe(peer)
        expect(through("10.0.0.1", `${written}, ${peer}`)).toBe(isLocal(peer) ? "10.0.0.1" : peer)
      })
    )
  })

  test("is never this machine for a connection from another one (law)", () => {
    fc.assert(
      fc.property(anything, (written) => {
        expect(isLocal(through("10.0.0.1", written))).toBe(false)
      })
    )
  })
})

describe("behind a proxy on this machine", () => {
  const world = async (server: SettingsTree) => {
    const upstream = await startUpstream({ models: ["m"] })
    const digest = new Uint8Array(createHash("sha256").update("nx-office").digest())
    const gateway = await startGateway(
      {
        server,
        backends: [backendFor("b", upstream)],
        auth: { keys: [{ name: "office", sha256: Buffer.from(digest).toString("hex"), networks: ["203.0.113.0/24"] }] }
      },
      { backendKeys: new Map(), authKeys: [{ name: "office", digest, networks: ["203.0.113.0/24"] }] }
    )
    return {
      ask: async (forwarded: string, path = "/v1/models", key = "nx-office") => {
        const headers = { authorization: `Bearer ${key}`, "x-forwarded-for": forwarded }
        return (await fetch(`${gateway.url}${path}`, { headers })).status
      },
      [Symbol.asyncDispose]: async () => {
        await gateway[Symbol.asyncDispose]()
        await upstream[Symbol.asyncDispose]()
      }
    }
  }

  test("a key is held to its networks by the address of its client, where the proxy is trusted", async () => {
    await using at = await world({ trusted_proxies: ["127.0.0.1/32"] })
    expect(await at.ask("203.0.113.9")).toBe(200)
    expect(await at.ask("198.51.100.1")).toBe(403)
    expect(await at.ask("203.0.113.9, 198.51.100.1")).toBe(403)
    await using other = await world({})
    expect(await other.ask("203.0.113.9")).toBe(403)
  })

  test("whoever comes through one that is trusted is not on this machine", async () => {
    await using at = await world({ trusted_proxies: ["127.0.0.1/32"] })
    for (const forwarded of ["203.0.113.9", "127.0.0.1, 10.0.0.5", "unknown"])
      expect(await at.ask(forwarded, "/admin/v1/config")).toBe(403)
  })

  test("who guesses keys keeps those waiting alone who come from the same address", async () => {
    await using at = await world({ trusted_proxies: ["127.0.0.1/32"] })
    const guesses = Array.from({ length: 12 }, (_, nth) => at.ask("198.51.100.1", "/v1/models", `guess-${nth}`))
    expect(new Set(await Promise.all(guesses))).toEqual(new Set([401]))
    const kept: Array<string> = []
    const noted = (name: string, forwarded: string) =>
      at.ask(forwarded).then((status) => {
        kept.push(`${name} ${status}`)
      })
    await Promise.all([noted("guesser", "198.51.100.1"), noted("other", "203.0.113.9")])
    expect(kept).toEqual(["other 200", "guesser 403"])
  })

  test("is what the log tells of, and what its share of uploads goes by", async () => {
    using log = takeLog()
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({
      server: { trusted_proxies: ["127.0.0.1/32"], max_concurrent_uploads: 4, upload_share_percent: 25 },
      logging: { level: "info", access_log: true },
      backends: [backendFor("one", upstream)]
    })
    const body = JSON.stringify({ model: "m", messages: [] })
    const path = "/v1/chat/completions"
    const from = (address: string) => [`X-Forwarded-For: ${address}`]
    using slow = await dial(gateway.port)
    const whole = requestBytes("POST", path, body, from("203.0.113.9"))
    await slow.send(whole.subarray(0, -1))
    await until(() => gateway.running.active() === 1, "it is on its way")
    using other = await dial(gateway.port)
    await other.send(requestBytes("POST", path, body, from("198.51.100.1")).subarray(0, -1))
    using same = await dial(gateway.port)
    await same.send(requestBytes("POST", path, body, from("203.0.113.9")).subarray(0, -1))
    expect((await same.answer()).status).toBe(429)
    await other.send(whole.subarray(-1))
    expect((await other.answer()).status).toBe(200)
    await slow.send(whole.subarray(-1))
    expect((await slow.answer()).status).toBe(200)
    const clients = () => log.lines().flatMap(({ client, status }) => (client === undefined ? [] : [[client, status]]))
    await until(() => clients().length === 3, "all are told of")
    expect(clients().toSorted()).toEqual([
      ["198.51.100.1", 200],
      ["203.0.113.9", 200],
      ["203.0.113.9", 429]
    ])
  })
})
