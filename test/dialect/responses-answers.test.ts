import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import fc from "fast-check"
import type { AnswerContext, ChatEvent } from "../../src/dialect/chat.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import { responses } from "../../src/dialect/responses/responses.ts"
import { unsealed } from "../../src/dialect/responses/reasoning-seal.ts"
import { transduce, type Transducer } from "../../src/dialect/Transducer.ts"
import { answersFrom, answersTo } from "../kit/codecs.ts"
import { holdsUnderAnyCutting } from "../kit/cutting.ts"
import { responseEvents, type ResponseEventData } from "../kit/responses.ts"

const client = responses.operations[0].client!
const server = answersFrom(openai.operations[0].server!)

const context: AnswerContext = { model: "asked-for", id: "z", now: 1_700_000_000_500, callIds: new Set(["old"]) }

const encoder = new TextEncoder()
const decoder = new TextDecoder()

const tool = (name: string) => ({ type: "function", name, parameters: { type: "object" }, strict: false })

const asked = {
  model: "asked-for",
  input: "go",
  include: ["reasoning.encrypted_content"],
  tools: [
    tool("tide"),
    tool("wind"),
    { type: "custom", name: "note" },
    { type: "namespace", name: "port", description: "", tools: [tool("tide"), { type: "custom", name: "log" }] }
  ]
}

const throughFor = (request: unknown): Transducer<Uint8Array, Uint8Array> => ({
  start: () => {
    const decode = server.stream.start()
    const encode = answersTo(client, request).stream(context).start()
    const take = (events: ReadonlyArray<ChatEvent>) => events.flatMap((event) => encode.push(event))
    return { push: (piece) => take(decode.push(piece)), end: () => [...take(decode.end()), ...encode.end()] }
  }
})

const through = throughFor(asked)

const textOf = (pieces: ReadonlyArray<Uint8Array>): string => decoder.decode(Buffer.concat([...pieces]))

const delta = (says: object, finish: string | null = null, more: object = {}): object => ({
  choices: [{ index: 0, delta: says, finish_reason: finish, ...more }]
})

const piece = (index: number, args: string, begins?: readonly [id: string, name: string]) => ({
  index,
  ...(begins === undefined ? {} : { id: begins[0], type: "function" }),
  function: { ...(begins === undefined ? {} : { name: begins[1] }), arguments: args }
})

const calls = (...all: ReadonlyArray<object>): object => delta({ tool_calls: all })

const used = {
  choices: [],
  usage: {
    prompt_tokens: 40,
    completion_tokens: 9,
    prompt_tokens_details: { cached_tokens: 32, cache_write_tokens: 3 },
    completion_tokens_details: { reasoning_tokens: 4 }
  }
}

const streamOf = (chunks: ReadonlyArray<object>, end: "cut" | "done" = "done"): Uint8Array =>
  encoder.encode(
    `${chunks.map((each) => `data: ${JSON.stringify(each)}\n\n`).join("")}${end === "cut" ? "" : "data: [DONE]\n\n"}`
  )

const itemLine = (item: Readonly<Record<string, unknown>> | undefined): string =>
  [item?.["type"], item?.["namespace"], item?.["name"], item?.["call_id"], item?.["status"]]
    .filter((each) => each !== undefined)
    .join(" ")

/** An event in a line, as one would tell of it. */
const line = (event: ResponseEventData): string => {
  const { delta, item, output_index, response } = event
  const type = event.type.replace(/^response\./, "")
  if (response !== undefined) return `${type}: ${response.output.length} items`
  if (item !== undefined) return `${output_index} ${type}: ${itemLine(item)}`
  return `${output_index === undefined ? "" : `${output_index} `}${type}${delta === undefined ? "" : `: ${delta}`}`
}

const linesOf = (bytes: Uint8Array, codec = through): ReadonlyArray<string> =>
  responseEvents(textOf(transduce(codec, [bytes]))).map(line)

const outputOf = (bytes: Uint8Array, codec = through) => {
  const { response } = responseEvents(textOf(transduce(codec, [bytes]))).at(-1) ?? {}
  return response
}

const begin = ["created: 0 items", "in_progress: 0 items"]

const thought = (at: number, ...pieces: ReadonlyArray<string>): ReadonlyArray<string> => [
  `${at} output_item.added: reasoning in_progress`,
  `${at} reasoning_summary_part.added`,
  ...pieces.map((each) => `${at} reasoning_summary_text.delta: ${each}`),
  `${at} reasoning_summary_text.done`,
  `${at} reasoning_summary_part.done`,
  `${at} output_item.done: reasoning completed`
]

const spoken = (at: number, pieces: ReadonlyArray<string>, status = "completed"): ReadonlyArray<string> => [
  `${at} output_item.added: message in_progress`,
  `${at} content_part.added`,
  ...pieces.map((each) => `${at} output_text.delta: ${each}`),
  `${at} output_text.done`,
  `${at} content_part.done`,
  `${at} output_item.done: message ${status}`
]

const streams: ReadonlyArray<readonly [what: string, bytes: Uint8Array, told: ReadonlyArray<string>]> = [
  [
    "a text in pieces",
    streamOf([delta({ role: "assistant", content: "High " }), delta({ content: "tide." }), delta({}, "stop"), used]),
    [...begin, ...spoken(0, ["High ", "tide."]), "completed: 1 items"]
  ],
  [
    "nothing at all, as an empty message",
    streamOf([delta({ role: "assistant", content: "" }), delta({}, "stop")]),
    [...begin, ...spoken(0, []), "completed: 1 items"]
  ],
  [
    "a text that a limit ends",
    streamOf([delta({ content: "So" }), delta({}, "length"), used]),
    [...begin, ...spoken(0, ["So"], "incomplete"), "incomplete: 1 items"]
  ],
  [
    "thoughts before, and between a text and a call",
    streamOf([
      delta({ reasoning_content: "Hm. " }),
      delta({ reasoning: "Yes." }),
      delta({ content: "Wait." }),
      delta({ reasoning_content: "Which?" }),
      calls(piece(0, "{}", ["c1", "tide"])),
      delta({}, "tool_calls")
    ]),
    [
      ...begin,
      ...thought(0, "Hm. ", "Yes."),
      ...spoken(1, ["Wait."]),
      ...thought(2, "Which?"),
      "3 output_item.added: function_call tide c1 in_progress",
      "3 function_call_arguments.delta: {}",
      "3 function_call_arguments.done",
      "3 output_item.done: function_call tide c1 completed",
      "completed: 4 items"
    ]
  ],
  [
    "two calls whose pieces come mixed, each to its end, since clients mind one at a time",
    streamOf([
      calls(piece(0, "", ["c1", "tide"])),
      calls(piece(1, '{"at":', ["c2", "wind"]), piece(0, '{"on":')),
      calls(piece(1, "2}"), piece(0, '"quay"}')),
      delta({}, "tool_calls"),
      used
    ]),
    [
      ...begin,
      "0 output_item.added: function_call tide c1 in_progress",
      '0 function_call_arguments.delta: {"on":',
      '0 function_call_arguments.delta: "quay"}',
      "0 function_call_arguments.done",
      "0 output_item.done: function_call tide c1 completed",
      "1 output_item.added: function_call wind c2 in_progress",
      '1 function_call_arguments.delta: {"at":',
      "1 function_call_arguments.delta: 2}",
      "1 function_call_arguments.done",
      "1 output_item.done: function_call wind c2 completed",
      "completed: 2 items"
    ]
  ],
  [
    "a text behind a call without arguments: a message of its own",
    streamOf([
      delta({ content: "Looking." }),
      calls(piece(0, "", ["c1", "tide"])),
      delta({ content: "Done." }),
      delta({}, "stop")
    ]),
    [
      ...begin,
      ...spoken(0, ["Looking."]),
      "1 output_item.added: function_call tide c1 in_progress",
      "1 function_call_arguments.done",
      "1 output_item.done: function_call tide c1 completed",
      ...spoken(2, ["Done."]),
      "completed: 3 items"
    ]
  ],
  [
    "tools of free text and in namespaces under their own form",
    streamOf([
      calls(piece(0, '{"input":"line 1\\n', ["c1", "note"])),
      calls(piece(1, "{}", ["c2", "port__tide"])),
      calls(piece(0, '\\"2\\""}'), piece(2, '{"input":""}', ["c3", "port__log"])),
      delta({}, "tool_calls")
    ]),
    [
      ...begin,
      "0 output_item.added: custom_tool_call note c1 in_progress",
      '0 custom_tool_call_input.delta: line 1\n"2"',
      "0 custom_tool_call_input.done",
      "0 output_item.done: custom_tool_call note c1 completed",
      "1 output_item.added: function_call port tide c2 in_progress",
      "1 function_call_arguments.delta: {}",
      "1 function_call_arguments.done",
      "1 output_item.done: function_call port tide c2 completed",
      "2 output_item.added: custom_tool_call port log c3 in_progress",
      "2 custom_tool_call_input.delta: ",
      "2 custom_tool_call_input.done",
      "2 output_item.done: custom_tool_call port log c3 completed",
      "completed: 3 items"
    ]
  ],
  [
    "words, and then why it will not go on, as two parts of one message",
    streamOf([delta({ content: "I " }), delta({ refusal: "cannot." }), delta({}, "stop")]),
    [
      ...begin,
      "0 output_item.added: message in_progress",
      "0 content_part.added",
      "0 output_text.delta: I ",
      "0 output_text.done",
      "0 content_part.done",
      "0 content_part.added",
      "0 refusal.delta: cannot.",
      "0 refusal.done",
      "0 content_part.done",
      "0 output_item.done: message completed",
      "completed: 1 items"
    ]
  ],
  [
    "half a text, then nothing more: a failure twice over, and no end",
    streamOf([delta({ role: "assistant", content: "Half" })], "cut"),
    [
      ...begin,
      "0 output_item.added: message in_progress",
      "0 content_part.added",
      "0 output_text.delta: Half",
      "failed: 0 items",
      "error"
    ]
  ]
]

describe("a streamed chat answer as Responses", () => {
  test.each(streams)("tells of %s", (_, bytes, told) => {
    expect(linesOf(bytes)).toEqual([...told])
  })

  test("numbers its events without a gap, and every item bears one id from its first event to the end", () => {
    for (const [, bytes] of streams) {
      const events = responseEvents(textOf(transduce(through, [bytes])))
      expect(events.map(({ sequence_number }) => sequence_number)).toEqual(events.map((_, at) => at))
      const ids = new Map<number, unknown>()
      for (const { item, item_id, output_index } of events) {
        if (output_index === undefined) continue
        const id = item_id ?? item?.["id"]
        expect(id).toBe(ids.get(output_index) ?? id)
        ids.set(output_index, id)
      }
      expect(new Set(ids.values()).size).toBe(ids.size)
      const { response } = events.at(-1) ?? {}
      if (response !== undefined) expect(response.output.map(({ id }) => id)).toEqual([...ids.values()])
      expect(new Set(events.flatMap(({ response }) => (response === undefined ? [] : [response.id]))).size).toBe(1)
    }
  })

  test("has all that it told of in its end, with its counts", () => {
    const response = outputOf(
      streamOf([
        delta({ reasoning_content: "Hm." }),
        delta({ content: "Yes." }),
        calls(piece(0, '{"a":1}', ["old", "tide"])),
        calls(piece(1, "{}", ["c2", "nobody's"])),
        delta({}, "tool_calls"),
        used
      ])
    )
    expect(response).toMatchObject({ model: "asked-for", status: "completed", created_at: 1_700_000_000 })
    expect(response?.output).toEqual([
      {
        id: "rs_z_0",
        type: "reasoning",
        status: "completed",
        summary: [{ type: "summary_text", text: "Hm." }],
        encrypted_content: `nexus1.${Buffer.from("Hm.").toString("base64url")}`
      },
      {
        id: "msg_z_1",
        type: "message",
        role: "assistant",
        status: "completed",
        content: [{ type: "output_text", text: "Yes.", annotations: [], logprobs: [] }]
      },
      // The id that its server gave is one of the history.
      expect.objectContaining({ id: "fc_z_2", type: "function_call", name: "tide", arguments: '{"a":1}' }),
      expect.objectContaining({ call_id: "c2", name: "nobody's", arguments: "{}" })
    ])
    expect(response?.output[2]?.["call_id"]).not.toBe("old")
    expect(response?.usage).toEqual({
      input_tokens: 40,
      input_tokens_details: { cached_tokens: 32, cache_write_tokens: 3 },
      output_tokens: 9,
      output_tokens_details: { reasoning_tokens: 4 },
      total_tokens: 49
    })
  })

  test("says why it is not whole, and repairs no arguments that a limit has cut", () => {
    const cut = outputOf(streamOf([calls(piece(0, '{"city":"Os', ["c1", "tide"])), delta({}, "length")]))
    expect(cut).toMatchObject({
      status: "incomplete",
      incomplete_details: { reason: "max_output_tokens" },
      output: [{ status: "incomplete", arguments: '{"city":"Os' }]
    })
    const filtered = outputOf(streamOf([delta({}, "content_filter")]))
    expect(filtered).toMatchObject({
      status: "incomplete",
      incomplete_details: { reason: "content_filter" },
      output: []
    })
  })

  test("tells how likely its tokens were", () => {
    const likely = [{ token: "a", logprob: -0.5, bytes: [97], top_logprobs: [] }]
    const bytes = streamOf([delta({ content: "a" }, null, { logprobs: { content: likely } }), delta({}, "stop")])
    const events = responseEvents(textOf(transduce(through, [bytes])))
    expect(events.find(({ type }) => type.endsWith("text.delta"))).toMatchObject({ logprobs: likely })
    expect(outputOf(bytes)?.output).toMatchObject([{ content: [{ text: "a", logprobs: likely }] }])
  })

  test("keeps what signs thoughts and calls in the items before them, for who asks for it", () => {
    const signed = (signature: string) => ({ extra_content: { google: { thought_signature: signature } } })
    const bytes = streamOf([
      delta({ reasoning_content: "Hm." }),
      calls({ ...piece(0, "{}", ["c1", "tide"]), ...signed("s1") }),
      calls({ ...piece(1, "{}", ["c2", "wind"]), ...signed("s2") }),
      delta({}, "tool_calls")
    ])
    const seals = (output: ReadonlyArray<Readonly<Record<string, unknown>>> = []) =>
      output.map(({ encrypted_content: seal, type }) => (type === "reasoning" ? unsealed(String(seal)) : type))
    expect(seals(outputOf(bytes)?.output)).toEqual([
      { text: "Hm.", callSignature: "s1" },
      "function_call",
      { text: "", callSignature: "s2" },
      "function_call"
    ])
    const plain = outputOf(bytes, throughFor({ model: "asked-for", input: "go" }))
    expect(plain?.output.map(({ encrypted_content: seal, type }) => [type, seal])).toEqual([
      ["reasoning", undefined],
      ["function_call", undefined],
      ["function_call", undefined]
    ])
  })

  test("tells again what was asked, and that nothing is kept", () => {
    const request = {
      ...asked,
      instructions: "Be brief.",
      metadata: { trip: "7" },
      max_output_tokens: 99,
      parallel_tool_calls: false,
      temperature: 0.3,
      reasoning: { effort: "low", summary: "auto" },
      text: { verbosity: "low" },
      tool_choice: "required",
      store: true
    }
    const { include, input, model, ...told } = request
    expect([include.length, input, model]).toEqual([1, "go", "asked-for"])
    expect(outputOf(streamOf([delta({ content: "a" }), delta({}, "stop")]), throughFor(request))).toMatchObject({
      ...told,
      text: { format: { type: "text" }, verbosity: "low" },
      store: false,
      previous_response_id: null
    })
  })

  test("is the same under any cutting of the bytes of its server, run plainly and as a stream", () =>
    holdsUnderAnyCutting(
      through,
      fc.constantFrom(...streams.map(([, bytes]) => bytes)),
      (pieces) => textOf(pieces).replace(/"completed_at":\d+/, ""),
      60
    ))
})

describe("a whole chat answer as Responses", () => {
  const wholeOf = (message: object, finish: string) => {
    const answer = { choices: [{ index: 0, message, finish_reason: finish }], usage: used.usage }
    const events = Result.getOrThrow(server.whole(encoder.encode(JSON.stringify(answer))))
    return JSON.parse(decoder.decode(Result.getOrThrow(answersTo(client, asked).whole(events, context))))
  }

  test("has the items of its stream", () => {
    const made = (id: string, name: string, args: string) => ({
      id,
      type: "function",
      function: { name, arguments: args }
    })
    const message = {
      role: "assistant",
      reasoning_content: "Two.",
      content: "Reading.",
      tool_calls: [made("c1", "port__tide", ""), made("c2", "note", '{"input":"x"}')]
    }
    expect(wholeOf(message, "tool_calls")).toMatchObject({
      object: "response",
      status: "completed",
      output: [
        { type: "reasoning", summary: [{ text: "Two." }] },
        { type: "message", content: [{ text: "Reading." }] },
        { type: "function_call", call_id: "c1", name: "tide", namespace: "port", arguments: "{}" },
        { type: "custom_tool_call", call_id: "c2", name: "note", input: "x", status: "completed" }
      ],
      usage: { total_tokens: 49 }
    })
  })

  test("is incomplete where a limit ended it", () => {
    expect(wholeOf({ content: "So" }, "length")).toMatchObject({
      status: "incomplete",
      incomplete_details: { reason: "max_output_tokens" }
    })
  })
})
