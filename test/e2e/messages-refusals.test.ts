import { describe, expect, test } from "bun:test"
import { chunk, delta, done, event, json, lastChunk, llamacppTooLong, streamHead } from "../kit/answers.ts"
import { ask } from "../kit/rawClient.ts"
import type { Step } from "../kit/rawServer.ts"
import { fieldsOf } from "../kit/voices.ts"
import {
  messagesPath as path,
  messagesVersion as version,
  asking,
  names,
  messagesWorld as world,
  whole
} from "../kit/messages.ts"

const flowing = (all: ReadonlyArray<string>, ...end: ReadonlyArray<Step>): ReadonlyArray<Step> => [
  streamHead(),
  ...all.map((each) => chunk(each)),
  ...(end.length === 0 ? [lastChunk] : end)
]

const errorIn = (text: string) => {
  const { error, type } = JSON.parse(text)
  expect(type).toBe("error")
  return error
}

describe("a client of Messages is told, in Anthropic's shape,", () => {
  const user = (content: unknown) => ({ messages: [{ role: "user", content }] })
  const call = { type: "tool_use", id: "a", name: "t", input: {} }
  const result = (id: string) => ({ role: "user", content: [{ type: "tool_result", tool_use_id: id }] })

  test.each([
    [
      "a call without a result",
      {
        messages: [
          { role: "assistant", content: [call] },
          { role: "user", content: "x" }
        ]
      },
      "messages[0]"
    ],
    ["a result without a call", { messages: [result("zz")] }, "messages[0].content[0]"],
    [
      "a file that is at Anthropic",
      user([{ type: "image", source: { type: "file", file_id: "f" } }]),
      "messages[0].content[0].source"
    ],
    [
      "a PDF, which the backend does not take",
      user([{ type: "document", source: { type: "base64", media_type: "application/pdf", data: "AA==" } }]),
      "document"
    ],
    ["a tool that only Anthropic's models know", { tools: [{ type: "bash_20250124", name: "bash" }] }, "tools[0].type"],
    ["servers of MCP", { mcp_servers: [{ type: "url", url: "http://x", name: "x" }] }, "mcp_servers"],
    ["a block of no kind", user([{ type: "hologram" }]), "messages[0].content[0].type"],
    ["a role of no kind", { messages: [{ role: "tool", content: "x" }] }, "messages[0].role"],
    ["messages that are none", { messages: "x" }, "messages"],
    ["a stream of no kind", { stream: "yes" }, "stream"]
  ])("400 with the place of %s", async (_, more, place) => {
    await using here = await world([whole])
    const answer = await ask(here.port, "POST", path, asking(more))
    const error = errorIn(answer.text)
    expect([answer.status, error.type]).toEqual([400, "invalid_request_error"])
    expect(error.message).toContain(place)
    expect(JSON.parse(answer.text).request_id).toBe(answer.header("request-id"))
    expect(here.upstreams[0]!.calls()).toEqual([])
  })

  test("that a prompt is too long, in the words that agents know", async () => {
    await using here = await world([() => [json(llamacppTooLong, 400)]])
    const answer = await ask(here.port, "POST", path, asking())
    expect([answer.status, errorIn(answer.text)]).toEqual([
      400,
      { type: "invalid_request_error", message: "prompt is too long: 6007 tokens > 4096 maximum" }
    ])
  })

  test("400 for a body that is nested too deep, and 404 for a path where nothing is", async () => {
    await using here = await world([whole])
    const deep = `${'{"content":['.repeat(30_000)}1.0${"]}".repeat(30_000)}`
    for (const block of [deep, `{"type":"tool_use","id":"a","name":"t","input":${deep}}`]) {
      const body = `{"model":"m","messages":[{"role":"assistant","content":[${block}]}]}`
      const answer = await ask(here.port, "POST", path, body)
      expect([answer.status, errorIn(answer.text).type]).toEqual([400, "invalid_request_error"])
    }
    const nothing = await ask(here.port, "GET", "/v1/nothing", "", [version])
    expect([nothing.status, errorIn(nothing.text).type]).toEqual([404, "not_found_error"])
  })

  test("404 for a model that nobody has, 502 for an answer that is none, 503 when nobody is there", async () => {
    await using here = await world([() => [json({ hm: 1 })]])
    const nobody = await ask(here.port, "POST", path, asking({ model: "nope" }))
    expect([nobody.status, errorIn(nobody.text).type]).toEqual([404, "not_found_error"])
    const bad = await ask(here.port, "POST", path, asking())
    expect([bad.status, errorIn(bad.text).type]).toEqual([502, "api_error"])
    await here.upstreams[0]!.server[Symbol.asyncDispose]()
    const gone = await ask(here.port, "POST", path, asking())
    expect([gone.status, errorIn(gone.text).type]).toEqual([503, "overloaded_error"])
  })

  test("502 for a call whose arguments are no JSON, whole or streamed", async () => {
    const made = { index: 0, id: "c", type: "function", function: { name: "t", arguments: '{"a":' } }
    await using here = await world([
      (request) =>
        fieldsOf(request)["stream"] === true
          ? flowing([event(delta("m", { tool_calls: [made] })), event(delta("m", {}, "tool_calls")), done])
          : [json({ choices: [{ index: 0, message: { tool_calls: [made] }, finish_reason: "tool_calls" }] })]
    ])
    expect((await ask(here.port, "POST", path, asking())).status).toBe(502)
    const streamed = await ask(here.port, "POST", path, asking({ stream: true }))
    expect(names(streamed.text).at(-1)).toBe("error")
  })
})

describe("beside messages", () => {
  test("tokens are counted by an estimate that says so, with system, tools and results", async () => {
    await using here = await world([whole])
    const count = async (more: Readonly<Record<string, unknown>>) => {
      const answer = await ask(here.port, "POST", `${path}/count_tokens?beta=true`, asking(more), [version])
      expect([answer.status, answer.header("x-nexus-estimated")]).toEqual([200, "input_tokens"])
      return (answer.json() as { input_tokens: number }).input_tokens // reason: checked by what is expected of it
    }
    const plain = await count({})
    const words = "many words of a text that goes on ".repeat(20)
    for (const more of [
      { system: words },
      { tools: [{ name: "t", description: words, input_schema: {} }] },
      {
        messages: [
          {
            role: "user",
            content: [{ type: "tool_result", tool_use_id: "a", content: [{ type: "text", text: words }] }]
          }
        ]
      }
    ]) {
      expect(await count(more)).toBeGreaterThan(plain + 100)
    }
    expect(here.upstreams[0]!.calls()).toEqual([])
    expect((await ask(here.port, "POST", `${path}/count_tokens`, asking({ model: "nope" }))).status).toBe(404)
  })

  test("models are listed in pages of Anthropic's shape to who sends anthropic-version, and to nobody else", async () => {
    await using here = await world([whole])
    const list = await ask(here.port, "GET", "/v1/models?limit=1", "", [version])
    expect(list.json()).toMatchObject({
      data: [{ type: "model", id: "m", display_name: "m" }],
      has_more: true,
      first_id: "m",
      last_id: "m"
    })
    const next = await ask(here.port, "GET", "/v1/models?limit=1&after_id=m", "", [version])
    expect(next.json()).toMatchObject({ data: [{ id: "real" }], has_more: false })
    expect((await ask(here.port, "GET", "/v1/models/real", "", [version])).json()).toMatchObject({
      type: "model",
      id: "real"
    })
    const none = await ask(here.port, "GET", "/v1/models/nope", "", [version])
    expect([none.status, errorIn(none.text).type]).toEqual([404, "not_found_error"])
    expect((await ask(here.port, "GET", "/v1/models")).json()).toMatchObject({ object: "list" })
  })

  test("a base URL with a version of its own leads to the same place", async () => {
    await using here = await world([whole])
    for (const each of ["/v1/v1/messages", "/messages", "/v1/messages/"]) {
      expect((await ask(here.port, "POST", each, asking())).status).toBe(200)
    }
  })
})
