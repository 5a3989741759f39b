/**
 * How an answer is written: as chat completions do, with what vLLM and llama-server add, or as Ollama's own API.
 */
import type { Answer } from "./answer.ts"
import type { MachineSpec } from "./machine.ts"
import type { ChatBody } from "./prompt.ts"

/** What there is to tell of an answer; times in seconds of the simulation. */
export interface Facts {
  readonly promptTokens: number
  cached: number
  readonly arrived: number
  started: number
  begun: number
  ended: number
}

/** The parts of an answer as text. */
export interface Voice {
  readonly streamType: string
  /** The computation of the prompt has begun. */
  readonly progress: () => string
  /** Before the first token. */
  readonly open: () => string
  readonly piece: (text: string) => string
  readonly close: () => string
  readonly whole: () => string
}

const functionCall = ({ call }: Answer, index: boolean) => {
  const made = { id: "call_1", type: "function", function: { name: "run", arguments: call } }
  return call === undefined ? {} : { tool_calls: [index ? { index: 0, ...made } : made] }
}

/** Chat completions. */
export const completions = (spec: MachineSpec, body: ChatBody, answer: Answer, facts: Facts): Voice => {
  const common = { id: "chatcmpl-fleet", created: 1_700_000_000, model: body.model }
  const finish = answer.call === undefined ? "stop" : "tool_calls"
  const usage = () => ({
    prompt_tokens: facts.promptTokens,
    completion_tokens: answer.tokens,
    total_tokens: facts.promptTokens + answer.tokens,
    // Ollama does not tell.
    ...(spec.kind === "ollama" ? {} : { prompt_tokens_details: { cached_tokens: facts.cached } })
  })
  const timings = () =>
    spec.kind === "llamacpp"
      ? {
          timings: {
            cache_n: facts.cached,
            prompt_n: facts.promptTokens - facts.cached,
            prompt_ms: 1000 * (facts.begun - facts.started),
            predicted_n: answer.tokens,
            predicted_ms: 1000 * (facts.ended - facts.begun)
          }
        }
      : {}
  const event = (choices: ReadonlyArray<unknown>, more: object = {}): string =>
    `data: ${JSON.stringify({ ...common, object: "chat.completion.chunk", choices, ...more })}\n\n`
  const delta = (delta: object, end: string | null = null, more: object = {}): string =>
    event([{ index: 0, delta, finish_reason: end }], more)
  return {
    streamType: "text/event-stream",
    progress: () =>
      spec.kind === "llamacpp" && body.return_progress === true
        ? delta({ role: "assistant", content: null }, null, {
            prompt_progress: { total: facts.promptTokens, cache: facts.cached, processed: facts.cached, time_ms: 0 }
          })
        : "",
    open: () => delta({ role: "assistant", content: "" }),
    piece: (text) => delta({ content: text }),
    close: () =>
      [
        answer.call === undefined ? "" : delta(functionCall(answer, true)),
        delta({}, finish, timings()),
        body.stream_options?.include_usage === true ? event([], { usage: usage(), ...timings() }) : "",
        "data: [DONE]\n\n"
      ].join(""),
    whole: () => {
      const message = { role: "assistant", content: answer.text, ...functionCall(answer, false) }
      const choices = [{ index: 0, message, finish_reason: finish }]
      return JSON.stringify({ ...common, object: "chat.completion", choices, usage: usage(), ...timings() })
    }
  }
}

const nanoseconds = (seconds: number): number => Math.round(seconds * 1e9)

/** Ollama's own: lines of JSON. */
export const ollamaLines = (body: ChatBody, answer: Answer, facts: Facts): Voice => {
  const line = (content: string, more: object): string =>
    `${JSON.stringify({
      model: body.model,
      created_at: "2026-01-01T00:00:00Z",
      message: { role: "assistant", content },
      ...more
    })}\n`
  const ending = () => ({
    done: true,
    done_reason: "stop",
    total_duration: nanoseconds(facts.ended - facts.arrived),
    prompt_eval_count: facts.promptTokens,
    prompt_eval_duration: nanoseconds(facts.begun - facts.started),
    eval_count: answer.tokens,
    eval_duration: nanoseconds(facts.ended - facts.begun)
  })
  return {
    streamType: "application/x-ndjson",
    progress: () => "",
    open: () => "",
    piece: (text) => line(text, { done: false }),
    close: () => line("", ending()),
    whole: () => line(answer.text, ending())
  }
}
