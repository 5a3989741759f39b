import { afterAll, describe, expect, test } from "bun:test"
import type { ReplayAnswer, ReplayedRequest } from "../../src/api/admin-api.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type SettingsTree, startGateway, startProcess } from "../kit/gateway.ts"
import { ask } from "../kit/rawClient.ts"
import { makeShell } from "../kit/shell.ts"
import { post, startHeld } from "../kit/waiting-line.ts"

const shell = makeShell()
afterAll(() => shell.close())

const chat = (port: number, headers: ReadonlyArray<string>, content = "a secret prompt") =>
  ask(
    port,
    "POST",
    "/v1/chat/completions",
    JSON.stringify({ model: "m", messages: [{ role: "user", content }] }),
    headers
  )

const startThree = async (settings: SettingsTree = {}) => {
  const one = await startUpstream({ models: ["m"] })
  const two = await startUpstream({ models: ["m", "big"] })
  const backends = [backendFor("one", one, { priority: 1 }), backendFor("two", two, { priority: 2 })]
  const routing = { strategy: "priority_only" }
  const gateway = await startGateway({ backends, routing, ...settings })
  const replay = async (changed: SettingsTree, since_ms = 3_600_000) => {
    const body = JSON.stringify({ settings: { backends, routing, ...settings, ...changed }, since_ms })
    const answer = await ask(gateway.port, "POST", "/admin/v1/replay", body)
    return { status: answer.status, text: answer.text, ...(answer.json() as ReplayAnswer) } // reason: checked by what is expected of it
  }
  return {
    gateway,
    backends,
    replay,
    calls: () => one.calls().length + two.calls().length,
    [Symbol.asyncDispose]: async () => {
      for (const each of [gateway, one, two]) await each[Symbol.asyncDispose]()
    }
  }
}

const moves = (requests: ReadonlyArray<ReplayedRequest>) =>
  requests.map(({ after, before, changed, id }) => [id, before?.backend, after?.backend, after?.rule, changed])

describe("a replay", () => {
  test("under the same config changes nothing, and asks nobody", async () => {
    await using three = await startThree({
      routes: [{ name: "red", match: { headers: { team: "red" } }, backends: ["two"] }]
    })
    for (const id of ["a", "b"])
      await chat(three.gateway.port, [`x-request-id: ${id}`, `team: ${id === "a" ? "red" : "x"}`])
    const { requests } = await three.replay({})
    expect(moves(requests)).toEqual([
      ["b", "one", "one", null, false],
      ["a", "two", "two", "red", false]
    ])
    expect(requests.flatMap(({ unknown }) => unknown)).toEqual([])
    expect(three.calls()).toBe(2)
  })

  test("shows who would have been asked under another one, before and after", async () => {
    await using three = await startThree()
    await chat(three.gateway.port, ["x-request-id: short"])
    await chat(three.gateway.port, ["x-request-id: long"], "words ".repeat(2000))
    const long = { name: "long", match: { prompt_tokens: { min: 1000 } }, model: "big" }
    const { requests } = await three.replay({ routes: [long] })
    expect(moves(requests)).toEqual([
      ["long", "one", "two", "long", true],
      ["short", "one", "one", null, false]
    ])
    expect(requests[0]?.after).toEqual({ backend: "two", model: "big", rule: "long", canary: false })
    const turned = [
      { ...three.backends[0], priority: 9 },
      { ...three.backends[1], priority: 1 }
    ]
    expect((await three.replay({ backends: turned })).requests.map(({ after }) => after?.backend)).toEqual([
      "two",
      "two"
    ])
    const without = await three.replay({ backends: [] })
    expect(without.requests.map(({ after }) => after)).toEqual([null, null])
  })

  test("says what it cannot know, and keeps no word of a message and no header that no rule looks at", async () => {
    await using three = await startThree()
    await chat(three.gateway.port, ["x-request-id: a", "team: red", "session-id: s-1"])
    const routes = [
      { name: "red", match: { headers: { team: "red" } }, backends: ["two"] },
      { name: "trial", canary: { backends: ["two"], share: 0.5 } }
    ]
    const fresh = { name: "fresh", url: "http://127.0.0.1:1" }
    const { notes, requests, text } = await three.replay({ routes, backends: [...three.backends, fresh] })
    expect(requests[0]?.unknown).toEqual([
      "its header team was not kept, and is taken not to be there",
      "its session was not kept, and it is drawn by its id"
    ])
    expect(notes).toEqual(["fresh is new: what it serves is not known, so no request goes there"])
    expect(text).not.toContain("secret")
    expect(text).not.toContain("s-1")
  })

  test("has models and backends as the changed config tells of them, and says what that leaves open", async () => {
    await using three = await startThree()
    await chat(three.gateway.port, ["x-request-id: long"], "words ".repeat(2000))
    await chat(three.gateway.port, ["x-request-id: short"])
    const [one = {}, two = {}] = three.backends
    const after = async (backends: ReadonlyArray<SettingsTree>) => {
      const { notes, requests } = await three.replay({ backends })
      return [requests.map((request) => request.after?.backend).toReversed(), notes]
    }
    // One that is known to take no long prompts.
    expect(await after([{ ...one, models: [{ id: "m", context_length: 1000 }] }, two])).toEqual([["two", "one"], []])
    // One that is new, with what it serves.
    const fresh = { name: "fresh", url: "http://127.0.0.1:1", priority: 0, models: [{ id: "m" }] }
    expect(await after([one, two, fresh])).toEqual([
      ["fresh", "fresh"],
      ["fresh is new: it is taken to be well, and to serve m alone"]
    ])
    expect(three.calls()).toBe(2)
  })

  test("has the slots of the changed config", async () => {
    await using held = await startHeld()
    await using two = await startUpstream({ models: ["m"] })
    const backends = [
      backendFor("one", held.upstream, { priority: 1, slots: 2 }),
      backendFor("two", two, { priority: 2 })
    ]
    await using gateway = await startGateway({ backends })
    const clients = [await post(gateway.port, "a")]
    await held.upstream.call(0)
    clients.push(await post(gateway.port, "b"))
    await held.upstream.call(1)
    for (const nth of [0, 1]) held.answer(nth)
    for (const client of clients) expect((await client.answer()).header("x-nexus-backend")).toBe("one")
    await gateway.quiet()
    const settings = { backends: [{ ...backends[0], slots: 1 }, backends[1]] }
    const body = JSON.stringify({ settings, since_ms: 60_000 })
    const { requests } = JSON.parse((await ask(gateway.port, "POST", "/admin/v1/replay", body)).text)
    expect(requests.map(({ after, id }: ReplayedRequest) => [id, after?.backend]).toSorted()).toEqual([
      ["a", "one"],
      ["b", "two"]
    ])
  })

  test("tells of a request that would wait for a slot that it waits, and not that nobody answers it", async () => {
    await using held = await startHeld()
    const backends = [backendFor("one", held.upstream, { slots: 2 })]
    await using gateway = await startGateway({ backends })
    const clients = [await post(gateway.port, "a")]
    await held.upstream.call(0)
    clients.push(await post(gateway.port, "b"))
    await held.upstream.call(1)
    for (const nth of [0, 1]) held.answer(nth)
    for (const client of clients) expect((await client.answer()).status).toBe(200)
    await gateway.quiet()
    const under = async (settings: SettingsTree) => {
      const body = JSON.stringify({
        settings: { backends: [{ ...backends[0], slots: 1 }], ...settings },
        since_ms: 60_000
      })
      const { requests } = JSON.parse((await ask(gateway.port, "POST", "/admin/v1/replay", body)).text) as ReplayAnswer // reason: checked by what is expected of it
      return requests
        .map(({ after, changed, id, waits }) => [id, after?.backend, waits.before, waits.after, changed])
        .toSorted()
    }
    expect(await under({})).toEqual([
      ["a", "one", false, false, false],
      ["b", undefined, false, true, true]
    ])
    // Without a queue nobody waits for slots.
    expect((await under({ queue: { enabled: false } }))[1]).toEqual(["b", "one", false, false, false])
  })

  test("says of a model that the config no longer tells of that the server's word is not known", async () => {
    await using one = await startUpstream({ models: ["m"] })
    const told = backendFor("one", one, { models: [{ id: "m", vision: false }] })
    await using gateway = await startGateway({ backends: [told] })
    await chat(gateway.port, [])
    const body = JSON.stringify({ settings: { backends: [backendFor("one", one)] }, since_ms: 60_000 })
    const { notes } = JSON.parse((await ask(gateway.port, "POST", "/admin/v1/replay", body)).text)
    expect(notes).toEqual([expect.stringContaining("the config no longer tells all that it told of m at one")])
  })

  test("looks back as far as it is told, and refuses settings that are none", async () => {
    await using three = await startThree()
    await chat(three.gateway.port, [])
    expect((await three.replay({}, 0)).requests).toEqual([])
    const { status, text } = await three.replay({ routing: { strategy: "best" } })
    expect(status).toBe(400)
    expect(text).toContain("'settings' is not what is expected")
  })

  test("is told in the terminal, of all workers", async () => {
    await using one = await startUpstream({ models: ["m"] })
    await using two = await startUpstream({ models: ["m"] })
    const settings = {
      backends: [backendFor("one", one, { priority: 1 }), backendFor("two", two, { priority: 2 })],
      routing: { strategy: "priority_only" },
      server: { port: 0, workers: 2, watch_config: false }
    }
    await using nexus = await startProcess(settings)
    for (let at = 0; at < 8; at += 1) expect((await chat(nexus.port, [])).status).toBe(200)
    nexus.rewrite({ ...settings, routes: [{ name: "all", backends: ["two"] }] })
    const { code, stdout } = await shell.nexus("explain", "--replay", "-c", nexus.config, "-p", String(nexus.port))
    expect(code).toBe(0)
    expect(stdout).toContain("8 requests of the last 1h: 8 would change.")
    expect(stdout).toMatch(/8 +one \(m\) -> two \(m\) by all/)
    expect(stdout).toContain("What cannot be known:")
  })
})
