import { expect, test } from "bun:test"
import fc from "fast-check"
import { hostPlaces, isInContainer, localPlaces, slugOf } from "../../src/discovery/places.ts"
import { hostPortOf, isLocalName, serverOf } from "../../src/domain/url-host.ts"
import { mistakesOf } from "../config/reading.ts"
import { isAddress, isSameMachine } from "../../src/discovery/same-machine.ts"

const backendName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

test("places have stable names, valid as those of backends", () => {
  const suffixes = (host: string, port?: number) =>
    hostPlaces({ host, port }, [11434, 8000]).map(({ suffix }) => suffix)
  expect(suffixes("gpu-box")).toEqual(["gpu-box-11434", "gpu-box-8000"])
  expect(suffixes("10.0.0.5", 9000)).toEqual(["10.0.0.5-9000"])
  expect(suffixes("[fd00::1]", 9000)).toEqual(["fd00--1-9000"])
  expect(localPlaces([11434])[0]?.suffix).toBe("11434")
})

test("any text makes a valid part of a name, and the same one each time", () =>
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      expect(`llamacpp-${slugOf(text)}-65535-abcdef`).toMatch(backendName)
      expect(slugOf(text)).toBe(slugOf(text))
    })
  ))

test("long names that begin alike stay apart", () => {
  const long = "a".repeat(60)
  expect(slugOf(`${long}1`)).not.toBe(slugOf(`${long}2`))
  expect([slugOf("Jörg's Büro"), slugOf("...x..")]).toEqual(["Jorg-s-Buro", "x"])
})

test("a container is told by what Docker, Podman and Kubernetes leave in it", () => {
  const facts = (file: string, cgroup: string) => isInContainer({ has: (path) => path === file, cgroup })
  expect([facts("/.dockerenv", ""), facts("/run/.containerenv", "0::/\n")]).toEqual([true, true])
  const groups = [
    "12:cpu:/docker/0123456789ab",
    "0::/system.slice/docker-0123.scope",
    "0::/kubepods.slice/kubepods-pod1.slice",
    "1:name=systemd:/machine.slice/libpod-0123.scope"
  ]
  expect(groups.map((group) => facts("", group))).toEqual([true, true, true, true])
  expect(["", "0::/\n", "0::/init.scope", "0::/user.slice/dockerish"].map((group) => facts("", group))).toEqual([
    false,
    false,
    false,
    false
  ])
})

test("endpoints are told apart by host and port, whatever the path", () => {
  expect(["http://Box:81/x", "https://box", "http://[::1]:1/", "http://box.", "nonsense"].map(hostPortOf)).toEqual([
    { host: "box", port: 81 },
    { host: "box", port: 443 },
    { host: "::1", port: 1 },
    { host: "box", port: 80 },
    undefined
  ])
  expect(["localhost", "127.0.0.9", "a.localhost", "::1", "0.0.0.0"].map(isLocalName)).toEqual(Array(5).fill(true))
  expect(["box", "10.0.0.1", "localhost.example"].map(isLocalName)).toEqual([false, false, false])
  expect(["10.0.0.1", "fd00::1", "box", "10.box"].map(isAddress)).toEqual([true, true, false, false])
})

test("being the same machine goes both ways", () => {
  const place = fc.record({
    own: fc.boolean(),
    addresses: fc.array(fc.constantFrom("10.0.0.1", "10.0.0.2", "fd00::1"))
  })
  fc.assert(fc.property(place, place, (a, b) => isSameMachine(a, b) === isSameMachine(b, a)))
})

test("a server is the same by every name of this machine, and by no other host, port or path", () => {
  const here = ["localhost", "LOCALHOST.", "127.0.0.1", "[::1]", "a.localhost"]
  expect(new Set(here.map((host) => serverOf(`http://${host}/base/`)))).toEqual(new Set(["localhost:80/base"]))
  expect(new Set(["https://box", "https://Box:443/", "https://box."].map(serverOf)).size).toBe(1)
  const others = [
    "http://box:1",
    "http://box:2",
    "http://box:1/a",
    "http://boxer:1",
    "http://10.0.0.1:1",
    "http://127.0.0.1:1",
    "http://127.0.0.2:1"
  ]
  expect(new Set(others.map(serverOf)).size).toBe(others.length)
})

test("a config that names one server twice, by two names of this machine, is refused", () => {
  const entry = (name: string, url: string) => `[[backends]]\nname = "${name}"\nurl = "${url}"\n`
  expect(mistakesOf(entry("one", "http://127.0.0.1:28101") + entry("two", "http://localhost:28101/v1/"))).toEqual([
    `nexus.toml:6: backends[1].url = "http://localhost:28101/v1/": backends[0].url (line 3) is the same server with the same key`
  ])
})
