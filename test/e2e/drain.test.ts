import { describe, expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { chatEvents, chunk, completion, done, json, lastChunk, streamHead } from "../kit/answers.ts"
import { good, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startProcess, until } from "../kit/gateway.ts"
import { ask, dial, requestBytes } from "../kit/rawClient.ts"

const body = JSON.stringify({ model: "m", messages: [], stream: true })

const [first = "", ...others] = chatEvents("m", ["a"])

const streamOf = async (port: number) => {
  const client = await dial(port)
  await client.send(requestBytes("POST", "/v1/chat/completions", body))
  await client.until(({ text }) => text === first)
  return client
}

describe("a gateway that is told to stop", () => {
  for (const signal of ["SIGTERM", "SIGINT", "SIGQUIT"] as const) {
    test(`by ${signal} lets a stream finish, takes nothing new, and exits with 0`, async () => {
      const gate = Promise.withResolvers<void>()
      await using upstream = await startUpstream({
        models: ["m"],
        script: () => [streamHead(), chunk(first), { until: gate.promise }, ...others.map(chunk), lastChunk]
      })
      await using gateway = await startProcess({ backends: [backendFor("one", upstream)] })
      using kept = await dial(gateway.port)
      await kept.send(requestBytes("GET", "/readyz"))
      expect((await kept.answer()).status).toBe(200)
      using client = await streamOf(gateway.port)
      gateway.signal(signal)
      await until(() => gateway.output().includes("stopping"), "it says so")
      await until(() => refused(gateway.port), "it takes no connection")
      gate.resolve()
      const answer = await client.answer()
      expect([answer.end, answer.text]).toEqual(["complete", [first, ...others].join("")])
      expect(await gateway.exited).toBe(0)
    })
  }

  test("ends what does not finish within its grace with an error event, and exits with 0", async () => {
    await using upstream = await startUpstream({
      models: ["m"],
      script: () => [streamHead(), chunk(first), "hang"]
    })
    await using gateway = await startProcess({
      server: { shutdown_grace_seconds: 0.3 },
      backends: [backendFor("one", upstream)]
    })
    const clients = await Promise.all(Array.from({ length: 50 }, () => streamOf(gateway.port)))
    gateway.signal("SIGTERM")
    const answers = await Promise.all(clients.map((client) => client.answer()))
    for (const answer of answers) {
      expect(answer.text).toStartWith(`${first}data: {"error":`)
      expect(answer.text).toContain('"message":"Nexus is stopping; try again in a moment"')
      expect(answer.text).toContain('"code":"service_unavailable"')
      expect(answer.text).not.toContain(done)
      expect(answer.end).not.toBe("complete")
    }
    expect(await gateway.exited).toBe(0)
    expect(upstream.busy()).toBe(0)
  })

  for (const workers of process.platform === "linux" ? [1, 2] : [1]) {
    test(`serves on for its delay with ${workers} worker(s), not ready, and asks every client to come elsewhere`, async () => {
      await using upstream = await startUpstream({ models: ["m"], script: good(["a"]) })
      await using gateway = await startProcess({
        server: { shutdown_delay_seconds: 3600, workers },
        backends: [backendFor("one", upstream)]
      })
      using kept = await dial(gateway.port)
      await kept.send(requestBytes("GET", "/readyz"))
      expect((await kept.answer()).header("connection")).not.toBe("close")
      gateway.signal("SIGTERM")
      await until(() => gateway.output().includes("stopping"), "it says so")
      // Whichever worker is asked.
      for (let told = 0; told < 20;) told = (await ask(gateway.port, "GET", "/readyz")).status === 503 ? told + 1 : 0
      for (let nth = 0; nth < 4; nth += 1) {
        for (const [method, path, sent, status] of [
          ["GET", "/readyz", "", 503],
          ["GET", "/livez", "", 200],
          ["GET", "/health", "", 200],
          ["GET", "/v1/models", "", 200],
          ["GET", "/nothing/here", "", 404],
          ["GET", "/nothing//here", "", 400],
          ["POST", "/v1/chat/completions", body, 200],
          ["POST", "/v1/chat/completions", body.replace("true", "false"), 200],
          ["POST", "/v1/chat/completions", "{}", 400]
        ] as const) {
          const answer = await ask(gateway.port, method, path, sent)
          expect([path, answer.status, answer.header("connection"), answer.end]).toEqual([
            path,
            status,
            "close",
            "complete"
          ])
        }
      }
      // A connection from before gets one more answer, and its end.
      kept.next()
      await kept.send(requestBytes("GET", "/livez"))
      const last = await kept.answer()
      expect([last.status, last.header("connection")]).toEqual([200, "close"])
      expect(await gateway.insist("SIGTERM")).toBe(143)
    })
  }

  test("takes nothing new after its delay, and exits with 0", async () => {
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startProcess({
      server: { shutdown_delay_seconds: 0.2 },
      backends: [backendFor("one", upstream)]
    })
    gateway.signal("SIGTERM")
    expect(await gateway.exited).toBe(0)
    expect(
      await dial(gateway.port).then(
        () => "open",
        () => "closed"
      )
    ).toBe("closed")
  })

  test("says in an answer that was still to come that its connection ends", async () => {
    const gate = Promise.withResolvers<void>()
    await using upstream = await startUpstream({
      models: ["m"],
      script: () => [{ until: gate.promise }, json(completion("m", "a"))]
    })
    await using gateway = await startProcess({ backends: [backendFor("one", upstream)] })
    using client = await dial(gateway.port)
    await client.send(requestBytes("POST", "/v1/chat/completions", body.replace("true", "false")))
    await upstream.call(0)
    gateway.signal("SIGTERM")
    await until(() => refused(gateway.port), "it takes no connection")
    gate.resolve()
    const answer = await client.answer()
    expect([answer.status, answer.header("connection"), answer.end]).toEqual([200, "close", "complete"])
    expect(await gateway.exited).toBe(0)
  })

  test("twice ends at once", async () => {
    await using upstream = await startUpstream({ models: ["m"], script: () => [streamHead(), chunk(first), "hang"] })
    await using gateway = await startProcess({ backends: [backendFor("one", upstream)] })
    using client = await streamOf(gateway.port)
    gateway.signal("SIGTERM")
    await until(() => gateway.output().includes("stopping"), "it says so")
    expect(await gateway.insist("SIGTERM")).toBe(143)
    expect((await client.answer()).end).not.toBe("complete")
  })

  test("by the terminal and by `bun run` at the same moment, as at Ctrl-C, is told once", async () => {
    const gate = Promise.withResolvers<void>()
    await using upstream = await startUpstream({
      models: ["m"],
      script: () => [streamHead(), chunk(first), { until: gate.promise }, ...others.map(chunk), lastChunk]
    })
    await using gateway = await startProcess({ backends: [backendFor("one", upstream)] })
    using client = await streamOf(gateway.port)
    // Two of one kind may arrive as one; two kinds always arrive both.
    gateway.signal("SIGINT")
    gateway.signal("SIGTERM")
    await until(() => refused(gateway.port), "it takes no connection")
    gate.resolve()
    const answer = await client.answer()
    expect([answer.end, answer.text]).toEqual(["complete", [first, ...others].join("")])
    expect(await gateway.exited).toBe(0)
  })
})

/** Whether the last look found the port closed; looks again each time. */
const looks = new Map<number, boolean>()
const refused = (port: number): boolean => {
  dial(port).then(
    (client) => client.hangUp(),
    () => looks.set(port, true)
  )
  return looks.get(port) === true
}

test("the program runs from any directory and answers", async () => {
  await using upstream = await startUpstream({ models: ["m"] })
  await using gateway = await startProcess({ backends: [backendFor("one", upstream)] }, ["--log-level", "debug"])
  const answer = await ask(gateway.port, "POST", "/v1/chat/completions", JSON.stringify({ model: "m", messages: [] }))
  expect(answer.status).toBe(200)
  await until(() => gateway.output().includes(answer.header("x-request-id") ?? "none"), "the request is logged")
})

describe("a signal that asks", () => {
  for (const workers of process.platform === "linux" ? [1, 2] : [1]) {
    for (const signal of ["SIGUSR1", "SIGUSR2"] as const) {
      test(`(${signal}) has a gateway with ${workers} worker(s) log how it stands, and go on`, async () => {
        const gate = Promise.withResolvers<void>()
        await using upstream = await startUpstream({
          models: ["m"],
          script: () => [streamHead(), chunk(first), { until: gate.promise }, ...others.map(chunk), lastChunk]
        })
        await using gateway = await startProcess({
          server: { workers },
          logging: { level: "info", format: "json" },
          backends: [backendFor("one", upstream)]
        })
        using client = await streamOf(gateway.port)
        // Figures of workers come a moment later.
        await until(() => {
          gateway.signal(signal)
          return /"how it stands".*"in_flight":1/.test(gateway.output())
        }, "it says so")
        expect(gateway.output()).toMatch(/"how it stands".*"healthy":1.*"name":"one","status":"healthy"/)
        gate.resolve()
        expect((await client.answer()).end).toBe("complete")
        expect((await ask(gateway.port, "GET", "/livez")).status).toBe(200)
      })
    }
  }

  test("ends no worker when it is sent to that one", async () => {
    if (process.platform !== "linux") return
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startProcess({ server: { workers: 2 }, backends: [backendFor("one", upstream)] })
    const children = () => readFileSync(`/proc/${gateway.pid}/task/${gateway.pid}/children`, "utf8")
    const before = children()
    for (const pid of before.trim().split(" ").map(Number)) {
      for (const signal of ["SIGUSR1", "SIGUSR2", "SIGHUP"] as const) process.kill(pid, signal)
    }
    for (let i = 0; i < 20; i += 1) expect((await ask(gateway.port, "GET", "/livez")).status).toBe(200)
    expect(children()).toBe(before)
  })
})
