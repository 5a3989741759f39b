/**
 * The body of a request as it is built once, for whoever routes it and whoever translates it: at once where it is of the
 * usual size; a large one is gone through in slices before, and its long strings are read in slices, so that no body holds
 * up other requests.
 */
import { isUtf8 } from "node:buffer"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import { BadRequest } from "../domain/errors.ts"
import type { EventLoopTurns } from "../domain/EventLoopTurns.ts"
import { exactJson } from "./exact-json.ts"
import { emptyBody, jsonObject, notUtf8, tooDeep } from "./json-body.ts"
import { notJson } from "./json-fault.ts"
import { JsonSkim } from "./json-skim.ts"
import { parsedPieces, type StringPlace } from "./string-pieces.ts"

type Json = Readonly<Record<PropertyKey, unknown>>

/** A body that was built. */
export interface ParsedBody {
  readonly json: Json
  /** The same, with every number written as it came; it is no good apart from the body. */
  readonly exact: (this: ParsedBody) => Json
}

/** A body that was built, or why it cannot be. */
export type BodyReading = Result.Result<ParsedBody, BadRequest>

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const bad = (message: string): Result.Result<never, BadRequest> => Result.fail(new BadRequest({ message, param: null }))

const objectOf = (json: unknown): Json => (Predicate.isObject(json) ? json : {})

// A class: there is one of every request that is translated, and closures over it would be three objects more.
class BuiltBody implements ParsedBody {
  readonly json: Json
  // Where no number may be rounded it need not be held.
  private readonly text: string | undefined

  constructor(json: Json, text: string | undefined) {
    this.json = json
    this.text = text
  }

  exact(): Json {
    return this.text === undefined ? this.json : objectOf(exactJson(this.text, this.json))
  }
}

/** Builds a body at once; `rounds` is whether it has a number that may be rounded, where that is known. */
export const parsedBody = (body: Uint8Array, rounds = true): BodyReading => {
  if (body.byteLength === 0) return bad(emptyBody)
  try {
    const text = decoder.decode(body)
    const json = jsonObject(JSON.parse(text))
    if (Result.isFailure(json)) return Result.fail(json.failure)
    return Result.succeed(new BuiltBody(json.success, rounds ? text : undefined))
  } catch (error) {
    return bad(error instanceof SyntaxError ? notJson(body) : notUtf8)
  }
}

/** Bodies up to this size, in bytes, are built at once. */
const usualBytes = 64 * 1024

/** Levels of arrays and objects, as in bodies that are passed on. */
const mostLevels = 512

/** Values of a body; building so many takes some tens of milliseconds. */
const mostValues = 100_000

const refusals = {
  depth: `The request body is nested more than ${mostLevels} levels deep; Nexus translates no more in bodies above 64 KB`,
  size: `The request body holds more than ${mostValues.toLocaleString("en")} values; Nexus translates no more`
}

/** Whether a body is to be gone through before it is built. */
export const isLarge = (body: Uint8Array): boolean => body.byteLength > usualBytes

// Strings of so many bytes are read by themselves, in bodies that would hold others up.
const longBytes = 512
const heldUpBytes = 1024 * 1024

// Bytes of strings that are read in one turn.
const turnBytes = 256 * 1024

// Stands in the place of a long string; nobody who sends a text can know it.
const mark = `${crypto.randomUUID()}:`

/** The text of a body with a mark in the place of each long string. */
const outline = (body: Uint8Array, spans: ReadonlyArray<StringPlace>): string => {
  const pieces: Array<string> = []
  let at = 0
  for (const [place, { from, to }] of spans.entries()) {
    pieces.push(decoder.decode(body.subarray(at, from)), `"${mark}${place}"`)
    at = to
  }
  pieces.push(decoder.decode(body.subarray(at)))
  return pieces.join("")
}

/** Puts the long strings into their places. */
const filled = (value: unknown, texts: ReadonlyArray<string>): unknown => {
  if (typeof value === "string") return value.startsWith(mark) ? texts[Number(value.slice(mark.length))] : value
  if (typeof value !== "object" || value === null) return value
  for (const [key, each] of Object.entries(value)) {
    if (typeof each === "string" ? each.startsWith(mark) : typeof each === "object" && each !== null) {
      Reflect.set(value, key, filled(each, texts))
    }
  }
  return value
}

const textsOf = async (
  body: Uint8Array,
  spans: ReadonlyArray<StringPlace>,
  turns: EventLoopTurns
): Promise<ReadonlyArray<string>> => {
  const texts: Array<string> = []
  let read = 0
  for (const span of spans) {
    let text = ""
    for (const piece of parsedPieces(body, span)) {
      read += piece.length
      text += piece
      if (read < turnBytes) continue
      read = 0
      await turns.next()
    }
    texts.push(text)
  }
  return texts
}

const builtInSlices = async (body: Uint8Array, turns: EventLoopTurns): Promise<BodyReading> => {
  const skim = new JsonSkim(body, { longBytes, maxDepth: mostLevels })
  for (;;) {
    await turns.next()
    const progress = skim.step()
    const fault = skim.size > mostValues ? "size" : progress
    if (fault === "whole") break
    if (fault === "syntax") return bad(notJson(body))
    if (fault !== "going") return bad(refusals[fault])
  }
  const { rounds, spans } = skim
  await turns.next()
  if (body.byteLength <= heldUpBytes || spans.length === 0) return parsedBody(body, rounds)
  if (!isUtf8(body)) return bad(notUtf8)
  try {
    const texts = await textsOf(body, spans, turns)
    const text = outline(body, spans)
    await turns.next()
    return Result.map(jsonObject(JSON.parse(text)), (plain) => {
      const json = objectOf(filled(plain, texts))
      return { json, exact: rounds ? () => objectOf(filled(exactJson(text, JSON.parse(text)), texts)) : () => json }
    })
  } catch {
    return bad(notJson(body))
  }
}

/** Builds a body: at once where it is of the usual size, in slices of a large one. */
export const buildBody = (body: Uint8Array, turns: EventLoopTurns): BodyReading | Promise<BodyReading> =>
  isLarge(body) ? builtInSlices(body, turns) : parsedBody(body)

/** Reads what is to be known of a body that is built for that, and kept for whoever translates it. */
export const readBuilt = <A extends object>(
  body: Uint8Array,
  turns: EventLoopTurns,
  read: Read<A>
): BuiltReading<A> | Promise<BuiltReading<A>> => {
  const built = buildBody(body, turns)
  return built instanceof Promise ? foundLater(built, read) : found(built, read)
}

type Read<A> = (json: Json) => Result.Result<A, BadRequest>

type BuiltReading<A> = Result.Result<A & { readonly parsed: ParsedBody }, BadRequest>

const found = <A extends object>(built: BodyReading, read: Read<A>): BuiltReading<A> => {
  if (Result.isFailure(built)) return Result.fail(built.failure)
  const parsed = built.success
  try {
    const known = read(parsed.json)
    return Result.isFailure(known) ? Result.fail(known.failure) : Result.succeed({ ...known.success, parsed })
  } catch (error) {
    return Result.fail(tooDeep(error))
  }
}

const foundLater = async <A extends object>(built: Promise<BodyReading>, read: Read<A>): Promise<BuiltReading<A>> =>
  found(await built, read)

/** A body that may have been built before; throws why it cannot be. */
export const builtOf = (body: Uint8Array, parsed: ParsedBody | undefined): ParsedBody =>
  parsed ?? Result.getOrThrow(parsedBody(body))
