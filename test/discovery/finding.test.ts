import { expect } from "bun:test"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { findOnce, layerOf } from "../../src/discovery/Discovery.ts"
import { Registry } from "../../src/registry/Registry.ts"
import { Transport } from "../../src/upstream/Transport.ts"
import { effect } from "../kit/effect.ts"
import { backend, down, up } from "../registry/backends.ts"
import { FakeWorld } from "../health/fake.ts"
import { limits, ollama, resolving, type Stage, stagedWith } from "./stage.ts"

const host = (name: string, port?: number) => ({ host: name, port })
const box = "http://gpu-box:11434"

const nothing = () => Effect.void
const serving =
  (...origins: ReadonlyArray<string>) =>
  ({ world }: Stage) =>
    Effect.sync(() => origins.forEach((origin) => world.serve(origin, ollama)))

const mine =
  (url: string, ...origins: ReadonlyArray<string>) =>
  (stage: Stage) =>
    Effect.andThen(serving(...origins)(stage), stage.registry.put(backend("mine", { url })))

const named = {
  ports: [11434, 8000],
  hosts: [host("gpu-box"), host("10.0.0.6", 9000)],
  surroundings: resolving({ "gpu-box": ["10.0.0.5"], me: ["10.0.0.1"] }, ["10.0.0.1"])
}

effect(
  "named hosts are looked at on the well-known ports, or on the port they are named with",
  stagedWith(named, serving(box, "http://10.0.0.6:9000", "http://10.0.0.6:11434"), ({ names, urls, world }) =>
    Effect.sync(() => {
      expect(names()).toEqual(["ollama-gpu-box-11434", "ollama-10.0.0.6-9000"])
      expect(urls()).toEqual([box, "http://10.0.0.6:9000"])
      expect(world.asked.some(({ url }) => url.startsWith("http://10.0.0.6:11434"))).toBe(false)
      expect(world.asked.every(({ headers }) => !("authorization" in headers))).toBe(true)
    })
  )
)

effect("a name that does not resolve is told of once, and found when it does", () => {
  const addresses: Record<string, ReadonlyArray<string>> = {}
  return stagedWith({ ...named, surroundings: resolving(addresses) }, serving(box), ({ names, log }) =>
    Effect.gen(function* () {
      yield* TestClock.adjust("1 minute")
      expect([names(), log]).toEqual([[], ["host of [discovery] does not resolve"]])
      addresses["gpu-box"] = ["10.0.0.5"]
      yield* TestClock.adjust("15 seconds")
      expect(names()).toEqual(["ollama-gpu-box-11434"])
    })
  )()
})

const twins: ReadonlyArray<readonly [what: string, configured: string, found: string]> = [
  ["under the same name", "http://GPU-box:11434/v1", box],
  ["by its address", "http://10.0.0.5:11434", box],
  ["under another name with its address", "http://alias:11434", box],
  ["as this machine by its own address", "http://10.0.0.1:11434", "http://127.0.0.1:11434"],
  ["as this machine by its own name", "http://me:11434", "http://127.0.0.1:11434"],
  ["as localhost, where a host of the list is this machine", "http://localhost:11434", "http://me:11434"]
]
const names = { "gpu-box": ["10.0.0.5"], alias: ["10.0.0.5"], me: ["10.0.0.1"] }
const everywhere = { ...named, hosts: [host("gpu-box"), host("me")], surroundings: resolving(names, ["10.0.0.1"]) }

effect(
  "a found server that the config has under the very name it was found with stays, as the config has it",
  stagedWith(everywhere, serving(box), ({ registry, names: list }) =>
    Effect.gen(function* () {
      expect(list()).toEqual(["ollama-gpu-box-11434"])
      yield* registry.reconcile([backend("ollama-gpu-box-11434", { url: box, priority: 3 })], new Map())
      yield* TestClock.adjust("1 minute")
      expect([...registry.snapshot().backends.values()].map((state) => state.backend.origin)).toEqual(["config"])
    })
  )
)

for (const [what, configured, found] of twins) {
  effect(
    `a server that the config has ${what} is not found again`,
    stagedWith(everywhere, mine(configured, found), ({ registry, names: list }) =>
      Effect.gen(function* () {
        yield* TestClock.adjust("1 minute")
        expect(list()).toEqual(["mine"])
        yield* registry.remove("mine")
        yield* TestClock.adjust("15 seconds")
        expect(list()).toHaveLength(1)
      })
    )
  )

  effect(
    `a found server gives way as soon as the config has it ${what}`,
    stagedWith(everywhere, serving(found), ({ registry, names: list, log }) =>
      Effect.gen(function* () {
        expect(list()).toHaveLength(1)
        yield* registry.put(backend("mine", { url: configured }))
        yield* TestClock.adjust(0)
        expect(list()).toEqual(["mine"])
        expect(log).toEqual(["backend found", "backend is in the config, the discovered one removed"])
      })
    )
  )
}

effect(
  "a server of another machine on the same port is no twin",
  stagedWith(everywhere, mine("http://10.0.0.7:11434", box), ({ names: list }) =>
    Effect.sync(() => expect(list()).toEqual(["mine", "ollama-gpu-box-11434"]))
  )
)

effect(
  "what is reached as a port of this machine and as a named host is found once",
  stagedWith(
    { ...everywhere, hosts: [host("localhost"), host("me")] },
    serving("http://127.0.0.1:11434", "http://localhost:11434", "http://me:11434"),
    ({ names: list }) => Effect.sync(() => expect(list()).toEqual(["ollama-11434"]))
  )
)

effect(
  "the port of Nexus itself is no place to look, by whatever name",
  stagedWith(
    { ...everywhere, ownPort: 11434 },
    serving("http://127.0.0.1:11434", "http://me:11434", box),
    ({ names: list }) => Effect.sync(() => expect(list()).toEqual(["ollama-gpu-box-11434"]))
  )
)

const inside = resolving(
  { "host.docker.internal": ["172.17.0.1"], "host.containers.internal": ["172.17.0.1"] },
  [],
  true
)
const docker = "http://host.docker.internal:11434"

effect(
  "in a container the machine around it is looked at too",
  stagedWith({ ports: [11434], surroundings: inside }, serving(docker), ({ names: list }) =>
    Effect.sync(() => expect(list()).toEqual(["ollama-host.docker.internal-11434"]))
  )
)

effect("in a container whose host has no name nothing is said of it, and outside of one it is not asked for", () =>
  Effect.gen(function* () {
    const silent = ({ names: list, log, world }: Stage) =>
      Effect.gen(function* () {
        yield* TestClock.adjust("1 minute")
        expect([list(), log]).toEqual([[], []])
        expect(world.asked.some(({ url }) => url.includes("internal"))).toBe(false)
      })
    const outside = { ...inside, inContainer: false }
    yield* stagedWith({ ports: [11434], surroundings: resolving({}, [], true) }, serving(docker), silent)()
    yield* stagedWith({ ports: [11434], surroundings: outside }, serving(docker), silent)()
  })
)

effect("one look finds what discovery would, without what is known already", () =>
  Effect.gen(function* () {
    const world = new FakeWorld()
    for (const origin of ["http://127.0.0.1:11434", box, "http://10.0.0.6:9000"]) world.serve(origin, ollama)
    const known = [backend("mine", { url: "http://10.0.0.5:11434" })]
    const found = yield* findOnce({ ...named, limits, ownPort: 8000, known }).pipe(
      Effect.provide(Transport.layerOf(world.transport))
    )
    expect(found.map(({ name }) => name)).toEqual(["ollama-11434", "ollama-10.0.0.6-9000"])
  })
)

effect(
  "one that an administrator has disabled is left alone, whether it answers or not",
  stagedWith(named, serving(box), ({ registry, world, names: list }) =>
    Effect.gen(function* () {
      yield* registry.noteProbe("ollama-gpu-box-11434", down)
      yield* registry.setMode("ollama-gpu-box-11434", "disabled")
      world.kill(box)
      yield* TestClock.adjust("5 minutes")
      expect(registry.snapshot().backends.get("ollama-gpu-box-11434")?.mode).toBe("disabled")
      expect(list()).toHaveLength(1)
    })
  )
)

effect(
  "a search that begins anew keeps what was found, as it is, and lets go of what is no longer looked for",
  stagedWith({ ...named, hosts: [], ports: [] }, nothing, ({ registry, world, names: list, log }) =>
    Effect.gen(function* () {
      const again = (hosts: typeof named.hosts, body: Effect.Effect<void>) =>
        body.pipe(
          Effect.provide(
            layerOf({
              ...named,
              hosts,
              intervalMs: 15_000,
              graceMs: 60_000,
              limits,
              ownPort: 7009,
              mdns: undefined
            }).pipe(Layer.provide(Layer.merge(Layer.succeed(Registry, registry), Transport.layerOf(world.transport))))
          )
        )
      world.serve(box, ollama)
      yield* again(named.hosts, registry.noteProbe("ollama-gpu-box-11434", up("m")))
      yield* again(
        named.hosts,
        Effect.sync(() => {
          expect(registry.snapshot().backends.get("ollama-gpu-box-11434")?.health.status).toBe("healthy")
        })
      )
      yield* again(
        [],
        Effect.gen(function* () {
          expect(list()).toHaveLength(1)
          yield* TestClock.adjust("75 seconds")
          expect(list()).toEqual([])
        })
      )
      expect(log.filter((line) => line === "backend found")).toHaveLength(1)
    })
  )
)
