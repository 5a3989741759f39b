import { expect, test } from "bun:test"
import { Result } from "effect"
import { anthropic } from "../../src/dialect/anthropic/anthropic.ts"
import type { ClientCodec } from "../../src/dialect/chat.ts"
import type { Operation } from "../../src/dialect/Dialect.ts"
import { gemini } from "../../src/dialect/gemini/gemini.ts"
import { ollama } from "../../src/dialect/ollama/ollama.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import { anyServer, answersFrom } from "../kit/codecs.ts"

const clientOf = (dialect: { readonly operations: ReadonlyArray<{ readonly client?: ClientCodec }> }): ClientCodec => {
  const client = dialect.operations.find((each) => each.client !== undefined)?.client
  if (client === undefined) throw new Error("no client half")
  return client
}

/** What a server of chat completions is asked for a body, as text. */
const asked = (codec: ClientCodec, body: string): string => {
  const { chat } = Result.getOrThrow(codec.decode(new TextEncoder().encode(body), "m"))
  const server = openai.operations[0].server!
  return new TextDecoder().decode(Result.getOrThrow(server.encode(chat, "m", anyServer)).body)
}

const said = '"messages":[{"role":"user","content":"hi"}]'

test("a client of Ollama's may write its options as any number is written", () => {
  const options = '{"temperature":1.0,"top_p":9e-1,"top_k":40.0,"num_predict":16.0,"seed":7.0}'
  const json = JSON.parse(asked(clientOf(ollama), `{"model":"m",${said},"options":${options}}`))
  expect(json).toMatchObject({ temperature: 1, top_p: 0.9, top_k: 40, max_tokens: 16, seed: 7 })
})

test("a seed beyond what a number holds exactly reaches a server as it came", () => {
  const seed = '"seed":9007199254740993'
  expect(asked(clientOf(openai), `{"model":"m",${said},${seed}}`)).toContain(seed)
  expect(asked(clientOf(ollama), `{"model":"m",${said},"options":{${seed}}}`)).toContain(seed)
  const contents = '"contents":[{"parts":[{"text":"hi"}]}]'
  expect(asked(clientOf(gemini), `{${contents},"generationConfig":{${seed}}}`)).toContain(seed)
})

test("numbers in the schema of an answer reach a server as they came", () => {
  const bound = '"maximum":9223372036854775807'
  const schema = `{"type":"object","properties":{"a":{${bound}}}}`
  const form = `"output_config":{"format":{"type":"json_schema","schema":${schema}}}`
  expect(asked(clientOf(anthropic), `{"model":"m","max_tokens":9,${said},${form}}`)).toContain(bound)
  const contents = '"contents":[{"parts":[{"text":"hi"}]}]'
  for (const name of ["responseJsonSchema", "responseSchema"]) {
    expect(asked(clientOf(gemini), `{${contents},"generationConfig":{"${name}":${schema}}}`)).toContain(bound)
  }
  expect(asked(clientOf(ollama), `{"model":"m",${said},"format":${schema}}`)).toContain(bound)
})

test("the older bound on tokens counts where the newer one is null", () => {
  const body = `{"model":"m",${said},"max_completion_tokens":null,"max_tokens":55}`
  expect(JSON.parse(asked(clientOf(openai), body)).max_tokens).toBe(55)
})

test("a bound of -1 on tokens is none, as LM Studio and llama.cpp have it", () => {
  expect(JSON.parse(asked(clientOf(openai), `{"model":"m",${said},"max_tokens":-1}`))).not.toHaveProperty("max_tokens")
})

test("tokens that are told of as 12.0 count beside the arguments of a call, whose numbers stay as they came", () => {
  const id = '{"id":9007199254740993,"n":1.0}'
  const call = `{"index":0.0,"id":"c","type":"function","function":{"name":"f","arguments":${id}}}`
  const choice = `{"index":0,"finish_reason":"tool_calls","message":{"content":null,"tool_calls":[${call}]}}`
  const part = `{"functionCall":{"name":"f","args":${id}}}`
  const candidate = `{"index":0.0,"finishReason":"STOP","content":{"role":"model","parts":[${part}]}}`
  const block = `{"type":"tool_use","id":"c","name":"f","input":${id}}`
  const bodies = [
    [openai, `{"choices":[${choice}],"usage":{"prompt_tokens":12.0,"completion_tokens":3.0}}`],
    [gemini, `{"candidates":[${candidate}],"usageMetadata":{"promptTokenCount":12.0,"candidatesTokenCount":3.0}}`],
    [
      anthropic,
      `{"type":"message","role":"assistant","content":[${block}],"stop_reason":"tool_use","usage":{"input_tokens":12.0,"output_tokens":3.0}}`
    ]
  ] as const
  for (const [dialect, body] of bodies) {
    const operations: ReadonlyArray<Operation> = dialect.operations
    const server = operations.find((each) => each.server !== undefined)!.server!
    const events = Result.getOrThrow(answersFrom(server).whole(new TextEncoder().encode(body)))
    expect(events).toContainEqual({ type: "arguments", call: 0, text: id })
    expect(events).toContainEqual({ type: "usage", usage: expect.objectContaining({ prompt: 12, completion: 3 }) })
  }
})
