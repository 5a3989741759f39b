import { describe, expect, test } from "bun:test"
import { assert, array, constantFrom, integer, option, property, record, string } from "fast-check"
import type { Backend } from "../../../src/backend/backend.ts"
import { type MemberPlace, followedFault, memberName } from "../../../src/backend/followed.ts"
import { adopted, decideMembers, type MemberNews } from "../../../src/discovery/members/member-news.ts"
import { mistakesOf } from "../../config/reading.ts"
import { followed } from "./following.ts"

const vllm = followed(
  "http://vllm.models:8000",
  "dns",
  'max_concurrent = 4\napi_key_env = "K"'.replace('\napi_key_env = "K"', "")
)

const endpoint = record({
  label: constantFrom("vllm-0", "vllm-1", "10.0.0.7", "fd00::7", "a", "pod with spaces", "x".repeat(90)),
  address: constantFrom("10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::1"),
  port: option(integer({ min: 1, max: 3 }), { nil: undefined })
})

const endpoints = array(endpoint, { maxLength: 8 })

const all = (list: ReadonlyArray<MemberPlace>, complete = true): MemberNews => ({
  _tag: "All",
  endpoints: list,
  complete
})

/** Members after some news, from those before. */
const after = (present: ReadonlyArray<Backend>, news: MemberNews, nowhereSince?: number, now = 0) => {
  const standing = { present, isTaken: () => false, nowhereSince }
  const { put, remove } = decideMembers(vllm, standing, news, now, 60_000)
  const left = new Map(present.filter(({ name }) => !remove.includes(name)).map((each) => [each.name, each]))
  for (const each of put) left.set(each.name, each)
  return [...left.values()]
}

const placesOf = (members: ReadonlyArray<Backend>) =>
  members.map(({ address, url }) => `${address} ${new URL(url).port}`)

describe("members of a backend", () => {
  test("are the servers that were heard of, each once, whatever there was before", () => {
    assert(
      property(endpoints, endpoints, (before, now) => {
        const members = after(after([], all(before)), all(now))
        const wanted = new Set(
          now.map(({ address, port }) => `${address} ${port === undefined || port === 80 ? "8000" : port}`)
        )
        expect(new Set(placesOf(members))).toEqual(wanted)
        expect(new Set(members.map(({ name }) => name)).size).toBe(members.length)
        for (const { name } of members) expect(name).toMatch(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/)
      })
    )
  })

  test("are left alone by what they are already, and by news that is none", () => {
    assert(
      property(endpoints, (list) => {
        const members = after([], all(list))
        const standing = { present: members, isTaken: () => false, nowhereSince: undefined }
        for (const news of [all(list), { _tag: "Failed", reason: "no answer" } as const]) {
          const { put, remove } = decideMembers(vllm, standing, news, 0, 60_000)
          expect([put, remove]).toEqual([[], []])
        }
      })
    )
  })

  test("are never taken out by news that may leave some out", () => {
    assert(
      property(endpoints, endpoints, (before, now) => {
        const members = after([], all(before))
        const names = after(members, all(now, false)).map(({ name }) => name)
        for (const { name } of members) expect(names).toContain(name)
      })
    )
  })

  test("stay for the grace when their name leads nowhere, and no longer", () => {
    const members = after([], all([{ label: "a", address: "10.0.0.1", port: undefined }]))
    const nowhere = { _tag: "Nowhere" } as const
    expect(after(members, nowhere, undefined, 1000)).toEqual(members)
    expect(after(members, nowhere, 1000, 60_999)).toEqual(members)
    expect(after(members, nowhere, 1000, 61_000)).toEqual([])
  })

  test("have the settings of their backend, its URL with their port, and their own address", () => {
    const [member] = after([], all([{ label: "vllm-0", address: "10.0.0.7", port: 9000, later: 2 }]))
    expect(member).toMatchObject({
      name: "vllm-0",
      url: "http://vllm.models:9000",
      address: "10.0.0.7",
      memberOf: "vllm",
      origin: "member",
      type: "vllm",
      maxConcurrent: 4,
      priority: 52
    })
  })

  test("take another name when one is somebody else's", () => {
    const news = all([{ label: "0", address: "10.0.0.7", port: undefined }])
    const standing = { present: [], isTaken: (name: string) => name === "vllm-0", nowhereSince: undefined }
    const [member] = decideMembers(vllm, standing, news, 0, 0).put
    expect(member?.name).toMatch(/^vllm-0-[0-9a-z]{6}$/)
  })

  test("are what a changed config makes of them at once, before anything is heard", () => {
    const members = after([], all([{ label: "a", address: "10.0.0.1", port: 9000 }]))
    const changed = followed("http://vllm.models:8000", "dns", "max_concurrent = 9")
    expect(adopted(changed, members)).toMatchObject([{ name: "vllm-a", address: "10.0.0.1", maxConcurrent: 9 }])
    expect(adopted(vllm, members)).toEqual([])
  })

  test("stand behind each other after a change of the config as they did before it", () => {
    const members = after(
      [],
      all([
        { label: "a", address: "10.0.0.1", port: 9000, later: 0 },
        { label: "b", address: "10.0.0.2", port: 9000, later: 2 }
      ])
    )
    const changed = followed("http://vllm.models:8000", "dns", "max_concurrent = 9\npriority = 7")
    expect(adopted(changed, members)).toMatchObject([
      { name: "vllm-a", priority: 7 },
      { name: "vllm-b", priority: 9 }
    ])
    expect(adopted(vllm, members)).toEqual([])
  })

  test("have names that are never too long, and differ where labels do", () => {
    assert(
      property(string({ minLength: 1, maxLength: 100 }), (label) => {
        expect(memberName("a", label)).toMatch(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/)
      })
    )
    expect(memberName("vllm", "x".repeat(90))).not.toBe(memberName("vllm", `${"x".repeat(90)}y`))
  })
})

describe("a backend whose name is followed", () => {
  test("may be named with its port as SRV records are", () => {
    const { backend, host, portName } = followed("https://_http._tcp.vllm.models.svc.cluster.local/api", "dns")
    expect([backend.url, host, portName]).toEqual([
      "https://vllm.models.svc.cluster.local/api",
      "vllm.models.svc.cluster.local",
      "http"
    ])
  })

  test.each([
    ["http://10.0.0.7:8000", "dns", "an address is one server"],
    ["http://[fd00::7]:8000", "kubernetes", "an address is one server"],
    ["http://vllm.models.example.org", "kubernetes", "expected the name of a Service"]
  ] as const)("is refused as %s by %s", (url, by, why) => {
    expect(mistakesOf(`[[backends]]\nname = "v"\nurl = "${url}"\nmembers = "${by}"`).join()).toContain(why)
  })

  test.each(["http://vllm", "http://vllm.models:8000", "https://_http._tcp.vllm.models.svc.cluster.local"])(
    "is good as %s",
    (url) => expect(followedFault(url, "kubernetes")).toBeUndefined()
  )

  test("needs a URL, and DNS servers that are addresses within the perimeter", () => {
    expect(mistakesOf('[[backends]]\nname = "v"\ntype = "openai"\nmembers = "dns"').join()).toContain("it needs a url")
    expect(mistakesOf('[discovery]\ndns_servers = ["ns.example"]').join()).toContain(
      "expected the address of a DNS server"
    )
    const bound = '[privacy]\nmode = "local-only"\n[discovery]\ndns_servers = ["8.8.8.8", "127.0.0.1:8600", "[::1]:53"]'
    expect(mistakesOf(bound).length).toBe(1)
  })
})
