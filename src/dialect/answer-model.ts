/**
 * Who gives an answer, by the `model` at its head, or at that of the first event of a stream.
 */
import type { AnswerIdentity } from "./Dialect.ts"

const decoder = new TextDecoder()

const headBytes = 2048

const modelField = /"model"\s*:\s*"([^"\\]{1,512})"/

/** What the first bytes of an answer say of that. */
export const modelAtHead = (bytes: Uint8Array): AnswerIdentity => ({
  model: modelField.exec(decoder.decode(bytes.subarray(0, headBytes)))?.[1],
  fingerprint: undefined
})
