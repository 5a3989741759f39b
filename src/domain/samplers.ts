/**
 * Ways of choosing the next token that engines on one's own machines have, each under a name of its own, and clouds have not.
 */

const samplers = [
  "minP",
  "typicalP",
  "repeatPenalty",
  "repeatWindow",
  "mirostat",
  "mirostatTau",
  "mirostatEta"
] as const

/** One of them. */
export type Sampler = (typeof samplers)[number]

/** What a dialect or a server calls those that it has. */
export type SamplerNames = Readonly<Partial<Record<Sampler, string>>>

/** What llama.cpp calls them, and who has its names. */
export const namesOfLlamaCpp = {
  minP: "min_p",
  typicalP: "typical_p",
  repeatPenalty: "repeat_penalty",
  repeatWindow: "repeat_last_n",
  mirostat: "mirostat",
  mirostatTau: "mirostat_tau",
  mirostatEta: "mirostat_eta"
} as const satisfies SamplerNames

/** What vLLM calls those that it has, and who has its names. */
export const namesOfVllm = { minP: "min_p", repeatPenalty: "repetition_penalty" } as const satisfies SamplerNames

/** Those that are set, under these names. */
export const samplersNamed = (
  set: Readonly<Partial<Record<Sampler, number>>>,
  names: SamplerNames
): Readonly<Record<string, number>> => {
  const named: Record<string, number> = {}
  for (const sampler of samplers) {
    const { [sampler]: name } = names
    const { [sampler]: value } = set
    if (name !== undefined && value !== undefined) named[name] = value
  }
  return named
}

/** Those that somebody has a name for. */
export const samplersOf = (names: SamplerNames): ReadonlyArray<Sampler> =>
  samplers.filter((sampler) => names[sampler] !== undefined)
