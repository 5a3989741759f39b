/**
 * Whether a backend refuses a request because its prompt does not fit into the context of its model, by the words it has
 * for that: agents shorten the conversation at this, and at nothing else.
 */

// A limit on what may be used in a time, or on something else than the prompt, is none on the context.
const otherLimits = new RegExp(
  [
    String.raw`\brate[\s_-]*limit|too many requests|\bquota\b|throttl|\bper[\s-]+(?:minute|min|day|hour|second|sec|month)\b|\b[TR]P[MDS]\b|please wait|credits?\b|billing`,
    String.raw`deadline exceeded|context cancell?ed|timed? ?out`,
    String.raw`at most \d+ (?:completion|output) tokens|maximum (?:allowed )?number of (?:output|completion) tokens|maximum tokens you requested exceeds`,
    String.raw`\bimage\b.{0,40}(?:exceed|too large)|string too long|string_above_max_length|array too long|name.{0,30}too long|max_length\b.{0,20}\bparam`
  ].join("|"),
  "i"
)

const much =
  "(?:exceed|overflow|larger than|longer than|greater than|too (?:long|large|big|many)|not enough|must be <=|over the limit)"
const room = String.raw`(?:(?:context|ctx)[\s_-]*(?:length|size|window|limit)|max(?:imum)?[\s_-]*(?:model|seq|sequence|prompt|input|context)[\s_-]*(?:len|length)|max_seq_len|max_model_len|n_ctx)`
const prompt = "(?:prompt|inputs?|messages?|request|conversation|sequence|query|text)"

// Within one sentence, so that two things said of different matters are not taken together.
const near = (a: string, b: string): string => String.raw`${a}[^\n!?]{0,160}?${b}`

const words = new RegExp(
  [
    // OpenAI, vLLM, llama.cpp, SGLang, TabbyAPI, Ollama, OpenRouter, Mistral, Moonshot, Z.ai
    "exceed_context_size|context_length_exceeded|context_window_exceeded",
    String.raw`\b${near(room, much)}`,
    String.raw`\b${near(much, room)}`,
    String.raw`maximum (?:context|prompt|input) (?:length|size) (?:is|of) [\d,]+`,
    String.raw`exceed\w* (?:the )?(?:model(?:'s)? )?token limit|input tokens exceed`,
    // Anthropic, Ollama, Fireworks, Bedrock, Z.ai
    String.raw`\b(?:prompt|input|conversation|context) (?:is |are )?too long\b|prompt exceeds max(?:imum)? length`,
    // LM Studio
    String.raw`tokens to keep from the initial prompt|when context the overflows|when the context overflows|reached context length|shortening the prompt`,
    // TGI and TEI
    String.raw`\binputs?\b\W{1,3}tokens \+|\binputs?\b\W{1,3}must have (?:less|fewer) than [\d,]+ tokens`,
    // Gemini, Copilot, Cohere, Bedrock
    String.raw`\b${prompt}(?: token)?s?(?: token)? count\b.{0,40}exceed|too many (?:input |prompt )?tokens\b`,
    String.raw`exceeds? the maximum (?:number of (?:input )?tokens|(?:allowed |input )+length)`,
    // Groq, Cerebras, DashScope, llama.cpp's batches
    String.raw`reduce the (?:length|number of tokens) (?:of|in) the (?:messages|input|prompt)|range of input length should be|input (?:\([^)]*\) )?is too large to process`
  ].join("|"),
  "i"
)

// vLLM tells both in these words: that no room is left, and that more was asked for than there ever is.
const output = /max(?:_completion|_new|imum)?_tokens\W.{0,80}?too (?:large|high)/i
const sum = /\(?(\d+) > (\d+) - (\d+)\)?/

const asksTooMuch = (text: string): boolean => {
  if (!output.test(text)) return false
  const told = sum.exec(text)
  return told === null || Number(told[1]) >= Number(told[2])
}

const longest = 4096

/** Whether an error with this status, type or code, and sentence is about a prompt that does not fit. */
export const isContextOverflow = (status: number, type: string, sentence: string): boolean => {
  if (status === 429 || status === 401 || status === 402 || status === 403) return false
  if (/^(?:exceed_context_size|context_length_exceeded|context_window_exceeded)/.test(type)) return true
  const text = sentence.slice(0, longest)
  return status < 500 && words.test(text) && !otherLimits.test(text) && !asksTooMuch(text)
}
