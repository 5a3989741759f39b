/**
 * Replaces the model name in a JSON body and nothing else: numbers, key order, spacing and unknown fields stay as they
 * came.
 */
import type { Span } from "../Dialect.ts"
import { JsonScan } from "../json-scan.ts"
import { Sift } from "./sift.ts"

const encoder = new TextEncoder()

/** Where the value of the last top-level `model` is: the one that JSON.parse takes. */
const modelSpan = (body: Uint8Array): Span | undefined => {
  const sift = new Sift(body)
  const scan = new JsonScan(body, sift)
  while (scan.step() === "going");
  return sift.model
}

/**
 * The body with another model name, in pieces; the same body when it holds no model name. `body` must be valid JSON;
 * `span` is where its model name is, when that is known.
 */
export const replaceModel = (
  body: Uint8Array,
  model: string,
  span: Span | undefined = modelSpan(body)
): ReadonlyArray<Uint8Array> =>
  span === undefined
    ? [body]
    : [body.subarray(0, span.from), encoder.encode(JSON.stringify(model)), body.subarray(span.to)]
