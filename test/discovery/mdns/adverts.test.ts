import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import {
  addRecords,
  type Adverts,
  advertsOf,
  basePath,
  mostAddresses,
  mostInstances,
  noAdverts,
  questionsOf
} from "../../../src/discovery/mdns/adverts.ts"
import { readRecords } from "../../../src/discovery/mdns/records.ts"
import { advertPlace } from "../../../src/discovery/places.ts"
import { announced, anyRecords } from "./packets.ts"

const types = ["_ollama._tcp", "_llm._tcp"]
const isUsable = (address: string) => address.startsWith("10.") || address.startsWith("fd")

const take = (adverts: Adverts, raw: ReadonlyArray<unknown>, now = 0): Adverts =>
  addRecords(adverts, readRecords(raw), { now, types, isUsable })

const seen = (adverts: Adverts, now = 0) =>
  advertsOf(adverts, now).map(({ label, addresses, port, state }) => [label, addresses.join(), port, state])

describe("an announcement", () => {
  test("in one packet makes a server known", () => {
    expect(seen(take(noAdverts, announced("My box", ["10.0.0.5", "fd00::5"])))).toEqual([
      ["My box", "10.0.0.5,fd00::5", 11434, "live"]
    ])
  })

  test("in several packets, in the order of answers to questions, is the same", () => {
    const all = announced("Box", ["10.0.0.5"])
    const apart = all.reduce<Adverts>((known, each) => take(known, [each]), noAdverts)
    expect(seen(apart)).toEqual(seen(take(noAdverts, all)))
  })

  test("of another type, or of a Nexus, is not looked at", () => {
    expect(take(noAdverts, announced("Printer", ["10.0.0.5"], { type: "_ipp._tcp" }))).toBe(noAdverts)
    expect(seen(take(noAdverts, announced("Other", ["10.0.0.5"], { type: "_llm._tcp", txt: ["type=nexus"] })))).toEqual(
      []
    )
  })

  test("whose time has run out is silent, and one that says goodbye is withdrawn until it comes back", () => {
    const known = take(noAdverts, announced("Box", ["10.0.0.5"]))
    expect(seen(known, 120_000)).toEqual([["Box", "10.0.0.5", 11434, "silent"]])
    const gone = take(known, announced("Box", ["10.0.0.5"], { ttl: 0 }), 1000)
    expect(seen(gone, 1000)).toEqual([["Box", "10.0.0.5", 11434, "withdrawn"]])
    expect(seen(take(gone, announced("Box", ["10.0.0.5"]), 2000), 2000)).toEqual([["Box", "10.0.0.5", 11434, "live"]])
  })

  test("with another address or port takes the place of the old one", () => {
    const known = take(noAdverts, announced("Box", ["10.0.0.5"]))
    const moved = take(known, announced("Box", ["10.0.0.9"], { port: 9000 }), 5000)
    expect(seen(moved, 5000)).toEqual([["Box", "10.0.0.9", 9000, "live"]])
  })

  test("of a machine with two networks keeps the addresses that came together", () => {
    const both = take(take(noAdverts, announced("Box", ["10.0.0.5"])), announced("Box", ["10.1.0.5"]), 300)
    expect(seen(both, 300)).toEqual([["Box", "10.0.0.5,10.1.0.5", 11434, "live"]])
  })

  test("is asked for what it leaves out, and for no more than that", () => {
    const [pointer, service] = announced("Box", [])
    const asked = (adverts: Adverts) =>
      questionsOf(adverts, ["_ollama._tcp"], 0).map((each) => `${each.name} ${each.type}`)
    const half = take(noAdverts, [pointer])
    expect(asked(half)).toEqual(["_ollama._tcp.local PTR", "box._ollama._tcp.local SRV", "box._ollama._tcp.local TXT"])
    expect(asked(take(half, [service]))).toEqual(["_ollama._tcp.local PTR", "box.local A", "box.local AAAA"])
    expect(asked(take(noAdverts, announced("Box", ["10.0.0.5"])))).toEqual(["_ollama._tcp.local PTR"])
  })
})

describe("a path that is hinted at", () => {
  const path = (hint: string) => basePath(new Map([["path", hint]]))
  test("is a base path without /v1", () => {
    expect(["/v1", "/llm/v1/", "/llm", "/", ""].map(path)).toEqual(["", "/llm", "/llm", "", ""])
    expect(basePath(new Map([["api_path", "/api"]]))).toBe("/api")
  })

  test("is dropped when it leads anywhere else", () => {
    const bad = [
      "v1",
      "//evil",
      "/..",
      "/a/../b",
      "/a//b",
      "/a?b",
      "/a#b",
      "/a b",
      "/@evil",
      "http://evil",
      `/${"a".repeat(65)}`
    ]
    expect(bad.map(path)).toEqual(bad.map(() => ""))
  })
})

describe("whatever strangers send", () => {
  test("what is known stays within its bounds, and every URL is one of a usable address", () =>
    fc.assert(
      fc.property(fc.array(anyRecords, { maxLength: 12 }), (packets) => {
        const known = packets.reduce<Adverts>((before, raw, at) => take(before, raw, at * 700), noAdverts)
        expect(known.instances.size).toBeLessThanOrEqual(mostInstances)
        expect(known.addresses.size).toBeLessThanOrEqual(mostInstances)
        for (const all of known.addresses.values()) expect(all.size).toBeLessThanOrEqual(mostAddresses)
        for (const advert of advertsOf(known, packets.length * 700)) {
          const { urls, suffix } = advertPlace(advert)
          expect(`generic-${suffix}`).toMatch(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/)
          for (const url of urls) expect(isUsable(new URL(url).hostname.replace("[", ""))).toBe(true)
        }
        expect(questionsOf(known, types, 0).length).toBeLessThanOrEqual(types.length + 32)
      }),
      { numRuns: 500 }
    ))

  test("a flood of names leaves those that are known in place", () => {
    const first = take(noAdverts, announced("Mine", ["10.0.0.5"]))
    const flood = Array.from({ length: 500 }, (_, at) => announced(`Flood ${at}`, ["10.6.6.6"]))
    const known = flood.reduce<Adverts>((before, raw) => take(before, raw), first)
    expect(known.instances.size).toBe(mostInstances)
    expect(seen(known)[0]).toEqual(["Mine", "10.0.0.5", 11434, "live"])
  })

  test("an address that may not be called makes no server", () => {
    for (const address of ["127.0.0.1", "8.8.8.8", "224.0.0.1", "fe80::1", "::1"]) {
      expect(seen(take(noAdverts, announced("Evil", [address])))).toEqual([])
    }
  })

  test("the same packet twice changes nothing that is told", () =>
    fc.assert(
      fc.property(anyRecords, (raw) => {
        const once = take(noAdverts, raw)
        expect(seen(take(once, raw))).toEqual(seen(once))
      })
    ))
})
