import { expect, test } from "bun:test"
import fc from "fast-check"
import { addRecords, advertsOf, noAdverts } from "../../../src/discovery/mdns/adverts.ts"
import {
  announcement,
  answersTo,
  goodbye,
  type Identity,
  instanceName,
  isTaken
} from "../../../src/discovery/mdns/announcement.ts"
import { addressesFor } from "../../../src/discovery/mdns/Announcer.ts"
import { readRecords } from "../../../src/discovery/mdns/records.ts"
import { anyRecords } from "./packets.ts"

const nexus: Identity = {
  hostname: "box.lan",
  port: 8000,
  version: "1.2.3",
  addresses: ["10.0.0.1", "fd00::1"],
  number: 1
}
const ask = (name: string, type: string, known: ReadonlyArray<unknown> = []) =>
  answersTo([{ name, type }], readRecords(known), nexus).map((record) => `${record.type} ${record.name}`)

test("who asks for LLM servers, or for anything Nexus says, gets it", () => {
  const own = "Nexus on box port 8000._llm._tcp.local"
  const host = "nexus-box-8000.local"
  const service = [`SRV ${own}`, `TXT ${own}`, `A ${host}`, `AAAA ${host}`]
  expect(ask("_llm._tcp.local", "PTR")).toEqual(["PTR _llm._tcp.local", ...service])
  expect(ask("_LLM._tcp.LOCAL", "ANY")).toEqual(["PTR _llm._tcp.local", ...service])
  expect(ask(own.toUpperCase(), "SRV")).toEqual(service)
  expect(ask(host, "A")).toEqual([`A ${host}`, `AAAA ${host}`])
  expect(ask("_services._dns-sd._udp.local", "PTR")).toEqual(["PTR _services._dns-sd._udp.local"])
  expect([ask("_ollama._tcp.local", "PTR"), ask("_llm._tcp.local", "A")]).toEqual([[], []])
})

test("who knows it already gets no answer", () => {
  const known = (ttl: number) => [{ name: "_llm._tcp.local", type: "PTR", ttl, data: instanceName(nexus) }]
  expect(ask("_llm._tcp.local", "PTR", known(4000))).toEqual([])
  expect(ask("_llm._tcp.local", "PTR", known(100))).not.toEqual([])
})

test("the announcement says version, path and type, and every goodbye takes all of it back", () => {
  const text = announcement(nexus).find(({ type }) => type === "TXT")?.data
  expect(text).toEqual(["txtvers=1", "type=nexus", "version=1.2.3", "path=/v1"])
  expect(goodbye(nexus).map(({ name, type, data }) => [name, type, data])).toEqual(
    announcement(nexus).map(({ name, type, data }) => [name, type, data])
  )
  expect(goodbye(nexus).every(({ ttl }) => ttl === 0)).toBe(true)
})

test("a Nexus is no candidate of another Nexus that hears it", () => {
  const bytes = ["type=nexus"].map((each) => Buffer.from(each))
  const sent = announcement(nexus).map(({ name, type, ttl, data }) => ({
    name,
    type,
    ttl,
    data: type === "TXT" ? bytes : data
  }))
  const heard = addRecords(noAdverts, readRecords(sent), { now: 0, types: ["_llm._tcp"], isUsable: () => true })
  expect(heard.instances.size).toBe(1)
  expect(advertsOf(heard, 0)).toEqual([])
})

test("a name is taken when somebody else says where it is, and free when Nexus hears itself", () => {
  const other = (change: Partial<Identity>) => readRecords(announcement({ ...nexus, ...change }))
  expect(isTaken(other({}), nexus)).toBe(false)
  expect(isTaken(other({ addresses: ["10.0.0.2"] }), nexus)).toBe(true)
  expect(isTaken(other({ number: 2 }), nexus)).toBe(false)
  expect(isTaken(readRecords(goodbye({ ...nexus, addresses: ["10.0.0.2"] })), nexus)).toBe(false)
})

test("no question makes more records than there are to say, and each only once", () =>
  fc.assert(
    fc.property(fc.array(fc.anything()), anyRecords, (questions, known) => {
      const asked = [...questions, ...Array.from({ length: 9 }, () => ({ name: "_llm._tcp.local", type: "ANY" }))]
      const answers = answersTo(asked, readRecords(known), nexus)
      expect(new Set(answers.map((each) => JSON.stringify(each))).size).toBe(answers.length)
      expect(answers.length).toBeLessThanOrEqual(announcement(nexus).length + 1)
    })
  ))

test("names of machines, whatever they are, make one label of at most 63 bytes", () =>
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 200 }), (hostname) => {
      const label = instanceName({ ...nexus, hostname, number: 9 }).slice(0, -"._llm._tcp.local".length)
      expect(label).toMatch(/^[A-Za-z0-9 ()-]+$/)
      expect(label.length).toBeLessThanOrEqual(63)
    })
  ))

test("the addresses that are announced are those that Nexus listens on", () => {
  const all = ["10.0.0.1", "fd00::1"]
  expect(
    ["0.0.0.0", "::", "[::]", "10.0.0.1", "fd00::1", "10.9.9.9", "box.lan"].map((host) => addressesFor(host, all))
  ).toEqual([["10.0.0.1"], all, all, ["10.0.0.1"], ["fd00::1"], [], all])
})
