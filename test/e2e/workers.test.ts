import { describe, expect, test } from "bun:test"
import { existsSync, readFileSync } from "node:fs"
import { chatEvents, chunk, lastChunk, streamHead } from "../kit/answers.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { silentMs } from "../../src/cluster/hang-watch.ts"
import { backendFor, type Process, startProcess, until } from "../kit/gateway.ts"
import { scrape, total } from "../kit/metrics.ts"
import { ask, dial, requestBytes } from "../kit/rawClient.ts"
import type { Script } from "../kit/rawServer.ts"

const path = "/v1/chat/completions"
const body = (stream: boolean) => JSON.stringify({ model: "m", messages: [], stream })
const [first = "", ...others] = chatEvents("m", ["a"])

const held = (gate: Promise<void>): Script => {
  return () => [streamHead(), chunk(first), { until: gate }, ...others.map(chunk), lastChunk]
}

interface Told {
  readonly backends: ReadonlyArray<{ readonly status: string; readonly in_flight: number }>
}

// Each question comes on a connection of its own, so that any of the workers may answer.
const told = async (port: number) => {
  const answer = (await ask(port, "GET", "/nexus/backends")).json() as Told // reason: checked by what is expected of it
  return answer.backends[0]
}

const toldByAll = async (port: number) => Promise.all(Array.from({ length: 20 }, () => told(port)))

/** Asks again and again until it holds; each question is a request of its own. */
const eventually = async (holds: () => Promise<boolean>, what: string): Promise<void> => {
  const end = performance.now() + 100_000
  while (!(await holds())) if (performance.now() > end) throw new Error(`not within 100 s: ${what}`)
}

/** The figures of all workers together: one that nobody heard from in time is missing from what another one tells. */
const scrapeAll = async (port: number, workers = 2) => {
  let samples = await scrape(port)
  const told = () => samples.filter(({ name }) => name === "nexus_process_resident_memory_bytes").length
  await eventually(async () => {
    if (told() !== workers) samples = await scrape(port)
    return told() === workers
  }, `${workers} workers tell their figures`)
  return samples
}

const workersOf = ({ pid }: Process): ReadonlyArray<number> =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean).map(Number)

const isThere = (pid: number): boolean => existsSync(`/proc/${pid}/cmdline`)

const numbersIn = (output: string): ReadonlyArray<string> =>
  [
    ...new Set(
      [...output.matchAll(/"message":"request ended".*?"worker":(\d)|"worker":(\d).*?"message":"request ended"/g)].map(
        ([, a, b]) => a ?? b ?? ""
      )
    )
  ].sort()

const two = { server: { workers: 2 } }

const openStreams = async (port: number, count: number) => {
  const clients = await Promise.all(Array.from({ length: count }, () => dial(port)))
  for (const client of clients) await client.send(requestBytes("POST", path, body(true)))
  for (const client of clients) await client.until(({ text }) => text === first)
  return clients
}

describe.skipIf(process.platform !== "linux")("serve --workers 2", () => {
  test("lets both of them answer, and says in the log which one did", async () => {
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startProcess({
      ...two,
      logging: { level: "debug", format: "json" },
      backends: [backendFor("one", upstream)]
    })
    await eventually(async () => {
      expect((await ask(gateway.port, "POST", path, body(false))).status).toBe(200)
      return numbersIn(gateway.output()).join() === "1,2"
    }, "both have answered")
  })

  test("asks each backend for its models and health once, not once for each worker", async () => {
    const probesOf = async (workers: number): Promise<number> => {
      await using upstream = await startUpstream({ models: ["m"] })
      await using gateway = await startProcess({
        server: { workers },
        health_check: { interval_seconds: 3600 },
        backends: [backendFor("one", upstream)]
      })
      await eventually(
        async () => (await toldByAll(gateway.port)).every((each) => each?.status === "healthy"),
        "all know"
      )
      return upstream.probes().length
    }
    expect(await probesOf(2)).toBe(await probesOf(1))
  })

  test("answers for the whole: any worker counts the requests of all", async () => {
    const gate = Promise.withResolvers<void>()
    await using upstream = await startUpstream({ models: ["m"], script: held(gate.promise) })
    await using gateway = await startProcess({ ...two, backends: [backendFor("one", upstream)] })
    const clients = await openStreams(gateway.port, 16)
    await eventually(
      async () => (await toldByAll(gateway.port)).every((each) => each?.in_flight === 16),
      "all count 16"
    )
    gate.resolve()
    for (const client of clients) expect((await client.answer()).end).toBe("complete")
    await eventually(
      async () => (await toldByAll(gateway.port)).every((each) => each?.in_flight === 0),
      "all count none"
    )
  })

  test("explains a request whichever worker served it and whichever is asked", async () => {
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startProcess({
      ...two,
      logging: { level: "debug", format: "json" },
      backends: [backendFor("one", upstream)]
    })
    const ids: Array<string> = []
    await eventually(async () => {
      ids.push((await ask(gateway.port, "POST", path, body(false))).header("x-request-id") ?? "")
      return numbersIn(gateway.output()).join() === "1,2"
    }, "both have answered")
    for (const id of ids) {
      const explained = () => ask(gateway.port, "GET", `/admin/v1/decisions/${id}`)
      let answer = await explained()
      // A worker that takes its time is not waited for.
      await eventually(async () => {
        if (answer.status === 404) answer = await explained()
        return answer.status !== 404
      }, "it is found")
      expect([answer.status, answer.json()]).toMatchObject([200, { request: { id }, decision: { order: [{}] } }])
    }
    await eventually(async () => {
      const all = (await ask(gateway.port, "GET", "/admin/v1/decisions")).json() as { requests: Array<{ id: string }> } // reason: checked by what is expected of it
      return (
        all.requests
          .map(({ id }) => id)
          .toSorted()
          .join() === ids.toSorted().join()
      )
    }, "both have told of theirs")
    expect((await ask(gateway.port, "GET", "/admin/v1/decisions/nobody")).status).toBe(404)
  })

  test("counts the requests of all workers exactly, whichever is asked", async () => {
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startProcess({
      ...two,
      logging: { level: "debug", format: "json" },
      backends: [backendFor("one", upstream)]
    })
    let sent = 0
    await eventually(async () => {
      sent += 1
      expect((await ask(gateway.port, "POST", path, body(sent % 2 === 0))).status).toBe(200)
      return numbersIn(gateway.output()).join() === "1,2"
    }, "both have answered")
    const all = async () => Promise.all(Array.from({ length: 10 }, () => scrapeAll(gateway.port)))
    for (const samples of await all()) {
      expect(total(samples, "nexus_requests_total", { backend: "one", outcome: "completed" })).toBe(sent)
      expect(total(samples, "nexus_attempts_total")).toBe(sent)
      expect(total(samples, "nexus_tokens_total", { kind: "completion" })).toBe(4 * Math.ceil(sent / 2))
      expect(total(samples, "nexus_time_to_first_token_seconds_count")).toBe(Math.floor(sent / 2))
      const workers = samples.filter(({ name }) => name === "nexus_process_resident_memory_bytes")
      expect(workers.map(({ labels }) => labels["worker"])).toEqual(["1", "2"])
    }
    await eventually(async () => {
      const stats = (await ask(gateway.port, "GET", "/v1/stats")).json() as { workers: ReadonlyArray<unknown> } // reason: checked by what is expected of it
      if (stats.workers.length < 2) return false
      expect(stats).toMatchObject({ totals: { requests: sent, in_flight: 0 }, workers: [{ worker: 1 }, { worker: 2 }] })
      return true
    }, "both are in the statistics")
  })

  test("counts what is under way at all workers", async () => {
    const gate = Promise.withResolvers<void>()
    await using upstream = await startUpstream({ models: ["m"], script: held(gate.promise) })
    await using gateway = await startProcess({ ...two, backends: [backendFor("one", upstream)] })
    const clients = await openStreams(gateway.port, 16)
    for (let i = 0; i < 5; i += 1) {
      const samples = await scrapeAll(gateway.port)
      expect(total(samples, "nexus_open_streams")).toBe(16)
      expect(total(samples, "nexus_requests_in_flight")).toBe(16)
      expect(total(samples, "nexus_backend_requests_in_flight", { backend: "one" })).toBe(16)
    }
    gate.resolve()
    for (const client of clients) expect((await client.answer()).end).toBe("complete")
  })

  test("keeps in its counters what a worker had told that has died", async () => {
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startProcess({ ...two, backends: [backendFor("one", upstream)] })
    const sent = 20
    for (let i = 0; i < sent; i += 1) await ask(gateway.port, "POST", path, body(false))
    const counted = async () => total(await scrapeAll(gateway.port), "nexus_requests_total")
    // The receipt: figures of both were told to one of them, by way of the supervisor.
    await eventually(async () => (await counted()) === sent, "both have told")
    for (const killed of workersOf(gateway)) {
      process.kill(killed, "SIGKILL")
      await until(() => !isThere(killed), "it is dead")
      await until(() => workersOf(gateway).length === 2, "there are two again")
      expect(await counted()).toBe(sent)
    }
  })

  test("tells every worker when a backend goes and when it comes back", async () => {
    const state = { down: false }
    await using upstream = await startUpstream({ models: ["m"], probe: () => (state.down ? ["reset"] : undefined) })
    await using gateway = await startProcess({
      ...two,
      health_check: { interval_seconds: 0.05, failure_threshold: 1, recovery_threshold: 1 },
      backends: [backendFor("one", upstream)]
    })
    const all = (status: string) => async () => (await toldByAll(gateway.port)).every((each) => each?.status === status)
    await eventually(all("healthy"), "all know it healthy")
    state.down = true
    await eventually(all("unhealthy"), "all know it unhealthy")
    state.down = false
    await eventually(all("healthy"), "all know it healthy again")
  })

  test("starts a worker anew that has died, and goes on meanwhile", async () => {
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startProcess({ ...two, backends: [backendFor("one", upstream)] })
    const [killed = 0, other = 0] = workersOf(gateway)
    process.kill(killed, "SIGKILL")
    await until(() => !isThere(killed), "it is dead")
    for (let i = 0; i < 10; i += 1) expect((await ask(gateway.port, "POST", path, body(i % 2 === 0))).status).toBe(200)
    await until(() => workersOf(gateway).length === 2, "there are two again")
    expect(workersOf(gateway)).toContain(other)
    expect(workersOf(gateway)).not.toContain(killed)
    await until(() => gateway.output().includes("worker ended, another one is started"), "the log says so")
  })

  test.concurrent("replaces a worker that hangs, and goes on meanwhile", async () => {
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startProcess({ ...two, backends: [backendFor("one", upstream)] })
    const [hung = 0, other = 0] = workersOf(gateway)
    process.kill(hung, "SIGSTOP")
    await until(() => !isThere(hung), "it is ended")
    await until(() => workersOf(gateway).length === 2, "there are two again")
    expect(workersOf(gateway)).toContain(other)
    await until(() => gateway.output().includes("worker does not answer, it is ended"), "the log says so")
    for (let i = 0; i < 10; i += 1) expect((await ask(gateway.port, "POST", path, body(i % 2 === 0))).status).toBe(200)
  })

  test.concurrent("takes a pause of its own for no silence of the workers, nor a short one of theirs for their end", async () => {
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startProcess({ ...two, backends: [backendFor("one", upstream)] })
    const workers = workersOf(gateway)
    const [first = 0] = workers
    gateway.signal("SIGSTOP")
    process.kill(first, "SIGSTOP")
    await Bun.sleep(silentMs + 500)
    gateway.signal("SIGCONT")
    await Bun.sleep(500)
    process.kill(first, "SIGCONT")
    await Bun.sleep(1000)
    expect(workersOf(gateway)).toEqual(workers)
    expect((await ask(gateway.port, "POST", path, body(false))).status).toBe(200)
    expect(gateway.output()).not.toContain("worker ended")
  })

  test.concurrent("starts a worker that dies again and again ever later, and goes on with the other one", async () => {
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startProcess({ ...two, backends: [backendFor("one", upstream)] })
    const [, other = 0] = workersOf(gateway)
    const waits = () => [...gateway.output().matchAll(/"after_ms":(\d+)/g)].map(([, ms]) => Number(ms))
    for (let ends = 1; ends <= 6; ends += 1) {
      await until(() => workersOf(gateway).length === 2, "there are two")
      for (const each of workersOf(gateway)) if (each !== other) process.kill(each, "SIGKILL")
      await until(() => waits().length === ends, "it is told of")
      expect((await ask(gateway.port, "POST", path, body(false))).status).toBe(200)
    }
    expect(waits()).toEqual([100, 200, 400, 800, 1600, 3200])
    expect(workersOf(gateway)).toContain(other)
  })

  test("lets the streams of all workers finish after SIGTERM, and ends with 0", async () => {
    const gate = Promise.withResolvers<void>()
    await using upstream = await startUpstream({ models: ["m"], script: held(gate.promise) })
    await using gateway = await startProcess({ ...two, backends: [backendFor("one", upstream)] })
    const clients = await openStreams(gateway.port, 16)
    gateway.signal("SIGTERM")
    await until(() => gateway.output().includes("stopping"), "it says so")
    gate.resolve()
    for (const client of clients) {
      const { end, text } = await client.answer()
      expect([end, text.endsWith("data: [DONE]\n\n")]).toEqual(["complete", true])
    }
    expect(await gateway.exited).toBe(0)
  })

  test("ends at once with all its workers at a second signal", async () => {
    await using upstream = await startUpstream({ models: ["m"], script: () => [streamHead(), chunk(first), "hang"] })
    await using gateway = await startProcess({ ...two, backends: [backendFor("one", upstream)] })
    const clients = await openStreams(gateway.port, 4)
    const workers = workersOf(gateway)
    gateway.signal("SIGTERM")
    await until(() => gateway.output().includes("stopping"), "it says so")
    expect(await gateway.insist("SIGTERM")).toBe(143)
    await until(() => !workers.some(isThere), "the workers are gone")
    for (const client of clients) client.hangUp()
  })

  test("leaves no worker behind when the supervisor is killed", async () => {
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startProcess({ ...two, backends: [backendFor("one", upstream)] })
    const workers = workersOf(gateway)
    expect(workers).toHaveLength(2)
    gateway.signal("SIGKILL")
    await until(() => !workers.some(isThere), "the workers are gone")
  })

  test("does not share a port with whoever has it already", async () => {
    await using upstream = await startUpstream({ models: ["m"] })
    const start = () => startProcess({ server: { workers: 2, port: upstream.port }, backends: [] })
    await expect(start()).rejects.toThrow("the port is in use")
  })
})
