import { createHash } from "node:crypto"
import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { makeAdmission, corsHeaders, admit } from "../../src/admission/access.ts"
import { KeyRing } from "../../src/admission/key-ring.ts"
import type { AuthKey } from "../../src/domain/grant.ts"
import { formOf } from "../kit/refusals.ts"

const digest = (key: string) => createHash("sha256").update(key).digest()

const keyed = (...keys: ReadonlyArray<AuthKey>) => {
  const ring = new KeyRing(keys)
  return () => ring
}

const base = { hostname: "127.0.0.1", allowedHosts: [], origins: [], keys: keyed() }

const ask = (
  rules: ReturnType<typeof makeAdmission>,
  headers: Record<string, string>,
  path = "/v1/models",
  peer = "127.0.0.1"
): number | undefined => {
  const request = new Request(`http://localhost${path}`, { headers: { host: "localhost:8000", ...headers } })
  const { refusal } = admit(rules, request, path, { now: () => 0, peer: () => peer })
  return refusal === undefined ? undefined : formOf(refusal).status
}

describe("on loopback", () => {
  const rules = makeAdmission({ ...base, allowedHosts: ["nexus.lan", "*.Tail1.ts.net"] })
  for (const host of [
    "localhost",
    "localhost:8000",
    "127.0.0.1:8000",
    "[::1]:8000",
    "LOCALHOST",
    "nexus.lan:80",
    "box.tail1.ts.net",
    "A.box.tail1.ts.net:443"
  ]) {
    test(`the Host ${host} is let in`, () => expect(ask(rules, { host })).toBeUndefined())
  }
  for (const host of [
    "evil.example",
    "evil.example:8000",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "[::2]",
    "tail1.ts.net",
    ".tail1.ts.net",
    "eviltail1.ts.net",
    "box.tail1.ts.net.evil.example",
    "a, b"
  ]) {
    test(`the Host ${host} is refused`, () => expect(ask(rules, { host })).toBeGreaterThanOrEqual(400))
  }
})

test("a link of another site may lead a person to the pages, and to nothing else", () => {
  const link = { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" }
  const rules = makeAdmission(base)
  expect([ask(rules, link, "/"), ask(rules, link, "/docs")]).toEqual([undefined, undefined])
  expect([ask(rules, link, "/v1/models"), ask(rules, link, "/health")]).toEqual([403, 403])
  expect(ask(rules, { ...link, host: "evil.example" }, "/")).toBe(403)
})

test("beyond loopback any Host is let in", () => {
  expect(ask(makeAdmission({ ...base, hostname: "0.0.0.0" }), { host: "gpu-box.lan" })).toBeUndefined()
})

describe("a browser page", () => {
  const rules = makeAdmission({ ...base, origins: ["https://chat.example"] })
  test("of a listed origin is let in and told so", () => {
    const headers = { origin: "https://chat.example", "sec-fetch-site": "cross-site" }
    expect(ask(rules, headers)).toBeUndefined()
    const cors = corsHeaders(rules, new Request("http://localhost/", { headers }))
    expect(cors["access-control-allow-origin"]).toBe("https://chat.example")
    expect(cors["access-control-allow-credentials"]).toBeUndefined()
  })
  test("of another origin is refused", () => {
    expect(ask(rules, { origin: "https://evil.example" })).toBe(403)
    expect(ask(rules, { origin: "null" })).toBe(403)
    expect(ask(rules, { "sec-fetch-site": "cross-site" })).toBe(403)
    for (const [mode, dest] of [
      ["no-cors", "script"],
      ["navigate", "iframe"]
    ] as const) {
      const sent = { "sec-fetch-site": "cross-site", "sec-fetch-mode": mode, "sec-fetch-dest": dest }
      expect(ask(rules, sent, "/")).toBe(403)
    }
    const headers = { origin: "https://evil.example" }
    expect(
      corsHeaders(rules, new Request("http://localhost/", { headers }))["access-control-allow-origin"]
    ).toBeUndefined()
  })
})

describe("with keys", () => {
  const shared = "nx-0123456789abcdefghij"
  const rules = makeAdmission({
    ...base,
    keys: keyed({ name: "one", digest: digest(`${shared}-one`) }, { name: "two", digest: digest(`${shared}-two`) })
  })
  test("each known key is let in", () => {
    expect(ask(rules, { authorization: `Bearer ${shared}-one` })).toBeUndefined()
    expect(ask(rules, { authorization: `bearer   ${shared}-two` })).toBeUndefined()
    for (const name of ["x-api-key", "api-key", "x-goog-api-key"]) {
      expect(ask(rules, { [name]: `${shared}-two` })).toBeUndefined()
      expect(ask(rules, { [name]: `${shared}-three` })).toBe(401)
    }
  })

  test("a known key is let in beside wrong ones, whichever header it is in and however often that is given", () => {
    const good = `${shared}-one`
    for (const headers of [
      { authorization: "Bearer not-needed", "x-api-key": good },
      { authorization: `Bearer ${good}`, "api-key": "wrong" },
      { authorization: "Basic dXNlcjpwYXNz", "x-goog-api-key": good },
      { authorization: good, "api-key": good },
      { authorization: `Bearer wrong, Bearer ${good}` },
      { "x-api-key": `wrong, ${good}` }
    ]) {
      expect(ask(rules, headers)).toBeUndefined()
    }
    expect(ask(rules, { authorization: "Bearer a", "x-api-key": "b", "api-key": "c", "x-goog-api-key": "d" })).toBe(401)
    expect(ask(rules, { "x-api-key": `wrong ${good}` })).toBe(401)
  })

  test("whoever puts the key into the URL is told why it is not taken, and the key is not told", () => {
    for (const name of ["key", "api_key", "api-key", "apiKey"]) {
      const request = new Request(`http://localhost/v1/models?${name}=${shared}-one`, {
        headers: { host: "localhost" }
      })
      const { refusal } = admit(rules, request, "/v1/models", { now: () => 0, peer: () => "127.0.0.1" })
      const { status, message } = refusal === undefined ? { status: 200, message: "" } : formOf(refusal)
      expect([status, message]).toEqual([401, expect.stringContaining("in the URL is not taken")])
      expect(message).not.toContain(shared)
    }
  })
  test("no key, an unknown one, and one that shares a long prefix are refused", () => {
    expect(ask(rules, {})).toBe(401)
    expect(ask(rules, { authorization: `Bearer ${shared}-three` })).toBe(401)
    expect(ask(rules, { authorization: `Bearer ${shared}` })).toBe(401)
    expect(ask(rules, { authorization: `Basic ${shared}-one` })).toBe(401)
    expect(ask(rules, { authorization: "" })).toBe(401)
  })
  test("liveness, readiness and the pages stay open", () => {
    expect(ask(rules, {}, "/livez")).toBeUndefined()
    expect(ask(rules, {}, "/readyz")).toBeUndefined()
    expect(ask(rules, {}, "/")).toBeUndefined()
    expect(ask(rules, {}, "/docs")).toBeUndefined()
    expect(ask(rules, {}, "/health")).toBe(401)
  })
})

describe("administration", () => {
  const path = "/admin/v1/decisions"
  const open = makeAdmission({ ...base, hostname: "0.0.0.0" })
  const digest = createHash("sha256").update("key").digest()
  const chief = { name: "chief", digest: createHash("sha256").update("chief").digest(), admin: true }
  const locked = makeAdmission({ ...base, hostname: "0.0.0.0", keys: keyed({ name: "one", digest }, chief) })

  for (const peer of ["127.0.0.1", "::1", "::ffff:127.0.0.1"]) {
    test(`without keys is open to this machine, at ${peer}`, () => expect(ask(open, {}, path, peer)).toBeUndefined())
  }

  for (const peer of ["192.168.1.7", "::ffff:10.0.0.2", "fe80::1", "1270.0.1", ""]) {
    test(`without keys is shut to others, at '${peer}'`, () => {
      expect(ask(open, {}, path, peer)).toBe(403)
      expect(ask(open, {}, "/v1/models", peer)).toBeUndefined()
    })
  }

  test("with keys needs one of them on this machine, and an administrator's from others", () => {
    expect(ask(locked, {}, path, "127.0.0.1")).toBe(401)
    expect(ask(locked, { authorization: "Bearer key" }, path, "127.0.0.1")).toBeUndefined()
    expect(ask(locked, { authorization: "Bearer key" }, path, "192.168.1.7")).toBe(403)
    expect(ask(locked, { authorization: "Bearer key" }, "/v1/models", "192.168.1.7")).toBeUndefined()
    expect(ask(locked, { authorization: "Bearer chief" }, path, "192.168.1.7")).toBeUndefined()
    expect(ask(locked, { authorization: "Bearer wrong" }, path, "192.168.1.7")).toBe(401)
    expect(ask(locked, { authorization: "Bearer key", "x-api-key": "chief" }, path, "192.168.1.7")).toBeUndefined()
    expect(ask(locked, { authorization: "Bearer key", "x-api-key": "wrong" }, path, "192.168.1.7")).toBe(403)
  })
})

describe("a key", () => {
  const at = (rules: ReturnType<typeof makeAdmission>, given: string, now: number, peer = "127.0.0.1") => {
    const request = new Request("http://localhost/v1/models", {
      headers: { host: "localhost", authorization: `Bearer ${given}` }
    })
    const { grant, refusal } = admit(rules, request, "/v1/models", { now: () => now, peer: () => peer })
    return grant?.name ?? (refusal === undefined ? "" : formOf(refusal).message)
  }

  test("counts from its beginning to its end, and the one before it to its own end", () => {
    const rules = makeAdmission({
      ...base,
      keys: keyed({
        name: "a",
        digest: digest("new"),
        notBefore: 100,
        expires: 200,
        previous: { digest: digest("old"), until: 150 }
      })
    })
    expect([99, 100, 199, 200].map((now) => at(rules, "new", now))).toEqual([
      "The API key is not valid yet",
      "a",
      "a",
      "The API key has expired"
    ])
    expect([149, 150].map((now) => at(rules, "old", now))).toEqual(["a", "The API key has expired"])
  })

  test("counts from its networks alone, however the address is written", () => {
    const networks = ["10.0.0.0/8", "fd00::/8", "192.0.2.7/32"]
    const rules = makeAdmission({ ...base, keys: keyed({ name: "a", digest: digest("a"), networks }) })
    for (const peer of ["10.1.2.3", "::ffff:10.1.2.3", "::FFFF:10.1.2.3", "fd12::1", "fd12::1%eth0", "192.0.2.7"]) {
      expect([peer, at(rules, "a", 0, peer)]).toEqual([peer, "a"])
    }
    for (const peer of ["11.1.2.3", "::ffff:11.1.2.3", "fe80::1", "192.0.2.8", "", "unknown"]) {
      expect([peer, at(rules, "a", 0, peer)]).toEqual([peer, "The API key may not be used from this address"])
    }
  })

  test("is found among ten thousand as among one, each by itself (law)", () => {
    const names = Array.from({ length: 10_000 }, (_, index) => `key-${index}`)
    const many = makeAdmission({ ...base, keys: keyed(...names.map((name) => ({ name, digest: digest(name) }))) })
    fc.assert(
      fc.property(fc.nat({ max: 20_000 }), (index) => {
        const wanted = index < names.length ? `key-${index}` : "The API key is not known"
        expect(at(many, `key-${index}`, 0)).toBe(wanted)
      }),
      { numRuns: 200 }
    )
  })
})
