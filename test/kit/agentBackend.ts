/**
 * A chat-only backend as an agent meets it: it has the agent's own tools read two files, at once and with mixed pieces, and
 * then says what stood in them.
 */
import { basename } from "node:path"
import { chunk, completion, delta, done, event, json, lastChunk, streamHead } from "./answers.ts"
import { modelOf, wantsStream } from "./FakeUpstream.ts"
import type { Script, Seen, Step } from "./rawServer.ts"
import { fieldsOf } from "./voices.ts"

interface OfferedTool {
  readonly name: string
  readonly properties: Readonly<Record<string, unknown>>
}

interface ToolCall {
  readonly id: string
  readonly name: string
  readonly arguments: string
}

// The tools by which agents read a file, the best first, and the field that takes its path or a command.
const readers = ["read", "read_file", "read_files", "view", "cat"]
const shells = [
  "exec_command",
  "shell_command",
  "run_shell_command",
  "bash",
  "shell",
  "run_commands",
  "execute_command"
]
const pathFields = ["file_path", "absolute_path", "filePath", "filepath", "path"]
const commandFields = ["command", "cmd", "commands"]

const record = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null ? { ...value } : {}

const list = (value: unknown): ReadonlyArray<unknown> => (Array.isArray(value) ? value : [])

const offered = (request: Seen): ReadonlyArray<OfferedTool> =>
  list(fieldsOf(request)["tools"]).map((tool) => {
    const { name, parameters } = record(record(tool)["function"])
    return { name: String(name), properties: record(record(parameters)["properties"]) }
  })

const argumentsFor = ({ properties }: OfferedTool, path: string): unknown => {
  const field = [...pathFields, ...commandFields].find((each) => each in properties)
  if (field === undefined) return undefined
  if (pathFields.includes(field)) return { [field]: path }
  const takesList = record(properties[field])["type"] === "array"
  const command = `cat '${path}'`
  const described = "description" in properties ? { description: "Reads a file" } : {}
  // A shell that wants its words apart is given one; a list of commands is a list of one.
  if (!takesList) return { [field]: command, ...described }
  return { [field]: field === "commands" ? [command] : ["bash", "-lc", command], ...described }
}

/** The calls that read these files with what is offered; none when nothing that is offered can. */
const callsFor = (tools: ReadonlyArray<OfferedTool>, paths: ReadonlyArray<string>, salt: string) => {
  for (const wanted of [...readers, ...shells]) {
    const tool = tools.find(({ name }) => name.toLowerCase() === wanted)
    if (tool === undefined || argumentsFor(tool, "") === undefined) continue
    return paths.map((path, at): ToolCall => ({
      id: `call_${salt}_${at}`,
      name: tool.name,
      arguments: JSON.stringify(argumentsFor(tool, path))
    }))
  }
  return []
}

const textOf = (content: unknown): string =>
  typeof content === "string"
    ? content
    : list(content)
        .map((part) => String(record(part)["text"] ?? ""))
        .join("")

interface Turn {
  readonly role: string
  readonly text: string
}

const turnsOf = (request: Seen): ReadonlyArray<Turn> =>
  list(fieldsOf(request)["messages"]).map((message) => {
    const { role, content } = record(message)
    return { role: String(role), text: textOf(content) }
  })

/** What the tools have said since the user's last words. */
const results = (turns: ReadonlyArray<Turn>): ReadonlyArray<string> => {
  const asked = turns.findLastIndex(({ role }) => role === "user")
  // Some give a result back as a user's words as well, so that the last call counts.
  const called = turns.findLastIndex(({ role }) => role === "tool")
  const since = called > asked ? turns.slice(asked + 1) : []
  return since.filter(({ role }) => role === "tool").map(({ text }) => text)
}

const pieces = (text: string): ReadonlyArray<string> => text.match(/[\s\S]{1,12}/g) ?? []

const usage = { prompt_tokens: 11, completion_tokens: 5, total_tokens: 16 }

const streamedCalls = (model: string, calls: ReadonlyArray<ToolCall>): ReadonlyArray<unknown> => {
  const cut = calls.map(({ arguments: args }) => pieces(args))
  const longest = Math.max(...cut.map(({ length }) => length))
  const call = (index: number, more: object) => delta(model, { tool_calls: [{ index, ...more }] })
  return [
    delta(model, { role: "assistant", content: "Reading both." }),
    ...calls.map(({ id, name }, at) => call(at, { id, type: "function", function: { name, arguments: "" } })),
    ...Array.from({ length: longest }, (_, piece) => piece).flatMap((piece) =>
      cut.flatMap((own, at) => {
        const next = own[piece]
        return next === undefined ? [] : [call(at, { function: { arguments: next } })]
      })
    ),
    delta(model, {}, "tool_calls")
  ]
}

/** Words or calls as a request wants them: whole, or in pieces that come mixed. */
export const answered = (request: Seen, said: ReadonlyArray<ToolCall> | string): ReadonlyArray<Step> => {
  const model = modelOf(request)
  if (!wantsStream(request)) {
    if (typeof said === "string") return [json(completion(model, said))]
    const tool_calls = said.map(({ id, ...call }) => ({ id, type: "function", function: call }))
    const message = { role: "assistant", content: null, tool_calls }
    return [json({ ...completion(model, ""), choices: [{ index: 0, message, finish_reason: "tool_calls" }] })]
  }
  const events =
    typeof said === "string"
      ? [
          delta(model, { role: "assistant", content: "" }),
          ...pieces(said).map((content) => delta(model, { content })),
          delta(model, {}, "stop")
        ]
      : streamedCalls(model, said)
  const last = { ...delta(model, {}), choices: [], usage }
  return [streamHead(), ...[...events, last].map((each) => chunk(event(each))), chunk(done), lastChunk]
}

/** What is read, and what shows that it was. */
export interface ReadingTask {
  readonly paths: ReadonlyArray<string>
  readonly secrets: ReadonlyArray<string>
  /** Whether the agent has no tools, and is asked in words for what is in the files. */
  readonly toolless: boolean
}

/** Whether a request is one of the agent's own turns, and not a title or a summary that it makes beside. */
export const isTurn = (request: Seen): boolean => offered(request).length > 0

/** Answers each turn of an agent: calls first, and what they gave once it is there. */
export const agentScript = ({ paths, secrets, toolless }: ReadingTask): Script => {
  let salt = 0
  return (request) => {
    if (toolless) {
      const said = turnsOf(request).map(({ text }) => text)
      const seen = secrets.filter((secret) => said.some((text) => text.includes(secret)))
      const files = paths.map((path) => basename(path)).join(" and ")
      return answered(request, seen.length === secrets.length ? `They say ${seen.join(" and ")}.` : `Show me ${files}.`)
    }
    if (!isTurn(request)) {
      const wantsJson = JSON.stringify(fieldsOf(request)["response_format"] ?? "").includes("title")
      return answered(request, wantsJson ? '{"title":"Two words"}' : "Two words")
    }
    const given = results(turnsOf(request)).join("\n")
    if (given !== "") {
      const seen = secrets.filter((secret) => given.includes(secret))
      return answered(request, seen.length === secrets.length ? `They say ${seen.join(" and ")}.` : `Unread: ${given}`)
    }
    const tools = offered(request)
    salt += 1
    const calls = callsFor(tools, paths, String(salt))
    return answered(
      request,
      calls.length > 0 ? calls : `No tool to read with: ${tools.map(({ name }) => name).join(", ")}`
    )
  }
}

/** The beginning of an answer, after which the connection is gone. */
export const breaking: Script = (request) => [
  ...(wantsStream(request)
    ? [streamHead(), chunk(event(delta(modelOf(request), { role: "assistant", content: "half an answer" })))]
    : []),
  "reset"
]
