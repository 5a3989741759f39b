/**
 * How the generator asks in each client dialect for a stream, and how it knows the tokens of the answer again. The mock is
 * told what is wanted in the text of the message, which comes through a translation as it is.
 */

/** What a stream is to be. */
export interface Wish {
  readonly model: string
  readonly frames: number
  /** Milliseconds between two frames. */
  readonly every: number
  readonly pad: number
}

/** A client dialect. */
export interface Voice {
  readonly path: (model: string, stream: boolean) => string
  /** The body of a request; its messages are texts of users. */
  readonly body: (model: string, texts: ReadonlyArray<string>, stream: boolean) => string
  /** What ends an event. */
  readonly separator: string
  /** What stands before the text of a token in its event. */
  readonly mark: string
  /** What stands in the last event of a good stream. */
  readonly last: string
}

/** OpenAI's chat completions: the same dialect on both sides. */
export const chatVoice: Voice = {
  path: () => "/v1/chat/completions",
  body: (model, texts, stream) =>
    JSON.stringify({ model, stream, messages: texts.map((content) => ({ role: "user", content })) }),
  separator: "\n\n",
  mark: '"content":"#',
  last: "data: [DONE]"
}

const messagesVoice: Voice = {
  path: () => "/v1/messages",
  body: (model, texts, stream) =>
    JSON.stringify({ model, stream, max_tokens: 4096, messages: texts.map((content) => ({ role: "user", content })) }),
  separator: "\n\n",
  mark: '"text":"#',
  last: "event: message_stop"
}

const responsesVoice: Voice = {
  path: () => "/v1/responses",
  body: (model, texts, stream) =>
    JSON.stringify({ model, stream, store: false, input: texts.map((content) => ({ role: "user", content })) }),
  separator: "\n\n",
  mark: '"delta":"#',
  last: "event: response.completed"
}

const ollamaVoice: Voice = {
  path: () => "/api/chat",
  body: (model, texts, stream) =>
    JSON.stringify({ model, stream, messages: texts.map((content) => ({ role: "user", content })) }),
  separator: "\n",
  mark: '"content":"#',
  last: '"done":true'
}

const geminiVoice: Voice = {
  path: (model, stream) => `/v1beta/models/${model}:${stream ? "streamGenerateContent?alt=sse" : "generateContent"}`,
  body: (_model, texts) => JSON.stringify({ contents: texts.map((text) => ({ role: "user", parts: [{ text }] })) }),
  separator: "\n\n",
  mark: '"text":"#',
  last: '"finishReason":"STOP"'
}

/** The client dialects that are measured, each over a backend that speaks chat completions: a new one is a line. */
export const voices: Readonly<Record<string, Voice>> = {
  messages: messagesVoice,
  responses: responsesVoice,
  ollama: ollamaVoice,
  gemini: geminiVoice
}

/** The text that tells the mock of a stream. */
export const wishText = ({ every, frames, pad }: Wish): string =>
  `bench:frames=${String(frames)},every=${String(every)},pad=${String(pad)}; Say something, token by token.`

/** What such a text tells; undefined when it is none. */
export const wishIn = (text: string): Omit<Wish, "model"> | undefined => {
  const [, frames, every, pad] = /bench:frames=(\d+),every=(\d+),pad=(\d+);/.exec(text) ?? []
  return frames === undefined ? undefined : { frames: Number(frames), every: Number(every), pad: Number(pad) }
}
