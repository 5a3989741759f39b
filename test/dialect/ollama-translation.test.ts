import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import fc from "fast-check"
import type { AnswerContext, ChatEvent } from "../../src/dialect/chat.ts"
import { ollama } from "../../src/dialect/ollama/ollama.ts"
import { ollamaAnswers } from "../../src/dialect/ollama/ollama-answer.ts"
import { OllamaWatch } from "../../src/dialect/ollama/ollama-watch.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import { transduce, type Transducer } from "../../src/dialect/Transducer.ts"
import { answersFrom, anyServer } from "../kit/codecs.ts"
import { holdsUnderAnyCutting, watchCodec } from "../kit/cutting.ts"
import { ending, line, linesIn, saying } from "../kit/ollama.ts"

const [chat, generate] = ollama.operations
const server = openai.operations[0].server!
const reads = answersFrom(server)

const encoder = new TextEncoder()
const decoder = new TextDecoder()

const context: AnswerContext = { model: "asked-for", id: "1", now: 0, callIds: new Set(["call_old"]) }

// Always one millisecond later than it was asked.
const answers = ollamaAnswers("chat", () => 1)
const completions = ollamaAnswers("generate", () => 1)

const bytes = (value: unknown) => encoder.encode(JSON.stringify(value))

/** From a server's bytes to a client's. */
const through: Transducer<Uint8Array, Uint8Array> = {
  start: () => {
    const decode = reads.stream.start()
    const encode = answers.stream(context).start()
    const take = (events: ReadonlyArray<ChatEvent>) => events.flatMap((event) => encode.push(event))
    return { push: (piece) => take(decode.push(piece)), end: () => [...take(decode.end()), ...encode.end()] }
  }
}

const textOf = (pieces: ReadonlyArray<Uint8Array>): string => decoder.decode(Buffer.concat([...pieces]))

const delta = (says: object, finish: string | null = null) => ({
  id: "c",
  model: "served",
  choices: [{ index: 0, delta: says, finish_reason: finish }]
})

const streamOf = (chunks: ReadonlyArray<object>, end = "data: [DONE]\n\n"): Uint8Array =>
  encoder.encode(chunks.map((each) => `data: ${JSON.stringify(each)}\n\n`).join("") + end)

const call = (index: number, args: string, begins?: { readonly id?: string; readonly name: string }) =>
  delta({
    tool_calls: [
      { index, ...begins, function: { ...(begins === undefined ? {} : { name: begins.name }), arguments: args } }
    ]
  })

const used = { choices: [], usage: { prompt_tokens: 11, completion_tokens: 4, total_tokens: 15 } }

const events = (chunks: ReadonlyArray<object>, end?: string) =>
  linesIn(textOf(transduce(through, [streamOf(chunks, end)])))

const times = {
  total_duration: 1_000_000,
  load_duration: 0,
  prompt_eval_duration: 1_000_000,
  eval_duration: 0
}

const head = { model: "asked-for", created_at: "1970-01-01T00:00:00.000Z" }

const said = (message: object) => ({ ...head, message: { role: "assistant", content: "", ...message }, done: false })

const last = (done_reason = "stop", prompt_eval_count = 11, eval_count = 4) => ({
  ...head,
  message: { role: "assistant", content: "" },
  done: true,
  done_reason,
  ...times,
  prompt_eval_count,
  eval_count
})

const made = (index: number, id: unknown, name: string, args: object) => ({
  id,
  function: { index, name, arguments: args }
})

const streams: ReadonlyArray<readonly [what: string, bytes: Uint8Array, told: ReadonlyArray<object>]> = [
  [
    "thoughts and a text in pieces",
    streamOf([
      delta({ role: "assistant", content: null }),
      delta({ reasoning_content: "Hm. " }),
      delta({ reasoning: "Rain?" }),
      delta({ content: "Rain, " }),
      delta({ content: "then sun." }),
      delta({}, "stop"),
      used
    ]),
    [
      said({ thinking: "Hm. " }),
      said({ thinking: "Rain?" }),
      said({ content: "Rain, " }),
      said({ content: "then sun." }),
      last()
    ]
  ],
  [
    "a text that a limit ends, without a word on tokens",
    streamOf([delta({ content: "Rain" }, "length")]),
    [said({ content: "Rain" }), last("length", 0, 0)]
  ],
  ["an answer without a word", streamOf([delta({}, "stop"), used]), [last()]],
  [
    "two calls whose pieces come mixed, told whole after all text",
    streamOf([
      call(0, "", { id: "call_a", name: "read" }),
      delta({ content: "Both." }),
      call(1, '{"id":1234567890123456789', { id: "call_old", name: "open" }),
      call(0, "{}"),
      call(1, ',"b":1.0}'),
      delta({}, "tool_calls"),
      used
    ]),
    [
      said({ content: "Both." }),
      said({ tool_calls: [made(0, "call_a", "read", {}), made(1, "call_1_2", "open", { id: "…", b: 1 })] }),
      last()
    ]
  ],
  [
    "a call without arguments, and a plain stop behind it",
    streamOf([call(0, "", { id: "call_a", name: "read" }), delta({}, "stop"), used]),
    [said({ tool_calls: [made(0, "call_a", "read", {})] }), last()]
  ],
  [
    "a call that a limit has cut, which leaves the whole ones",
    streamOf([
      call(0, '{"a":1}', { id: "call_a", name: "read" }),
      call(1, '{"a":', { id: "call_b", name: "read" }),
      delta({}, "length"),
      used
    ]),
    [said({ tool_calls: [made(0, "call_a", "read", { a: 1 })] }), last("length")]
  ],
  [
    "arguments that are no JSON",
    streamOf([call(0, "{no", { id: "call_a", name: "read" }), delta({}, "tool_calls")]),
    [{ error: "The backend called 'read' with arguments that are no JSON object" }]
  ],
  [
    "an error in the middle",
    streamOf([delta({ content: "half" }), { error: { message: "the engine died", code: 500 } }], ""),
    [said({ content: "half" }), { error: "the engine died" }]
  ],
  [
    "an end without a reason",
    streamOf([delta({ content: "half" })]),
    [said({ content: "half" }), { error: "The backend ended the stream before it finished" }]
  ]
]

// Numbers beyond what a double holds stand in the text alone.
const exact = (text: string): string => text.replaceAll("1234567890123456789", '"…"')

describe("a stream of chat as lines of Ollama's", () => {
  for (const [what, input, told] of streams) {
    test(`tells of ${what}`, () => {
      expect(linesIn(exact(textOf(transduce(through, [input]))))).toEqual<unknown>([...told])
    })
  }

  test("is the same under any cutting", () =>
    holdsUnderAnyCutting(through, fc.constantFrom(...streams.map(([, input]) => input)), textOf))

  test("keeps every digit of a number in arguments", () => {
    const [, calls] = streams.find(([what]) => what.startsWith("two calls"))!
    expect(textOf(transduce(through, [calls]))).toContain('"id":1234567890123456789,"b":1.0')
  })

  test("ends each line where it ends", () => {
    expect(textOf(transduce(through, [streamOf([delta({ content: "a\nb" }, "stop")])])).split("\n")).toHaveLength(3)
    expect(events([delta({ content: "a\nb" }, "stop")])[0]).toMatchObject({ message: { content: "a\nb" } })
  })

  test("brings line ends of Unicode whole to Ollama's client for Python, which would end a line there", () => {
    const told = textOf(transduce(through, [streamOf([delta({ content: "a\u2028b\u2029c\u0085d" }, "stop")])]))
    expect(told).toContain('"a\\u2028b\\u2029c\\u0085d"')
  })
})

describe("a whole answer of chat in Ollama's dialect", () => {
  const whole = (message: object, finish = "stop") =>
    Result.getOrThrow(reads.whole(bytes({ choices: [{ message, finish_reason: finish }], usage: used.usage })))

  test("is one object with thoughts, words and calls", () => {
    const tool_calls = [{ id: "call_a", type: "function", function: { name: "read", arguments: '{"a":1}' } }]
    const message = { content: "Reading.", reasoning_content: "One.", tool_calls }
    const [told] = linesIn(decoder.decode(Result.getOrThrow(answers.whole(whole(message, "tool_calls"), context))))
    expect(told).toEqual({
      ...last(),
      message: {
        role: "assistant",
        content: "Reading.",
        thinking: "One.",
        tool_calls: [made(0, "call_a", "read", { a: 1 })]
      }
    })
  })

  test("has its words under response where a prompt was completed", () => {
    const [told] = linesIn(decoder.decode(Result.getOrThrow(completions.whole(whole({ content: "Hi." }), context))))
    expect(told).toMatchObject({ response: "Hi.", done: true, done_reason: "stop" })
    expect(told).not.toHaveProperty("message")
  })

  test("fails by arguments that are no object", () => {
    for (const args of ["[1]", "{no", "3"]) {
      const tool_calls = [{ id: "a", function: { name: "read", arguments: args } }]
      expect(Result.isFailure(answers.whole(whole({ tool_calls }, "tool_calls"), context))).toBe(true)
    }
  })
})

const image = "iVBORw0KGgoAAAANSUhEUgAA"

const told = (request: object, operation = chat) => {
  const decoded = Result.getOrThrow(operation!.client!.decode(bytes({ model: "m", ...request }), undefined))
  const encoded = Result.getOrThrow(server.encode(decoded.chat, "m", anyServer))
  const body: unknown = JSON.parse(decoder.decode(encoded.body))
  return { body, dropped: [...decoded.dropped, ...encoded.dropped], instead: decoded.instead }
}

const user = { role: "user", content: "hello" }

const refused = (request: object, operation = chat): string | null | undefined => {
  const decoded = operation!.client!.decode(bytes({ model: "m", messages: [user], ...request }), undefined)
  return Result.isFailure(decoded) ? decoded.failure.param : undefined
}

const calling = (...calls: ReadonlyArray<object>) => ({ role: "assistant", content: "", tool_calls: calls })

const function_ = (name: string, more: object = {}) => ({ ...more, function: { name, arguments: { n: 1 } } })

describe("a request of Ollama's as one of chat", () => {
  test("streams unless it says that it does not", () => {
    expect(told({ messages: [user] }).body).toMatchObject({ stream: true })
    expect(told({ messages: [user], stream: false }).body).not.toHaveProperty("stream")
  })

  test("gives each result to its call: by id, by the name of the tool, by order", () => {
    const results = (calls: ReadonlyArray<object>, ...tools: ReadonlyArray<object>) => {
      const results = tools.map((each) => Object.assign({ role: "tool" }, each))
      const { messages } = Object(told({ messages: [user, calling(...calls), ...results] }).body)
      return messages.slice(2).map((each: Record<string, unknown>) => [each["tool_call_id"], each["content"]])
    }
    const two = [function_("a", { id: "x" }), function_("b", { id: "y" })]
    const byId = [
      { content: "2", tool_call_id: "y" },
      { content: "1", tool_call_id: "x" }
    ]
    const byName = [
      { content: "2", tool_name: "b" },
      { content: "1", tool_name: "a" }
    ]
    const inOrder = [{ content: "1" }, { content: "2" }]
    for (const tools of [byId, byName, inOrder]) {
      expect(results(two, ...tools)).toEqual([
        ["x", "1"],
        ["y", "2"]
      ])
    }
    expect(
      results([function_("a"), function_("a")], { content: "1", tool_name: "a" }, { content: "2", tool_name: "a" })
    ).toEqual([
      ["call_1_0", "1"],
      ["call_1_1", "2"]
    ])
  })

  test("has one system message at its head, and what a system says later as a reminder", () => {
    const system = (content: string) => ({ role: "system", content })
    const { body } = told({ messages: [system("a"), system("b"), user, system("c")] })
    expect(Object(body)["messages"]).toEqual([
      { role: "system", content: "a\n\nb" },
      {
        role: "user",
        content: [
          { type: "text", text: "hello" },
          { type: "text", text: "<system-reminder>\nc\n</system-reminder>" }
        ]
      }
    ])
  })

  test("spreads its options out, takes no limit for none, and names what is left out", () => {
    const { body, dropped } = told({
      messages: [{ ...user, images: [image], odd: 1 }],
      tools: [],
      keep_alive: "5m",
      format: "json",
      think: false,
      options: {
        temperature: 0.1,
        top_p: 0.9,
        top_k: 20,
        seed: 7,
        stop: "END",
        presence_penalty: 1,
        frequency_penalty: 2,
        num_predict: -1,
        num_ctx: 8192,
        mirostat: null
      }
    })
    expect(body).toMatchObject({
      temperature: 0.1,
      top_p: 0.9,
      top_k: 20,
      seed: 7,
      stop: ["END"],
      presence_penalty: 1,
      frequency_penalty: 2,
      response_format: { type: "json_object" },
      reasoning_effort: "none"
    })
    for (const field of ["max_tokens", "tools", "tool_choice"]) expect(body).not.toHaveProperty(field)
    expect(dropped).toEqual(["messages.odd", "options.num_ctx", "keep_alive"])
  })

  test("takes the forms of thinking, formats, choices and images that clients send", () => {
    const efforts = [true, "high", "max", ""].map(
      (think) => Object(told({ messages: [user], think }).body)["reasoning_effort"]
    )
    expect(efforts).toEqual(["medium", "high", "max", undefined])
    const schema = { type: "object" }
    expect(told({ messages: [user], format: schema }).body).toMatchObject({
      response_format: { type: "json_schema", json_schema: { schema } }
    })
    const tools = [{ type: "function", function: { name: "a" } }]
    expect(told({ messages: [user], tools, tool_choice: "none", format: "" }).body).toMatchObject({
      tool_choice: "none",
      tools: [{ function: { name: "a", parameters: { type: "object", properties: {} } } }]
    })
    const urls = ["/9j/AA", "R0lGODAA", "UklGRAA", `data:image/png;base64,${image}`].map(
      (each) => Object(told({ messages: [{ ...user, images: [each] }] }).body)["messages"][0].content[1].image_url.url
    )
    expect(urls).toEqual([
      "data:image/jpeg;base64,/9j/AA",
      "data:image/gif;base64,R0lGODAA",
      "data:image/webp;base64,UklGRAA",
      `data:image/png;base64,${image}`
    ])
  })

  test("completes a prompt as a chat of one message", () => {
    expect(told({ prompt: "why?", system: "Be brief.", images: [image] }, generate).body).toMatchObject({
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: [{ type: "text", text: "why?" }, { type: "image_url" }] }
      ]
    })
  })

  test("that asks nothing is answered with what has become of the model", () => {
    const reason = (request: object, operation = chat) => {
      const answer = told(request, operation).instead?.(context)
      return answer === undefined ? undefined : linesIn(decoder.decode(answer)).map((each) => each["done_reason"])
    }
    expect(reason({ messages: [user] })).toBeUndefined()
    expect(reason({ messages: [{ role: "user", content: "" }] })).toBeUndefined()
    expect(reason({})).toEqual(["load"])
    expect(reason({ messages: [], keep_alive: "5m" })).toEqual(["load"])
    for (const keep_alive of [0, "0", "0s"]) expect(reason({ messages: [], keep_alive })).toEqual(["unload"])
    expect(reason({ prompt: "" }, generate)).toEqual(["load"])
    expect(reason({ keep_alive: 0 }, generate)).toEqual(["unload"])
  })

  test("is refused by the place of what a backend cannot be told", () => {
    expect(refused({ messages: [{ ...user, images: ["https://example.com/a.png"] }] })).toBe("messages[0].images[0]")
    expect(refused({ messages: [user, calling(function_("a"))] })).toBe("messages[1]")
    expect(refused({ messages: [{ role: "user", content: [1] }] })).toBe("messages[0].content")
    expect(refused({ messages: [{ role: "narrator", content: "x" }] })).toBe("messages[0].role")
    expect(refused({ messages: [user, { role: "assistant", tool_calls: [{}] }] })).toBe(
      "messages[1].tool_calls[0].function"
    )
    const cut = { role: "assistant", tool_calls: [{ function: { name: "a", arguments: "{no" } }] }
    expect(refused({ messages: [user, cut] })).toBe("messages[1].tool_calls[0].function.arguments")
    expect(refused({ tools: [{ type: "web" }] })).toBe("tools[0].type")
    expect(refused({ format: 3 })).toBe("format")
    expect(refused({ think: 3 })).toBe("think")
    expect(refused({ options: { temperature: "hot" } })).toBe("options.temperature")
    for (const [field, value] of Object.entries({ suffix: "b", template: "t", raw: true, context: [1] })) {
      expect(refused({ prompt: "a", [field]: value }, generate)).toBe(field)
      expect(refused({ prompt: "a", suffix: "", template: "", raw: false, context: [] }, generate)).toBeUndefined()
    }
  })
})

describe("the watch over Ollama's streams", () => {
  const stream = (...all: ReadonlyArray<unknown>) => encoder.encode(all.map(line).join(""))
  const known = ({ begun, erring, opening, silent, ...watch }: OllamaWatch) => ({
    begun,
    erring,
    opening,
    silent,
    watch
  })

  const inputs: ReadonlyArray<readonly [Uint8Array, string]> = [
    [stream(saying("m", { content: "a" }), ending("m")), "done"],
    [stream(saying("m", { content: "a" })), "cut"],
    [stream(saying("m", { content: 'a "done":true b' })), "cut"],
    [stream(saying("m", { tool_calls: [{ function: { name: "f", arguments: { done: true, error: "x" } } }] })), "cut"],
    [stream({ ...ending("m"), done_reason: "" }), "cut"],
    [stream(saying("m", { content: "a" }), { error: "died" }), "failed"],
    [stream({ error: "busy" }), "failed"],
    [encoder.encode(`\n${JSON.stringify(ending("m"))}`), "done"],
    [encoder.encode('{"model": "m", "response": "", "done": true, "done_reason": "stop"}\n'), "done"]
  ]

  test("knows a good end by the line that says why, and an error by its line", () => {
    for (const [input, ends] of inputs) {
      const watch = new OllamaWatch()
      watch.push(input)
      expect(watch.ending(true)).toBe(ends as ReturnType<OllamaWatch["ending"]>) // reason: named in the table
    }
  })

  test("knows the same under any cutting", () =>
    holdsUnderAnyCutting(
      watchCodec(
        () => new OllamaWatch(),
        (watch) => [watch.between, watch.ending(true), watch.used(), known(watch).opening]
      ),
      fc.constantFrom(...inputs.map(([input]) => input))
    ))

  test("withholds a line that may be an error until it is whole", () => {
    const watch = new OllamaWatch()
    watch.push(encoder.encode('{"er'))
    expect(watch.erring).toBe(true)
    watch.push(encoder.encode('ror":"x"}\n'))
    expect([watch.erring, watch.opening]).toEqual([true, "error"])
    const good = new OllamaWatch()
    good.push(encoder.encode('{"model'))
    expect(good.erring).toBe(false)
  })
})
