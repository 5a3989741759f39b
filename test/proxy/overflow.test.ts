import { describe, expect, test } from "bun:test"
import { isContextOverflow } from "../../src/domain/context-overflow.ts"
import { openAiErrorBody } from "../../src/dialect/openai-error.ts"

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** What servers say of a prompt that does not fit, as they are known to write it. */
const overflows: ReadonlyArray<readonly [server: string, status: number, text: string]> = [
  [
    "OpenAI",
    400,
    "This model's maximum context length is 128000 tokens. However, your messages resulted in 130012 tokens. Please reduce the length of the messages."
  ],
  [
    "OpenAI",
    400,
    "This model's maximum context length is 4097 tokens, however you requested 5000 tokens (4500 in your prompt; 500 for the completion). Please reduce your prompt; or completion length."
  ],
  ["OpenAI", 400, "Your input exceeds the context window of this model. Please adjust your input and try again."],
  [
    "OpenAI",
    400,
    "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 509178 tokens. Please reduce the length of the messages."
  ],
  [
    "vLLM",
    400,
    "This model's maximum context length is 16384 tokens. However, you requested 8192 output tokens and your prompt contains at least 8193 input tokens, for a total of at least 16385 tokens. Please reduce the length of the input prompt or the number of requested output tokens."
  ],
  [
    "vLLM",
    400,
    "The decoder prompt (length 5003) is longer than the maximum model length of 4096. Make sure that `max_model_len` is no smaller than the number of text tokens."
  ],
  [
    "vLLM",
    400,
    "'max_tokens' or 'max_completion_tokens' is too large: 500. This model's maximum context length is 4096 tokens and your request has 4000 input tokens (500 > 4096 - 4000)."
  ],
  ["llama.cpp", 400, "request (6007 tokens) exceeds the available context size (4096 tokens), try increasing it"],
  [
    "llama.cpp",
    400,
    "the request exceeds the available context size. try increasing the context size or enable context shift"
  ],
  ["Ollama", 400, "the input length exceeds the context length"],
  ["Ollama", 400, "input length exceeds maximum context length"],
  ["Ollama", 400, "prompt too long; exceeded max context length by 12 tokens"],
  [
    "LM Studio",
    400,
    "Trying to keep the first 4546 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens, which is not enough. Try to load the model with a larger context length, or provide a shorter input."
  ],
  [
    "LM Studio",
    400,
    "The number of tokens to keep from the initial prompt is greater than the context length. Try to load the model with a larger context length, or provide a shorter input"
  ],
  [
    "LM Studio",
    400,
    "Reached context length of 4096 tokens with model (arch: qwen2) that does not currently support mid-generation context overflow. Try reloading with a larger context length or shortening the prompt/chat."
  ],
  ["LM Studio", 400, "Context size has been exceeded."],
  ["SGLang", 400, "The input (5000 tokens) is longer than the model's context length (4096 tokens)."],
  [
    "SGLang",
    400,
    "Requested token count exceeds the model's maximum context length of 4096 tokens. You requested a total of 5000 tokens: 4500 tokens from the input messages and 500 tokens for the completion. Please reduce the number of tokens in the input messages or the completion to fit within the limit."
  ],
  [
    "SGLang",
    400,
    "Input length (131393 tokens) exceeds the maximum allowed length (131040 tokens). Use a shorter input or enable --allow-auto-truncate."
  ],
  ["TabbyAPI", 400, "Prompt length 5000 is greater than max_seq_len 4096"],
  ["TabbyAPI", 422, "Context length 5000 is greater than max_seq_len 4096"],
  [
    "TGI",
    422,
    "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens and 20 `max_new_tokens`"
  ],
  ["TGI", 422, "Input validation error: `inputs` must have less than 1024 tokens. Given: 5000"],
  ["TEI", 413, "Input validation error: `inputs` must have less than 512 tokens. Given: 612"],
  ["Anthropic", 400, "prompt is too long: 210000 tokens > 200000 maximum"],
  [
    "Anthropic",
    400,
    "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length or `max_tokens` and try again"
  ],
  ["Gemini", 400, "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."],
  ["Gemini", 400, "The input token count exceeds the maximum number of tokens allowed 32768."],
  [
    "OpenRouter",
    400,
    'This endpoint\'s maximum context length is 131072 tokens. However, you requested about 140000 tokens (139000 of text input, 1000 in the output). Please reduce the length of either one, or use the "middle-out" transform to compress your prompt automatically.'
  ],
  ["Groq", 400, "Please reduce the length of the messages or completion."],
  [
    "Cerebras",
    400,
    "Please reduce the length of the messages or completion. Current length is 9000 while limit is 8192"
  ],
  [
    "Mistral",
    400,
    "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length"
  ],
  ["xAI", 400, "This model's maximum prompt length is 131072 but the request contains 537812 tokens."],
  ["Moonshot", 400, "Invalid request: Your request exceeded model token limit: 131072"],
  ["DashScope", 400, "Range of input length should be [1, 129024]"],
  ["Z.ai", 400, "Prompt exceeds max length"],
  ["MiniMax", 400, "invalid params, context window exceeds limit"],
  [
    "Cohere",
    400,
    "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 5000. Try using a shorter prompt"
  ],
  ["Bedrock", 400, "Input is too long for requested model."],
  ["Bedrock", 400, "Too many input tokens. Max input tokens: 8192, request input token count: 9120"],
  ["Copilot", 400, "prompt token count of 130000 exceeds the limit of 128000"],
  ["Fireworks", 400, "The prompt is too long: 200000, model maximum context length: 131071"]
]

/** What sounds alike and is about something that a shorter conversation does not mend. */
const others: ReadonlyArray<readonly [server: string, status: number, text: string]> = [
  [
    "OpenAI",
    429,
    "Rate limit reached for gpt-4o in organization org-1 on tokens per min (TPM): Limit 30000, Used 29000, Requested 5000."
  ],
  [
    "OpenAI",
    429,
    "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 52000. The input or output tokens must be reduced in order to run successfully."
  ],
  [
    "Groq",
    413,
    "Request too large for model `llama-3.1-8b-instant` in organization `org` service tier `on_demand` on tokens per minute (TPM): Limit 6000, Requested 7104, please reduce your message size and try again."
  ],
  [
    "Anthropic",
    429,
    "This request would exceed your organization's rate limit of 40,000 input tokens per minute. Please reduce the prompt length or the maximum tokens requested."
  ],
  [
    "Anthropic",
    400,
    "This request would exceed your organization's rate limit of 40,000 input tokens per minute; the prompt is too long for it"
  ],
  [
    "Anthropic",
    400,
    "max_tokens: 10000 > 8192, which is the maximum allowed number of output tokens for claude-3-5-sonnet-20241022"
  ],
  ["Anthropic", 413, "Request exceeds the maximum size"],
  [
    "Anthropic",
    400,
    "messages.0.content.1.image.source.base64: image exceeds 5 MB maximum: 6291456 bytes > 5242880 bytes"
  ],
  [
    "Anthropic",
    400,
    "Your credit balance is too low to access the API; the input is too long to be served for free credits"
  ],
  [
    "OpenAI",
    400,
    "max_tokens is too large: 100000. This model supports at most 16384 completion tokens, whereas you provided 100000."
  ],
  [
    "OpenAI",
    400,
    "Invalid 'messages[0].content': string too long. Expected a string with maximum length 1048576, but got a string with length 2000000 instead."
  ],
  [
    "OpenAI",
    400,
    "Invalid 'tools[0].function.name': string too long. Expected a string with maximum length 64, but got a string with length 80 instead."
  ],
  [
    "OpenAI",
    400,
    "Invalid 'messages': array too long. Expected an array with maximum length 2048, but got an array with length 3000 instead."
  ],
  ["OpenAI", 429, "You exceeded your current quota, please check your plan and billing details."],
  [
    "vLLM",
    400,
    "'max_tokens' or 'max_completion_tokens' is too large: 40000. This model's maximum context length is 4096 tokens and your request has 12 input tokens (40000 > 4096 - 12)."
  ],
  ["vLLM", 400, "max_tokens must be at least 1, got 0."],
  ["TGI", 422, "Input validation error: `max_new_tokens` must be strictly positive"],
  ["TGI", 422, "Input validation error: `temperature` must be strictly positive"],
  ["TEI", 413, "batch size 64 > maximum allowed batch size 32"],
  ["Gemini", 400, "Quota exceeded for metric: generate_content_free_tier_input_token_count, limit: 250000"],
  [
    "Gemini",
    400,
    "Unable to submit request because it has a maxOutputTokens value of 100000 but the supported range is from 1 (inclusive) to 65537 (exclusive)."
  ],
  ["Gemini", 400, "Request payload size exceeds the limit: 20971520 bytes."],
  ["Bedrock", 429, "Too many tokens, please wait before trying again."],
  ["Bedrock", 400, "Too many tokens, please wait before trying again."],
  ["Bedrock", 400, "The maximum tokens you requested exceeds the model limit of 4096."],
  ["Ollama", 400, "registry.ollama.ai/library/llama3:latest does not support tools"],
  ["Go", 408, "time limit exceeded: context canceled"],
  ["Go", 400, "context deadline exceeded"],
  ["Azure", 400, "The response was filtered due to the prompt triggering Azure OpenAI's content management policy."],
  ["OpenAI", 400, "Missing required parameter: 'messages[1].content'. Additional context: the message is empty."],
  ["OpenAI", 400, "Additional properties are not allowed ('context_length' was unexpected)"],
  ["any", 400, "The context_length parameter must be a number"]
]

const bodiesOf = (text: string): ReadonlyArray<unknown> => [
  { error: { message: text, type: "invalid_request_error", param: null, code: null } },
  { error: { message: text, type: "BadRequestError", code: 400 } },
  { object: "error", message: text, type: "BadRequestError", param: null, code: 400 },
  { error: text },
  { detail: text }
]

const codeOf = (status: number, body: unknown): unknown =>
  JSON.parse(decoder.decode(openAiErrorBody(status, encoder.encode(JSON.stringify(body))))).error.code

describe("a prompt that does not fit is told by the code that agents look for", () => {
  test.each(overflows)("%s, %d: %s", (_server, status, text) => {
    for (const body of bodiesOf(text)) expect(codeOf(status, body)).toBe("context_length_exceeded")
  })

  test("llama.cpp's own type says so whatever its words", () => {
    expect(isContextOverflow(400, "exceed_context_size_error", "no room")).toBe(true)
    expect(isContextOverflow(500, "exceed_context_size_error", "no room")).toBe(true)
  })
})

describe("nothing else is told by that code", () => {
  test.each(others)("%s, %d: %s", (_server, status, text) => {
    for (const body of bodiesOf(text)) expect(codeOf(status, body)).not.toBe("context_length_exceeded")
  })
})
