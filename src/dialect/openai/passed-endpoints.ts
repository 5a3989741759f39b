/**
 * The endpoints around models that are neither chats, completions nor embeddings: where each of them is, and what little is
 * read of its bodies. All else of them passes by unread.
 */
import type { OperationFacts } from "../../domain/request.ts"

/** What an answer is: JSON, a text in a form that the client has asked for, or bytes. */
type AnswerForm = "json" | "text" | "bytes"

/** One of them. */
export interface PassedEndpoint {
  readonly facts: OperationFacts
  readonly path: string
  /** Other paths that can only mean it. */
  readonly meantBy: ReadonlyArray<string>
  readonly answer: AnswerForm
  /** The list that every good answer holds; absent where servers differ. */
  readonly list?: string
  /** The model that is meant where none is named. */
  readonly usual?: string
  /** Whether it is asked by a form, with files in it. */
  readonly form?: true
}

type Told = Omit<PassedEndpoint, "facts" | "meantBy" | "path"> & Partial<Pick<PassedEndpoint, "meantBy">>

const endpoint = (name: string, path: string, text: string, { meantBy = [], ...told }: Told): PassedEndpoint => ({
  facts: { name, fields: { text, vision: text, tools: text, json_mode: text, embeddings: "model" } },
  path,
  meantBy,
  ...told
})

/** All of them. Places without `/v1` are those that servers have them at. */
export const passedEndpoints: ReadonlyArray<PassedEndpoint> = [
  endpoint("audio/speech", "/v1/audio/speech", "input", { answer: "bytes" }),
  endpoint("audio/transcriptions", "/v1/audio/transcriptions", "file", { answer: "text", form: true }),
  endpoint("audio/translations", "/v1/audio/translations", "file", { answer: "text", form: true }),
  endpoint("images/generations", "/v1/images/generations", "prompt", { answer: "json", list: "data" }),
  endpoint("images/edits", "/v1/images/edits", "image", { answer: "json", list: "data", form: true }),
  endpoint("images/variations", "/v1/images/variations", "image", { answer: "json", list: "data", form: true }),
  endpoint("moderations", "/v1/moderations", "input", {
    answer: "json",
    list: "results",
    usual: "omni-moderation-latest"
  }),
  endpoint("rerank", "/rerank", "query", { answer: "json", meantBy: ["/reranking"] }),
  endpoint("v1/rerank", "/v1/rerank", "query", { answer: "json", meantBy: ["/v1/reranking"] }),
  // The base URL of OpenAI's with the path of Cohere's.
  endpoint("v2/rerank", "/v2/rerank", "query", { answer: "json", meantBy: ["/v1/v2/rerank"] }),
  endpoint("score", "/v1/score", "text_1", { answer: "json", meantBy: ["/score"] }),
  endpoint("tokenize", "/tokenize", "prompt", { answer: "json", meantBy: ["/v1/tokenize"] }),
  endpoint("detokenize", "/detokenize", "tokens", { answer: "json", meantBy: ["/v1/detokenize"] })
]
