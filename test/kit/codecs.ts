import * as Result from "effect/Result"
import type {
  AnswerDecoder,
  AnswerEncoder,
  Chat,
  ClientCodec,
  ServerCodec,
  ServerTraits
} from "../../src/dialect/chat.ts"

/** A server that takes whatever its dialect can say. */
export const anyServer: ServerTraits = {
  original: false,
  files: false,
  namedTool: true,
  newerBound: true,
  several: true,
  word: String
}

/** How a client half answers this request. */
export const answersTo = (codec: ClientCodec, request: unknown, model?: string): AnswerEncoder =>
  Result.getOrThrow(codec.decode(new TextEncoder().encode(JSON.stringify(request)), model)).answers

/** A request that says next to nothing. */
export const hello: Chat = {
  stream: false,
  messages: [{ role: "user", parts: [{ type: "text", text: "hello" }] }],
  tools: [],
  extra: {}
}

/** How a server half reads the answer to a request, to one that says nothing in particular unless it is given. */
export const answersFrom = (codec: ServerCodec, chat: Chat = hello): AnswerDecoder =>
  Result.getOrThrow(codec.encode(chat, "m", anyServer)).answers
