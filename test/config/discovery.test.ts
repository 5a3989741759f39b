import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import fc from "fast-check"
import { readHost } from "../../src/config/hosts.ts"
import { loadedFrom, mistakesOf } from "./reading.ts"

const one = `[[backends]]\nname = "one"\nurl = "http://h:1"\n`

describe("[discovery] hosts", () => {
  test("takes names and addresses, with a port and without", () => {
    const read = (text: string) => {
      const result = readHost(text)
      return Result.isSuccess(result) ? [result.success.host, result.success.port] : result.failure
    }
    expect(["gpu-box", "GPU.lan", "10.0.0.5", "box:9000", "my_box", "[fd00::1]", "[FD00::1]:9000"].map(read)).toEqual([
      ["gpu-box", undefined],
      ["gpu.lan", undefined],
      ["10.0.0.5", undefined],
      ["box", 9000],
      ["my_box", undefined],
      ["[fd00::1]", undefined],
      ["[fd00::1]", 9000]
    ])
  })

  const example = `expected a host such as "gpu-box" or "10.0.0.5", or one with its port, such as "gpu-box:9000"`
  const rows: ReadonlyArray<readonly [what: string, host: string, reason: string]> = [
    ["a URL", "http://box:9000/v1", `expected the host alone, without http:// and path; write "box:9000"`],
    ["a path", "box:9000/v1", `expected the host alone, without a path; write "box:9000"`],
    ["a range", "10.0.0.0/24", "a range is not searched; name each host"],
    ["IPv6 without brackets", "fd00::1", `an IPv6 address needs brackets; write "[fd00::1]"`],
    ["a zone", "[fe80::1%eth0]", "an address with a zone cannot be called; give a name or another address"],
    ["a port that is none", "box:70000", "the port must be a whole number from 1 to 65535"],
    ["an empty port", "box:", "the port must be a whole number from 1 to 65535"],
    ["a wildcard", "0.0.0.0", "this is an address to listen on, not one to call; name the host"],
    ["nothing", "", example],
    ["a space", "gpu box", example],
    ["a number that would be an address", "10", example],
    ["an address that is none", "300.1.1.1", example],
    ["a star", "*.lan", example]
  ]
  for (const [what, host, reason] of rows) {
    test(`refuses ${what}, and says what would be right`, () => {
      const text = `[discovery]\nhosts = [\n  "fine",\n  ${JSON.stringify(host)}\n]`
      expect(mistakesOf(text)).toEqual([`nexus.toml:4: discovery.hosts[1] = ${JSON.stringify(host)}: ${reason}`])
    })
  }

  test("refuses the same host twice, and too many", () => {
    expect(mistakesOf(`[discovery]\nhosts = ["box", "BOX"]`)).toEqual([
      `nexus.toml:2: discovery.hosts[1] = "BOX": discovery.hosts[0] (line 2) is the same host`
    ])
    const many = Array.from({ length: 65 }, (_, at) => `"h${at}"`).join(", ")
    expect(mistakesOf(`[discovery]\nhosts = [${many}]`)).toEqual([
      "nexus.toml:2: discovery.hosts has 65 entries; at most 64 are allowed"
    ])
  })

  test("whatever is taken makes a URL of that very host", () =>
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.domain(),
          fc.ipV4(),
          fc.ipV6().map((ip) => `[${ip}]`)
        ),
        (text) => {
          const read = readHost(text)
          if (Result.isFailure(read)) return expect(read.failure).not.toBe("")
          const { host, port } = read.success
          const url = new URL(`http://${host}:${port ?? 1234}`)
          expect([url.hostname, url.pathname, url.username]).toEqual([host, "/", ""])
        }
      )
    ))
})

test("[discovery] mdns_types refuses what is no type, and says what would be right", () => {
  expect(mistakesOf(`[discovery]\nmdns_types = ["_exo._tcp", "_exo._tcp.local", "_exo._udp", "exo"]`)).toEqual([
    `nexus.toml:2: discovery.mdns_types[1] = "_exo._tcp.local": expected the type without its domain; write "_exo._tcp"`,
    `nexus.toml:2: discovery.mdns_types[2] = "_exo._udp": LLM servers speak over TCP; expected a type such as "_ollama._tcp"`,
    `nexus.toml:2: discovery.mdns_types[3] = "exo": expected a service type such as "_ollama._tcp"`
  ])
})

test("discovery is on whatever is said of hosts and mDNS, unless it is switched off", () => {
  const on = (lines: string) => loadedFrom(`${one}[discovery]\n${lines}`).discovery
  expect([on(""), on(`hosts = ["box"]`), on("mdns = true"), on("announce = true")]).toEqual([true, true, true, true])
  expect(on(`enabled = false\nhosts = ["box"]`)).toBe(false)
})

test("settings of discovery that do nothing are told of", () => {
  const warnings = (text: string) => loadedFrom(text).warnings
  expect(warnings(`[discovery]\nenabled = false\nmdns = true\nhosts = ["box"]`)).toEqual([
    "nexus.toml:2: discovery.hosts and discovery.mdns: without effect while discovery is off"
  ])
  expect(warnings(`[discovery]\nannounce = true`)).toEqual([
    "nexus.toml:2: discovery.announce: without effect, nobody else can reach 127.0.0.1; set server.host to announce Nexus"
  ])
  expect(
    warnings(
      `[server]\nhost = "10.0.0.1"\n[[auth.keys]]\nname = "k"\nsha256 = "${"a".repeat(64)}"\n[discovery]\nannounce = true`
    )
  ).toEqual([])
})
