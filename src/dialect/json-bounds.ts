/**
 * The bounds of a body that is built whole to be translated: what is larger than usual is gone through in slices before, so
 * that no body holds up other requests.
 */
import { BadRequest } from "../domain/errors.ts"
import type { EventLoopTurns } from "../domain/EventLoopTurns.ts"
import { notJson } from "./json-body.ts"
import { type JsonListener, JsonScan } from "./json-scan.ts"

/** Bodies up to this size, in bytes, are built at once. */
const usualBytes = 64 * 1024

/** Levels of arrays and objects, as in bodies that are passed on. */
const mostLevels = 512

/** Values of a body; building so many takes some tens of milliseconds. */
const mostValues = 100_000

const nothing = (): void => undefined

const deaf: JsonListener = {
  key: nothing,
  string: nothing,
  plain: nothing,
  open: nothing,
  close: nothing,
  deep: nothing
}

const refusals = {
  syntax: `The request body ${notJson}`,
  depth: `The request body is nested more than ${mostLevels} levels deep; Nexus translates no more in bodies above 64 KB`,
  size: `The request body holds more than ${mostValues.toLocaleString("en")} values; Nexus translates no more`
}

/** Whether a body is to be gone through before it is built. */
export const isLarge = (body: Uint8Array): boolean => body.byteLength > usualBytes

/** What is wrong with a large body that is to be built; undefined when it is within the bounds. */
export const boundsFault = async (body: Uint8Array, turns: EventLoopTurns): Promise<BadRequest | undefined> => {
  const scan = new JsonScan(body, deaf, { maxDepth: mostLevels })
  for (;;) {
    await turns.next()
    const progress = scan.step()
    const fault = scan.size > mostValues ? "size" : progress
    if (fault === "whole") return undefined
    if (fault !== "going") return new BadRequest({ message: refusals[fault], param: null })
  }
}
