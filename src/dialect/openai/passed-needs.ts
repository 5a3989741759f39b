/**
 * What routing must know of a request whose body passes by: its model, and whether its answer is to be a stream.
 */
import * as Result from "effect/Result"
import { BadRequest } from "../../domain/errors.ts"
import type { NeedsReading, ReadRequest } from "../Dialect.ts"
import { modelFault, parseBody, streamFault, unnamedFault } from "../json-body.ts"
import type { Json } from "./facts.ts"
import { isLarge } from "../parsed-body.ts"
import { scanTop } from "./needs.ts"
import type { PassedEndpoint } from "./passed-endpoints.ts"

type Read = Result.Result<ReadRequest, BadRequest>

const needsOf = (
  { facts, usual }: PassedEndpoint,
  top: Json,
  reading: NeedsReading,
  span: ReadRequest["model"]
): Read => {
  const model = reading.model ?? top["model"] ?? reading.standIn?.(usual)
  const fault = modelFault(model) ?? unnamedFault(reading.model, top) ?? streamFault(top["stream"])
  if (fault !== undefined) return Result.fail(fault)
  // Speech has a word of its own for a stream of events.
  const stream = top["stream"] === true || top["stream_format"] === "sse"
  const nothing = { abilities: [], promptTokens: 0, atLeastTokens: 0, outputTokens: 0 }
  return Result.succeed({ needs: { operation: facts, model: String(model), stream, ...nothing }, model: span })
}

const noForm = ({ message, param }: BadRequest): BadRequest =>
  new BadRequest({ message: `${message}; a form is expected here (multipart/form-data, with its boundary)`, param })

/** Reads it: at once of a body of the usual size, in slices of a large one. */
export const readPassedNeeds = (
  endpoint: PassedEndpoint,
  body: Uint8Array,
  reading: NeedsReading
): Read | Promise<Read> => {
  if (!isLarge(body)) {
    const parsed = endpoint.form === true ? Result.mapError(parseBody(body), noForm) : parseBody(body)
    return Result.flatMap(parsed, (top) => needsOf(endpoint, top, reading, undefined))
  }
  return scanTop(body, reading.turns).then(
    Result.flatMap(({ factScan, top }) => needsOf(endpoint, top, reading, factScan.model))
  )
}
