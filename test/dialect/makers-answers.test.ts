import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import { anthropic } from "../../src/dialect/anthropic/anthropic.ts"
import type { ChatEvent } from "../../src/dialect/chat.ts"
import { chunkCollector } from "../../src/dialect/openai/chunk-assembly.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import { transduce } from "../../src/dialect/Transducer.ts"
import { anyServer, answersFrom, answersTo } from "../kit/codecs.ts"

const server = openai.operations[0].server!
const reads = answersFrom(server)

const encoder = new TextEncoder()
const decoder = new TextDecoder()

type Fields = Readonly<Record<string, unknown>>

const bytes = (json: unknown): Uint8Array => encoder.encode(JSON.stringify(json))

const streamOf = (deltas: ReadonlyArray<Fields>, finish: string | null = "stop", more: Fields = {}): Uint8Array => {
  const chunks = [...deltas.map((delta) => ({ delta, finish_reason: null })), { delta: {}, finish_reason: finish }]
  const events = chunks.map((each) => `data: ${JSON.stringify({ choices: [{ index: 0, ...each }], ...more })}\n\n`)
  return encoder.encode(`${events.join("")}data: [DONE]\n\n`)
}

const streamed = (...told: Parameters<typeof streamOf>): ReadonlyArray<ChatEvent> =>
  transduce(reads.stream, [streamOf(...told)])

const wholeOf = (message: Fields, finish_reason: string | null = "stop", more: Fields = {}) =>
  reads.whole(bytes({ choices: [{ index: 0, message: { role: "assistant", ...message }, finish_reason }], ...more }))

const whole = (...told: Parameters<typeof wholeOf>): ReadonlyArray<ChatEvent> => Result.getOrThrow(wholeOf(...told))

/** The calls that events tell of, each in a line. */
const callsIn = (events: ReadonlyArray<ChatEvent>): ReadonlyArray<string> => {
  const calls: Array<string> = []
  for (const event of events) {
    if (event.type === "call") calls[event.call] = `${event.name} `
    else if (event.type === "arguments") calls[event.call] += event.text
  }
  return calls
}

const called = (name: string, args: string, more: Fields = {}) => ({
  type: "function",
  function: { name, arguments: args },
  ...more
})

const collected = (stream: Uint8Array): ReadonlyArray<string> => {
  const assembly = chunkCollector.start()
  assembly.push(stream)
  const { choices } = JSON.parse(decoder.decode(Result.getOrThrow(assembly.end())))
  return choices[0].message.tool_calls.map(
    ({ function: made }: { readonly function: Fields }) => `${made["name"]} ${made["arguments"]}`
  )
}

describe("calls at once that a server tells apart by nothing but their names", () => {
  const both = ['tide {"at":"a"}', 'tide {"at":"b"}']
  const forms: ReadonlyArray<readonly [string, Fields]> = [
    ["with the index 0 for each and no id", { index: 0, id: "" }],
    ["without an index or an id", {}],
    ["with one id for all", { index: 0, id: "call_0" }]
  ]
  for (const [form, more] of forms) {
    test(`stay apart when they come one after the other, ${form}`, () => {
      const deltas = ["a", "b"].map((at) => ({ tool_calls: [called("tide", `{"at":"${at}"}`, more)] }))
      expect(callsIn(streamed(deltas, "tool_calls"))).toEqual(both)
      expect(collected(streamOf(deltas, "tool_calls"))).toEqual(both)
    })

    test(`stay apart when they come in one list, ${form}`, () => {
      const tool_calls = ["a", "b"].map((at) => called("tide", `{"at":"${at}"}`, more))
      expect(callsIn(streamed([{ tool_calls }], "tool_calls"))).toEqual(both)
      expect(collected(streamOf([{ tool_calls }], "tool_calls"))).toEqual(both)
      expect(callsIn(whole({ content: null, tool_calls }, "tool_calls"))).toEqual(both)
    })

    test(`stay apart without arguments, ${form}`, () => {
      const tool_calls = [called("look", "", more), called("listen", "", more)]
      expect(callsIn(whole({ content: null, tool_calls }, "tool_calls"))).toEqual(["look ", "listen "])
    })
  }

  test("are one where each piece has an id of its own", () => {
    const pieces = ['{"at":', '"a"', "}"].map((piece, n) => called("tide", piece, { index: 0, id: `c${n}` }))
    const deltas = pieces.map((piece) => ({ tool_calls: [piece] }))
    expect(callsIn(streamed(deltas, "tool_calls"))).toEqual(['tide {"at":"a"}'])
    expect(collected(streamOf(deltas, "tool_calls"))).toEqual(['tide {"at":"a"}'])
  })

  test("are one where each piece has an id of its own, though an object within its arguments begins one of them", () => {
    const pieces = ['{"at":', '{"x"', ":1}", "}"].map((piece, n) => called("tide", piece, { index: 0, id: `c${n}` }))
    const next = ["{", "}"].map((piece, n) => called("tide", piece, { index: 0, id: `d${n}` }))
    const other = called("look", "{}", { index: 0, id: "e" })
    const deltas = [...pieces, ...next, other].map((piece) => ({ tool_calls: [piece] }))
    const calls = ['tide {"at":{"x":1}}', "tide {}", "look {}"]
    expect(callsIn(streamed(deltas, "tool_calls"))).toEqual(calls)
    expect(collected(streamOf(deltas, "tool_calls"))).toEqual(calls)
  })

  test("stay apart by their ids where their arguments are objects in quotes", () => {
    const deltas = ["a", "b"].map((id) => ({ tool_calls: [called("tide", '"{}"', { index: 0, id })] }))
    expect(callsIn(streamed(deltas, "tool_calls"))).toEqual(["tide {}", "tide {}"])
  })

  test("are one where a server says its name again with each piece", () => {
    const pieces = ['{"at":', '[{"x":1}', ',{"x":2}', "]}", ""]
    const deltas = pieces.map((piece) => ({ tool_calls: [called("tide", piece, { index: 0, id: "c" })] }))
    expect(callsIn(streamed(deltas, "tool_calls"))).toEqual(['tide {"at":[{"x":1},{"x":2}]}'])
    expect(collected(streamOf(deltas, "tool_calls"))).toEqual(['tide {"at":[{"x":1},{"x":2}]}'])
  })
})

describe("arguments with an empty object before them", () => {
  const first = { tool_calls: [called("tide", "{}", { index: 0, id: "c" })] }
  const piece = (text: string) => ({ tool_calls: [{ index: 0, function: { arguments: text } }] })

  test("are those that come behind it", () => {
    const deltas = [first, piece('{"at":'), piece('"a"}')]
    expect(callsIn(streamed(deltas, "tool_calls"))).toEqual(['tide {"at":"a"}'])
    expect(collected(streamOf(deltas, "tool_calls"))).toEqual(['tide {"at":"a"}'])
  })

  test("are that object where none come, before whatever is told next", () => {
    const next = { tool_calls: [called("look", "{}", { index: 1, id: "d" })] }
    const both = ["tide {}", "look {}"]
    expect(callsIn(streamed([first, piece(""), next], "tool_calls"))).toEqual(both)
    expect(collected(streamOf([first, piece(""), next], "tool_calls"))).toEqual(both)
    const types = streamed([first, { content: "Low" }], "tool_calls").map(({ type }) => type)
    expect(types.indexOf("arguments")).toBeLessThan(types.indexOf("text"))
  })

  test("stay apart from those of another call that is told apart by its name alone", () => {
    const other = { tool_calls: [called("look", '{"at":"a"}', { index: 0, id: "" })] }
    expect(callsIn(streamed([first, other], "tool_calls"))).toEqual(["tide {}", 'look {"at":"a"}'])
  })
})

describe("a name of a tool", () => {
  const tools = ["tide", "tide_at", "look"].map((name) => ({
    name,
    description: undefined,
    schema: {},
    strict: undefined
  }))
  const asked = answersFrom(server, { stream: true, messages: [], tools, extra: {} })
  const told = (deltas: ReadonlyArray<Fields>) => transduce(asked.stream, [streamOf(deltas, "tool_calls")])
  const pieceOf = (name: string | null, args: string, more: Fields = {}) => ({
    tool_calls: [{ index: 0, ...more, function: { name, arguments: args } }]
  })
  const first = { id: "c", type: "function" }

  const ways: ReadonlyArray<readonly [way: string, names: ReadonlyArray<string | null>]> = [
    ["in pieces", ["ti", "de_", "at"]],
    ["longer each time", ["ti", "tide_", "tide_at"]],
    ["again and again", ["tide_at", "tide_at", "tide_at"]],
    ["once", ["tide_at", "", null]]
  ]
  for (const [way, names] of ways) {
    test(`that comes ${way} is that name, before its arguments and with them`, () => {
      const apart = [...names.map((name, n) => pieceOf(name, "", n === 0 ? first : {})), pieceOf(null, '{"n":1}')]
      const along = names.map((name, n) => pieceOf(name, n < 2 ? "" : '{"n":1}', n === 0 ? first : {}))
      for (const deltas of [apart, along]) {
        expect(callsIn(told(deltas))).toEqual(['tide_at {"n":1}'])
        expect(collected(streamOf(deltas, "tool_calls"))).toEqual(['tide_at {"n":1}'])
      }
    })
  }

  test("that no more of comes is what it is, in its place", () => {
    const next = { tool_calls: [{ index: 1, id: "d", type: "function", function: { name: "look", arguments: "{}" } }] }
    expect(callsIn(told([pieceOf("ti", "", first)]))).toEqual(["ti "])
    for (const more of [next, { content: "so" }, { reasoning_content: "hm" }]) {
      const events = told([pieceOf("ti", "", first), more])
      expect(events.slice(0, 2)).toEqual([{ type: "start" }, { type: "call", call: 0, id: "c", name: "ti" }])
    }
  })

  test("that begins like another one waits for nothing", () => {
    const stream = asked.stream.start()
    const [chunk = ""] = new TextDecoder().decode(streamOf([pieceOf("tide", "", first)])).split("\n\n")
    expect(stream.push(encoder.encode(`${chunk}\n\n`))).toEqual([
      { type: "start" },
      { type: "call", call: 0, id: "c", name: "tide" }
    ])
  })
})

test("thoughts are thoughts by whatever name a server tells them", () => {
  for (const name of ["reasoning_content", "reasoning", "reasoning_text", "thinking"]) {
    const events = [...streamed([{ [name]: "hm" }, { content: "so" }]), ...whole({ [name]: "hm", content: "so" })]
    expect(events.flatMap((event) => (event.type === "reasoning" ? [event.text] : []))).toEqual(["hm", "hm"])
    const assembly = chunkCollector.start()
    assembly.push(streamOf([{ [name]: "h" }, { [name]: "m" }, { content: "so" }]))
    const { choices } = JSON.parse(decoder.decode(Result.getOrThrow(assembly.end())))
    expect(choices[0].message).toMatchObject({ [name]: "hm", content: "so" })
  }
})

describe("arguments of a call that are an object in quotes", () => {
  const args = JSON.stringify('{"at":"a","n":12345678901234567890}')

  test("are that object, whole and in pieces", () => {
    const pieces = [args.slice(0, 7), args.slice(7)].map((piece, n) => ({
      tool_calls: [
        {
          index: 0,
          ...(n === 0 ? { id: "c" } : {}),
          function: { ...(n === 0 ? { name: "tide" } : {}), arguments: piece }
        }
      ]
    }))
    const told = ['tide {"at":"a","n":12345678901234567890}']
    expect(callsIn(streamed(pieces, "tool_calls"))).toEqual(told)
    expect(callsIn(whole({ content: null, tool_calls: [called("tide", args, { id: "c" })] }, "tool_calls"))).toEqual(
      told
    )
  })

  test("are left as they are where they are none", () => {
    const tool_calls = [called("say", '"ahoy"', { id: "c" }), called("cut", '"{', { id: "d" })]
    expect(callsIn(whole({ content: null, tool_calls }, "length"))).toEqual(['say "ahoy"', 'cut "{'])
  })
})

describe("arguments of a call that are an object in place of its text", () => {
  const args = '{"id":12345678901234567890,"share":1.50}'
  const call = `"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"tide","arguments":${args}}}]`
  const chunks = [
    `{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}`,
    `{"choices":[{"index":0,"delta":{${call}},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":1.0}}`
  ]
  const stream = encoder.encode(`${chunks.map((chunk) => `data: ${chunk}\n\n`).join("")}data: [DONE]\n\n`)

  test("keep every digit of their numbers, whole, in a stream, and put together from one", () => {
    const told = [`tide ${args}`]
    const message = `{"role":"assistant","content":null,${call}}`
    const answer = `{"choices":[{"index":0,"message":${message},"finish_reason":"tool_calls"}]}`
    expect(callsIn(transduce(reads.stream, [stream]))).toEqual(told)
    expect(callsIn(Result.getOrThrow(reads.whole(encoder.encode(answer))))).toEqual(told)
    const assembly = chunkCollector.start()
    assembly.push(stream)
    expect(decoder.decode(Result.getOrThrow(assembly.end()))).toContain(`"arguments":${args}`)
  })
})

describe("thoughts among the parts of a content, as Mistral tells them", () => {
  const thinking = [{ type: "thinking", thinking: [{ type: "text", text: "Tides" }] }]

  test("are thoughts, whole and streamed", () => {
    const told: Array<ChatEvent> = [
      { type: "reasoning", text: "Tides" },
      { type: "text", text: "High." }
    ]
    expect(whole({ content: [...thinking, { type: "text", text: "High." }] }).slice(1, 3)).toEqual(told)
    expect(streamed([{ content: thinking }, { content: "High." }]).slice(1, 3)).toEqual(told)
  })

  test("come back from a client of chat completions that has kept them", () => {
    const content = [...thinking, { type: "text", text: "High." }]
    const signed = [{ type: "thinking", thinking: "Tides", signature: "sig" }, "High."]
    const asked = (said: unknown) => ({
      model: "m",
      messages: [
        { role: "user", content: "go" },
        { role: "assistant", content: said },
        { role: "user", content: "on" }
      ]
    })
    const read = (said: unknown) =>
      Result.getOrThrow(openai.operations[0].client!.decode(bytes(asked(said)), undefined)).chat
    expect(read(content).messages[1]).toEqual({
      role: "assistant",
      items: [
        { type: "reasoning", text: "Tides", signature: undefined },
        { type: "text", text: "High." }
      ]
    })
    const { body } = Result.getOrThrow(anthropic.operations[0].server!.encode(read(signed), "m", anyServer))
    expect(JSON.parse(decoder.decode(body)).messages[1].content).toEqual([
      { type: "thinking", thinking: "Tides", signature: "sig" },
      { type: "text", text: "High." }
    ])
  })
})

describe("why an answer ended, in the words of its maker:", () => {
  const words: ReadonlyArray<readonly [string, string]> = [
    ["model_length", "max_tokens"],
    ["MAX_TOKENS", "max_tokens"],
    ["model_context_window_exceeded", "max_tokens"],
    ["sensitive", "refusal"],
    ["SAFETY", "refusal"],
    ["refusal", "refusal"],
    ["end_turn", "end_turn"],
    ["eos", "end_turn"],
    // There are no calls.
    ["tool_use", "end_turn"]
  ]
  const client = anthropic.operations[0].client!
  const asked = { model: "m", max_tokens: 9, messages: [{ role: "user", content: "go" }] }
  const context = { model: "m", id: "z", now: 0, callIds: new Set<string>() }

  for (const [word, reason] of words) {
    test(`${word} is ${reason} to a client of Messages, whole and streamed`, () => {
      const answer = answersTo(client, asked).whole(whole({ content: "High" }, word), context)
      expect(JSON.parse(decoder.decode(Result.getOrThrow(answer))).stop_reason).toBe(reason)
      const pieces = transduce(answersTo(client, asked).stream(context), streamed([{ content: "High" }], word))
      expect(decoder.decode(Buffer.concat([...pieces]))).toContain(`"stop_reason":"${reason}"`)
    })
  }

  for (const word of ["insufficient_system_resource", "network_error"]) {
    test(`${word} is a failure, and no end`, () => {
      expect(streamed([{ content: "Hi" }], word).map(({ type }) => type)).toContain("error")
      expect(whole({ content: "Hi" }, word).map(({ type }) => type)).toContain("error")
    })
  }

  test("a word for nothing is no reason, and the one behind it counts", () => {
    const chunks = [
      { index: 0, delta: { content: "Hi" }, finish_reason: "null" },
      { index: 0, delta: {}, finish_reason: "length" }
    ].map((choice) => `data: ${JSON.stringify({ choices: [choice] })}\n\n`)
    expect(transduce(reads.stream, [encoder.encode(`${chunks.join("")}data: [DONE]\n\n`)])).toContainEqual({
      type: "stop",
      stop: { reason: "length" }
    })
  })
})

test("a call of which nothing is said is none, as servers write that have an empty one for no call", () => {
  const empty = { name: "", arguments: "" }
  const message = { content: "High.", refusal: "", function_call: empty, tool_calls: null, audio: { data: "" } }
  const piece = { index: 0, id: "", type: "function", function: empty }
  const answers = [
    whole(message),
    whole({ content: "High.", tool_calls: [piece] }),
    streamed([{ content: "High." }, { function_call: empty }, { tool_calls: [piece] }])
  ]
  for (const events of answers) {
    expect(events.map(({ type }) => type)).toEqual(["start", "text", "stop", "done"])
  }
})

test("an answer of which a filter has left no message is one that was filtered, whole", () => {
  const filter = { hate: { filtered: true, severity: "high" } }
  const choice = { index: 0, finish_reason: "content_filter", content_filter_results: filter }
  const body = { choices: [choice], usage: { prompt_tokens: 3, completion_tokens: 2 } }
  for (const choices of [1, 2]) {
    const chat = { stream: false, messages: [], tools: [], choices, extra: {} }
    const events = Result.getOrThrow(answersFrom(server, chat).whole(bytes(body)))
    expect(events).toContainEqual({ type: "stop", stop: { reason: "filter" } })
    expect(events.at(-1)).toEqual({ type: "done" })
    const nothing = { ...body, choices: [{ index: 0, finish_reason: "stop" }] }
    expect(Result.isFailure(answersFrom(server, chat).whole(bytes(nothing)))).toBe(true)
  }
})

describe("a stream of chat in the words of other answers", () => {
  const streamIn = (...choices: ReadonlyArray<Fields>): ReadonlyArray<ChatEvent> => {
    const events = choices.map((choice) => `data: ${JSON.stringify({ choices: [{ index: 0, ...choice }] })}\n\n`)
    return transduce(reads.stream, [encoder.encode(`${events.join("")}data: [DONE]\n\n`)])
  }
  const told = [
    { type: "text", text: "High " },
    { type: "text", text: "tide." }
  ]

  test("is told as it is meant: with messages in place of pieces, and with texts as in completions", () => {
    const end = { delta: {}, finish_reason: "stop" }
    const messages = ["High ", "tide."].map((content) => ({ message: { role: "assistant", content } }))
    const texts = ["High ", "tide."].map((text) => ({ text }))
    for (const said of [messages, texts]) {
      expect(streamIn(...said, end).filter(({ type }) => type === "text")).toEqual([...told] as Array<ChatEvent>)
    }
  })

  test("is put together as it is meant too", () => {
    const both = ["High ", "tide."].map((content) => ({ delta: { content }, message: { role: "assistant", content } }))
    const alone = both.map(({ message }) => ({ message }))
    const call = (made: Fields) => ({ tool_calls: [{ index: 0, function: made }] })
    const calls = [call({ name: "tide", arguments: null }), call({ name: null, arguments: "{}" })]
    const assembled = (...choices: ReadonlyArray<Fields>) => {
      const assembly = chunkCollector.start()
      for (const each of [...choices, { delta: {}, finish_reason: "stop" }]) {
        assembly.push(encoder.encode(`data: ${JSON.stringify({ choices: [{ index: 0, ...each }] })}\n\n`))
      }
      return JSON.parse(decoder.decode(Result.getOrThrow(assembly.end()))).choices[0].message
    }
    for (const said of [both, alone]) {
      expect(assembled(...said)).toEqual({ role: "assistant", content: "High tide." })
    }
    for (const said of [calls.map((delta) => ({ delta, message: delta })), calls.map((message) => ({ message }))]) {
      expect(assembled(...said).tool_calls).toEqual([{ function: { name: "tide", arguments: "{}" } }])
    }
  })

  test("is told once where a message stands beside each piece", () => {
    const both = { delta: { content: "High " }, message: { role: "assistant", content: "High " } }
    const last = { delta: { content: "tide." }, message: { role: "assistant", content: "High tide." } }
    expect(streamIn(both, { ...last, finish_reason: "stop" }).filter(({ type }) => type === "text")).toEqual([
      ...told
    ] as Array<ChatEvent>)
  })
})

describe("what an answer goes back to, where that stands beside it as with Perplexity and xAI,", () => {
  const beside = {
    citations: ["https://sky.invalid/", "https://sea.invalid/"],
    search_results: [{ title: "Sky", url: "https://sky.invalid/", snippet: "It rains." }]
  }
  const cited: ReadonlyArray<ChatEvent> = [
    { type: "citation", url: "https://sky.invalid/", title: "Sky", cited: "It rains." },
    { type: "citation", url: "https://sea.invalid/", title: "" }
  ]
  const citations = (events: ReadonlyArray<ChatEvent>) => events.filter(({ type }) => type === "citation")

  test("is told once, whole and streamed", () => {
    expect(citations(whole({ content: "Rain[1]." }, "stop", beside))).toEqual([...cited])
    expect(citations(streamed([{ content: "Rain" }, { content: "[1]." }], "stop", beside))).toEqual([...cited])
  })

  test("is told behind the text, all of which goes back to it, though the first piece tells it", () => {
    const events = streamed([{ content: "Rain" }, { content: "[1]." }], "stop", beside)
    const types = events.map(({ type }) => type)
    expect(types.indexOf("citation")).toBeGreaterThan(types.lastIndexOf("text"))
    expect(types.at(-1)).toBe("done")
  })

  test("is told where the text says it, though a piece before has told it beside", () => {
    const annotations = [{ type: "url_citation", url_citation: { url: "https://sky.invalid/", title: "Sky" } }]
    expect(citations(streamed([{ content: "Rain" }, { annotations }], "stop", beside))).toEqual([
      { type: "citation", url: "https://sky.invalid/", title: "Sky" },
      cited[1]!
    ])
  })

  test("is not told again where the text says it", () => {
    const annotations = [{ type: "url_citation", url_citation: { url: "https://sky.invalid/", title: "Sky" } }]
    expect(citations(whole({ content: "Rain[1].", annotations }, "stop", beside))).toEqual([
      { type: "citation", url: "https://sky.invalid/", title: "Sky" },
      cited[1]!
    ])
  })
})
