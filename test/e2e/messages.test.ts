import { describe, expect, test } from "bun:test"
import { chatEvents, chunk, done, event, json, lastChunk, streamHead } from "../kit/answers.ts"
import { scrape, total } from "../kit/metrics.ts"
import { ask, dial, requestBytes } from "../kit/rawClient.ts"
import type { Step } from "../kit/rawServer.ts"
import { fieldsOf } from "../kit/voices.ts"
import {
  messagesPath as path,
  messagesVersion as version,
  asking,
  messagesEvents as events,
  said,
  names,
  messagesWorld as world,
  usage,
  whole
} from "../kit/messages.ts"

const flowing = (all: ReadonlyArray<string>, ...end: ReadonlyArray<Step>): ReadonlyArray<Step> => [
  streamHead(),
  ...all.map((each) => chunk(each)),
  ...(end.length === 0 ? [lastChunk] : end)
]

describe("a request of Messages over a backend that speaks chat", () => {
  test("is answered under the model's own name, and says that it was translated and what was left out", async () => {
    await using here = await world([whole], { routing: { aliases: { m: "real" } } })
    const body = asking({
      context_management: { edits: [] },
      tools: [
        { type: "web_search_20250305", name: "web_search" },
        { name: "t", input_schema: { type: "object" } }
      ]
    })
    const headers = [version, "anthropic-beta: one,two", "x-api-key: sk-secret", "X-Request-Id: mine"]
    const answer = await ask(here.port, "POST", `${path}?beta=true`, body, headers)
    expect([answer.status, answer.header("content-type")]).toEqual([200, "application/json"])
    expect(answer.header("x-nexus-dialect")).toBe("anthropic->openai")
    expect(answer.header("x-nexus-dropped")).toBe("tools[0], context_management")
    expect(answer.header("request-id")).toBe("mine")
    expect(answer.json()).toMatchObject({
      type: "message",
      role: "assistant",
      model: "m",
      content: [{ type: "text", text: "hi" }],
      stop_reason: "end_turn",
      usage: { input_tokens: 5, cache_read_input_tokens: 4, output_tokens: 5 }
    })
    const call = here.upstreams[0]!.lastCall()
    expect([call.target, fieldsOf(call)["model"], fieldsOf(call)["max_tokens"]]).toEqual([
      "/v1/chat/completions",
      "real",
      50
    ])
    for (const name of ["x-api-key", "anthropic-version", "anthropic-beta"]) expect(call.header(name)).toBeUndefined()
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
    await client.send(requestBytes("POST", path, asking({ stream: true }), ["X-Request-Id: r1"]))
    const first = await client.until(({ text }) => text.includes('"text":"a"'))
    expect([first.header("content-type"), first.header("x-nexus-dialect")]).toEqual([
      "text/event-stream",
      "anthropic->openai"
    ])
    gate.resolve()
    const answer = await client.answer()
    expect([said(answer.text), answer.end]).toEqual(["ab", "complete"])
    expect(names(answer.text).filter((name) => name !== "content_block_delta")).toEqual([
      "message_start",
      "content_block_start",
      "content_block_stop",
      "message_delta",
      "message_stop"
    ])
    expect(events(answer.text).at(-2)?.json.usage).toMatchObject({
      input_tokens: 5,
      cache_read_input_tokens: 4,
      output_tokens: 5
    })
    expect(fieldsOf(here.upstreams[0]!.lastCall())["stream_options"]).toEqual({ include_usage: true })
    await here.gateway.quiet()
    const samples = await scrape(here.port)
    const ended = {
      endpoint: "messages",
      model: "m",
      backend: "b0",
      outcome: "completed",
      status: "2xx",
      stream: "true"
    }
    expect(total(samples, "nexus_requests_total", ended)).toBe(1)
    expect(total(samples, "nexus_tokens_total", { kind: "completion" })).toBe(5)
    expect((await ask(here.port, "GET", "/admin/v1/decisions/r1")).json()).toMatchObject({
      request: {
        endpoint: "messages",
        backend: "b0"
      }
    })
  })

  test("moves on to the next backend while nothing has been said, and not after", async () => {
    const failing = event({ error: { message: "no room", code: 500 } })
    const good = () => flowing(chatEvents("m", ["yes"]))
    await using early = await world([() => flowing([failing]), good])
    const moved = await ask(early.port, "POST", path, asking({ stream: true }))
    expect([said(moved.text), moved.header("x-nexus-backend"), moved.header("x-nexus-attempts")]).toEqual([
      "yes",
      "b1",
      "2"
    ])
    const [half = ""] = chatEvents("m", ["half"])
    await using late = await world([() => flowing([half], "reset"), good])
    const broken = await ask(late.port, "POST", path, asking({ stream: true }))
    expect([said(broken.text), names(broken.text).at(-1), broken.end]).toEqual(["half", "error", "complete"])
    expect(late.upstreams[1]!.calls()).toEqual([])
  })

  test("that breaks off is told so by one error event, without the backend's secrets, and the body ends in order", async () => {
    const [half = ""] = chatEvents("m", ["half"])
    const ends: ReadonlyArray<ReadonlyArray<Step>> = [
      [lastChunk],
      [chunk(done), lastChunk],
      [chunk(event({ error: { message: "engine at http://10.1.2.3:99 died, sk-abcdefgh" } })), "hang"],
      [{ pause: 10 }, "reset"]
    ]
    for (const end of ends) {
      await using here = await world([() => flowing([half], ...end)])
      const answer = await ask(here.port, "POST", path, asking({ stream: true }))
      expect([said(answer.text), answer.end]).toEqual(["half", "complete"])
      expect(names(answer.text).filter((name) => name === "error" || name === "message_stop")).toEqual(["error"])
      expect(answer.text).not.toContain("sk-abcdefgh")
      await here.gateway.quiet()
      const samples = await scrape(here.port)
      expect(total(samples, "nexus_requests_total", { endpoint: "messages", outcome: "truncated" })).toBe(1)
    }
  })

  test("ends for its client with its last word, though the backend keeps the connection open", async () => {
    await using here = await world([() => flowing(chatEvents("m", ["all"]), "hang")])
    const answer = await ask(here.port, "POST", path, asking({ stream: true }))
    expect([said(answer.text), names(answer.text).at(-1), answer.end]).toEqual(["all", "message_stop", "complete"])
    await here.upstreams[0]!.lastCall().gone
    await here.gateway.quiet()
  })

  test("that is cancelled by an administrator ends with an error, and its backend is let go", async () => {
    const [half = ""] = chatEvents("m", ["half"])
    await using here = await world([() => flowing([half], "hang")])
    using client = await dial(here.port)
    await client.send(requestBytes("POST", path, asking({ stream: true }), ["X-Request-Id: stop-me"]))
    await client.until(({ text }) => text.includes("half"))
    expect((await ask(here.port, "DELETE", "/admin/v1/requests/stop-me")).status).toBe(200)
    const answer = await client.answer()
    expect([names(answer.text).at(-1), answer.end]).toEqual(["error", "complete"])
    await here.upstreams[0]!.lastCall().gone
    await here.gateway.quiet()
  })

  test("whose client hangs up lets its backend go", async () => {
    const [half = ""] = chatEvents("m", ["half"])
    await using here = await world([() => flowing([half], "hang")])
    using client = await dial(here.port)
    await client.send(requestBytes("POST", path, asking({ stream: true })))
    await client.until(({ text }) => text.includes("half"))
    client.hangUp()
    await here.upstreams[0]!.lastCall().gone
    await here.gateway.quiet()
    const fibers = here.gateway.fibers()
    expect(fibers).toBeLessThan(50)
  })

  test("holds a backend back whose client takes nothing, and loses no byte of it", async () => {
    const word = "x".repeat(8000)
    const count = 600
    await using here = await world([
      () =>
        flowing(
          chatEvents(
            "m",
            Array.from({ length: count }, () => word)
          )
        )
    ])
    using client = await dial(here.port, true)
    await client.send(requestBytes("POST", path, asking({ stream: true })))
    await Bun.sleep(50)
    const answer = await ask(here.port, "POST", path, asking({ stream: true }))
    expect(said(answer.text).length).toBe(word.length * count)
    client.hangUp()
    await here.gateway.quiet()
  })

  test("gets pings while it waits, and then its answer or its failure in the same stream", async () => {
    for (const fails of [false, true]) {
      const gate = Promise.withResolvers<void>()
      const steps = fails ? [json({ error: { message: "broken" } }, 500)] : flowing(chatEvents("m", ["late"]))
      await using here = await world([() => [{ until: gate.promise }, ...steps]], {
        server: { keepalive_after_seconds: 0.05 }
      })
      using client = await dial(here.port)
      await client.send(requestBytes("POST", path, asking({ stream: true, speed: "fast" })))
      const early = await client.until(({ text }) => text.includes("event: ping"))
      expect([early.status, early.header("x-nexus-dropped")]).toEqual([200, "speed"])
      gate.resolve()
      const answer = await client.answer()
      const told = names(answer.text).filter((name) => name !== "ping")
      expect([told.at(-1), answer.end]).toEqual([fails ? "error" : "message_stop", "complete"])
      if (!fails) expect(said(answer.text)).toBe("late")
    }
  })

  test("gets the stream that it asked for from a backend that answers whole", async () => {
    await using here = await world([whole])
    const answer = await ask(here.port, "POST", path, asking({ stream: true }))
    expect([answer.header("content-type"), said(answer.text), names(answer.text).at(-1)]).toEqual([
      "text/event-stream",
      "hi",
      "message_stop"
    ])
  })

  test("is asked again without an effort where the model cannot think", async () => {
    await using here = await world([
      (request) =>
        fieldsOf(request)["reasoning_effort"] === undefined
          ? whole()
          : [json({ error: { message: '"m" does not support thinking' } }, 400)]
    ])
    const answer = await ask(here.port, "POST", path, asking({ thinking: { type: "enabled", budget_tokens: 6000 } }))
    expect([answer.status, answer.header("x-nexus-dropped")]).toEqual([200, "thinking"])
    expect(here.upstreams[0]!.calls().map((call) => fieldsOf(call)["reasoning_effort"])).toEqual(["medium", undefined])
  })

  test("is told to think in a word that its model takes, of which it has heard once", async () => {
    const taken = new Set<unknown>(["none", "low", "medium", "high"])
    await using here = await world([
      (request) => {
        const { reasoning_effort: effort } = fieldsOf(request)
        const message = `invalid reasoning value: '${String(effort)}' (must be "high", "medium", "low", or "none")`
        return taken.has(effort) ? whole() : [json({ error: { message } }, 400)]
      }
    ])
    const thinking = { thinking: { type: "enabled", budget_tokens: 1024 } }
    const others = [thinking, { thinking: { type: "disabled" } }, { output_config: { effort: "max" } }]
    for (const each of [thinking, ...others]) {
      const answer = await ask(here.port, "POST", path, asking(each))
      expect([answer.status, answer.header("x-nexus-dropped")]).toEqual([200, undefined])
    }
    const told = here.upstreams[0]!.calls().map((call) => fieldsOf(call)["reasoning_effort"])
    expect(told).toEqual(["minimal", "low", "low", "none", "high"])
  })

  test("pays once for what its model refuses to be told, until the server has been away", async () => {
    await using here = await world([
      (request) =>
        fieldsOf(request)["temperature"] === undefined
          ? whole()
          : [json({ error: { message: "`temperature` is deprecated for this model." } }, 400)]
    ])
    const body = asking({ temperature: 0.5 })
    const first = await ask(here.port, "POST", path, body)
    const second = await ask(here.port, "POST", path, body)
    for (const answer of [first, second]) {
      expect([answer.status, answer.header("x-nexus-dropped")]).toEqual([200, "temperature"])
    }
    const told = () => here.upstreams[0]!.calls().map((call) => fieldsOf(call)["temperature"])
    expect(told()).toEqual([0.5, undefined, undefined])
    const other = await ask(here.port, "POST", path, asking({ temperature: 0.5, model: "real" }))
    expect([other.status, told().slice(3)]).toEqual([200, [0.5, undefined]])
  })

  test("tells a client that a value is wrong, and leaves nothing out for it", async () => {
    await using here = await world([
      () => [json({ error: { message: "temperature: Input should be less than or equal to 1" } }, 400)]
    ])
    const answer = await ask(here.port, "POST", path, asking({ temperature: 7 }))
    expect([answer.status, here.upstreams[0]!.calls().length]).toEqual([400, 1])
  })

  test("names its tools in a way that the backend takes, and gets back the names it gave", async () => {
    const long = `mcp__${"server_".repeat(12)}search`
    const names = ["look.up", "look_up", `${long}_a`, `${long}_b`, "wetter-für"]
    const calls = (told: ReadonlyArray<string>) =>
      told.map((name, at) => ({ id: `c${at}`, type: "function", function: { name, arguments: "{}" } }))
    await using here = await world([
      (request) => {
        const tools = fieldsOf(request)["tools"] as ReadonlyArray<{ readonly function: { readonly name: string } }>
        const message = { role: "assistant", content: null, tool_calls: calls(tools.map((tool) => tool.function.name)) }
        return [json({ choices: [{ index: 0, message, finish_reason: "tool_calls" }] })]
      }
    ])
    const tools = names.map((name) => ({ name, input_schema: { type: "object" } }))
    const history = [
      { role: "user", content: "go" },
      { role: "assistant", content: [{ type: "tool_use", id: "a", name: "look.up", input: {} }] },
      { role: "user", content: [{ type: "tool_result", tool_use_id: "a", content: "ok" }] }
    ]
    const answer = await ask(here.port, "POST", path, asking({ tools, messages: history }))
    const { content } = answer.json() as { readonly content: ReadonlyArray<{ readonly name: string }> }
    expect(content.map(({ name }) => name)).toEqual(names)
    const sent = fieldsOf(here.upstreams[0]!.lastCall())
    const told = calls([])
      .concat((sent["tools"] as ReturnType<typeof calls>) ?? [])
      .map((tool) => tool.function.name)
    expect(told.every((name) => /^[A-Za-z0-9_-]{1,64}$/.test(name))).toBe(true)
    expect([new Set(told).size, told[1]]).toEqual([names.length, "look_up"])
    expect(sent["messages"]).toMatchObject([{}, { tool_calls: [{ function: { name: told[0] } }] }, {}])
  })

  test("keeps numbers in the input of a call as they are, both ways", async () => {
    const args = '{"id":12345678901234567890,"ratio":1.0}'
    const made = { id: "call_1", type: "function", function: { name: "t", arguments: args } }
    const message = { role: "assistant", content: null, tool_calls: [made] }
    await using here = await world([() => [json({ choices: [{ index: 0, message, finish_reason: "tool_calls" }] })]])
    const turns = `[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"t","input":${args}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":"ok"}]}]`
    const body = `{"model":"m","max_tokens":9,"messages":${turns},"tools":[{"name":"t","input_schema":{}}]}`
    const answer = await ask(here.port, "POST", path, body)
    expect(answer.text).toContain(`"input":${args}`)
    const sent = fieldsOf(here.upstreams[0]!.lastCall())["messages"]
    expect(sent).toMatchObject([{}, { tool_calls: [{ function: { arguments: args } }] }, { role: "tool" }])
  })
})
