import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { addressesWithin, networkFault, zoneOf, zoneOfAddress } from "../../src/backend/zone.ts"
import { isFurther } from "../../src/domain/zones.ts"
import { backend } from "../registry/backends.ts"

describe("the zone of a backend that says none", () => {
  const at = (url: string, type: "generic" | "openai" | "azure" = "generic") => zoneOf(backend("x", { url, type }))

  test.each([
    ["http://127.0.0.1:11434", "local"],
    ["http://localhost:8000", "local"],
    ["http://[::1]:8000", "local"],
    ["http://0.0.0.0:8000", "local"],
    ["http://[::ffff:127.0.0.1]:8000", "local"],
    ["http://127.1:8000", "local"],
    ["http://10.1.2.3:8000", "lan"],
    ["http://[::ffff:10.1.2.3]:8000", "lan"],
    ["http://172.31.0.1:8000", "lan"],
    ["http://192.168.1.5:8000", "lan"],
    ["http://169.254.1.1:8000", "lan"],
    ["http://100.100.1.1:8000", "lan"],
    ["http://[fd12::1]:8000", "lan"],
    ["http://gpu-box:8000", "lan"],
    ["http://gpu-box.local.:8000", "lan"],
    ["http://nas.home.arpa:8000", "lan"],
    ["http://8.8.8.8:8000", "cloud"],
    ["http://172.32.0.1:8000", "cloud"],
    ["http://100.128.0.1:8000", "cloud"],
    ["http://[2606:4700::1]:8000", "cloud"],
    ["http://[::ffff:8.8.8.8]:8000", "cloud"],
    ["https://llm.example.com", "cloud"]
  ])("%s is %s", (url, zone) => {
    expect(at(url)).toBe(zone)
  })

  test("is cloud for services in the cloud, wherever their address leads", () => {
    expect(at("https://10.0.0.5", "azure")).toBe("cloud")
    expect(at("http://127.0.0.1:9999", "openai")).toBe("cloud")
  })

  test("is what the definition says otherwise", () => {
    expect(zoneOf(backend("x", { url: "http://127.0.0.1:1", zone: "eu-dc" }))).toBe("eu-dc")
  })
})

const octets = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255))

test("an IPv4 address in the form of an IPv6 one is in the zone of what it stands for", () =>
  fc.assert(
    fc.property(octets, ([a, b, c, d]) => {
      const hex = `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
      const plain = zoneOfAddress(`${a}.${b}.${c}.${d}`)
      expect(zoneOfAddress(`::ffff:${a}.${b}.${c}.${d}`)).toBe(plain)
      expect(zoneOfAddress(`::ffff:${hex}`)).toBe(plain)
    })
  ))

test("an address is in a network when its first bits are those of the network", () =>
  fc.assert(
    fc.property(octets, octets, fc.integer({ min: 0, max: 32 }), (net, address, bits) => {
      const number = (of: typeof net): number => of.reduce((sum, each) => sum * 256 + each, 0)
      const unit = 2 ** (32 - bits)
      const expected = Math.floor(number(net) / unit) === Math.floor(number(address) / unit)
      expect(addressesWithin([`${net.join(".")}/${bits}`])(address.join("."))).toBe(expected)
    })
  ))

test("what is no address is in no network, and beyond", () => {
  for (const text of ["", "localhost", "127.1", "10.0.0.0/8", "999.1.1.1"]) {
    expect(addressesWithin(["0.0.0.0/0", "::/0"])(text)).toBe(false)
    expect(zoneOfAddress(text)).toBe("cloud")
  }
})

test("networks are told from what is none", () => {
  for (const good of ["10.0.0.0/8", "127.0.0.1", "fd00::/8", "::1", "0.0.0.0/0"]) {
    expect(networkFault(good)).toBeUndefined()
  }
  for (const bad of ["", "10.0.0.0/33", "10.0.0/8", "box", "::1/129", "10.0.0.0/", "fe80::1%eth0/64", "10.0.0.0/8/8"]) {
    expect(networkFault(bad)).toBeString()
  }
})

test("zones that somebody has named are never compared with how far an address is", () => {
  expect(isFurther("cloud", "eu-dc")).toBe(false)
  expect(isFurther("cloud", "lan")).toBe(true)
  expect(isFurther("lan", "local")).toBe(true)
  expect(isFurther("local", "lan")).toBe(false)
})
