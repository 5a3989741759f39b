import { expect } from "bun:test"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { effect } from "../kit/effect.ts"
import { announced } from "./mdns/packets.ts"
import { backend, down, up } from "../registry/backends.ts"
import { FakeLink, nowhere, ollama, openai, type Stage, stagedWith } from "./stage.ts"

const nothing = () => Effect.void
const serving =
  (...origins: ReadonlyArray<string>) =>
  ({ world }: Stage) =>
    Effect.sync(() => origins.forEach((origin) => world.serve(origin, ollama)))

const mine =
  (url: string, ...origins: ReadonlyArray<string>) =>
  (stage: Stage) =>
    Effect.andThen(serving(...origins)(stage), stage.registry.put(backend("mine", { url })))

const types = ["_ollama._tcp", "_llm._tcp"]

/** Discovery that hears `link` alone. */
const listening = (
  link: FakeLink,
  body: (stage: Stage) => Effect.Effect<void>,
  prepare = serving("http://10.0.0.5:11434")
) => stagedWith({ mdns: { types, interface: undefined }, open: link.open }, prepare, body)()

const soon = TestClock.adjust("2 seconds")

effect("a server that announces itself is found within seconds, and asked what it is", () => {
  const link = new FakeLink()
  return listening(link, ({ world, registry }) =>
    Effect.gen(function* () {
      expect(link.asked).toEqual(["_ollama._tcp.local PTR", "_llm._tcp.local PTR"])
      link.hear({ records: announced("Big box", ["10.0.0.5"], { txt: ["type=vllm", "version=9"] }) })
      yield* soon
      const found = registry.snapshot().backends.get("ollama-Big-box")?.backend
      expect([found?.url, found?.type, found?.origin]).toEqual(["http://10.0.0.5:11434", "ollama", "discovered"])
      expect(world.asked.every(({ headers }) => !("authorization" in headers))).toBe(true)
    })
  )
})

effect("what announces itself and is no LLM server, or a Nexus, is no backend", () => {
  const link = new FakeLink()
  const prepare = ({ world }: Stage) =>
    Effect.sync(() => {
      world.serve("http://10.0.0.5:80", { "/v1/models": { text: "<!doctype html>" } })
      world.serve("http://10.0.0.6:8000", { "/v1/models": openai("nexus") })
      world.serve("http://10.0.0.1:7009", ollama)
      world.serve("http://127.0.0.1:11434", ollama)
    })
  return listening(
    link,
    ({ names: list, world }) =>
      Effect.gen(function* () {
        link.hear({ records: announced("Page", ["10.0.0.5"], { port: 80 }) })
        link.hear({ records: announced("Hidden Nexus", ["10.0.0.6"], { port: 8000 }) })
        link.hear({ records: announced("Nexus", ["10.0.0.7"], { txt: ["type=nexus"] }) })
        link.hear({ records: announced("Loop", ["127.0.0.1", "8.8.8.8", "10.0.0.1"]) })
        link.hear({ records: announced("Query", ["10.0.0.8"]), isResponse: false })
        yield* TestClock.adjust("1 minute")
        expect(list()).toEqual([])
        expect(world.asked.filter(({ url }) => !/10\.0\.0\.[56]:/.test(url))).toEqual([])
      }),
    prepare
  )
})

effect("a hinted base path is tried first, and a wrong one does no harm", () => {
  const link = new FakeLink()
  const prepare = ({ world }: Stage) =>
    Effect.sync(() => {
      world.serve("http://10.0.0.5:1", { "/llm/v1/models": openai("vllm") })
      world.serve("http://10.0.0.6:1", { "/v1/models": openai("vllm") })
    })
  return listening(
    link,
    ({ urls }) =>
      Effect.gen(function* () {
        link.hear({ records: announced("A", ["10.0.0.5"], { port: 1, txt: ["path=/llm/v1"] }) })
        link.hear({ records: announced("B", ["10.0.0.6"], { port: 1, txt: ["api_path=/wrong"] }) })
        yield* soon
        expect(urls()).toEqual(["http://10.0.0.5:1/llm", "http://10.0.0.6:1"])
      }),
    prepare
  )
})

effect("one that says goodbye is kept for the grace, and taken out after it", () => {
  const link = new FakeLink()
  return listening(link, ({ registry, names: list, log }) =>
    Effect.gen(function* () {
      link.hear({ records: announced("Box", ["10.0.0.5"]) })
      yield* soon
      yield* registry.noteProbe("ollama-Box", up("m"))
      link.hear({ records: announced("Box", ["10.0.0.5"], { ttl: 0 }) })
      yield* TestClock.adjust("55 seconds")
      expect(registry.snapshot().backends.get("ollama-Box")?.health.status).toBe("healthy")
      yield* TestClock.adjust("25 seconds")
      expect(list()).toEqual([])
      expect(log.slice(-1)).toEqual(["backend has gone, removed"])
    })
  )
})

effect("one that flaps within the grace keeps its state, and nothing is said of it", () => {
  const link = new FakeLink()
  return listening(link, ({ registry, log }) =>
    Effect.gen(function* () {
      link.hear({ records: announced("Box", ["10.0.0.5"]) })
      yield* soon
      yield* registry.noteProbe("ollama-Box", up("m"))
      const before = registry.snapshot().backends.get("ollama-Box")
      const told = log.length
      for (let flap = 0; flap < 5; flap++) {
        link.hear({ records: announced("Box", ["10.0.0.5"], { ttl: 0 }) })
        yield* TestClock.adjust("40 seconds")
        link.hear({ records: announced("Box", ["10.0.0.5"]) })
        yield* TestClock.adjust("20 seconds")
      }
      expect(registry.snapshot().backends.get("ollama-Box")).toBe(before)
      expect(log.slice(told)).toEqual([])
    })
  )
})

effect("one that is no longer heard of stays while it answers, and goes when it does not", () => {
  const link = new FakeLink()
  return listening(link, ({ registry, world, names: list }) =>
    Effect.gen(function* () {
      link.hear({ records: announced("Box", ["10.0.0.5"]) })
      yield* soon
      yield* registry.noteProbe("ollama-Box", up("m"))
      yield* TestClock.adjust("10 minutes")
      expect(list()).toEqual(["ollama-Box"])
      world.kill("http://10.0.0.5:11434")
      yield* registry.noteProbe("ollama-Box", down)
      yield* TestClock.adjust("90 seconds")
      expect(list()).toEqual([])
    })
  )
})

effect("one with a new address is the same backend at another URL", () => {
  const link = new FakeLink()
  return listening(
    link,
    ({ registry, names: list, urls, log }) =>
      Effect.gen(function* () {
        link.hear({ records: announced("Box", ["10.0.0.5"]) })
        yield* soon
        yield* registry.noteProbe("ollama-Box", up("m"))
        yield* soon
        link.hear({ records: announced("Box", ["10.0.0.9"], { port: 9000 }) })
        yield* soon
        expect([list(), urls()]).toEqual([["ollama-Box"], ["http://10.0.0.9:9000"]])
        expect(log).toContain("backend has moved")
      }),
    serving("http://10.0.0.5:11434", "http://10.0.0.9:9000")
  )
})

effect("one whose new address does not answer stays where it works", () => {
  const link = new FakeLink()
  return listening(link, ({ registry, urls }) =>
    Effect.gen(function* () {
      link.hear({ records: announced("Box", ["10.0.0.5"]) })
      yield* soon
      yield* registry.noteProbe("ollama-Box", up("m"))
      yield* soon
      link.hear({ records: announced("Box", ["10.0.0.9"]) })
      yield* TestClock.adjust("5 minutes")
      expect(urls()).toEqual(["http://10.0.0.5:11434"])
    })
  )
})

effect("a server under two types, or two of one name, are told apart by where they are", () => {
  const link = new FakeLink()
  return listening(
    link,
    ({ names: list }) =>
      Effect.gen(function* () {
        link.hear({ records: announced("Box", ["10.0.0.5"]) })
        link.hear({ records: announced("Box", ["10.0.0.5"], { type: "_llm._tcp" }) })
        yield* soon
        expect(list()).toEqual(["ollama-Box"])
        link.hear({ records: announced("Box!", ["10.0.0.6"]) })
        link.hear({ records: announced("Box!!", ["10.0.0.7"]) })
        yield* soon
        expect(new Set(list()).size).toBe(3)
        expect(list().every((name) => name.startsWith("ollama-Box"))).toBe(true)
      }),
    serving("http://10.0.0.5:11434", "http://10.0.0.6:11434", "http://10.0.0.7:11434")
  )
})

effect("a server of the config that announces itself is not found again", () => {
  const link = new FakeLink()
  return listening(
    link,
    ({ names: list }) =>
      Effect.gen(function* () {
        link.hear({ records: announced("Box", ["10.0.0.5"]) })
        yield* TestClock.adjust("1 minute")
        expect(list()).toEqual(["mine"])
      }),
    mine("http://10.0.0.5:11434", "http://10.0.0.5:11434")
  )
})

effect(
  "a flood of announcements makes no more than a bounded number of looks, and local ports are still looked at",
  () => {
    const link = new FakeLink()
    return stagedWith(
      { ports: [11434], mdns: { types, interface: undefined }, open: link.open, surroundings: nowhere },
      nothing,
      ({ world, names: list }) =>
        Effect.gen(function* () {
          for (let at = 0; at < 1000; at++) link.hear({ records: announced(`F${at}`, [`10.1.${at % 250}.${at >> 8}`]) })
          yield* soon
          expect(new Set(world.asked.map(({ url }) => url)).size).toBeLessThanOrEqual(64 + 2)
          world.serve("http://127.0.0.1:11434", ollama)
          yield* TestClock.adjust("15 seconds")
          expect(list()).toEqual(["ollama-11434"])
        })
    )()
  }
)
