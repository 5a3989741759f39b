/**
 * A backend that doctor looks at, in tests, and what it finds.
 */
import { Effect } from "effect"
import type { Backend } from "../../src/backend/backend.ts"
import { examineBackend } from "../../src/doctor/examine.ts"
import type { Finding } from "../../src/doctor/finding.ts"
import { Transport } from "../../src/upstream/Transport.ts"
import { completion, json } from "../kit/answers.ts"
import { type FakeOptions, good, modelOf, startUpstream } from "../kit/FakeUpstream.ts"
import type { Script, Seen } from "../kit/rawServer.ts"
import { backend as plainBackend } from "../registry/backends.ts"

/** A backend at an address. */
export const backendAt = (url: string, more: Partial<Backend> = {}): Backend => ({
  ...plainBackend("b"),
  url,
  type: "generic",
  limits: { firstByteMs: 0, idleMs: 0, totalMs: 0, connectMs: 0 },
  models: [],
  ...more
})

/** What doctor finds of it. */
export const look = (backend: Backend, inference = false, times: Partial<Parameters<typeof examineBackend>[1]> = {}) =>
  Effect.runPromise(
    examineBackend(backend, { inference, timeoutMs: 20_000, answerMs: 30_000, ...times }).pipe(
      Effect.provide(Transport.layer),
      Effect.scoped
    )
  ).then(({ findings }) => findings)

/** What of that is bad. */
export const bad = (findings: ReadonlyArray<Finding>) =>
  findings.filter(({ severity }) => severity === "error" || severity === "warning")

/** The body of a request. */
export const parsed = ({ text }: Seen): Record<string, unknown> => JSON.parse(text) as Record<string, unknown> // reason: the product wrote it

const toolCall = { id: "call_1", type: "function", function: { name: "get_time", arguments: "{}" } }

/** Does all that it is asked for. */
export const able: Script = (request) => {
  const body = parsed(request)
  const message = (fields: object) => ({
    ...completion(modelOf(request), ""),
    choices: [{ index: 0, message: { role: "assistant", ...fields }, finish_reason: "stop" }]
  })
  if (body["tools"] !== undefined) return [json(message({ content: null, tool_calls: [toolCall] }))]
  if (body["response_format"] !== undefined) return [json(message({ content: '{"ok": true}' }))]
  // Too few events to be taken for held back, however long the machine takes for the first.
  return good(["Hello"])(request)
}

/** A server that does all it is asked for, unless told otherwise. */
export const start = (options: Partial<FakeOptions> = {}) => startUpstream({ models: ["m"], script: able, ...options })
