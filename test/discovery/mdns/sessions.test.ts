import { expect } from "bun:test"
import { Effect, Exit, Logger, Scope } from "effect"
import { TestClock } from "effect/testing"
import { announce } from "../../../src/discovery/mdns/Announcer.ts"
import { browse } from "../../../src/discovery/mdns/Browser.ts"
import { LinkFailed, type OpenLink } from "../../../src/discovery/mdns/Link.ts"
import { FakeLink } from "../stage.ts"
import { effect } from "../../kit/effect.ts"
import { announced } from "./packets.ts"

const options = { types: ["_ollama._tcp"], interface: undefined }

const logging = (log: Array<string>) =>
  Logger.layer([Logger.make(({ message }) => void log.push([message].flat().join(" ")))])

effect("a network that cannot be used is told of once, and taken when it can", () => {
  const link = new FakeLink()
  const log: Array<string> = []
  let opened = 0
  const open: OpenLink = () =>
    Effect.suspend(() => {
      opened += 1
      return opened < 4 ? Effect.fail(new LinkFailed({ reason: "no route" })) : Effect.succeed(link.link)
    })
  return Effect.gen(function* () {
    const { adverts } = yield* browse({ ...options, open })
    yield* TestClock.adjust("5 minutes")
    link.hear({ records: announced("Box", ["10.0.0.5"]) })
    yield* TestClock.adjust("1 second")
    expect((yield* adverts).map(({ label }) => label)).toEqual(["Box"])
    expect([opened, log]).toEqual([4, ["mDNS cannot be used, nothing is found by it"]])
  }).pipe(Effect.provide(logging(log)))
})

effect("questions come soon at first and ever later, and soon again when something has changed", () => {
  const link = new FakeLink()
  return Effect.gen(function* () {
    yield* browse({ ...options, open: link.open })
    yield* TestClock.adjust("10 minutes")
    const quiet = link.asked.length
    expect(quiet).toBeGreaterThan(10)
    expect(quiet).toBeLessThan(16)
    link.hear({ records: announced("Box", ["10.0.0.5"]) })
    yield* TestClock.adjust("5 seconds")
    expect(link.asked.length).toBeGreaterThan(quiet + 1)
  })
})

effect("a flood of changes makes no flood of questions", () => {
  const link = new FakeLink()
  return Effect.gen(function* () {
    yield* browse({ ...options, open: link.open })
    for (let second = 0; second < 20; second++) {
      for (let at = 0; at < 50; at++) link.hear({ records: announced("Box", [`10.0.${second}.${at}`]) })
      yield* TestClock.adjust("1 second")
    }
    expect(link.asked.length).toBeLessThanOrEqual(22)
  })
})

const announcing = (
  link: FakeLink,
  body: (close: Effect.Effect<void>) => Effect.Effect<void>,
  log: Array<string> = []
) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    yield* announce({ host: "0.0.0.0", port: 8000, interface: undefined, open: link.open }).pipe(Scope.provide(scope))
    yield* body(Scope.close(scope, Exit.void))
  }).pipe(Effect.provide(logging(log)))

const ttls = (link: FakeLink) =>
  link.said.map((records) => (records.every(({ ttl }) => ttl === 0) ? "goodbye" : "here"))

effect("Nexus asks whether its name is free, announces itself twice, and says goodbye at the end", () => {
  const link = new FakeLink()
  return announcing(link, (close) =>
    Effect.gen(function* () {
      yield* TestClock.adjust("5 seconds")
      expect([link.asked.length, ttls(link)]).toEqual([3, ["here", "here"]])
      yield* close
      expect(ttls(link)).toEqual(["here", "here", "goodbye"])
    })
  )
})

effect("who asks is answered, however many ask, once in a second", () => {
  const link = new FakeLink()
  return announcing(link, () =>
    Effect.gen(function* () {
      yield* TestClock.adjust("5 seconds")
      for (let at = 0; at < 100; at++) {
        link.hear({ isResponse: false, questions: [{ name: "_llm._tcp.local", type: "PTR" }] })
      }
      yield* TestClock.adjust("1 second")
      expect(link.said).toHaveLength(3)
    })
  )
})

effect("a name that somebody else has is left to it", () => {
  const link = new FakeLink()
  return announcing(link, () =>
    Effect.gen(function* () {
      yield* TestClock.adjust("5 seconds")
      const service = link.said[0]?.find(({ type }) => type === "SRV")
      link.hear({ records: [{ ...service, data: { port: 8000, target: "other.local" } }] })
      yield* TestClock.adjust("5 seconds")
      const [, , farewell, next] = link.said
      expect(farewell?.every(({ ttl }) => ttl === 0)).toBe(true)
      expect(String(next?.[0]?.data)).toEndWith(" port 8000 (2)._llm._tcp.local")
    })
  )
})

effect("somebody who takes every name stops the announcement for a minute, and makes no storm", () => {
  const link = new FakeLink()
  const log: Array<string> = []
  return announcing(
    link,
    () =>
      Effect.gen(function* () {
        for (let second = 0; second < 50; second++) {
          yield* TestClock.adjust("1 second")
          const name = link.asked.at(-1)?.replace(/ ANY$/, "") ?? ""
          link.hear({ records: [{ name, type: "SRV", ttl: 120, data: { port: 1, target: "evil.local" } }] })
        }
        expect(log).toContain("mDNS cannot be used, Nexus is not announced")
        expect(link.asked.length).toBeLessThan(60)
      }),
    log
  )
})
