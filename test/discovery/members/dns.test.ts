import { describe, expect, test } from "bun:test"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import {
  completionOf,
  type DnsAnswer,
  dnsQuestions,
  lookUpMembers,
  type NameCompletion,
  wholeNames
} from "../../../src/discovery/members/dns.ts"
import { nextLookMs } from "../../../src/discovery/members/Members.ts"
import { Registry } from "../../../src/registry/Registry.ts"
import { type DnsReply, startDns } from "../../kit/dnsServer.ts"
import { effect } from "../../kit/effect.ts"
import { followed, following, membersIn } from "./following.ts"

const plain: NameCompletion = { search: [], dots: 1 }

const address = (data: string, ttl = 5): { readonly type: "A"; readonly data: string; readonly ttl: number } => ({
  type: "A",
  data,
  ttl
})

const lookUp = async (reply: (name: string, type: string) => DnsReply, url: string, completion = plain) => {
  await using server = await startDns(reply)
  const found = await Effect.runPromise(lookUpMembers(dnsQuestions([server.address]), followed(url, "dns"), completion))
  return { ...found, asked: server.asked() }
}

describe("the servers behind a name, asked of a DNS server", () => {
  test("are its addresses, for as long as they hold", async () => {
    const { news, ttlMs } = await lookUp(
      () => [address("10.0.0.1", 30), address("10.0.0.2", 7)],
      "http://vllm.models:8000"
    )
    expect(ttlMs).toBe(7000)
    expect(news).toEqual({
      _tag: "All",
      complete: true,
      endpoints: [
        { label: "10.0.0.1", address: "10.0.0.1", port: undefined },
        { label: "10.0.0.2", address: "10.0.0.2", port: undefined }
      ]
    })
  })

  test("are its IPv6 addresses where it has no others", async () => {
    const { news } = await lookUp(
      (_, type) => (type === "AAAA" ? [{ type: "AAAA", data: "fd00::1" }] : []),
      "http://vllm.models"
    )
    expect(news).toMatchObject({ endpoints: [{ address: "fd00::1" }] })
  })

  test("are no matter of IPv6 when the question for IPv4 failed", async () => {
    const reply = (_: string, type: string): DnsReply =>
      type === "A" ? "SERVFAIL" : [{ type: "AAAA", data: "fd00::1" }]
    expect((await lookUp(reply, "http://vllm.models")).news).toEqual({
      _tag: "Failed",
      reason: "the DNS server failed"
    })
  })

  test("are none where there is no such name", async () => {
    expect((await lookUp(() => "NXDOMAIN", "http://vllm.models")).news).toEqual({ _tag: "Nowhere" })
  })

  test("are seen anew with each look, however long the last answer holds", async () => {
    let known = "10.0.0.1"
    await using server = await startDns(() => [address(known, 300)])
    const look = lookUpMembers(dnsQuestions([server.address]), followed("http://vllm.models", "dns"), plain)
    expect((await Effect.runPromise(look)).news).toMatchObject({ endpoints: [{ address: "10.0.0.1" }] })
    known = "10.0.0.2"
    expect((await Effect.runPromise(look)).news).toMatchObject({ endpoints: [{ address: "10.0.0.2" }] })
  })

  test("are those of its SRV records, with their ports, the preferred ones first", async () => {
    const { news } = await lookUp((name, type) => {
      if (type === "SRV" && name === "_http._tcp.vllm.models") {
        return [
          { type, data: { target: "vllm-0.vllm.models", port: 8000, priority: 10 } },
          { type, data: { target: "vllm-1.vllm.models", port: 8001, priority: 12 } }
        ]
      }
      return type === "A" ? [address(name.startsWith("vllm-0") ? "10.0.0.1" : "10.0.0.2")] : []
    }, "http://_http._tcp.vllm.models")
    expect(news).toEqual({
      _tag: "All",
      complete: true,
      endpoints: [
        { label: "vllm-0", address: "10.0.0.1", port: 8000, later: 0 },
        { label: "vllm-1", address: "10.0.0.2", port: 8001, later: 2 }
      ]
    })
  })

  test("are not all of them while one target of SRV cannot be looked up", async () => {
    const { news } = await lookUp((name, type) => {
      if (type === "SRV") {
        return ["a", "b"].map((target) => ({ type: "SRV", data: { target: `${target}.models`, port: 1 } }) as const)
      }
      return name.startsWith("a") ? [address("10.0.0.1")] : "SERVFAIL"
    }, "http://_http._tcp.vllm.models")
    expect(news).toMatchObject({ complete: false, endpoints: [{ address: "10.0.0.1" }] })
  })

  test("are looked for as the system completes names", async () => {
    const { asked, news } = await lookUp(
      (name) => (name === "vllm.models.svc.cluster.local" ? [address("10.0.0.1")] : "NXDOMAIN"),
      "http://vllm.models:8000",
      completionOf(
        "search nexus.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.0.0.10\noptions ndots:5\n"
      )
    )
    expect(news).toMatchObject({ endpoints: [{ address: "10.0.0.1" }] })
    expect(asked).toContain("A vllm.models.nexus.svc.cluster.local")
    expect(asked).not.toContain("A vllm.models.cluster.local")
  })
})

describe("names that are not whole", () => {
  test("are tried as they are first when they have dots enough", () => {
    const search = ["svc.cluster.local", "cluster.local"]
    expect(wholeNames("a.b", { search, dots: 1 })).toEqual(["a.b", "a.b.svc.cluster.local", "a.b.cluster.local"])
    expect(wholeNames("a.b", { search, dots: 5 })).toEqual(["a.b.svc.cluster.local", "a.b.cluster.local", "a.b"])
    expect(wholeNames("a.b.", { search, dots: 5 })).toEqual(["a.b"])
  })

  test("are completed as the last line of resolv.conf says, and not at all without one", () => {
    expect(completionOf("# none\nnameserver 127.0.0.11\n")).toEqual({ search: [], dots: 1 })
    expect(completionOf("domain a.\nsearch b. c\noptions ndots:2 ndots:3 timeout:1")).toEqual({
      search: ["b", "c"],
      dots: 3
    })
  })
})

test("a name is asked for again when its records are over, neither sooner than 5 s nor later than dns_refresh_seconds", () => {
  expect([undefined, 0, 7000, 3_600_000].map((ttl) => nextLookMs(ttl, 30_000))).toEqual([5000, 5000, 7000, 30_000])
})

describe("a backend whose name is followed by DNS", () => {
  const staged = (
    answers: ReadonlyArray<DnsAnswer<string>>,
    body: (registry: Registry["Service"], log: ReadonlyArray<string>, asked: () => number) => Effect.Effect<void>
  ) =>
    Effect.suspend(() => {
      const log: Array<string> = []
      let at = 0
      const ipv4 = () =>
        Effect.sync((): DnsAnswer<string> => {
          at += 1
          return answers[at - 1] ?? { _tag: "Failed", reason: "silence" }
        })
      const none = () => Effect.succeed({ _tag: "None" } as const)
      const questions = { ipv4, ipv6: none, service: none }
      return Registry.use((registry) => body(registry, log, () => at)).pipe(
        Effect.provide(following({ followed: [followed("http://vllm.models:8000", "dns")], questions }, log))
      )
    })
  const found = (ttlMs: number, ...records: ReadonlyArray<string>): DnsAnswer<string> => ({
    _tag: "Found",
    records,
    ttlMs
  })
  const failed = { _tag: "Failed", reason: "the DNS server failed" } as const
  const none = { _tag: "None" } as const

  effect("has a backend for each address from the start, and follows them when their time is over", () =>
    staged([found(8000, "10.0.0.1", "10.0.0.2"), found(8000, "10.0.0.2", "10.0.0.3")], (registry, log) =>
      Effect.gen(function* () {
        expect(membersIn(registry)).toEqual({
          "vllm-10.0.0.1": "10.0.0.1 http://vllm.models:8000",
          "vllm-10.0.0.2": "10.0.0.2 http://vllm.models:8000"
        })
        yield* TestClock.adjust(7999)
        expect(Object.keys(membersIn(registry))).toEqual(["vllm-10.0.0.1", "vllm-10.0.0.2"])
        yield* TestClock.adjust(1)
        expect(Object.keys(membersIn(registry))).toEqual(["vllm-10.0.0.2", "vllm-10.0.0.3"])
        expect(log.at(-1)).toContain('"added":"vllm-10.0.0.3","removed":"vllm-10.0.0.1"')
      })
    )
  )

  effect("keeps what it had while nobody can say, and tells that once", () =>
    staged([found(5000, "10.0.0.1"), failed, failed, found(5000, "10.0.0.1"), failed], (registry, log, asked) =>
      Effect.gen(function* () {
        yield* TestClock.adjust(20_000)
        expect(asked()).toBe(5)
        expect(Object.keys(membersIn(registry))).toEqual(["vllm-10.0.0.1"])
        expect(log.filter((line) => line.startsWith("Warn")).length).toBe(2)
      })
    )
  )

  effect("keeps what it had for the grace when its name leads nowhere", () =>
    staged([found(5000, "10.0.0.1"), ...Array.from({ length: 20 }, () => none)], (registry) =>
      Effect.gen(function* () {
        yield* TestClock.adjust(64_999)
        expect(Object.keys(membersIn(registry))).toEqual(["vllm-10.0.0.1"])
        yield* TestClock.adjust(1)
        expect(membersIn(registry)).toEqual({})
      })
    )
  )
})
