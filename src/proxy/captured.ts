/**
 * What is stored of one request: its body as hooks left it, and its answer as the client got it.
 */
import type { Captures } from "../capture/Captures.ts"
import type { Plan } from "../router/plan.ts"
import { AnswerCopy } from "./answer-copy.ts"
import { modelNamesIn } from "./guard.ts"
import type { RequestEnd, RequestRecord } from "./record.ts"

/** A request that is stored when it has ended. */
export interface Captured {
  readonly request: Uint8Array
  readonly answer: AnswerCopy
}

// A longer answer is stored as far as it fits.
const mostAnswerBytes = 8 * 1024 * 1024

const decoder = new TextDecoder()

/** Begins to capture a request, where its key or its model is to be; undefined where neither is. */
export const capturedOf = (
  captures: Captures["Service"],
  { key }: RequestRecord,
  body: Uint8Array,
  plan: Plan
): Captured | undefined =>
  captures.isOn && captures.wants(key, modelNamesIn(plan))
    ? { request: body, answer: new AnswerCopy(mostAnswerBytes) }
    : undefined

/** Stores a request that has ended. */
export const storeCaptured = (
  captures: Captures["Service"],
  { answer, request }: Captured,
  record: RequestRecord,
  { backend, outcome, status }: RequestEnd
): void => {
  const { endpoint, id, key = null, model, route, stream } = record
  captures.store(
    { request_id: id, key, model, endpoint, dialect: route.dialect.id, backend, outcome, status, stream },
    { request: decoder.decode(request), answer: decoder.decode(answer.bytes) }
  )
}
