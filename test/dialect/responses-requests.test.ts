import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import fc from "fast-check"
import { openai } from "../../src/dialect/openai/openai.ts"
import { sealed, unsealed } from "../../src/dialect/responses/reasoning-seal.ts"
import { responses } from "../../src/dialect/responses/responses.ts"
import { anyServer } from "../kit/codecs.ts"

const client = responses.operations[0].client!
const server = openai.operations[0].server!

const encoder = new TextEncoder()
const decoder = new TextDecoder()

type Fields = Readonly<Record<string, unknown>>

const decodedOf = (more: Fields | string) => {
  const body = typeof more === "string" ? more : JSON.stringify({ model: "m", input: "hello", ...more })
  return client.decode(encoder.encode(body), undefined)
}

/** What a backend is asked, and what was left out. */
const askedFor = (more: Fields | string) => {
  const { chat, dropped } = Result.getOrThrow(decodedOf(more))
  const encoded = Result.getOrThrow(server.encode(chat, "served", { ...anyServer, files: true }))
  return { body: JSON.parse(decoder.decode(encoded.body)), dropped, text: decoder.decode(encoded.body) }
}

const refusedAt = (more: Fields): string | null | undefined => {
  const read = decodedOf(more)
  return Result.isFailure(read) ? read.failure.param : undefined
}

const message = (role: string, ...texts: ReadonlyArray<string>) => ({
  type: "message",
  role,
  content: texts.map((text) => ({ type: role === "assistant" ? "output_text" : "input_text", text }))
})

const call = (id: string, name: string, args = "{}", more: Fields = {}) => ({
  type: "function_call",
  call_id: id,
  name,
  arguments: args,
  ...more
})

const output = (id: string, said: unknown) => ({ type: "function_call_output", call_id: id, output: said })

const fn = (name: string, more: Fields = {}) => ({ type: "function", name, parameters: { type: "object" }, ...more })

const namesIn = (body: { readonly tools?: ReadonlyArray<{ readonly function: { readonly name: string } }> }) =>
  body.tools?.map((tool) => tool.function.name)

describe("the items of a conversation", () => {
  test("become one system message, and one turn for all that the model has said in a row", () => {
    const { body, dropped } = askedFor({
      instructions: "Steer well.",
      input: [
        message("developer", "Sandbox."),
        { role: "system", content: "No swearing." },
        message("user", "Where to?"),
        { type: "reasoning", id: "rs", summary: [], content: null, encrypted_content: sealed({ text: "North." }) },
        message("assistant", "Two ", "calls."),
        call("a", "look"),
        { type: "custom_tool_call", call_id: "b", name: "note", input: 'say "x"\n' },
        { type: "custom_tool_call_output", call_id: "b", output: "noted" },
        output("a", [
          { type: "input_text", text: "a buoy" },
          { type: "input_image", image_url: "data:image/jpg;base64,AAAA" }
        ]),
        message("developer", "It is night."),
        { role: "user", content: "Well?" }
      ]
    })
    expect(body.messages).toEqual([
      { role: "system", content: "Steer well.\n\nSandbox.\n\nNo swearing." },
      { role: "user", content: "Where to?" },
      {
        role: "assistant",
        content: "Two calls.",
        reasoning_content: "North.",
        tool_calls: [
          { id: "a", type: "function", function: { name: "look", arguments: "{}" } },
          { id: "b", type: "function", function: { name: "note", arguments: JSON.stringify({ input: 'say "x"\n' }) } }
        ]
      },
      { role: "tool", tool_call_id: "a", content: expect.stringContaining("a buoy\n[image 1") },
      { role: "tool", tool_call_id: "b", content: "noted" },
      {
        role: "user",
        content: [
          { type: "image_url", image_url: { url: "data:image/jpeg;base64,AAAA" } },
          { type: "text", text: "<system-reminder>\nIt is night.\n</system-reminder>" },
          { type: "text", text: "Well?" }
        ]
      }
    ])
    expect(dropped).toEqual([])
  })

  test("may stand in any order, results before others and in between", () => {
    const { body } = askedFor({
      input: [
        { role: "user", content: "go" },
        call("a", "x"),
        call("b", "y"),
        output("b", "2"),
        message("assistant", "Half."),
        output("a", "1"),
        call("call_0", "x"),
        output("call_0", "3")
      ]
    })
    expect(body.messages.map(({ role }: Fields) => role)).toEqual([
      "user",
      "assistant",
      "tool",
      "tool",
      "assistant",
      "tool"
    ])
    expect(body.messages.slice(2, 4)).toMatchObject([{ content: "1" }, { content: "2" }])
  })

  test("bring thoughts that Nexus has sealed, and those that nobody has; foreign ones are left out and named", () => {
    const thoughts = [
      { type: "reasoning", summary: [{ type: "summary_text", text: "Plain." }] },
      { type: "reasoning", summary: [{ type: "summary_text", text: "Theirs." }], encrypted_content: "gAAAA" },
      { type: "reasoning", summary: [], encrypted_content: sealed({ text: "Sealed.", callSignature: "s" }) }
    ]
    const { body, dropped } = askedFor({ input: [...thoughts, call("a", "x"), output("a", "")] })
    expect(body.messages[0].reasoning_content).toBe("Plain.Sealed.")
    expect(body.messages[0].tool_calls[0].extra_content).toEqual({ google: { thought_signature: "s" } })
    expect(dropped).toEqual(["reasoning.encrypted_content"])
  })

  test("bring thoughts that are one text", () => {
    const thought = { type: "reasoning", summary: [], content: "In one." }
    const { body, dropped } = askedFor({ input: [thought, { role: "user", content: "go" }] })
    expect([body.messages[0].reasoning_content, dropped]).toEqual(["In one.", []])
    const twice = { ...thought, summary: [{ type: "summary_text", text: "In short." }] }
    const both = askedFor({ input: [twice, { role: "user", content: "go" }] })
    expect([both.body.messages[0].reasoning_content, both.dropped]).toEqual(["In one.", ["reasoning.summary"]])
  })

  test("are refused where they are nothing but thoughts that only their maker can read", () => {
    const foreign = { type: "reasoning", summary: [], encrypted_content: "gAAAA" }
    expect(refusedAt({ input: [foreign] })).toBe("input")
    expect(refusedAt({ input: [] })).toBe("input")
    expect(askedFor({ instructions: "Say hello.", input: [foreign] }).body.messages).toHaveLength(1)
  })

  test.each([
    ["input[0].type", { type: "computer_call", call_id: "c" }],
    ["input[0]", { type: "item_reference", id: "msg_1" }],
    ["input[0]", { id: "msg_1" }],
    ["input[0]", output("nobody's", "x")],
    ["input[0]", call("a", "x")],
    ["input[0].role", { role: "critic", content: "x" }],
    ["input[0].content[0].type", { role: "user", content: [{ type: "hologram" }] }],
    ["input[0].content[0].file_url", { role: "user", content: [{ type: "input_file", file_url: "gs://x/a.pdf" }] }],
    ["input[0].content[0].file_id", { role: "user", content: [{ type: "input_file", file_id: "file_1" }] }],
    [
      "input[0].content[0].image_url",
      { role: "user", content: [{ type: "input_image", image_url: "data:image/svg+xml;base64,AA" }] }
    ],
    ["input[0].output[0].type", output("a", [{ type: "hologram" }])],
    ["input[0]", 5]
  ])("are refused by their place where they cannot be told: %s", (place, item) => {
    expect(refusedAt({ input: [item] })).toBe(place)
  })

  test("carry files and sounds, and leave out a search that OpenAI has run", () => {
    const { body, dropped } = askedFor({
      input: [
        { type: "web_search_call", id: "ws", status: "completed" },
        {
          role: "user",
          content: [
            { type: "input_file", filename: "a.pdf", file_data: "data:application/pdf;base64,AAAA" },
            { type: "input_audio", input_audio: { data: "BBBB", format: "wav" } }
          ]
        }
      ]
    })
    expect(body.messages[0].content).toEqual([
      { type: "file", file: { filename: "a.pdf", file_data: "data:application/pdf;base64,AAAA" } },
      { type: "input_audio", input_audio: { data: "BBBB", format: "wav" } }
    ])
    expect(dropped).toEqual(["input[0]"])
  })
})

describe("the tools of a request", () => {
  test("are functions for the backend, each by a name of its own and in their order", () => {
    const long = "n".repeat(60)
    const { body, dropped } = askedFor({
      tools: [
        {
          type: "namespace",
          name: "port",
          description: "Port",
          tools: [fn("tide", { description: "How high" }), fn(long)]
        },
        fn("port__tide", { parameters: null, strict: true }),
        { type: "custom", name: "note", format: { type: "text" } },
        {
          type: "custom",
          name: "patch",
          description: "Edit",
          format: { type: "grammar", syntax: "lark", definition: "x" }
        },
        { type: "web_search" },
        { type: "shell", environment: { type: "container_auto" } }
      ]
    })
    const names = namesIn(body) ?? []
    expect([names.length, new Set(names).size]).toEqual([5, 5])
    expect(names.every((name) => /^[\w-]{1,64}$/.test(name))).toBe(true)
    expect(names.slice(2)).toEqual(["port__tide", "note", "patch"])
    expect(body.tools[0].function.description).toBe("Port: How high")
    expect(body.tools[2].function).toEqual({
      name: "port__tide",
      parameters: { type: "object", properties: {} },
      strict: true
    })
    expect(body.tools[4].function.description).toContain("lark grammar:\nx")
    expect(dropped).toEqual(["tools[3].format", "tools[4]", "tools[5]"])
  })

  test("have in the history the names that they have now, and those that are gone one of their own", () => {
    const { body } = askedFor({
      tools: [fn("port__tide"), { type: "namespace", name: "port", description: "", tools: [fn("tide")] }],
      input: [call("a", "tide", "{}", { namespace: "port" }), call("b", "gone"), output("a", ""), output("b", "")]
    })
    const made = body.messages[0].tool_calls.map((each: { readonly function: Fields }) => each.function["name"])
    expect(made).toEqual([namesIn(body)?.[1], "gone"])
  })

  test.each<readonly [string, unknown, unknown]>([
    ["auto", "auto", "auto"],
    ["none", "none", "none"],
    ["required", "required", "required"],
    ["a function", { type: "function", name: "b" }, { type: "function", function: { name: "b" } }],
    ["a tool of free text", { type: "custom", name: "c" }, { type: "function", function: { name: "c" } }]
  ])("are chosen as it is asked: %s", (_, tool_choice, said) => {
    const { body } = askedFor({ tools: [fn("a"), fn("b"), { type: "custom", name: "c" }], tool_choice })
    expect(body.tool_choice).toEqual(said)
  })

  test("are those alone that are allowed", () => {
    const allowed = (tools: ReadonlyArray<Fields>) => ({
      tools: [fn("a"), fn("b"), { type: "namespace", name: "n", description: "", tools: [fn("x")] }, { type: "mcp" }],
      tool_choice: { type: "allowed_tools", mode: "required", tools }
    })
    const { body, dropped } = askedFor(
      allowed([{ type: "function", name: "b" }, { type: "mcp" }, { type: "namespace", name: "n" }])
    )
    expect([namesIn(body), body.tool_choice]).toEqual([["b", "n__x"], "required"])
    expect(dropped).toEqual(["tools[3]", "tool_choice.tools[1]"])
    expect(refusedAt(allowed([{ type: "mcp" }]))).toBe("tool_choice.tools")
  })

  test("are refused where none is left, or one is chosen that is", () => {
    expect(refusedAt({ tools: [{ type: "web_search" }] })).toBe("tools")
    expect(refusedAt({ tools: [fn("a"), { type: "web_search" }], tool_choice: { type: "web_search" } })).toBe(
      "tool_choice"
    )
    expect(refusedAt({ tools: [fn("a")], tool_choice: { type: "function", name: "b" } })).toBe("tool_choice")
    expect(askedFor({ tools: [{ type: "web_search" }], tool_choice: "none" }).body.tools).toBeUndefined()
    expect(askedFor({ tools: [], tool_choice: "auto", parallel_tool_calls: true }).body).toEqual({
      model: "served",
      messages: [{ role: "user", content: "hello" }]
    })
  })

  test("keep numbers in their schemas as they are", () => {
    const schema = '{"type":"object","properties":{"id":{"const":12345678901234567890,"minimum":1.0}}}'
    const { text } = askedFor(
      `{"model":"m","input":"x","temperature":1.0,"tools":[{"type":"function","name":"t","parameters":${schema}}]}`
    )
    expect(text).toContain(schema)
    expect(text).toContain('"temperature":1')
  })
})

describe("the fields of a request", () => {
  test("say to a chat all that it can hear, and the rest is named", () => {
    const schema = { type: "object", properties: {} }
    const { body, dropped } = askedFor({
      stream: true,
      store: true,
      max_output_tokens: 70,
      temperature: 0.4,
      top_p: 0.9,
      top_logprobs: 2,
      reasoning: { effort: "high", summary: "auto", context: "x" },
      text: { verbosity: "low", format: { type: "json_schema", name: "r", description: "d", schema, strict: true } },
      include: ["reasoning.encrypted_content", "web_search_call.results"],
      truncation: "auto",
      max_tool_calls: 3,
      metadata: { a: "b" },
      client_metadata: {},
      stream_options: { include_obfuscation: false },
      background: false,
      previous_response_id: null,
      service_tier: "auto",
      user: "u",
      safety_identifier: "s".repeat(100),
      prompt_cache_key: "k",
      never_heard_of: 1
    })
    expect(body).toMatchObject({
      stream: true,
      stream_options: { include_usage: true },
      temperature: 0.4,
      top_p: 0.9,
      logprobs: true,
      top_logprobs: 2,
      reasoning_effort: "high",
      verbosity: "low",
      response_format: { type: "json_schema", json_schema: { name: "r", description: "d", schema, strict: true } },
      user: "u",
      safety_identifier: expect.stringMatching(/^[0-9a-f]{64}$/),
      prompt_cache_key: "k"
    })
    expect(body.max_completion_tokens ?? body.max_tokens).toBe(70)
    expect([...dropped].sort()).toEqual([
      "client_metadata",
      "include[1]",
      "max_tool_calls",
      "never_heard_of",
      "reasoning.context",
      "truncation"
    ])
  })

  test.each([
    ["previous_response_id", { previous_response_id: "resp_1" }],
    ["conversation", { conversation: { id: "conv_1" } }],
    ["prompt", { prompt: { id: "pmpt_1" } }],
    ["background", { background: true }],
    ["max_output_tokens", { max_output_tokens: 0 }],
    ["temperature", { temperature: "hot" }],
    ["text.format.type", { text: { format: { type: "grammar" } } }],
    ["text.format.name", { text: { format: { type: "json_schema", schema: {} } } }],
    ["include", { include: "all" }],
    ["tools", { tools: {} }],
    ["tools[0].type", { tools: [{}] }],
    ["instructions", { instructions: [] }]
  ])("are refused by name where the answer would be another: %s", (field, more) => {
    expect(refusedAt(more)).toBe(field)
  })
})

describe("what a client keeps of thoughts", () => {
  test("opens to what was sealed, whatever it is (law)", () =>
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.string(), fc.string(), (text, signature, callSignature) => {
        const opened = unsealed(sealed({ text, signature, callSignature }))
        expect([opened?.text, opened?.signature ?? "", opened?.callSignature ?? ""]).toEqual([
          text,
          signature,
          callSignature
        ])
      })
    ))

  test("is nobody else's", () => {
    for (const other of ["", "gAAAAAB", "nexus.unsigned", "Nexus1.x"]) expect(unsealed(other)).toBeUndefined()
  })
})

describe("a conversation", () => {
  const text = fc.string({ unit: "grapheme", minLength: 1 }).filter((each) => each.trim() !== "")
  const name = fc.stringMatching(/^[a-z]{1,8}$/)
  const turn = fc.record({
    asks: text,
    thinks: fc.option(text, { nil: undefined }),
    says: fc.option(text, { nil: undefined }),
    calls: fc.array(fc.record({ name, input: fc.option(text, { nil: undefined }), gives: fc.string() }), {
      maxLength: 3
    })
  })

  test("comes to a chat with every word, thought, call and result in its place, whatever was said (law)", () =>
    fc.assert(
      fc.property(fc.array(turn, { minLength: 1, maxLength: 4 }), (turns) => {
        const input: Array<Fields> = []
        const wanted: Array<Fields> = []
        for (const [at, { asks, calls, says, thinks }] of turns.entries()) {
          input.push({ role: "user", content: asks })
          wanted.push({ role: "user", content: asks })
          if (thinks !== undefined) {
            input.push({ type: "reasoning", summary: [], encrypted_content: sealed({ text: thinks }) })
          }
          if (says !== undefined) input.push(message("assistant", says))
          const made = calls.map(({ input: free, name }, place) => {
            const id = `call_${at}_${place}`
            input.push(
              free === undefined
                ? call(id, name)
                : { type: "custom_tool_call", call_id: id, name: `${name}_`, input: free }
            )
            const args = free === undefined ? "{}" : JSON.stringify({ input: free })
            return { id, type: "function", function: { name: free === undefined ? name : `${name}_`, arguments: args } }
          })
          // The last result comes first.
          for (const [place, { gives, input: free }] of [...calls.entries()].toReversed()) {
            const type = free === undefined ? "function_call_output" : "custom_tool_call_output"
            input.push({ type, call_id: `call_${at}_${place}`, output: gives })
          }
          if (thinks === undefined && says === undefined && calls.length === 0) {
            wanted.pop()
            wanted.push({ asks })
            continue
          }
          wanted.push({
            role: "assistant",
            content: says ?? (made.length > 0 && thinks === undefined ? null : ""),
            ...(thinks === undefined ? {} : { reasoning_content: thinks }),
            ...(made.length === 0 ? {} : { tool_calls: made })
          })
          for (const [place, { gives }] of calls.entries()) {
            wanted.push({ role: "tool", tool_call_id: `call_${at}_${place}`, content: gives })
          }
        }
        // Turns of the user that nothing stands between are one.
        if (wanted.some((each) => "asks" in each)) return
        expect(askedFor({ input }).body.messages).toEqual(wanted)
      })
    ))
})
