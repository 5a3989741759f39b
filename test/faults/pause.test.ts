import { expect, test } from "bun:test"
import { chatEvents, chunk, completion, done, json, lastChunk, streamHead } from "../kit/answers.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Process, startProcess, until } from "../kit/gateway.ts"
import { ask, dial, requestBytes } from "../kit/rawClient.ts"

const path = "/v1/chat/completions"
const body = (stream: boolean) => JSON.stringify({ model: "m", messages: [], stream })
const [first = "", ...others] = chatEvents("m", ["a", "b", "c"])

/** Every limit passes while the process stands still, and none while a busy machine does what comes before and after. */
const limits = {
  connect_timeout_seconds: 2,
  first_byte_timeout_seconds: 2.5,
  idle_timeout_seconds: 2.5,
  upload_timeout_seconds: 2.5,
  request_timeout_seconds: 6
}
const pauseMs = 7000

/** Stops the gateway as a debugger or a machine without memory would, for longer than any of its limits. */
const pauseOf = async (gateway: Process, meanwhile: () => void): Promise<void> => {
  gateway.signal("SIGSTOP")
  meanwhile()
  await Bun.sleep(pauseMs)
  gateway.signal("SIGCONT")
}

const backendsOf = async (gateway: Process) => (await ask(gateway.port, "GET", "/nexus/backends")).json()

test.concurrent("a pause of Nexus cuts no stream, loses no answer and blames no backend", async () => {
  const stopped = Promise.withResolvers<void>()
  const resumed = Promise.withResolvers<void>()
  await using upstream = await startUpstream({
    models: ["m"],
    script: ({ text }) =>
      text.includes('"stream":true')
        ? [
            streamHead(),
            chunk(first),
            { until: stopped.promise },
            chunk(others[0] ?? ""),
            { until: resumed.promise }
          ].concat(others.slice(1).map(chunk), [lastChunk])
        : [{ until: resumed.promise }, json(completion("m", "whole"))]
  })
  await using gateway = await startProcess({
    server: limits,
    routing: { max_retries: 0 },
    health_check: { interval_seconds: 0.2, timeout_seconds: 2, failure_threshold: 1 },
    backends: [backendFor("one", upstream)]
  })
  const streams = await Promise.all(Array.from({ length: 10 }, () => dial(gateway.port)))
  for (const client of streams) await client.send(requestBytes("POST", path, body(true)))
  for (const client of streams) await client.until(({ text }) => text === first)
  const waiting = await Promise.all(Array.from({ length: 5 }, () => dial(gateway.port)))
  for (const client of waiting) await client.send(requestBytes("POST", path, body(false)))
  await until(() => upstream.busy() === 15, "all are asked")
  await pauseOf(gateway, stopped.resolve)
  // Whatever sweeps and probes were due have run when this is answered.
  await ask(gateway.port, "GET", "/livez")
  await ask(gateway.port, "GET", "/livez")
  resumed.resolve()
  for (const client of streams) {
    const { end, text } = await client.answer()
    expect([end, text]).toEqual(["complete", [first, ...others].join("")])
  }
  for (const client of waiting) expect((await client.answer()).status).toBe(200)
  expect(await backendsOf(gateway)).toMatchObject({ backends: [{ status: "healthy", circuits: [], in_flight: 0 }] })
  expect(gateway.output()).not.toContain("unhealthy")
})

test.concurrent("an upload under way at a pause of Nexus goes on after it", async () => {
  await using upstream = await startUpstream({ models: ["m"], script: () => [json(completion("m", "whole"))] })
  await using gateway = await startProcess({ server: limits, backends: [backendFor("one", upstream)] })
  using client = await dial(gateway.port)
  const request = new TextDecoder().decode(requestBytes("POST", path, body(false)))
  await client.send(request.slice(0, -10))
  await until(() => gateway.output() !== "", "it runs")
  await ask(gateway.port, "GET", "/livez")
  await pauseOf(gateway, () => undefined)
  await client.send(request.slice(-10))
  expect((await client.answer()).status).toBe(200)
})

test.concurrent("a backend that is silent is still found out after a pause of Nexus", async () => {
  await using upstream = await startUpstream({ models: ["m"], script: () => [streamHead(), chunk(first), "hang"] })
  await using gateway = await startProcess({ server: limits, backends: [backendFor("one", upstream)] })
  using client = await dial(gateway.port)
  await client.send(requestBytes("POST", path, body(true)))
  await client.until(({ text }) => text === first)
  await pauseOf(gateway, () => undefined)
  const { text } = await client.answer()
  expect(text).toContain('"error"')
  expect(text).not.toContain(done)
})
