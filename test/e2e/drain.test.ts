import { describe, expect, test } from "bun:test"
import { chatEvents, chunk, done, lastChunk, streamHead } from "../kit/answers.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
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
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
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
      await until(() => refused(gateway.port), "it takes no connection", 3000)
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
      expect(answer.text).not.toContain(done)
      expect(answer.end).not.toBe("reset")
    }
    expect(await gateway.exited).toBe(0)
    expect(upstream.busy()).toBe(0)
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
    await until(() => refused(gateway.port), "it takes no connection", 3000)
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
