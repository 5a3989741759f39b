import { describe, expect, test } from "bun:test"
import { chatEvents, chunk, completion, head, json, lastChunk, streamHead } from "../kit/answers.ts"
import { type FakeUpstream, startUpstream, wantsStream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway, until } from "../kit/gateway.ts"
import { ask } from "../kit/rawClient.ts"
import type { Script } from "../kit/rawServer.ts"

const post = (port: number, stream = false, model = "old") =>
  ask(port, "POST", "/v1/chat/completions", JSON.stringify({ model, messages: [], stream }))

/** Answers whatever it is asked under this name. */
const by =
  (model: string): Script =>
  (request) =>
    wantsStream(request)
      ? [streamHead(), ...chatEvents(model, ["a"]).map((event) => chunk(event)), lastChunk]
      : [json(completion(model, "a"))]

const lists = (upstream: FakeUpstream) => upstream.probes().filter(({ target }) => target === "/v1/models").length

describe.concurrent("a server that was swapped for one with another model", () => {
  for (const stream of [false, true]) {
    test(`is told by its first answer, ${stream ? "streamed" : "whole"}, and gives no second one under the old name`, async () => {
      await using upstream = await startUpstream({ models: ["old"], script: by("old") })
      await using gateway = await startGateway({ backends: [backendFor("one", upstream)] })
      const before = await post(gateway.port, stream)
      expect([before.status, before.header("x-nexus-answered-model")]).toEqual([200, undefined])
      upstream.models(["new"])
      upstream.script(by("new"))
      const first = await post(gateway.port, stream)
      expect([first.status, first.header("x-nexus-answered-model")]).toEqual([200, "new"])
      await until(() => gateway.backend("one").models.some(({ id }) => id === "new"), "it is probed at once")
      expect((await post(gateway.port, stream)).status).not.toBe(200)
      expect((await post(gateway.port, stream, "new")).status).toBe(200)
    })
  }
})

test.concurrent("a service that answers under names of its own says so each time, and is probed for it once", async () => {
  await using upstream = await startUpstream({ models: ["old"], script: by("vendor's own") })
  await using gateway = await startGateway({ backends: [backendFor("one", upstream)] })
  const asked = lists(upstream)
  for (let nth = 0; nth < 30; nth += 1) {
    expect((await post(gateway.port)).header("x-nexus-answered-model")).toBe("vendor's own")
  }
  await until(() => lists(upstream) > asked, "it is probed")
  for (let nth = 0; nth < 30; nth += 1) await post(gateway.port)
  await Bun.sleep(1100)
  expect(lists(upstream)).toBe(asked + 1)
  expect(gateway.backend("one").status).toBe("healthy")
})

describe.concurrent("a 404 for a model that a backend listed", () => {
  const missing = { error: { message: "model 'old' not found, try pulling it first", type: "not_found_error" } }

  test("is answered by another backend that has it, and the first one is probed at once", async () => {
    await using gone = await startUpstream({ models: ["old"] })
    await using there = await startUpstream({ models: ["old"], script: by("old") })
    await using gateway = await startGateway({
      routing: { strategy: "priority_only" },
      backends: [backendFor("gone", gone, { priority: 1 }), backendFor("there", there, { priority: 2 })]
    })
    gone.models([])
    gone.script(() => [json(missing, 404)])
    const answer = await post(gateway.port)
    expect([answer.status, answer.header("x-nexus-backend")]).toEqual([200, "there"])
    await until(() => gateway.backend("gone").models.length === 0, "it is probed at once")
    expect(gateway.backend("gone").circuits).toEqual([])
    expect((await post(gateway.port)).header("x-nexus-attempts")).toBe("1")
  })

  test("is the client's to see when nobody else has the model", async () => {
    await using gone = await startUpstream({ models: ["old"] })
    await using gateway = await startGateway({ backends: [backendFor("gone", gone)] })
    gone.script(() => [json(missing, 404)])
    const answer = await post(gateway.port)
    expect([answer.status, answer.text]).toEqual([404, expect.stringContaining("try pulling it first")])
  })

  test("is no reason to ask others when it is about something else", async () => {
    const missing = { error: { message: "No file 'file-123' was found", type: "invalid_request_error" } }
    await using one = await startUpstream({ models: ["old"], script: () => [json(missing, 404)] })
    await using two = await startUpstream({ models: ["old"] })
    await using gateway = await startGateway({
      routing: { strategy: "priority_only" },
      backends: [backendFor("one", one, { priority: 1 }), backendFor("two", two, { priority: 2 })]
    })
    expect((await post(gateway.port)).status).toBe(404)
    expect(two.calls()).toHaveLength(0)
  })
})

test.concurrent("another version of a server, as its answers tell it, is probed at once, and only then", async () => {
  let version = "server/1"
  const answer = JSON.stringify(completion("old", "a"))
  const script: Script = () => [
    head(200, [`Server: ${version}`, "Content-Type: application/json", `Content-Length: ${answer.length}`]),
    answer
  ]
  await using upstream = await startUpstream({ models: ["old"], script })
  await using gateway = await startGateway({ backends: [backendFor("one", upstream)] })
  const asked = lists(upstream)
  for (let nth = 0; nth < 5; nth += 1) await post(gateway.port)
  version = "server/2"
  expect(lists(upstream)).toBe(asked)
  for (let nth = 0; nth < 5; nth += 1) await post(gateway.port)
  await until(() => lists(upstream) > asked, "it is probed")
  expect(lists(upstream)).toBe(asked + 1)
})
