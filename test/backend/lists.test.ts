import { expect, test } from "bun:test"
import { Effect } from "effect"
import fc from "fast-check"
import type { Model } from "../../src/domain/server.ts"
import { readProps } from "../../src/backend/llamacpp.ts"
import { readV0, readV1 } from "../../src/backend/lmstudio.ts"
import { readLoaded, readShow, readTags } from "../../src/backend/ollama.ts"
import { readList } from "../../src/backend/openai-like.ts"
import { effect } from "../kit/effect.ts"
import { modelsOf, once, serving } from "../health/probing.ts"

const lists: ReadonlyArray<readonly [string, unknown, Record<string, Omit<Model, "id">>]> = [
  ["`data: null` of an empty Ollama", { object: "list", data: null }, {}],
  ["a bare array", [{ id: "m", context_length: 8192 }], { m: { context_length: 8192, capabilities: {} } }],
  [
    "numbers as strings, nulls and wrong types",
    { data: [{ id: "m", context_length: "8192", meta: null }, { id: 7 }, null, "x", { id: "n", max_model_len: [] }] },
    { m: { context_length: 8192, capabilities: {} }, n: { capabilities: {} } }
  ],
  [
    "OpenRouter's modalities and parameters",
    {
      data: [
        {
          id: "x/y",
          context_length: 1000,
          architecture: { input_modalities: ["text", "image"] },
          supported_parameters: ["tools", "response_format"]
        },
        { id: "x/z", architecture: { input_modalities: ["text"] }, supported_parameters: ["seed"] }
      ]
    },
    {
      "x/y": { context_length: 1000, capabilities: { vision: true, tools: true, json_mode: true } },
      "x/z": { capabilities: { vision: false, tools: false, json_mode: false } }
    }
  ],
  [
    "flags of another Nexus",
    { data: [{ id: "m", capabilities: { vision: false, tools: true, json_mode: true } }] },
    { m: { capabilities: { vision: false, tools: true, json_mode: true } } }
  ],
  ["a name that is a key of every object", { data: [{ id: "__proto__" }] }, { ["__proto__"]: { capabilities: {} } }]
]

for (const [name, json, expected] of lists) {
  effect(`a list with ${name} is read`, () =>
    Effect.gen(function* () {
      expect(modelsOf(yield* once(serving({ "/v1/models": { json } }), {}))).toEqual(expected)
    })
  )
}

test("no JSON whatever makes a reader throw", () =>
  fc.assert(
    fc.property(
      fc.jsonValue(),
      fc.constantFrom("data", "models", "capabilities", "model_info", "meta"),
      (value, key) => {
        for (const body of [
          value,
          { [key]: value },
          { [key]: [value] },
          { [key]: [{ id: "m", name: "m", key: "m", ...Object(value) }] }
        ]) {
          for (const read of [readList, readTags, readShow, readLoaded, readV0, readV1, readProps]) read(body)
        }
      }
    )
  ))
