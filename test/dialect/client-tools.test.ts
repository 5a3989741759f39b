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
  const { chat, dropped } = Result.getOrThrow(client.decode(bytes({ model: "m", ...request }), undefined))
  const { body } = Result.getOrThrow(server.encode(chat, "served", anyServer))
  return { body: JSON.parse(decoder.decode(body)), dropped }
}

const user = { type: "message", role: "user", content: "go" }

/** The item that a call of a tool is told as, whole and at the end of a stream. */
const toldAs = (tool: Fields, args: string, finish = "tool_calls") => {
  const request = { model: "m", input: "go", tools: [tool] }
  const name = askedFor(request).body.tools[0].function.name
  const calls = [{ index: 0, id: "call_7", type: "function", function: { name, arguments: args } }]
  const encoding = answersTo(client, request)
  const context = { model: "m", id: "z", now: 0, callIds: new Set<string>() }
  const whole = bytes({
    choices: [{ index: 0, finish_reason: finish, message: { role: "assistant", tool_calls: calls } }]
  })
  const events = Result.getOrThrow(answersFrom(server).whole(whole))
  const streamed = responseEvents(decoder.decode(Buffer.concat([...transduce(encoding.stream(context), events)])))
  const { output } = JSON.parse(decoder.decode(Result.getOrThrow(encoding.whole(events, context))))
  expect(streamed.at(-1)?.response?.output).toEqual(output)
  return { item: output[0], types: streamed.map(({ type }) => type), opened: streamed[2]?.item }
}

describe("a tool that the client runs and that its type says all of", () => {
  test.each<readonly [string, Fields, Fields, Fields]>([
    [
      "local_shell",
      { type: "local_shell" },
      { command: ["ls", "-l"], timeout_ms: 5, working_directory: "/tmp" },
      { action: { type: "exec", command: ["ls", "-l"], env: {}, timeout_ms: 5, working_directory: "/tmp" } }
    ],
    [
      "shell",
      { type: "shell", environment: { type: "local" } },
      { commands: ["ls", "pwd"] },
      {
        action: { commands: ["ls", "pwd"], timeout_ms: null, max_output_length: null },
        environment: { type: "local" }
      }
    ],
    [
      "apply_patch",
      { type: "apply_patch" },
      { type: "update_file", path: "a.txt", diff: "@@\n-a\n+b" },
      { operation: { type: "update_file", path: "a.txt", diff: "@@\n-a\n+b" } }
    ]
  ])("is called as a function, and told of as the call that its client knows: %s", (kind, tool, args, said) => {
    const { body, dropped } = askedFor({ input: [user], tools: [tool] })
    expect(dropped).toEqual([])
    expect(body.tools[0].function).toMatchObject({ name: kind, parameters: { type: "object" } })
    expect(Object.keys(body.tools[0].function.parameters.properties)).toEqual(expect.arrayContaining(Object.keys(args)))
    const { item, opened, types } = toldAs(tool, JSON.stringify(args))
    expect(item).toEqual({ id: item.id, type: `${kind}_call`, call_id: "call_7", status: "completed", ...said })
    expect(opened).toMatchObject({ id: item.id, type: `${kind}_call`, status: "in_progress" })
    expect(types.filter((type) => type.includes("arguments"))).toEqual([])
    // The next turn brings it back.
    const again = askedFor({
      input: [user, item, { type: `${kind}_call_output`, call_id: "call_7", output: "done" }],
      tools: [tool]
    })
    const [call] = again.body.messages[1].tool_calls
    expect([call.id, call.function.name]).toEqual(["call_7", kind])
    expect(JSON.parse(call.function.arguments)).toMatchObject(args)
    expect(again.body.messages[2]).toEqual({ role: "tool", tool_call_id: "call_7", content: "done" })
    expect(again.dropped).toEqual([])
  })

  test("may be told what came of it by the id of its item, as openai types it, and as a function's output", () => {
    const call = {
      type: "local_shell_call",
      id: "lsh_1",
      call_id: "c1",
      status: "completed",
      action: { type: "exec", command: ["ls"], env: {} }
    }
    for (const outcome of [
      { type: "local_shell_call_output", id: "lsh_1", output: "a" },
      { type: "local_shell_call_output", id: "c1", output: "a" },
      { type: "function_call_output", call_id: "c1", output: "a" }
    ]) {
      const { body } = askedFor({ input: [user, call, outcome], tools: [{ type: "local_shell" }] })
      expect(body.messages[2]).toEqual({ role: "tool", tool_call_id: "c1", content: "a" })
    }
  })

  test("has all of what its commands put out told, and that a patch has failed", () => {
    const output = [{ stdout: "a", stderr: "b", outcome: { type: "exit", exit_code: 1 } }]
    const ran = { type: "shell_call", call_id: "c", action: { commands: ["ls"] } }
    const patched = { type: "apply_patch_call", call_id: "p", operation: { type: "delete_file", path: "x" } }
    const { body } = askedFor({
      input: [
        user,
        ran,
        patched,
        { type: "shell_call_output", call_id: "c", output, max_output_length: 9 },
        { type: "apply_patch_call_output", call_id: "p", status: "failed", output: "no such file" }
      ]
    })
    expect(JSON.parse(body.messages[2].content)).toEqual(output)
    expect(body.messages[3].content).toBe("Error: no such file")
  })

  test("is chosen by its type, and one of the same name keeps its own", () => {
    const fn = { type: "function", name: "shell", parameters: { type: "object" } }
    const { body } = askedFor({ input: [user], tools: [{ type: "shell" }, fn], tool_choice: { type: "shell" } })
    const [known, own] = body.tools.map((tool: { readonly function: Fields }) => tool.function["name"])
    expect(own).toBe("shell")
    expect(known).not.toBe("shell")
    expect(body.tool_choice).toEqual({ type: "function", function: { name: known } })
  })

  test("tells the model of the skills that lie where it runs", () => {
    const skills = [{ name: "pdf", description: "Reads PDFs", path: "/skills/pdf" }]
    const { body } = askedFor({
      input: [user],
      tools: [{ type: "shell", environment: { type: "local", skills } }]
    })
    expect(body.tools[0].function.description).toEndWith("\n- pdf (/skills/pdf): Reads PDFs")
  })

  test("is one of OpenAI's where it runs there, and no call of it is whole that was cut off", () => {
    const hosted = { type: "shell", environment: { type: "container_auto" } }
    const { body, dropped } = askedFor({ input: [user], tools: [hosted, { type: "shell" }] })
    expect([body.tools.length, dropped]).toEqual([1, ["tools[0]"]])
    expect(toldAs({ type: "local_shell" }, '{"command":["r', "length").item).toMatchObject({
      status: "incomplete",
      action: { command: [] }
    })
    expect(toldAs({ type: "local_shell" }, '{"command":"ls -l"}').item.action.command).toEqual(["sh", "-c", "ls -l"])
  })

  test("calls for a model that can call tools", async () => {
    const sight = { turns: new EventLoopTurns(), least: () => 1 }
    const { needs } = Result.getOrThrow(
      await create.needs(bytes({ model: "m", input: "go", tools: [{ type: "shell" }] }), sight)
    )
    expect(needs.abilities).toEqual(["tools"])
  })
})
