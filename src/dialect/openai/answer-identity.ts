/**
 * What an answer says of who gave it: the model, and the build of the server. Found by a search for their names where an
 * answer is not parsed, since nothing else of it is looked at.
 */
import * as Predicate from "effect/Predicate"
import { type AnswerIdentity, unknownIdentity } from "../Dialect.ts"

// Servers write these before the words of an answer or behind them.
const windowBytes = 2048
const longest = 512

const behind = /^\s*:\s*"([^"\\]*)"/

const modelKey = Buffer.from('"model"')
const fingerprintKey = Buffer.from('"system_fingerprint"')

// Called on the bytes as they are: a Buffer over them would make the engine give them another form, at many times the cost.
const { indexOf, toString } = Buffer.prototype

/** The text behind a name with its quotes; a name inside of a text has other quotes around it. */
const textAfter = (bytes: Uint8Array, name: Buffer): string | undefined => {
  const found = indexOf.call(bytes, name)
  if (found < 0) return undefined
  const at = found + name.byteLength
  const value = behind.exec(toString.call(bytes, "latin1", at, Math.min(bytes.byteLength, at + longest)))?.[1]
  // The bytes were read one by one.
  return value === undefined || !/[^\x20-\x7e]/.test(value) ? value : Buffer.from(value, "latin1").toString("utf8")
}

const short = (value: unknown): string | undefined =>
  typeof value === "string" && value.length < longest ? value : undefined

/** What an answer says that was parsed. */
export const identityOf = (json: unknown): AnswerIdentity =>
  Predicate.isObject(json)
    ? { model: short(json["model"]), fingerprint: short(json["system_fingerprint"]) }
    : unknownIdentity

/** What these bytes say, the first of a stream or all of a whole answer; a body that came compressed says nothing. */
export const identityIn = (bytes: Uint8Array): AnswerIdentity => {
  const size = bytes.byteLength
  const windows =
    size <= 2 * windowBytes ? [bytes] : [bytes.subarray(0, windowBytes), bytes.subarray(size - windowBytes)]
  const told = (name: Buffer): string | undefined => {
    for (const window of windows) {
      const text = textAfter(window, name)
      if (text !== undefined) return text
    }
    return undefined
  }
  return { model: told(modelKey), fingerprint: told(fingerprintKey) }
}
