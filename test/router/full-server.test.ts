import { describe, expect, test } from "bun:test"
import { ErrorStatus } from "../../src/domain/upstream-errors.ts"
import { fullPauseMs, isFull, pauseOf, type Refusing } from "../../src/router/full-server.ts"

interface Said {
  readonly status?: number
  readonly body?: string | object
  readonly seconds?: number
  readonly counts?: true
}

const refusal = ({ body = "", counts, seconds, status = 429 }: Said): ErrorStatus =>
  new ErrorStatus({
    status,
    contentType: "application/json",
    body: new TextEncoder().encode(typeof body === "string" ? body : JSON.stringify(body)),
    retryAfterMs: seconds === undefined ? undefined : seconds * 1000,
    ...(counts === undefined ? {} : { counts })
  })

const idle: Refusing = { local: true, working: 0 }
const atWork: Refusing = { local: true, working: 2 }
const cloud: Refusing = { local: false, working: 2 }

const message = (text: string, type = "error") => ({ error: { message: text, type } })

describe("a refusal is that of a server that is full", () => {
  const all: ReadonlyArray<readonly [who: string, said: Said, of: Refusing]> = [
    ["llama-swap", { body: "Too many requests", seconds: 1 }, atWork],
    ["llama-swap, with requests of others", { body: "Too many requests", seconds: 1 }, idle],
    ["TGI", { body: { error: "Model is overloaded", error_type: "overloaded" } }, idle],
    [
      "Ollama",
      { status: 503, body: { error: "server busy, please try again.  maximum pending requests exceeded" } },
      idle
    ],
    ["a proxy before vLLM", { status: 503, body: "", seconds: 2 }, atWork],
    [
      "another Nexus",
      {
        body: message(
          "Every backend for model 'm' has all it can take, and 9 requests for it wait already (queue.max_queue); try again in 3 s",
          "rate_limit_error"
        ),
        seconds: 3
      },
      idle
    ],
    ["one that says nothing", {}, atWork],
    ["one that says what OpenAI's clients know", { body: message("Too many requests", "rate_limit_error") }, atWork],
    ["a cloud that counts what is under way", { body: message("Too many concurrent requests") }, cloud],
    [
      "Anthropic",
      { body: message("Number of concurrent connections has exceeded your rate limit. Please try again later") },
      cloud
    ]
  ]
  for (const [who, said, of] of all) test(who, () => expect(isFull(refusal(said), of)).toBe(true))
})

describe("a refusal is not that of a server that is full", () => {
  const all: ReadonlyArray<readonly [what: string, said: Said, of: Refusing]> = [
    ["which tells what is left of its limits", { body: "Too many requests", seconds: 1, counts: true }, atWork],
    [
      "which tells what is left of its limits, whatever it says",
      { body: "too many concurrent requests", counts: true },
      atWork
    ],
    [
      "of tokens in a minute",
      { body: message("Rate limit reached for gpt-4o on tokens per min (TPM): Limit 30000") },
      atWork
    ],
    [
      "of a quota",
      { body: message("You exceeded your current quota, please check your plan and billing details.") },
      atWork
    ],
    [
      "of a limiter with a type of OpenAI's alone",
      { body: message("slow down", "rate_limit_error"), seconds: 1 },
      idle
    ],
    ["that says something else", { body: message("so it is"), seconds: 2 }, atWork],
    ["of a cloud that says no more", { body: "Too many requests", seconds: 1 }, cloud],
    [
      "of a cloud that is overloaded as a whole",
      { status: 503, body: message("The model is overloaded. Please try again later."), seconds: 1 },
      cloud
    ],
    ["of one that is loading its model", { status: 503, body: message("Loading model"), seconds: 1 }, atWork],
    ["of one that is away for long", { status: 503, body: "", seconds: 120 }, atWork],
    ["of one that fails", { status: 503, body: "" }, atWork],
    ["of one that wants to be left alone for long", { body: "", seconds: 60 }, idle],
    ["of another kind", { status: 400, body: message("too many concurrent requests") }, atWork]
  ]
  for (const [what, said, of] of all) test(what, () => expect(isFull(refusal(said), of)).toBe(false))
})

test("a full server is left alone for as long as it asks, within bounds", () => {
  expect([undefined, 0, 3000, 60_000].map((retryAfterMs) => pauseOf({ retryAfterMs }))).toEqual([
    fullPauseMs.least,
    fullPauseMs.least,
    3000,
    fullPauseMs.most
  ])
})
