/**
 * Events of a stream of chat completions as the mock sends them.
 */

/** One event: its text, and why the answer ended, as JSON. */
export const chunkFrame = (content: string, finish: string): string =>
  `data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1700000000,"model":"bench",` +
  `"choices":[{"index":0,"delta":{"content":"${content}"},"finish_reason":${finish}}]}\n\n`
