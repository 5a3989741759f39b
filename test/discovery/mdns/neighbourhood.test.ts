import { expect, test } from "bun:test"
import {
  type InterfaceAddress,
  addressesOn,
  chosenInterfaces,
  localNetwork
} from "../../../src/discovery/mdns/local-network.ts"

const at = (name: string, cidr: string, internal = false): InterfaceAddress => ({
  name,
  cidr,
  address: cidr.replace(/\/.*/, ""),
  family: cidr.includes(":") ? "IPv6" : "IPv4",
  internal
})

const all = [
  at("lo", "127.0.0.1/8", true),
  at("lo", "::1/128", true),
  at("eth0", "203.0.113.5/24"),
  at("eth0", "2001:db8:1::5/64"),
  at("eth0", "fe80::5/64"),
  at("eth0", "203.0.113.6/24"),
  at("wlan0", "10.1.0.5/16")
]
const { isNear, isOwn } = localNetwork(all)

test("neighbours are private addresses, and public ones of the networks this machine is in", () => {
  const near = ["10.9.9.9", "192.168.1.1", "172.16.0.1", "169.254.1.1", "fd00::1", "203.0.113.77", "2001:db8:1::77"]
  expect(near.filter((address) => !isNear(address))).toEqual([])
  const far = ["8.8.8.8", "203.0.114.1", "2001:db8:2::1", "127.0.0.1", "::1", "::ffff:10.0.0.1", "fe80::9"]
  expect([...far, "224.0.0.1", "ff02::fb", "0.0.0.0", "", "box", "10.0.0"].filter(isNear)).toEqual([])
})

test("its own addresses are this machine's, loopback included", () => {
  expect(["127.0.0.9", "::1", "203.0.113.5", "2001:DB8:1::5"].map(isOwn)).toEqual([true, true, true, true])
  expect(["203.0.113.7", "box"].map(isOwn)).toEqual([false, false])
})

test("the interfaces are all but loopback, or the one that is named", () => {
  expect(chosenInterfaces(all, undefined)).toEqual(["203.0.113.5", "10.1.0.5"])
  expect(["lo", "127.0.0.1", "wlan0", "203.0.113.6", "eth9"].map((name) => chosenInterfaces(all, name))).toEqual([
    ["127.0.0.1"],
    ["127.0.0.1"],
    ["10.1.0.5"],
    ["203.0.113.6"],
    []
  ])
  expect(addressesOn(all, ["203.0.113.5"])).toEqual(["203.0.113.5", "203.0.113.6", "2001:db8:1::5"])
})
