import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import type { Chat, ChatField } from "../../src/dialect/chat.ts"
import {
  isTooStrict,
  leftOut,
  type ModelRefusal,
  refusedFields,
  says,
  withoutFields
} from "../../src/dialect/refused-fields.ts"

const all: Chat = {
  stream: false,
  messages: [
    {
      role: "assistant",
      items: [
        { type: "reasoning", text: "hm", signature: undefined },
        { type: "text", text: "a" }
      ]
    }
  ],
  tools: [{ name: "f", description: undefined, schema: {}, strict: true }],
  temperature: 0.5,
  topP: 0.9,
  topK: 40,
  minP: 0.05,
  repeatPenalty: 1.1,
  mirostat: 2,
  mirostatTau: 5,
  seed: 1,
  effort: "high",
  user: "u",
  tier: "auto",
  parallelCalls: false,
  extra: {}
}

const refusals: ReadonlyArray<readonly [words: string, fields: ReadonlyArray<ChatField>]> = [
  ['"m" does not support thinking', ["effort"]],
  [
    "Unsupported value: 'temperature' does not support 0.5 with this model. Only the default (1) value is supported.",
    ["temperature"]
  ],
  ["`temperature` is deprecated for this model.", ["temperature"]],
  ["`temperature` and `top_p` cannot both be specified for this model. Please use only one.", ["topP"]],
  ["temperature, top_p and top_k are not supported with this model", ["temperature", "topP", "topK"]],
  ["top_k: Extra inputs are not permitted", ["topK"]],
  ["Unrecognized request argument supplied: parallel_tool_calls", ["parallelCalls"]],
  ["Unknown parameter: 'service_tier'", ["tier"]],
  ["tools.0.custom.strict: Extra inputs are not permitted", ["strict"]],
  ["'seed' is not supported", ["seed"]],
  // vLLM's, where it decodes speculatively.
  ["The min_p and logit_bias sampling parameters are not yet supported with speculative decoding.", ["minP"]],
  ["repetition_penalty: Extra inputs are not permitted", ["repeatPenalty"]],
  ["Unknown parameter: 'mirostat_tau'", ["mirostatTau"]],
  ["metadata.user_id: extra inputs are not permitted", ["user"]],
  ["property 'reasoning_content' is unsupported", ["reasoning"]],
  // Thoughts are wanted back, and nothing is mended by fewer of them.
  ["The `reasoning_content` in the thinking mode must be passed back to the API.", []],
  ["thinking is enabled but reasoning_content is missing in assistant tool call message at index 2", []],
  ["When `thinking` is enabled, a final `assistant` message must start with a thinking block", []],
  // Something is wrong with the value, and its client is to know.
  ["temperature: Input should be less than or equal to 1", []],
  ["Invalid 'top_p': must be between 0 and 1", []],
  ["This model's maximum context length is 2048 tokens", []],
  ["messages: roles must alternate between user and assistant", []],
  ["", []]
]

describe("a refusal in these words is of these fields:", () => {
  for (const [words, fields] of refusals) {
    test(`${words} (${fields.join(", ") || "none"})`, () => expect(refusedFields(all, words)).toEqual(fields))
  }

  test("never of one that the request does not say", () => {
    const bare: Chat = { stream: false, messages: [], tools: [], extra: {} }
    for (const [words] of refusals) expect(refusedFields(bare, words)).toEqual([])
  })
})

test("who cannot think is told neither how much nor to show it", () => {
  const asked: Chat = { ...all, showThoughts: true }
  for (const words of ["Thinking is not enabled for models/m", '"m" does not support thinking'])
    expect(refusedFields(asked, words)).toEqual(["effort", "showThoughts"])
  const hidden =
    "Unable to submit request because Thinking_config.include_thoughts is only enabled when thinking is enabled"
  expect(refusedFields(asked, hidden)).toEqual(["showThoughts"])
  expect(refusedFields(asked, "Thinking budget is not supported for this model")).toEqual(["effort"])
  expect(refusedFields(asked, "Thinking level HIGH is not supported for this model")).toEqual(["effort"])
})

test.each([
  "Too many strict tools (21). The maximum number of strict tools supported is 20.",
  "The compiled grammar is too large, which would cause performance issues.",
  "Schema is too complex for compilation. Try reducing the number of tools."
])("a refusal is of one request's strict tools alone, and of no field: %s", (words) => {
  expect([isTooStrict(all, words), refusedFields(all, words)]).toEqual([true, []])
  expect(isTooStrict({ ...all, tools: [] }, words)).toBe(false)
})

describe("a word for how much to think that is refused", () => {
  const words: ReadonlyArray<readonly [refusal: string, told: Readonly<Record<string, string>>]> = [
    [
      `invalid reasoning value: 'ASKED' (must be "high", "medium", "low", "max", or "none")`,
      { none: "none", minimal: "low", low: "low", xhigh: "high", max: "max" }
    ],
    [
      "Unsupported value: 'reasoning_effort' does not support 'ASKED' with this model. Supported values are: 'minimal', 'low', 'medium', and 'high'.",
      { none: "none", minimal: "minimal", xhigh: "high", max: "high" }
    ],
    [
      `[{'type': 'literal_error', 'loc': ('body', 'reasoning_effort'), 'msg': "Input should be 'low', 'medium' or 'high'", 'input': 'ASKED'}]`,
      { none: "none", minimal: "low", medium: "medium", max: "high" }
    ],
    ["reasoning_effort must be one of `low`, `high`", { medium: "low", minimal: "low", xhigh: "high" }]
  ]
  for (const [refusal, told] of words) {
    test(`gives way to the nearest that is taken: ${refusal}`, () => {
      for (const effort of ["xhigh", "minimal"].filter((each) => told[each] !== each)) {
        const refused = new Set(refusedFields({ ...all, effort }, refusal.replace("ASKED", effort)))
        for (const [asked, taken] of Object.entries(told)) {
          const chat = { ...all, effort: asked }
          expect([asked, withoutFields(chat, refused).effort, leftOut(chat, refused)]).toEqual([asked, taken, []])
        }
      }
    })
  }

  const listing = `invalid think value: "ASKED" (must be "high", "medium", "low", true, or false)`
  const refusedOf = (effort: string) => new Set(refusedFields({ ...all, effort }, listing.replace("ASKED", effort)))

  test("does not make a model think that is not to, unless that is what is refused", () => {
    const chat = { ...all, effort: "none" }
    expect(withoutFields(chat, refusedOf("max")).effort).toBe("none")
    expect(withoutFields(chat, refusedOf("none")).effort).toBe("low")
  })

  test("is left out where it is no degree, and degrees are told on", () => {
    const refused = refusedOf("auto")
    const chat = { ...all, effort: "auto" }
    expect(withoutFields(chat, refused)).not.toHaveProperty("effort")
    expect(leftOut(chat, refused)).toEqual(["effort"])
    expect(withoutFields(all, refused).effort).toBe("high")
    expect(withoutFields(chat, refusedOf("max")).effort).toBe("auto")
  })

  test("is left out where nothing is listed, or nothing but not to think", () => {
    for (const refusal of ["reasoning_effort must be one of `none` or `default`", "reasoning_effort 'high' is invalid"])
      expect(refusedFields(all, refusal)).toEqual(["effort"])
    const every = ["none", "minimal", "low", "medium", "high", "xhigh", "max"] as const
    const refused = new Set(every.map((each): ModelRefusal => `effort ${each}`))
    expect(withoutFields(all, refused)).not.toHaveProperty("effort")
  })
})

test("a request without fields says none of them, and all else", () => {
  const fields = fc.uniqueArray(
    fc.constantFrom<ChatField>("temperature", "topP", "topK", "seed", "effort", "user", "tier", "reasoning", "strict")
  )
  fc.assert(
    fc.property(fields, (left) => {
      const kept = withoutFields(all, new Set(left))
      expect(left.some((field) => says(kept, field))).toBe(false)
      for (const field of Object.keys(all)) {
        if (field !== "messages" && !left.some((each) => each === field)) expect(kept).toHaveProperty(field)
      }
      if (!left.includes("reasoning")) expect(kept.messages).toEqual(all.messages)
    })
  )
})
