/**
 * How a request ends that nobody has answered: refused, failed, cancelled, left by its client, or stopped with the gateway.
 */
import * as Cause from "effect/Cause"
import { refuse } from "../dialect/refuse.ts"
import { Cancelled, type GatewayError, Internal, Stopping } from "../domain/errors.ts"
import { jitteredWait } from "../domain/retry-after.ts"
import { type GaveUp, finalAnswer, ownRefusal, type Unanswered } from "./final-failure.ts"
import { clientClosedStatus, type RequestEnd } from "./record.ts"
import type { RequestRun } from "./request-run.ts"

// The rest of a body that nobody will read is not waited for.
const unread = { connection: "close" } as const

/** The refusal of a gateway that stops; `random` spreads the time to retry. */
export const stopping = (random: () => number): Stopping => new Stopping({ retryAfterSeconds: jitteredWait(5, random) })

const unanswered = (
  { interruption, record }: RequestRun,
  cause: Cause.Cause<GatewayError | GaveUp>,
  random: () => number,
  defect: (requestId: string, cause: Cause.Cause<unknown>) => void
): Unanswered => {
  const { id, route } = record
  const { dialect } = route
  const failed = Cause.findErrorOption(cause)
  if (failed._tag === "Some") {
    const { value } = failed
    return value._tag === "GaveUp" ? finalAnswer(record, value, random) : ownRefusal(dialect, value, id)
  }
  if (!Cause.hasInterruptsOnly(cause)) {
    defect(id, cause)
    return { outcome: "failed", backend: "", response: refuse(dialect, new Internal({ requestId: id }), id) }
  }
  if (interruption === "cancelled") {
    return {
      outcome: "cancelled",
      backend: record.asked?.backend ?? "",
      response: refuse(dialect, new Cancelled({}), id, record.phase === "reading" ? unread : {})
    }
  }
  const outcome = interruption === "stopping" ? "failed" : "client_closed"
  return { outcome, backend: "", response: refuse(dialect, stopping(random), id) }
}

/** Tells the client of a request why it gets no answer; `defect` is told of a cause that is no failure of a known kind. */
export const endUnanswered = (
  current: RequestRun,
  cause: Cause.Cause<GatewayError | GaveUp>,
  random: () => number,
  defect: (requestId: string, cause: Cause.Cause<unknown>) => void
): RequestEnd => {
  const { backend, outcome, refusal, response } = unanswered(current, cause, random, defect)
  current.respond(response)
  const status = outcome === "client_closed" ? clientClosedStatus : response.status
  return { outcome, status, backend, bytes: 0, cutPrompt: undefined, ...(refusal === undefined ? {} : { refusal }) }
}
