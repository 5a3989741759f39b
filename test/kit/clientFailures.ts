/**
 * How real servers fail a client: before the answer, and in the middle of it.
 */
import { chunk, json, lastChunk, llamacppTooLong } from "./answers.ts"
import type { Step } from "./rawServer.ts"

/** Ends of a stream that has begun well and is not whole. */
export const brokenEnds: ReadonlyArray<readonly [name: string, steps: ReadonlyArray<Step>]> = [
  ["the connection is reset", [{ pause: 20 }, "reset"]],
  // What Ollama sends when its runner dies.
  [
    "the body ends without a finish_reason",
    [
      chunk(
        'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n'
      ),
      lastChunk
    ]
  ],
  // What vLLM sends.
  [
    "an error event comes, and [DONE] after it",
    [
      chunk('data: {"error":{"message":"EngineCore died","type":"InternalServerError","param":null,"code":500}}\n\n'),
      chunk("data: [DONE]\n\n"),
      lastChunk
    ]
  ]
]

/** Failures before any byte of an answer. */
export const refusals: ReadonlyArray<{
  readonly name: string
  readonly answer: Uint8Array
  readonly status: number
  readonly says: RegExp
  readonly wait?: true
}> = [
  {
    name: "429 with the time to wait",
    answer: json({ error: { message: "slow down", type: "rate_limit_error", param: null, code: null } }, 429, [
      "Retry-After: 7"
    ]),
    status: 429,
    says: /slow down/,
    wait: true
  },
  {
    name: "503 while llama-server loads its model",
    answer: json({ error: { message: "Loading model", type: "unavailable_error", code: 503 } }, 503),
    status: 503,
    says: /No healthy backends available for model 'Qwen\/Qwen3-8B'/,
    wait: true
  },
  {
    name: "400 in llama-server's words when the prompt is too long",
    answer: json(llamacppTooLong, 400),
    status: 400,
    says: /exceeds the available context size|prompt is too long: 6007 tokens > 4096 maximum/
  },
  {
    name: "400 in SGLang's words, which have no envelope",
    answer: json({ object: "error", message: "top_p must be in (0, 1]", type: "BadRequestError", code: 400 }, 400),
    status: 400,
    says: /top_p must be in/
  }
]
