/**
 * A client library as the cases use it, and what they have it ask for.
 */

/** A library under test, set up as its users set it up, but without retries of its own. */
export interface Client {
  /** A whole answer; its text and the tokens it took. */
  readonly chat: (prompt: string, signal?: AbortSignal) => Promise<{ readonly text: string; readonly tokens: number }>
  /** A stream's pieces of text as they come, and the tokens at its end; it throws unless the answer is whole. */
  readonly stream: (prompt: string, signal?: AbortSignal) => AsyncGenerator<string, number, void>
  /** Offers {@link weather}, runs the call that comes with `run`, and gives the final text. */
  readonly useTool: (prompt: string, run: (city: string) => string) => Promise<string>
  /** Offers {@link weather}, and gives the call that a stream holds. */
  readonly streamTool: (prompt: string) => Promise<{ readonly name: string; readonly input: unknown }>
  /** The object of {@link reportSchema} that is answered. */
  readonly structured: (prompt: string) => Promise<unknown>
  readonly embed: (texts: ReadonlyArray<string>) => Promise<ReadonlyArray<ReadonlyArray<number>>>
  /** What a failure tells: status, message and headers of the answer. */
  readonly failure: (error: unknown) => Failure
}

/** A failure as the library tells it. */
interface Failure {
  readonly status: number | undefined
  readonly message: string
  readonly header: (name: string) => string | null | undefined
}

/** How a client is made: the base URL with `/v1`, a key, a chat model and one for embeddings. */
export interface Setup {
  readonly baseURL: string
  readonly apiKey: string
  readonly model: string
  readonly embedder: string
}

/** The tool that is offered. */
export const weather = {
  name: "weather",
  description: "The weather in a city",
  parameters: {
    type: "object",
    properties: { city: { type: "string" } },
    required: ["city"],
    additionalProperties: false
  }
} as const

/** The schema of structured answers. */
export const reportSchema = {
  type: "object",
  properties: { city: { type: "string" }, celsius: { type: "number" } },
  required: ["city", "celsius"],
  additionalProperties: false
} as const
