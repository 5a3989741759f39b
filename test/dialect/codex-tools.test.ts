import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import { openai } from "../../src/dialect/openai/openai.ts"
import { responses } from "../../src/dialect/responses/responses.ts"
import { transduce } from "../../src/dialect/Transducer.ts"
import { EventLoopTurns } from "../../src/domain/EventLoopTurns.ts"
import { anyServer, answersFrom, answersTo } from "../kit/codecs.ts"
import { responseEvents } from "../kit/responses.ts"

const create = responses.operations[0]
const client = create.client!
const server = openai.operations[0].server!

const encoder = new TextEncoder()
const decoder = new TextDecoder()

type Fields = Readonly<Record<string, unknown>>

const bytes = (json: unknown): Uint8Array => encoder.encode(JSON.stringify(json))

/** What a backend is asked, and what was left out. */
const askedFor = (request: Fields) => {
  const { chat, dropped } = Result.getOrThrow(client.decode(bytes(request), undefined))
  const { body } = Result.getOrThrow(server.encode(chat, "served", anyServer))
  return { body: JSON.parse(decoder.decode(body)), dropped }
}

const fn = (name: string, more: Fields = {}) => ({ type: "function", name, parameters: { type: "object" }, ...more })

const user = { type: "message", role: "user", content: [{ type: "input_text", text: "go" }] }

const bringing = {
  type: "additional_tools",
  role: "developer",
  id: "at_1",
  tools: [
    {
      type: "namespace",
      name: "functions",
      description: "",
      tools: [{ type: "custom", name: "exec", description: "Runs it" }, fn("wait")]
    },
    fn("plan")
  ]
}

describe("what one agent of Codex tells another", () => {
  const envelope = { type: "input_text", text: "Message Type: NEW_TASK" }
  const message = (...content: ReadonlyArray<unknown>) => ({
    model: "m",
    input: [user, { type: "agent_message", id: "amsg_1", author: "lead", recipient: "worker", content }]
  })

  test("is said to the model, the words of other models that Codex takes for hidden ones as well", () => {
    const { body, dropped } = askedFor(
      message(envelope, { type: "encrypted_content", encrypted_content: "Count the gauges" })
    )
    expect(body.messages.at(-1)).toEqual({
      role: "user",
      content: [
        { type: "text", text: "go" },
        { type: "text", text: "Message Type: NEW_TASK" },
        { type: "text", text: "Count the gauges" }
      ]
    })
    expect(dropped).toEqual(["agent_message.author", "agent_message.recipient"])
  })

  test("is refused by its place where OpenAI has hidden it, since a task would be missing", () => {
    const hidden = { type: "encrypted_content", encrypted_content: `gAAAAABp${"Zx9_".repeat(20)}==` }
    const refused = client.decode(bytes(message(envelope, hidden)), undefined)
    expect(Result.isFailure(refused) && refused.failure.param).toBe("input[1].content[1]")
  })
})

const context = { model: "asked-for", id: "z", now: 1_700_000_000_500, callIds: new Set<string>() }

/** The output of the answer to a request whose backend makes these calls, whole and streamed. */
const outputsOf = (request: Fields, calls: ReadonlyArray<readonly [name: string, args: string]>) => {
  const made = calls.map(([name, args], index) => ({
    index,
    id: `call_${index}`,
    type: "function",
    function: { name, arguments: args }
  }))
  const finish = { index: 0, finish_reason: "tool_calls" }
  const whole = answersTo(client, request).whole(
    Result.getOrThrow(
      answersFrom(server).whole(bytes({ choices: [{ ...finish, message: { role: "assistant", tool_calls: made } }] }))
    ),
    context
  )
  const chunks = [
    { index: 0, delta: { tool_calls: made } },
    { ...finish, delta: {} }
  ].map((choice) => `data: ${JSON.stringify({ choices: [choice] })}\n\n`)
  const events = transduce(answersFrom(server).stream, [encoder.encode(`${chunks.join("")}data: [DONE]\n\n`)])
  const streamed = transduce(answersTo(client, request).stream(context), events)
  return {
    whole: JSON.parse(decoder.decode(Result.getOrThrow(whole))).output as ReadonlyArray<Fields>, // reason: a parsed answer
    events: responseEvents(decoder.decode(Buffer.concat([...streamed])))
  }
}

describe("tools that a client of Responses brings along in its input, as Codex does", () => {
  const request = { model: "m", input: [bringing, { role: "developer", content: "Be brief." }, user] }

  test("are those of the request, and what is said behind them stands at its head", () => {
    const { body, dropped } = askedFor({ ...request, tool_choice: "auto" })
    expect(body.tools.map((tool: { readonly function: Fields }) => tool.function["name"])).toEqual([
      "functions__exec",
      "functions__wait",
      "plan"
    ])
    expect(body.tools[0].function.description).toBe("Runs it")
    expect(body.messages).toEqual([
      { role: "system", content: "Be brief." },
      { role: "user", content: "go" }
    ])
    expect([body.tool_choice, dropped]).toEqual(["auto", []])
  })

  test("are called by the names that they came with", () => {
    const { events, whole } = outputsOf(request, [
      ["functions__exec", '{"input":"ls"}'],
      ["plan", "{}"]
    ])
    expect(whole).toMatchObject([
      { type: "custom_tool_call", name: "exec", namespace: "functions", input: "ls" },
      { type: "function_call", name: "plan", arguments: "{}" }
    ])
    expect(events.at(-1)?.response?.output).toEqual(whole)
  })

  test("are told of once, as they were told last", () => {
    const again = { ...bringing, tools: [fn("plan", { description: "Better" })] }
    const { body } = askedFor({ model: "m", tools: [fn("look")], input: [bringing, user, again] })
    expect(body.tools.map((tool: { readonly function: Fields }) => tool.function["name"])).toEqual([
      "look",
      "functions__exec",
      "functions__wait",
      "plan"
    ])
    expect(body.tools[3].function.description).toBe("Better")
  })

  test("call for a model that can call tools, and weigh what they weigh", async () => {
    const needsOf = async (input: unknown) =>
      Result.getOrThrow(
        await create.needs(bytes({ model: "m", input }), { turns: new EventLoopTurns(), least: () => 1 })
      ).needs
    const [without, brought] = [await needsOf([user]), await needsOf([bringing, user])]
    expect([without.abilities, brought.abilities]).toEqual([[], ["tools"]])
    expect(brought.promptTokens).toBeGreaterThan(without.promptTokens)
    const again = await needsOf([bringing, user, bringing])
    expect(again.promptTokens).toBe(brought.promptTokens)
    const listed = await needsOf([user, { type: "mcp_list_tools", tools: bringing.tools }])
    expect([listed.abilities, listed.promptTokens]).toEqual([[], without.promptTokens])
  })
})

describe("a search for tools that a client of Responses runs, as Codex does", () => {
  const search = {
    type: "tool_search",
    execution: "client",
    description: "Finds tools",
    parameters: { type: "object", properties: { query: { type: "string" } } }
  }
  const found = { type: "namespace", name: "mail", description: "", tools: [fn("send", { defer_loading: true })] }
  const searched = { type: "tool_search_call", call_id: "s1", execution: "client", arguments: { query: "mail" } }
  const outcome = { type: "tool_search_output", call_id: "s1", execution: "client", status: "completed" }

  test("is called as a function, and told of as the search that it is", () => {
    const request = { model: "m", input: [user], tools: [search] }
    expect(askedFor(request).body.tools).toEqual([
      {
        type: "function",
        function: { name: "tool_search", description: "Finds tools", parameters: search.parameters }
      }
    ])
    const { events, whole } = outputsOf(request, [["tool_search", '{"query":"mail","id":7}']])
    expect(whole).toMatchObject([
      { type: "tool_search_call", call_id: "call_0", execution: "client", status: "completed" }
    ])
    expect(whole[0]!["arguments"]).toMatchObject({ query: "mail" })
    expect(events.at(-1)?.response?.output).toEqual(whole)
    expect(events.map(({ type }) => type).filter((type) => type.includes("arguments"))).toEqual([])
  })

  test("has found what can be called from then on, by the names that are told of it", () => {
    const { body, dropped } = askedFor({
      model: "m",
      tools: [search],
      input: [user, searched, { ...outcome, tools: [found] }]
    })
    expect(body.messages.slice(1)).toEqual([
      {
        role: "assistant",
        content: null,
        tool_calls: [{ id: "s1", type: "function", function: { name: "tool_search", arguments: '{"query":"mail"}' } }]
      },
      { role: "tool", tool_call_id: "s1", content: "These tools can be called now: mail__send" }
    ])
    expect(body.tools.map((tool: { readonly function: Fields }) => tool.function["name"])).toEqual([
      "tool_search",
      "mail__send"
    ])
    expect(dropped).toEqual(["tools.defer_loading"])
  })

  test("may have found nothing, and is one of OpenAI's own where it does not say whose it is", () => {
    const nothing = askedFor({ model: "m", tools: [search], input: [user, searched, { ...outcome, tools: [] }] })
    expect(nothing.body.messages[2].content).toBe("No tools were found")
    const { execution: _, ...others } = searched
    const own = askedFor({
      model: "m",
      tools: [{ type: "tool_search" }, fn("a")],
      input: [user, others, { ...outcome, execution: "server", tools: [found] }]
    })
    expect(own.dropped).toEqual(["tools[0]", "tools.defer_loading", "input[1]", "input[2]"])
    expect(own.body.messages).toEqual([{ role: "user", content: "go" }])
  })
})

test("what OpenAI has done on an MCP server is a call and what came of it to another model, and its lists are left out and named", () => {
  const done = { type: "mcp_call", server_label: "docs", name: "find", arguments: '{"q":1}' }
  const { body, dropped } = askedFor({
    input: [
      user,
      { type: "mcp_list_tools", id: "mcpl_1", server_label: "docs", tools: [] },
      { ...done, id: "mcp_1", output: "found", error: null },
      { ...done, id: "mcp_2", output: null, error: "no such thing" },
      { type: "message", role: "assistant", content: [{ type: "output_text", text: "there" }] },
      user
    ]
  })
  const call = (id: string) => ({ id, type: "function", function: { name: "docs__find", arguments: '{"q":1}' } })
  expect(body.messages).toEqual([
    { role: "user", content: "go" },
    { role: "assistant", content: null, tool_calls: [call("mcp_1")] },
    { role: "tool", tool_call_id: "mcp_1", content: "found" },
    { role: "assistant", content: null, tool_calls: [call("mcp_2")] },
    { role: "tool", tool_call_id: "mcp_2", content: "Error: no such thing" },
    { role: "assistant", content: "there" },
    { role: "user", content: "go" }
  ])
  expect(dropped).toEqual(["input[1]"])
})
