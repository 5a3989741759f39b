import { describe, expect, test } from "bun:test"
import { chatEvents, chunk, json, lastChunk, streamHead } from "../kit/answers.ts"
import { type FakeOptions, type FakeUpstream, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type SettingsTree, startGateway } from "../kit/gateway.ts"
import { scrape, total } from "../kit/metrics.ts"
import { ask } from "../kit/rawClient.ts"
import type { Script, Step } from "../kit/rawServer.ts"
import {
  askingForResponse as asking,
  responseEvents as events,
  responsesPath as path,
  responseTypes as types,
  responseWords as said
} from "../kit/responses.ts"
import { fieldsOf } from "../kit/voices.ts"

const response = (status: string, more: object = {}) => ({
  id: "resp_theirs",
  object: "response",
  created_at: 7,
  status,
  model: "real",
  output: [],
  usage: null,
  error: null,
  ...more
})

const usage = {
  input_tokens: 9,
  input_tokens_details: { cached_tokens: 4 },
  output_tokens: 5,
  output_tokens_details: { reasoning_tokens: 0 },
  total_tokens: 14
}

// Their own way to write events: a blank more or less, and an order of fields that is not ours.
const told = (type: string, fields: object, number: number): string =>
  `event: ${type}\ndata:  ${JSON.stringify({ sequence_number: number, ...fields, type })}\n\n`

const created = told("response.created", { response: response("in_progress") }, 0)
const text = (delta: string, number: number) =>
  told("response.output_text.delta", { item_id: "msg_9", output_index: 0, content_index: 0, delta }, number)
const completed = told("response.completed", { response: response("completed", { usage }) }, 3)

const flowing = (all: ReadonlyArray<string>, ...end: ReadonlyArray<Step>): ReadonlyArray<Step> => [
  streamHead(),
  ...all.map((each) => chunk(each)),
  ...(end.length === 0 ? [lastChunk] : end)
]

const streamed = asking({ stream: true })

/** What a server of each sort answers to those who look whether it has Responses. */
const hasResponses: FakeOptions["probe"] = ({ method, target }) => {
  if (target === "/version") return [json({ version: "0.32.0" })]
  return method === "GET" && target === path ? [json({ detail: "Method Not Allowed" }, 405)] : undefined
}

/** A backend of the world: a vLLM that speaks Responses well, unless it is said otherwise. */
interface Member {
  readonly script: Script
  readonly chatOnly?: boolean
  readonly settings?: SettingsTree
}

/** Backends behind a gateway, in their order. */
const worldOf = async (members: ReadonlyArray<Member>, settings: SettingsTree = {}) => {
  const upstreams: Array<FakeUpstream> = []
  for (const { chatOnly = false, script } of members) {
    const sort = chatOnly ? {} : { type: "vllm" as const, probe: hasResponses }
    upstreams.push(await startUpstream({ models: [{ id: "m", tools: true }], script, ...sort }))
  }
  const gateway = await startGateway({
    routing: { strategy: "priority_only", max_retries: 2 },
    backends: members.map(({ chatOnly = false, settings: more = {} }, at) =>
      backendFor(`b${at}`, upstreams[at]!, { priority: at, type: chatOnly ? "generic" : "vllm", ...more })
    ),
    ...settings
  })
  return {
    gateway,
    upstreams,
    port: gateway.port,
    [Symbol.asyncDispose]: async () => {
      await gateway[Symbol.asyncDispose]()
      for (const each of upstreams) await each[Symbol.asyncDispose]()
    }
  }
}

const chat: Member = { chatOnly: true, script: () => flowing(chatEvents("m", ["yes"])) }

describe("a backend that speaks Responses itself", () => {
  test("gets the request and gives its stream byte by byte, and its tokens are counted", async () => {
    const all = [created, text("a", 1), ": still here\n\n", text("b", 2), completed]
    await using here = await worldOf([{ script: () => flowing(all) }])
    const body = `{ "stream":true, "input" : "hello","model":"m","unheard_of":{"n":12345678901234567890},"conversation":"c" }`
    const answer = await ask(here.port, "POST", path, body)
    expect([answer.text, answer.end]).toEqual([all.join(""), "complete"])
    expect(answer.header("x-nexus-dialect")).toBeUndefined()
    const call = here.upstreams[0]!.lastCall()
    expect([call.target, call.text]).toEqual([path, body])
    await here.gateway.quiet()
    const samples = await scrape(here.port)
    expect(total(samples, "nexus_tokens_total", { kind: "completion" })).toBe(5)
    expect(total(samples, "nexus_requests_total", { endpoint: "responses", outcome: "completed" })).toBe(1)
  })

  test("is asked for a chat where a request has what a vLLM does not do in Responses, unless settings have it otherwise", async () => {
    const good = response("completed", { output: [{ type: "message", content: [] }], usage })
    const whole = { choices: [{ index: 0, message: { content: "hi" }, finish_reason: "stop" }] }
    const script: Script = ({ target }) => [json(target === path ? good : whole)]
    await using here = await worldOf([{ script }])
    await using always = await worldOf([{ script, settings: { native: "always" } }])
    const patch = { type: "custom", name: "apply_patch", format: { type: "grammar", syntax: "lark", definition: "a" } }
    const shell = { type: "function", name: "shell", parameters: { type: "object", properties: {} } }
    const user = { role: "user", content: "go" }
    const sealed = { type: "reasoning", summary: [], encrypted_content: "gAAA" }
    const requests = [
      { tools: [shell, patch] },
      { tools: [{ type: "namespace", name: "mail", description: "", tools: [shell] }] },
      { tools: [{ type: "shell" }] },
      { input: [user, { type: "additional_tools", role: "developer", tools: [shell] }] },
      { input: [user, sealed, { role: "assistant", content: "hi" }, user] }
    ]
    for (const request of requests) {
      const answer = await ask(here.port, "POST", path, asking(request))
      expect([answer.status, answer.header("x-nexus-dialect")]).toEqual([200, "responses->openai"])
      expect(here.upstreams[0]!.lastCall().target).toBe("/v1/chat/completions")
      const native = await ask(always.port, "POST", path, asking(request))
      expect(native.header("x-nexus-dialect")).toBeUndefined()
    }
    // Words of it that stand elsewhere are none of it.
    const words = { namespace: { type: "string", enum: ["custom", "shell"] }, patch: { type: "string" } }
    const named = { ...shell, name: "local_shell", parameters: { type: "object", properties: words } }
    const plain = await ask(
      here.port,
      "POST",
      path,
      asking({ tools: [shell, named], include: ["reasoning.encrypted_content"] })
    )
    expect(plain.json()).toEqual(good)
  })

  test("gives whole answers as they are, and one that failed is none", async () => {
    const good = response("completed", { output: [{ type: "message", content: [] }], usage })
    const failed = response("failed", { error: { code: "server_error", message: "no room" } })
    const whole = { choices: [{ index: 0, message: { content: "hi" }, finish_reason: "stop" }] }
    await using here = await worldOf([
      { script: (request) => [json(fieldsOf(request)["input"] === "fail" ? failed : good)] },
      { chatOnly: true, script: () => [json(whole)] }
    ])
    expect((await ask(here.port, "POST", path, asking())).json()).toEqual(good)
    const moved = await ask(here.port, "POST", path, asking({ input: "fail" }))
    expect([moved.header("x-nexus-backend"), moved.header("x-nexus-dialect")]).toEqual(["b1", "responses->openai"])
  })

  test("that fails before it says anything leaves the request to another one, which is asked for a chat", async () => {
    const error = { code: "slow_down", message: "x" }
    const failed = told("response.failed", { response: response("failed", { error }) }, 1)
    for (const first of [[created, failed], [told("error", { ...error, param: null }, 0)]]) {
      await using here = await worldOf([{ script: () => flowing(first) }, chat])
      const answer = await ask(here.port, "POST", path, streamed)
      expect([said(answer.text), answer.header("x-nexus-backend")]).toEqual(["yes", "b1"])
    }
  })

  test("whose stream has no end is told of as a failure of the same response", async () => {
    const cuts: ReadonlyArray<ReadonlyArray<Step>> = [[lastChunk], [{ pause: 10 }, "reset"]]
    for (const cut of cuts) {
      await using here = await worldOf([{ script: () => flowing([created, text("half", 41)], ...cut) }])
      const answer = await ask(here.port, "POST", path, streamed)
      const [failed, error] = events(answer.text).slice(-2)
      expect(failed).toMatchObject({
        type: "response.failed",
        sequence_number: 42,
        response: { id: "resp_theirs", model: "real", status: "failed" }
      })
      expect([error?.type, error?.sequence_number]).toEqual(["error", 43])
      expect(["cut", "reset"]).toContain(answer.end)
    }
  })

  test("that says that a limit has ended its answer has ended it well", async () => {
    const incomplete = told("response.incomplete", { response: response("incomplete", { usage }) }, 2)
    await using here = await worldOf([{ script: () => flowing([created, text("a", 1), incomplete]) }])
    const answer = await ask(here.port, "POST", path, streamed)
    expect([types(answer.text).at(-1), answer.end]).toEqual(["incomplete", "complete"])
  })

  test("is asked for its model by the name that it has there", async () => {
    await using here = await worldOf([{ script: () => [json(response("completed"))] }], {
      routing: { aliases: { mine: "m" } }
    })
    await ask(here.port, "POST", path, asking({ model: "mine", temperature: 0.5 }))
    expect(fieldsOf(here.upstreams[0]!.lastCall())).toEqual({ model: "m", input: "hello", temperature: 0.5 })
  })

  test("is not given what Nexus has sealed for itself, and all else as it came", async () => {
    const script: Script = () => [json(response("completed"))]
    await using here = await worldOf([{ script, settings: { native: "always" } }])
    const item = (content: string) => `{"type":"reasoning","summary":[],"encrypted_content":"${content}"}`
    const body = (items: ReadonlyArray<string>) => `{"model":"m", "input":[ ${items.join(", ")} ],"n":1.0}`
    const said = `{"role":"user","content":"about \\"nexus1.x\\""}`
    await ask(here.port, "POST", path, body([item("nexus1.SG0"), said, item("theirs")]))
    expect(here.upstreams[0]!.lastCall().text).toBe(body([said, item("theirs")]))
  })

  test("is the only one that is asked for what no other can be told", async () => {
    const native: Member = { script: () => flowing([created, text("kept", 1), completed]) }
    await using here = await worldOf([chat, native])
    const answer = await ask(here.port, "POST", path, asking({ stream: true, previous_response_id: "resp_1" }))
    expect([said(answer.text), answer.header("x-nexus-backend")]).toEqual(["kept", "b1"])
    expect(here.upstreams[0]!.calls()).toEqual([])
    await using failing = await worldOf([chat, { script: () => [json({ detail: "no such id" }, 404)] }])
    const missing = await ask(failing.port, "POST", path, asking({ previous_response_id: "resp_1" }))
    expect([missing.status, missing.text]).toEqual([404, expect.stringContaining("no such id")])
  })
})

describe("a conversation that is to be made shorter", () => {
  const compact = `${path}/compact`

  test("is given to a backend that can do that", async () => {
    const made = { id: "resp_1", object: "response.compaction", created_at: 1, output: [], usage }
    const script: Script = () => [json(made)]
    await using here = await worldOf([chat, { script, settings: { type: "generic", native: "always" } }])
    const answer = await ask(here.port, "POST", compact, asking())
    expect([answer.status, answer.json()]).toEqual([200, made])
    expect(here.upstreams[1]!.lastCall().target).toBe(compact)
  })

  test("is a 501 that nobody tries again where no backend can", async () => {
    await using here = await worldOf([chat, { script: chat.script }])
    const answer = await ask(here.port, "POST", compact, asking())
    expect([answer.status, answer.json(), answer.header("x-should-retry")]).toMatchObject([
      501,
      { error: { code: "not_implemented", type: "server_error" } },
      "false"
    ])
    expect(here.upstreams.flatMap((each) => each.calls())).toEqual([])
  })
})
