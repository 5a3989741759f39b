import { describe, expect, test } from "bun:test"
import { chatEvents, chunk, done, event, json, lastChunk, llamacppTooLong, streamHead } from "../kit/answers.ts"
import { messagesWorld as world, usage, whole } from "../kit/messages.ts"
import { scrape, total } from "../kit/metrics.ts"
import { ask, dial, requestBytes } from "../kit/rawClient.ts"
import type { Step } from "../kit/rawServer.ts"
import {
  askingForResponse as asking,
  responseEvents as events,
  responsesPath as path,
  responseTypes as types,
  responseWords as said
} from "../kit/responses.ts"
import { fieldsOf } from "../kit/voices.ts"

const flowing = (all: ReadonlyArray<string>, ...end: ReadonlyArray<Step>): ReadonlyArray<Step> => [
  streamHead(),
  ...all.map((each) => chunk(each)),
  ...(end.length === 0 ? [lastChunk] : end)
]

/** Whether a client can tell that an answer is not whole. */
const isCut = ({ end }: { readonly end: string }): boolean => end === "cut" || end === "reset"

const streamed = asking({ stream: true })

describe("a request of Responses over a backend that speaks chat", () => {
  test("is answered under the model's own name, and says that it was translated and what was left out", async () => {
    await using here = await world([whole], { routing: { aliases: { m: "real" } } })
    const body = asking({
      client_metadata: { a: "b" },
      metadata: { a: "b" },
      max_output_tokens: 50,
      tools: [{ type: "web_search" }, { type: "function", name: "t", parameters: null }]
    })
    const answer = await ask(here.port, "POST", path, body, ["Authorization: Bearer sk-secret", "X-Request-Id: mine"])
    expect([answer.status, answer.header("content-type")]).toEqual([200, "application/json"])
    expect(answer.header("x-nexus-dialect")).toBe("responses->openai")
    expect(answer.header("x-nexus-dropped")).toBe("tools[0], client_metadata")
    expect(answer.header("x-request-id")).toBe("mine")
    expect(answer.json()).toMatchObject({
      object: "response",
      status: "completed",
      model: "m",
      metadata: { a: "b" },
      output: [{ type: "message", content: [{ type: "output_text", text: "hi" }] }],
      usage: { input_tokens: 9, input_tokens_details: { cached_tokens: 4 }, output_tokens: 5, total_tokens: 14 }
    })
    const call = here.upstreams[0]!.lastCall()
    expect([call.target, fieldsOf(call)]).toEqual([
      "/v1/chat/completions",
      {
        model: "real",
        messages: [{ role: "user", content: "hello" }],
        max_completion_tokens: 50,
        tools: [{ type: "function", function: { name: "t", parameters: { type: "object", properties: {} } } }]
      }
    ])
    expect(call.header("authorization")).toBeUndefined()
  })

  test("is streamed as it is made, and counted in metrics and the history like any other", async () => {
    const gate = Promise.withResolvers<void>()
    const [a = "", b = "", ...rest] = chatEvents("m", ["a", "b"])
    await using here = await world([
      () => [
        streamHead(),
        chunk(a),
        { until: gate.promise },
        ...[b, ...rest.slice(0, -1), event({ choices: [], usage }), done].map((each) => chunk(each)),
        lastChunk
      ]
    ])
    using client = await dial(here.port)
    await client.send(requestBytes("POST", path, streamed, ["X-Request-Id: r1"]))
    const first = await client.until(({ text }) => text.includes('"delta":"a"'))
    expect([first.header("content-type"), first.header("x-nexus-dialect")]).toEqual([
      "text/event-stream",
      "responses->openai"
    ])
    gate.resolve()
    const answer = await client.answer()
    expect([said(answer.text), answer.end]).toEqual(["ab", "complete"])
    expect(types(answer.text).filter((type) => type !== "output_text.delta")).toEqual([
      "created",
      "in_progress",
      "output_item.added",
      "content_part.added",
      "output_text.done",
      "content_part.done",
      "output_item.done",
      "completed"
    ])
    expect(events(answer.text).at(-1)?.response?.usage).toMatchObject({ input_tokens: 9, output_tokens: 5 })
    expect(fieldsOf(here.upstreams[0]!.lastCall())["stream_options"]).toEqual({ include_usage: true })
    await here.gateway.quiet()
    const samples = await scrape(here.port)
    const ended = { endpoint: "responses", model: "m", backend: "b0", outcome: "completed", status: "2xx" }
    expect(total(samples, "nexus_requests_total", ended)).toBe(1)
    expect(total(samples, "nexus_tokens_total", { kind: "completion" })).toBe(5)
    expect((await ask(here.port, "GET", "/admin/v1/decisions/r1")).json()).toMatchObject({
      request: { endpoint: "responses", backend: "b0" }
    })
  })

  test("moves on to the next backend while nothing has been said, and not after", async () => {
    const good = () => flowing(chatEvents("m", ["yes"]))
    await using early = await world([() => flowing([event({ error: { message: "no room", code: 500 } })]), good])
    const moved = await ask(early.port, "POST", path, streamed)
    expect([said(moved.text), moved.header("x-nexus-backend")]).toEqual(["yes", "b1"])
    const [half = ""] = chatEvents("m", ["half"])
    await using late = await world([() => flowing([half], "reset"), good])
    const broken = await ask(late.port, "POST", path, streamed)
    expect([said(broken.text), types(broken.text).slice(-2), isCut(broken)]).toEqual([
      "half",
      ["failed", "error"],
      true
    ])
    expect(late.upstreams[1]!.calls()).toEqual([])
  })

  test("that breaks off is told so in the same response, without the backend's secrets, and is cut", async () => {
    const [half = ""] = chatEvents("m", ["half"])
    const ends: ReadonlyArray<ReadonlyArray<Step>> = [
      [lastChunk],
      [chunk(done), lastChunk],
      [chunk(event({ error: { message: "engine at http://10.1.2.3:99 died, sk-abcdefgh" } })), "hang"],
      [{ pause: 10 }, "reset"]
    ]
    for (const end of ends) {
      await using here = await world([() => flowing([half], ...end)])
      const answer = await ask(here.port, "POST", path, streamed)
      expect([said(answer.text), isCut(answer)]).toEqual(["half", true])
      const told = events(answer.text)
      expect(told.map(({ sequence_number }) => sequence_number)).toEqual(told.map((_, at) => at))
      const [failed, error] = told.slice(-2)
      expect(failed?.response).toMatchObject({
        id: told[0]?.response?.id,
        model: "m",
        status: "failed",
        error: { code: "server_error" }
      })
      expect([error?.type, error?.message]).toEqual(["error", failed?.response?.error?.message])
      expect(answer.text).not.toContain("sk-abcdefgh")
      await here.gateway.quiet()
      const samples = await scrape(here.port)
      expect(total(samples, "nexus_requests_total", { endpoint: "responses", outcome: "truncated" })).toBe(1)
    }
  })

  test("that is cancelled by an administrator, or whose client hangs up, lets its backend go", async () => {
    const [half = ""] = chatEvents("m", ["half"])
    await using here = await world([() => flowing([half], "hang")])
    using client = await dial(here.port)
    await client.send(requestBytes("POST", path, streamed, ["X-Request-Id: stop-me"]))
    await client.until(({ text }) => text.includes("half"))
    expect((await ask(here.port, "DELETE", "/admin/v1/requests/stop-me")).status).toBe(200)
    const answer = await client.answer()
    expect([types(answer.text).slice(-2), isCut(answer)]).toEqual([["failed", "error"], true])
    await here.upstreams[0]!.lastCall().gone
    using leaving = await dial(here.port)
    await leaving.send(requestBytes("POST", path, streamed))
    await leaving.until(({ text }) => text.includes("half"))
    leaving.hangUp()
    await (
      await here.upstreams[0]!.call(1)
    ).gone
    await here.gateway.quiet()
  })

  test("hears comments while it waits, and then its answer or its failure in the same stream", async () => {
    for (const fails of [false, true]) {
      const gate = Promise.withResolvers<void>()
      const steps = fails ? [json({ error: { message: "broken" } }, 500)] : flowing(chatEvents("m", ["late"]))
      await using here = await world([() => [{ until: gate.promise }, ...steps]], {
        server: { keepalive_after_seconds: 0.05 }
      })
      using client = await dial(here.port)
      await client.send(requestBytes("POST", path, streamed))
      const early = await client.until(({ text }) => text.includes(": keep-alive"))
      expect(early.status).toBe(200)
      gate.resolve()
      const answer = await client.answer()
      expect(types(answer.text)[0]).toBe("created")
      if (fails) expect([types(answer.text), isCut(answer)]).toEqual([["created", "failed", "error"], true])
      else expect([said(answer.text), types(answer.text).at(-1), answer.end]).toEqual(["late", "completed", "complete"])
    }
  })

  test("gets the stream that it asked for from a backend that answers whole", async () => {
    await using here = await world([whole])
    const answer = await ask(here.port, "POST", path, streamed)
    expect([answer.header("content-type"), said(answer.text), types(answer.text).at(-1)]).toEqual([
      "text/event-stream",
      "hi",
      "completed"
    ])
  })

  test("that is too long for every backend is refused in the words that agents look for", async () => {
    await using here = await world([() => [json(llamacppTooLong, 400)]])
    const answer = await ask(here.port, "POST", path, asking())
    expect([answer.status, answer.json()]).toMatchObject([400, { error: { code: "context_length_exceeded" } }])
  })
})

describe("what Nexus cannot do for Responses", () => {
  test.each([
    ["previous_response_id", { previous_response_id: "resp_1" }],
    ["conversation", { conversation: "conv_1" }],
    ["prompt", { prompt: { id: "p" } }],
    ["background", { background: true }],
    ["input[0]", { input: [{ type: "item_reference", id: "msg_1" }] }],
    ["input[0]", { input: [{ id: "msg_1" }] }],
    ["tools", { tools: [{ type: "web_search" }] }],
    ["tools[0].name", { tools: [{ type: "function" }] }],
    ["input", { input: 5 }],
    ["input[0].content[0].file_id", { input: [{ role: "user", content: [{ type: "input_image", file_id: "f" }] }] }],
    ["model", { model: "" }]
  ])("is refused by the name of the field: %s", async (param, more) => {
    await using here = await world([whole])
    const answer = await ask(here.port, "POST", path, asking(more))
    expect([answer.status, answer.json()]).toMatchObject([400, { error: { type: "invalid_request_error", param } }])
    expect(here.upstreams[0]!.calls()).toEqual([])
  })

  test("has a status and a reason where nothing is kept", async () => {
    await using here = await world([whole])
    for (const [method, at] of [
      ["GET", "/v1/responses/resp_1"],
      ["DELETE", "/v1/responses/resp_1"],
      ["POST", "/v1/responses/resp_1/cancel"],
      ["GET", "/v1/responses/resp_1/input_items"],
      ["POST", "/v1/conversations/conv_1"]
    ] as const) {
      const answer = await ask(here.port, method, at, method === "POST" ? "{}" : "")
      expect([answer.status, answer.json()]).toMatchObject([404, { error: { code: "not_found", param: null } }])
      expect(answer.text).toContain("keeps no")
    }
    const wrong = await ask(here.port, "GET", "/v1/responses")
    expect([wrong.status, wrong.header("allow")]).toEqual([405, "POST"])
  })

  test("counts tokens by an estimate that says so", async () => {
    await using here = await world([whole])
    const answer = await ask(here.port, "POST", `${path}/input_tokens`, asking({ instructions: "Be brief." }))
    expect([answer.status, answer.header("x-nexus-estimated")]).toEqual([200, "input_tokens"])
    expect(answer.json()).toMatchObject({ object: "response.input_tokens", input_tokens: expect.any(Number) })
    expect(here.upstreams[0]!.calls()).toEqual([])
  })

  test("leads from base URLs with one version too many, or an endpoint, to the same place", async () => {
    await using here = await world([whole])
    for (const each of [
      "/v1/v1/responses",
      "/responses",
      "/v1/responses/",
      "/v1/chat/completions/responses",
      "/openai/v1/responses",
      "/openai/responses"
    ]) {
      expect((await ask(here.port, "POST", each, asking())).status).toBe(200)
    }
  })
})
