/**
 * Makes `src/usage/public-prices.json` of the prices that LiteLLM collects (MIT), in whole millionths of a millionth of a dollar
 * for a token: `bun .ci/prices.ts FILE`, where FILE is `litellm/model_prices_and_context_window_backup.json` of the package
 * below. The data alone is taken, and known by its digest.
 */
import { createHash } from "node:crypto"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"

const from = {
  name: "litellm (PyPI), model_prices_and_context_window_backup.json, MIT",
  version: "1.110.2",
  sha256: "8943af58bf9f979c6a4bef815687117ffa341e462a41faed9be17b5c33d3dcc2",
  made: "2026-11-29"
}

/** Whose prices are taken: the names that LiteLLM has for them, and where they are asked. */
const providers: Readonly<
  Record<string, { readonly as?: ReadonlyArray<string>; readonly hosts: ReadonlyArray<string> }>
> = {
  openai: { hosts: ["api.openai.com"] },
  anthropic: { hosts: ["api.anthropic.com"] },
  gemini: { hosts: ["generativelanguage.googleapis.com"] },
  azure: { hosts: [".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com"] },
  mistral: { hosts: ["api.mistral.ai"] },
  deepseek: { hosts: ["api.deepseek.com"] },
  groq: { hosts: ["api.groq.com"] },
  xai: { hosts: ["api.x.ai"] },
  cohere: { as: ["cohere", "cohere_chat"], hosts: ["api.cohere.com", "api.cohere.ai"] },
  perplexity: { hosts: ["api.perplexity.ai"] },
  together: { as: ["together_ai"], hosts: ["api.together.xyz", "api.together.ai"] },
  fireworks: { as: ["fireworks_ai"], hosts: ["api.fireworks.ai"] },
  deepinfra: { hosts: ["api.deepinfra.com"] },
  cerebras: { hosts: ["api.cerebras.ai"] },
  moonshot: { hosts: ["api.moonshot.ai", "api.moonshot.cn"] },
  bedrock: { as: ["bedrock", "bedrock_converse"], hosts: [".amazonaws.com"] }
}

type Row = Readonly<Record<string, unknown>>

const pico = (value: unknown): number | undefined =>
  typeof value === "number" && Number.isFinite(value) && value >= 0 ? Math.round(value * 1e12) : undefined

const isRow = (value: unknown): value is Row => typeof value === "object" && value !== null

/** Input, read from a cache, written to one, output; undefined where neither input nor output has a price. */
const pricesOf = (row: Row, suffix = ""): ReadonlyArray<number> | undefined => {
  const input = pico(row[`input_cost_per_token${suffix}`])
  const output = pico(row[`output_cost_per_token${suffix}`])
  // Zero is what is not known as often as what is free.
  if ((input ?? 0) + (output ?? 0) === 0) return undefined
  const read = pico(row[`cache_read_input_token_cost${suffix}`]) ?? input ?? 0
  const written = pico(row[`cache_creation_input_token_cost${suffix}`]) ?? input ?? 0
  return [input ?? 0, read, written, output ?? 0]
}

const longPrompt = /^input_cost_per_token_above_(\d+)k_tokens$/

const [, , path = ""] = process.argv
const text = readFileSync(path, "utf8")
const digest = createHash("sha256").update(text).digest("hex")
if (digest !== from.sha256) throw new Error(`${path} has the digest ${digest}, not ${from.sha256}`)
const all: unknown = JSON.parse(text)
const sources: Array<string> = []
const sourceOf = (row: Row): number => {
  const { source } = row
  if (typeof source !== "string") return -1
  if (!sources.includes(source)) sources.push(source)
  return sources.indexOf(source)
}

const rows: Record<string, Record<string, ReadonlyArray<number>>> = {}
for (const [provider, { as = [provider] }] of Object.entries(providers)) {
  const own: Record<string, ReadonlyArray<number>> = {}
  for (const [key, row] of Object.entries(isRow(all) ? all : {})) {
    if (!isRow(row) || !as.some((name) => name === row["litellm_provider"])) continue
    const prices = pricesOf(row)
    if (prices === undefined) continue
    const prefix = as.find((name) => key.startsWith(`${name}/`))
    const model = prefix === undefined ? key : key.slice(prefix.length + 1)
    const above = Object.keys(row).flatMap((name) => longPrompt.exec(name)?.[1] ?? [])[0]
    const long = above === undefined ? undefined : pricesOf(row, `_above_${above}k_tokens`)
    own[model] = [...prices, sourceOf(row), ...(long === undefined ? [] : [Number(above) * 1000, ...long])]
  }
  rows[provider] = Object.fromEntries(Object.entries(own).toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

const hosts = Object.entries(providers).flatMap(([name, { hosts: own }]) => own.map((host) => [host, name] as const))
const head = { ...from, columns: ["input", "cache_read", "cache_write", "output", "source", "above_tokens", "…"] }
const lines = Object.entries(rows).map(
  ([provider, own]) =>
    `${JSON.stringify(provider)}:{\n${Object.entries(own)
      .map(([model, row]) => `${JSON.stringify(model)}:${JSON.stringify(row)}`)
      .join(",\n")}}`
)
const out = join(import.meta.dir, "../src/usage/public-prices.json")
writeFileSync(
  out,
  `{"from":${JSON.stringify(head)},\n"hosts":${JSON.stringify(Object.fromEntries(hosts))},\n"sources":${JSON.stringify(sources)},\n"rows":{${lines.join(",\n")}}}\n`
)
console.log(
  Object.entries(rows)
    .map(([name, own]) => `${name} ${Object.keys(own).length}`)
    .join(", ")
)
