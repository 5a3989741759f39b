import { expect, test } from "bun:test"
import { spawnSync } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"
import { chatEvents, chunk, completion, json, lastChunk, streamHead } from "../kit/answers.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Process, startProcess, until } from "../kit/gateway.ts"
import { ask, dial, type RawClient, requestBytes } from "../kit/rawClient.ts"

const path = "/v1/chat/completions"
const body = JSON.stringify({ model: "m", messages: [], stream: true })
const [first = "", ...others] = chatEvents("m", ["a"])

// Of util-linux.
const limiter = "prlimit"

const openFiles = ({ pid }: Process): number => readdirSync(`/proc/${pid}/fd`).length

/** Lets the process open so many files more, and no further one. */
const allow = (gateway: Process, more: number): void => {
  const limit = openFiles(gateway) + more
  const { status } = spawnSync(limiter, ["--pid", String(gateway.pid), `--nofile=${limit}:`])
  expect(status).toBe(0)
}

/** CPU time of the process so far, in milliseconds. */
const cpuOf = ({ pid }: Process): number => {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? []
  return (Number(fields[11]) + Number(fields[12])) * 10
}

const canLimit = process.platform === "linux" && spawnSync(limiter, ["--version"]).status === 0

const streamOf = async (port: number): Promise<RawClient> => {
  const client = await dial(port)
  await client.send(requestBytes("POST", path, body))
  return client
}

test.skipIf(!canLimit)(
  "at the limit of open files Nexus says so once, refuses with 503, blames nobody and idles",
  async () => {
    const gate = Promise.withResolvers<void>()
    await using upstream = await startUpstream({
      models: ["m"],
      script: () => [streamHead(), chunk(first), { until: gate.promise }, ...others.map(chunk), lastChunk]
    })
    await using gateway = await startProcess({
      logging: { level: "info", format: "json" },
      health_check: { interval_seconds: 0.3, failure_threshold: 1 },
      backends: [backendFor("one", upstream)]
    })
    const told = () => gateway.output().split("the limit of open files is reached").length - 1
    const kept = await Promise.all(Array.from({ length: 5 }, () => dial(gateway.port)))
    for (const client of kept) {
      await client.send(requestBytes("GET", "/livez"))
      await client.answer()
    }
    allow(gateway, 12)
    const clients: Array<RawClient> = []
    // The runtime takes connections a few at a time; each of these is told what becomes of it.
    const statuses: Array<number> = []
    for (let nth = 0; nth < 40; nth += 1) {
      const client = await streamOf(gateway.port)
      const { status, text } = await client.until((answer) => answer.text === first || answer.end !== "open")
      statuses.push(status)
      if (status === 200) clients.push(client)
      else {
        expect([status, text]).toEqual([503, expect.stringContaining("limit of open files")])
        client.hangUp()
      }
    }
    expect(statuses.filter((status) => status === 503).length).toBeGreaterThan(20)
    expect(clients.length).toBeGreaterThan(2)
    await until(() => kept.every((each) => each.closed()), "those who ask for nothing are let go")
    const before = cpuOf(gateway)
    await Bun.sleep(1500)
    expect(cpuOf(gateway) - before).toBeLessThan(300)
    expect((await ask(gateway.port, "GET", "/nexus/backends")).json()).toMatchObject({
      backends: [{ status: "healthy", circuits: [] }]
    })
    expect(told()).toBe(1)
    gate.resolve()
    for (const client of clients) {
      const { end, text } = await client.answer()
      expect([end, text]).toEqual(["complete", [first, ...others].join("")])
      client.hangUp()
    }
    await until(() => gateway.output().includes("files can be opened again"), "it says that it is over")
    expect((await ask(gateway.port, "POST", path, body)).status).toBe(200)
    expect(told()).toBe(1)
  }
)

/** Sends nothing, or so much of a request as is not one yet. */
const silent = async (port: number, said: string): Promise<RawClient> => {
  const client = await dial(port)
  if (said !== "") await client.send(said)
  return client
}

test.skipIf(!canLimit)(
  "connections that never ask anything, more than files, keep nobody out and no core busy; what is under way ends well",
  async () => {
    const gate = Promise.withResolvers<void>()
    const answer = json(completion("m", "late"))
    await using upstream = await startUpstream({ models: ["m"], script: () => [{ until: gate.promise }, answer] })
    await using gateway = await startProcess({
      logging: { level: "info", format: "json" },
      backends: [backendFor("one", upstream)]
    })
    const told = () => gateway.output().split("the limit of open files is reached").length - 1
    const whole = requestBytes("POST", path, JSON.stringify({ model: "m", messages: [] }))
    const slow = await dial(gateway.port)
    await slow.send(whole)
    await upstream.call(0)
    upstream.script(() => [answer])
    allow(gateway, 40)
    await Promise.all(Array.from({ length: 10 }, () => silent(gateway.port, "POST /v1/chat/comp")))
    const mute = await Promise.all(Array.from({ length: 100 }, () => silent(gateway.port, "")))
    await until(() => told() === 1, "it says so")
    const before = cpuOf(gateway)
    await Bun.sleep(1500)
    expect(cpuOf(gateway) - before).toBeLessThan(500)
    const answered = async () => {
      using client = await dial(gateway.port)
      await client.send(whole)
      return (await client.answer(20_000)).status
    }
    // Nobody hangs up, and who asks comes to their turn.
    let status = await answered()
    const end = performance.now() + 30_000
    while (status === 503 && performance.now() < end) status = await answered()
    expect(status).toBe(200)
    expect(mute.some((each) => each.closed())).toBe(true)
    gate.resolve()
    expect((await slow.answer()).json()).toMatchObject({ choices: [{ message: { content: "late" } }] })
    slow.hangUp()
    expect(told()).toBe(1)
  }
)
