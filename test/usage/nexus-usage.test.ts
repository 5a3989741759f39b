import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { Database } from "bun:sqlite"
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { chatEvents, chunk, completion, done, event, json, streamHead } from "../kit/answers.ts"
import { modelOf, startUpstream, streamed, wantsStream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, startGateway, startProcess, until } from "../kit/gateway.ts"
import { takeLog } from "../kit/log.ts"
import { ask, dial, requestBytes } from "../kit/rawClient.ts"
import { lines, makeShell } from "../kit/shell.ts"

// Each test starts processes, and a busy machine starts them slowly.
setDefaultTimeout(120_000)

const { close, nexus } = makeShell()
const folder = mkdtempSync(join(tmpdir(), "nexus-usage-"))
afterAll(() => {
  close()
  rmSync(folder, { recursive: true, force: true })
})

const chat = (more: Readonly<Record<string, unknown>> = {}): string =>
  JSON.stringify({
    model: "m",
    messages: [{ role: "user", content: "a secret of forty letters, or thereabouts" }],
    ...more
  })

const post = (port: number, body: string) => ask(port, "POST", "/v1/chat/completions", body)

const usage = {
  prompt_tokens: 100,
  completion_tokens: 20,
  prompt_tokens_details: { cached_tokens: 60 },
  completion_tokens_details: { reasoning_tokens: 5 }
}

const report = async ({ port }: Pick<Gateway, "port">, ...args: ReadonlyArray<string>) => {
  const { code, stderr, stdout } = await nexus("usage", "--json", ...args, "--port", String(port))
  if (code !== 0) throw new Error(stderr)
  return JSON.parse(stdout)
}

describe("nexus usage", () => {
  test("tells what requests took, whole, streamed, cut short, left and failed, and nothing of what they said", async () => {
    const path = join(folder, "all.sqlite")
    await using upstream = await startUpstream({
      models: ["m", "cut", "hangs", "fails"],
      script: (request) => {
        const model = modelOf(request)
        if (model === "fails") return [json({ error: { message: "no" } }, 500)]
        if (model === "cut")
          return [streamHead(), ...chatEvents(model, ["a", "b", "c"]).slice(0, 3).map(chunk), "reset"]
        if (model === "hangs") return [streamHead(), ...chatEvents(model, ["a", "b"]).slice(0, 2).map(chunk), "hang"]
        if (!wantsStream(request)) return [json({ ...completion(model, "hi"), usage })]
        const events = chatEvents(model, ["a", "b"])
        return [
          ...streamed([...events.slice(0, -1), event({ object: "chat.completion.chunk", choices: [], usage }), done])
        ]
      }
    })
    await using gateway = await startGateway({
      usage: { enabled: true, path },
      backends: [backendFor("one", upstream)]
    })
    const { port } = gateway
    await post(port, chat())
    await post(port, chat({ stream: true }))
    await post(port, chat({ model: "cut", stream: true })).catch(() => undefined)
    await post(port, chat({ model: "fails" }))
    await post(port, chat({ model: "made up" }))
    const client = await dial(port)
    await client.send(requestBytes("POST", "/v1/chat/completions", chat({ model: "hangs", stream: true })))
    await client.until(({ text }) => text.includes('"b"'))
    client[Symbol.dispose]()
    await gateway.quiet()

    const { rows, total } = await report(gateway, "--by", "model,backend")
    const of = (model: string) => rows.find((row: { of: ReadonlyArray<string> }) => row.of[0] === model)
    const said = { fresh: 80, cache_read: 120, cache_write: 0, output: 40, reasoning: 10 }
    expect(of("m")).toMatchObject({ of: ["m", "one"], requests: 2, completed: 2, estimated: 0, ...said })
    expect(of("cut")).toMatchObject({ requests: 1, completed: 0, estimated: 1, fresh: 10, output: 3 })
    expect(of("hangs")).toMatchObject({ requests: 1, completed: 0, estimated: 1, fresh: 10, output: 2 })
    expect(of("fails")).toMatchObject({ of: ["fails", "one"], requests: 1, completed: 0, fresh: 0, output: 0 })
    expect(of("other")).toMatchObject({ of: ["other", ""], requests: 1, completed: 0 })
    expect(total).toMatchObject({ requests: 6, completed: 2 })

    const table = lines((await nexus("usage", "--port", String(port))).stdout)
    expect(table[0]).toMatch(/^Model +Requests +Completed +In +Cached +To cache +Out +Cost$/)
    expect(table.find((line) => line.startsWith("m "))).toMatch(/^m +2 +2 +80 +120 +0 +40 +\$0\.00$/)
    expect(table.find((line) => line.startsWith("Total "))).toMatch(/^Total +6 +2 +\d+ +120 +0 +\d+~/)

    const csv = lines((await nexus("usage", "--by", "day", "--csv", "--port", String(port))).stdout)
    expect(csv).toHaveLength(2)
    expect(csv[0]).toMatch(/^day,requests,completed,.*,cost_usd$/)
    expect(csv[1]).toMatch(/^\d{4}-\d\d-\d\d,6,2,/)

    const database = new Database(path, { readonly: true })
    const records = database.query<{ outcome: string }, []>("select outcome from usage order by request_id").all()
    expect(records.map(({ outcome }) => outcome).toSorted()).toEqual(
      ["client_closed", "completed", "completed", "failed", "refused", "truncated"].toSorted()
    )
    database.close()
    expect(Buffer.from(await Bun.file(path).arrayBuffer()).includes("a secret")).toBe(false)
    expect(Buffer.from(await Bun.file(`${path}-wal`).arrayBuffer()).includes("a secret")).toBe(false)
  })

  test("says what is wrong with a question, and that nothing is written down where nothing is", async () => {
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({ backends: [backendFor("one", upstream)] })
    const at = ["--port", String(gateway.port)]
    expect(await nexus("usage", ...at)).toEqual({
      code: 1,
      stdout: "",
      stderr: "error: There is no usage to tell of: no usage is written down here: set usage.enabled = true\n"
    })
    for (const wrong of [
      ["--by", "colour"],
      ["--since", "yesterday"],
      ["--json", "--csv"]
    ]) {
      const told = await nexus("usage", ...wrong, ...at)
      expect(told.code).not.toBe(0)
      expect(told.stderr).toContain(wrong[0] === "--json" ? "--csv" : `got ${wrong[1]}`)
    }
    const { status, text } = await ask(gateway.port, "GET", "/admin/v1/usage?by=model,colour")
    expect({ status, text }).toMatchObject({
      status: 400,
      text: expect.stringContaining("colour is not one of key, owner")
    })
  })
})

describe("the ledger", () => {
  test("has all that ended a second before the gateway was killed, and nothing twice", async () => {
    const path = join(folder, "killed.sqlite")
    await using upstream = await startUpstream({
      models: ["m"],
      script: (r) => [json({ ...completion(modelOf(r), "hi"), usage })]
    })
    await using gateway = await startProcess({
      usage: { enabled: true, path },
      backends: [backendFor("one", upstream)]
    })
    const ended: Array<{ readonly id: string; readonly at: number }> = []
    const one = async (id: string): Promise<void> => {
      const answer = await fetch(`${gateway.url}/v1/chat/completions`, {
        method: "POST",
        body: chat(),
        headers: { "x-request-id": id }
      })
      await answer.text()
      ended.push({ id, at: performance.now() })
    }
    // However slow the first one is: it ended long before the end.
    await one("first")
    const until = performance.now() + 2500
    const client = async (name: string): Promise<void> => {
      for (let n = 0; performance.now() < until; n += 1) await one(`${name}-${n}`)
    }
    await Promise.all(["a", "b", "c"].map(client))
    const killed = performance.now()
    gateway.signal("SIGKILL")
    await gateway.exited
    const database = new Database(path)
    const found = database.query<{ request_id: string }, []>("select request_id from usage").all()
    const sum = database.query<{ sum: number }, []>("select sum(requests) as sum from usage_hours").get()
    database.close()
    const ids = new Set(found.map(({ request_id }) => request_id))
    expect(ids.size).toBe(found.length)
    expect(sum?.sum).toBe(found.length)
    const due = ended.filter(({ at }) => at < killed - 2000)
    expect(due.length).toBeGreaterThan(0)
    expect(due.filter(({ id }) => !ids.has(id))).toEqual([])
  })

  test("counts each request once where several processes write one file", async () => {
    const path = join(folder, "workers.sqlite")
    await using upstream = await startUpstream({
      models: ["m"],
      script: (r) => [json({ ...completion(modelOf(r), "hi"), usage })]
    })
    await using gateway = await startProcess({
      server: { port: 0, workers: 2 },
      usage: { enabled: true, path },
      backends: [backendFor("one", upstream)]
    })
    await Promise.all(Array.from({ length: 60 }, () => post(gateway.port, chat())))
    const told = async () => (await report(gateway)).total.requests
    let requests = await told()
    // Those of the other process are there when it has written them.
    for (let look = 0; requests < 60 && look < 20; look += 1) requests = await told()
    expect(requests).toBe(60)
  })

  test("that cannot be written holds up nothing, says so, and has everything when it can", async () => {
    const place = join(folder, "no-folder")
    const path = join(place, "usage.sqlite")
    writeFileSync(place, "a file where a folder is to be")
    await using upstream = await startUpstream({
      models: ["m"],
      script: (r) => [json({ ...completion(modelOf(r), "hi"), usage })]
    })
    await using gateway = await startGateway({
      usage: { enabled: true, path },
      backends: [backendFor("one", upstream)]
    })
    for (let n = 0; n < 5; n += 1) expect((await post(gateway.port, chat())).status).toBe(200)
    const told = await nexus("usage", "--port", String(gateway.port))
    expect({ code: told.code, stderr: told.stderr }).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("There is no usage to tell of")
    })
    rmSync(place)
    await until(() => existsSync(path), "the file is made")
    expect((await report(gateway)).total).toMatchObject({ requests: 5, completed: 5 })
  })
})

test("a file that cannot be written is told of at the start, before anything is to be written", async () => {
  using log = takeLog()
  await using gateway = await startGateway({ usage: { enabled: true, path: folder } })
  await until(() => log.text().includes("usage cannot be written"), "the log says so")
  expect(log.lines()).toContainEqual(
    expect.objectContaining({ level: "error", path: folder, reason: expect.stringMatching(/directory/i) })
  )
  expect(gateway.running.active()).toBe(0)
})

test("a file that could not be written is named by config check and doctor, with the setting that names it", async () => {
  const config = join(folder, "unwritable.toml")
  writeFileSync(join(folder, "a-file"), "")
  writeFileSync(
    config,
    `[discovery]\nenabled = false\n[server]\nport = 0\n[usage]\nenabled = true\npath = "a-file/usage.sqlite"\n[auth]\nstore = "."\n`
  )
  const checked = await nexus("config", "check", "-c", config)
  expect(checked.code).toBe(0)
  expect(checked.stderr).toContain(
    `warning: usage.path: a-file/usage.sqlite cannot be made below ${join(folder, "a-file")}`
  )
  expect(checked.stderr).toContain("warning: auth.store: . is a directory, and no file")
  const { stdout } = await nexus("doctor", "-c", config, "--no-inference")
  expect(stdout).toContain("a-file/usage.sqlite cannot be made below")
})
