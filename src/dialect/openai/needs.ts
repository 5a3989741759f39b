/**
 * The few facts of a request body that routing must know; nothing else of it is looked at.
 */
import { isUtf8 } from "node:buffer"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import { BadRequest } from "../../domain/errors.ts"
import type { Ability, RoutingNeeds } from "../../domain/request.ts"
import type { LeastContext, NeedsReading, ReadRequest } from "../Dialect.ts"
import { endpointFacts, type Endpoint } from "./openai-endpoints.ts"
import { contentField, type Facts, factsOf, type Json, type TextBatch, tokensIn } from "./facts.ts"
import {
  answersOf,
  unnamedFault,
  emptyBody,
  jsonKind,
  jsonObject,
  messagesFault,
  modelFault,
  notUtf8,
  parseBody,
  streamFault
} from "../json-body.ts"
import { notJson } from "../json-fault.ts"
import { JsonScan, type ScanProgress } from "../json-scan.ts"
import { FactScan } from "./fact-scan.ts"
import type { EventLoopTurns } from "../../domain/EventLoopTurns.ts"
import { askedSettings } from "../told-facts.ts"
import type { TokenEstimate } from "../token-estimate.ts"

const bad = (message: string, param: string | null) => new BadRequest({ message, param })

/** Bodies larger than this, in bytes, are gone through in slices and not parsed whole. */
const parsedBytes = 64 * 1024

/** Levels of arrays and objects that such a body may have. */
const maxDepth = 512

const outputOf = (json: Json): number => {
  const most = json["max_completion_tokens"] ?? json["max_tokens"]
  return typeof most === "number" && most > 0 && Number.isFinite(most) ? Math.floor(most) : 0
}

const contentFault = (endpoint: Endpoint, json: Json): BadRequest | undefined => {
  const field = contentField(endpoint, json)
  const value = json[field]
  if (field === "messages") return messagesFault(value)
  if (field === "input" && value === undefined) {
    return bad("The field 'input' is missing; a string, an array or an object is expected", field)
  }
  if (typeof value === "string" || Array.isArray(value)) return undefined
  if (field === "input") {
    // Some servers take an object, with parts of several kinds to embed.
    return Predicate.isObject(value)
      ? undefined
      : bad(`The field 'input' must be a string, an array or an object; ${jsonKind(value)} came`, field)
  }
  return value === undefined || value === null
    ? undefined
    : bad(`The field 'prompt' must be a string or an array; ${jsonKind(value)} came`, field)
}

const allTokensOf = ({ allBytes, ids, texts }: TextBatch): number | undefined =>
  texts > 1 || ids > 0 ? Math.floor(allBytes / 4) + ids : undefined

const needsOf = (
  endpoint: Endpoint,
  facts: Facts,
  named: string | undefined
): Result.Result<RoutingNeeds, BadRequest> => {
  const { batch, content, jsonMode, tools, top } = facts
  const { stream } = top
  const model = named ?? top["model"]
  const fault =
    modelFault(model) ??
    unnamedFault(named, top) ??
    contentFault(endpoint, top) ??
    (endpoint === "embeddings" ? undefined : streamFault(stream))
  if (fault !== undefined) return Result.fail(fault)
  const abilities: Array<Ability> = []
  // What a server that makes embeddings can look at, none of them tells.
  if (content.vision && endpoint !== "embeddings") abilities.push("vision")
  if (tools) abilities.push("tools")
  if (jsonMode) abilities.push("json_mode")
  if (endpoint === "embeddings") abilities.push("embeddings")
  return Result.succeed({
    operation: endpointFacts[endpoint],
    dialect: "openai",
    model: String(model),
    stream: stream === true,
    abilities,
    promptTokens: Math.floor(content.bytes / 4),
    atLeastTokens: 0,
    allPromptTokens: batch === undefined ? undefined : allTokensOf(batch),
    answers: endpoint === "embeddings" ? undefined : answersOf(batch?.texts ?? 1, top["n"], top["best_of"]),
    outputTokens: outputOf(top),
    // Its place: what is put beside the others of an object later takes another one.
    key: undefined
  })
}

const unknown: LeastContext = () => 0

// No token is shorter than a byte: what fits anywhere in any case need not be looked at letter by letter.
const isTight = ({ model, outputTokens }: RoutingNeeds, body: Uint8Array, least: LeastContext): boolean =>
  body.byteLength + outputTokens > least(model)

/** Reads what routing must know of a parsed body; fails with the field at fault, what came, and what would be right. */
export const parseNeeds = (
  endpoint: Endpoint,
  body: Uint8Array,
  least = unknown,
  named?: string
): Result.Result<RoutingNeeds, BadRequest> =>
  Result.flatMap(parseBody(body), (json) => parsedNeeds(endpoint, json, body, least, named))

const parsedNeeds = (
  endpoint: Endpoint,
  json: Json,
  body: Uint8Array,
  least: LeastContext,
  named: string | undefined
): Result.Result<RoutingNeeds, BadRequest> => {
  const needs = needsOf(endpoint, factsOf(endpoint, json), named)
  if (Result.isFailure(needs) || !isTight(needs.success, body, least)) return needs
  return Result.succeed({ ...needs.success, ...tokensIn(endpoint, json) })
}

const tooManyLevels = `The request body is nested more than ${maxDepth} levels deep; Nexus takes no more in bodies above 64 KB`

// Bytes that are gone through in one turn when they are looked at letter by letter.
const weighedBytes = 64 * 1024

// Bytes whose encoding is looked at in one turn.
const encodedBytes = 4 * 1_048_576

/** Where the character ends that the byte before `to` belongs to, or begins when it is not whole. */
const wholeCharacters = (body: Uint8Array, to: number): number => {
  let at = to
  while (at < body.length && at > to - 3 && ((body[at] ?? 0) & 0xc0) === 0x80) at -= 1
  return at
}

/** The fields at the top of a body of any size, and what else was seen of it; waits for a turn before each slice of the work. */
export const scanTop = async (
  body: Uint8Array,
  turns: EventLoopTurns
): Promise<Result.Result<{ readonly top: Json; readonly factScan: FactScan }, BadRequest>> => {
  if (body.byteLength === 0) return Result.fail(bad(emptyBody, null))
  const factScan = new FactScan(body)
  const scan = new JsonScan(body, factScan, { maxDepth })
  let progress: ScanProgress = "going"
  let encoded = 0
  while (encoded < body.byteLength) {
    await turns.next()
    if (progress === "going") progress = scan.step()
    if (progress === "syntax") return Result.fail(bad(notJson(body), null))
    if (progress === "depth") return Result.fail(bad(tooManyLevels, null))
    // A long string is passed over at once; its encoding is looked at in its turn.
    const to = wholeCharacters(body, Math.min(scan.passed, encoded + encodedBytes))
    if (!isUtf8(body.subarray(encoded, to))) return Result.fail(bad(notUtf8, null))
    encoded = to
  }
  return Result.map(jsonObject(factScan.value), (top) => ({ top, factScan }))
}

/** The same as {@link parseNeeds} of a body of any size. */
export const scanNeeds = async (
  endpoint: Endpoint,
  body: Uint8Array,
  turns: EventLoopTurns,
  least = unknown,
  named?: string
): Promise<Result.Result<ReadRequest, BadRequest>> => {
  const scanned = await scanTop(body, turns)
  if (Result.isFailure(scanned)) return Result.fail(scanned.failure)
  const { factScan, top } = scanned.success
  const needs = needsOf(endpoint, factScan.factsOf(endpoint, top), named)
  if (Result.isFailure(needs)) return Result.fail(needs.failure)
  const tokens = isTight(needs.success, body, least) ? await weighed(endpoint, body, turns, top) : {}
  return Result.succeed({ needs: { ...needs.success, ...tokens }, model: factScan.model })
}

// A second time through a body that is known to be good.
const weighed = async (
  endpoint: Endpoint,
  body: Uint8Array,
  turns: EventLoopTurns,
  top: Json
): Promise<TokenEstimate> => {
  const factScan = new FactScan(body, true)
  const scan = new JsonScan(body, factScan, { maxDepth, sliceBytes: weighedBytes })
  do await turns.next()
  while (scan.step() === "going")
  const rest = factScan.tokensOf(endpoint, top)
  for (;;) {
    const { done, value } = rest.next()
    if (done === true) return value
    await turns.next()
  }
}

/** Reads what routing must know: at once of a body of the usual size, in slices of a large one. */
export const readNeeds = (
  endpoint: Endpoint,
  body: Uint8Array,
  { least = unknown, model: named, tells = false, turns }: NeedsReading
): Result.Result<ReadRequest, BadRequest> | Promise<Result.Result<ReadRequest, BadRequest>> => {
  if (body.byteLength > parsedBytes) return scanNeeds(endpoint, body, turns, least, named)
  const json = parseBody(body)
  if (Result.isFailure(json)) return Result.fail(json.failure)
  const needs = parsedNeeds(endpoint, json.success, body, least, named)
  if (Result.isFailure(needs)) return Result.fail(needs.failure)
  const settings = tells ? askedSettings(json.success) : undefined
  return Result.succeed({ needs: needs.success, model: undefined, settings })
}
