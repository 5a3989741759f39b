import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { Result } from "effect"
import { parse, stringify } from "yaml"
import { isTable } from "../../src/config/path.ts"
import { convertSettings, type Imported } from "../../src/config/import/convert.ts"
import { type ImportFormat, importFormats } from "../../src/config/import/import-formats.ts"
import { checked, fixture, imported, variablesOf } from "./importing.ts"

const wordsIn = (value: unknown): ReadonlyArray<string> => {
  if (Array.isArray(value)) return value.flatMap(wordsIn)
  if (isTable(value)) return Object.entries(value).flatMap(([key, each]) => [key].concat(wordsIn(each)))
  return typeof value === "string" ? [value] : []
}

const trees = ["litellm.yaml", "olla.yaml", "llama-swap.yaml", "bifrost.json"].map((file): unknown =>
  parse(fixture(file))
)
const words = [...new Set(trees.flatMap(wordsIn))]

const oddTexts = ["${A}", "os.environ/B", "${env.C}", "${", "a\nb", "http://[", "http://u:p@h/?q=1#f", "\u0007"]

const odd = fc.oneof(
  fc.constantFrom(...words, ...oddTexts),
  fc.string({ unit: "binary", maxLength: 20 }),
  fc.double(),
  fc.integer(),
  fc.boolean(),
  fc.constant(null)
)

const anything = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    odd,
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(fc.oneof(fc.constantFrom(...words), fc.string({ maxLength: 9 })), tie("value"), { maxKeys: 4 })
  )
})).value

/** A copy in which some values are others. */
const bent = (value: unknown, bend: (value: unknown) => unknown): unknown => {
  const other = bend(value)
  if (other !== undefined) return other
  if (Array.isArray(value)) return value.map((each) => bent(each, bend))
  if (!isTable(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, bent(each, bend)]))
}

/** Fixtures of which up to six values, whichever they are, have become others. */
const bentFixtures = fc
  .tuple(fc.constantFrom(...trees), fc.array(fc.tuple(fc.integer({ min: 1, max: 150 }), anything), { maxLength: 6 }))
  .map(([tree, changes]) => {
    const others = new Map(changes)
    let at = 0
    return bent(tree, () => others.get(at++))
  })

const inputs: fc.Arbitrary<[unknown, ImportFormat]> = fc.tuple(
  fc.oneof(bentFixtures, anything.filter(isTable)),
  fc.constantFrom(...importFormats.filter((kind) => kind !== "nexus-rust"))
)

const attempt = (tree: unknown, kind: ImportFormat): Imported | undefined => {
  const result = convertSettings("config.yaml", stringify(tree), kind)
  return Result.isSuccess(result) ? result.success : undefined
}

describe("whatever the settings of the other gateway are,", () => {
  test("the result has no mistakes once the variables it tells of are set (law)", () => {
    fc.assert(
      fc.property(inputs, ([tree, kind]) => {
        const result = attempt(tree, kind)
        if (result === undefined) return
        checked(result)
        const told = result.todo.join("\n")
        expect(variablesOf(result.toml).filter((name) => !told.includes(`set ${name} `))).toEqual([])
      }),
      { numRuns: 100 }
    )
  })

  test("each line of the list is one line, with file and line of the source (law)", () => {
    fc.assert(
      fc.property(inputs, ([tree, kind]) => {
        for (const line of attempt(tree, kind)?.left ?? []) expect(line).toMatch(/^config\.yaml:\d+: \P{Cc}+$/u)
      }),
      { numRuns: 100 }
    )
  })

  test("a key of theirs is in neither (law)", () => {
    const secret = fc.stringMatching(/^s3cr3t-[a-z0-9]{12}$/)
    fc.assert(
      fc.property(secret, (text) => {
        const params = `model: openai/a, api_base: "http://x:${text}@h/v1?k=${text}", api_key: ${text}`
        const litellm = [
          `model_list: [{model_name: a, litellm_params: {${params}, extra_headers: {X: ${text}}}}]`,
          `general_settings: {master_key: ${text}, database_url: ${text}}`,
          `environment_variables: {A: ${text}}`
        ]
        expect(JSON.stringify(imported(litellm.join("\n"), "litellm"))).not.toContain(text)
        const endpoint = `url: http://h, name: a, type: vllm, headers: {X: ${text}}, auth: {type: bearer, token: ${text}}`
        const olla = `discovery: {static: {endpoints: [{${endpoint}}]}}`
        expect(JSON.stringify(imported(olla, "olla"))).not.toContain(text)
        const peer = `p: {proxy: "http://u:${text}@p", apiKey: ${text}}`
        const swap = `apiKeys: [${text}]\nmodels: {m: {cmd: "x --api-key ${text}"}}\npeers: {${peer}}`
        expect(JSON.stringify(imported(swap, "llama-swap"))).not.toContain(text)
        const key = `{name: k, value: ${text}, vllm_key_config: {url: "http://u:${text}@h"}}`
        const bifrost = `providers: {vllm: {keys: [${key}], network_config: {extra_headers: {X: ${text}}}}}`
        const all = `provider: vllm, allowed_models: ["*"], key_ids: ["*"]`
        const virtual = `governance: {virtual_keys: [{name: v, value: ${text}, provider_configs: [{${all}}]}]}`
        expect(JSON.stringify(imported(`${bifrost}\n${virtual}`, "bifrost"))).not.toContain(text)
      }),
      { numRuns: 20 }
    )
  })
})
