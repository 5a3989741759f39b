/**
 * The file of a recording, version 1: JSON Lines. The first line tells what it is, each other one holds an exchange. What is
 * added to it later may be passed over by those who know this version.
 */
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { DialectList } from "../dialect/all.ts"
import { canonicalRequest } from "../dialect/canonical-request.ts"
import { parseBoundedJson } from "../domain/bounded-json.ts"
import { type Redact, redacted, redactorOf } from "../domain/redact.ts"

/** The version that is written, and read. */
export const recordingVersion = 1

const RecordingHead = Schema.Struct({
  nexus_recording: Schema.Int,
  recorded_at: Schema.String,
  nexus: Schema.String,
  /** Where the requests went. */
  target: Schema.String
})

/** The first line of a file. */
export type RecordingHead = typeof RecordingHead.Type

/** How an exchange ended: whole, broken by the server, given up by the client, or without an answer. */
const Ended = Schema.Literals(["whole", "cut", "left", "unanswered"])

const HeaderTexts = Schema.Record(Schema.String, Schema.String)

/** When a piece came, in milliseconds since the request did, and what it held. */
const Piece = Schema.Tuple([Schema.Finite, Schema.String])

const Exchange = Schema.Struct({
  /** When the request came, in milliseconds since the recording began. */
  at: Schema.Finite,
  /** The path with its query, without a key. */
  path: Schema.String,
  dialect: Schema.String,
  operation: Schema.String,
  model: Schema.String,
  stream: Schema.Boolean,
  /** `base64` holds a body that is no text. */
  request: Schema.Struct({
    headers: HeaderTexts,
    body: Schema.optionalKey(Schema.String),
    base64: Schema.optionalKey(Schema.String)
  }),
  /** Absent where nobody answered. Pieces of a body that is no text are written in base64, and `base64` is true. */
  answer: Schema.optionalKey(
    Schema.Struct({
      status: Schema.Int,
      headers: HeaderTexts,
      head_ms: Schema.Finite,
      base64: Schema.optionalKey(Schema.Boolean),
      pieces: Schema.Array(Piece)
    })
  ),
  ended: Ended,
  /** From the request to the end, in milliseconds. */
  ms: Schema.Finite
})

/** A request with its answer. */
export type RecordedExchange = typeof Exchange.Type

const decodeHead = Schema.decodeUnknownOption(Schema.fromJsonString(RecordingHead))
const decodeExchange = Schema.decodeUnknownOption(Schema.fromJsonString(Exchange))

const encoder = new TextEncoder()

/** The first line. */
export const headLine = (head: Omit<RecordingHead, "nexus_recording">): string =>
  `${JSON.stringify({ nexus_recording: recordingVersion, ...head })}\n`

/** The line of an exchange. */
export const exchangeLine = (exchange: RecordedExchange): string => `${JSON.stringify(exchange)}\n`

/** What a file holds. */
export interface Recording {
  readonly head: RecordingHead
  readonly exchanges: ReadonlyArray<RecordedExchange>
  /** Whether its last line is not whole, as where the recorder was killed. */
  readonly torn: boolean
}

/** Reads a file; a failure says what is wrong with it, and in which line. */
export const readRecording = (text: string): Result.Result<Recording, string> => {
  const lines = text.split("\n")
  const [first = ""] = lines
  const head = Option.getOrUndefined(decodeHead(first))
  if (head === undefined)
    return Result.fail('line 1: this is no recording of nexus record: it begins with {"nexus_recording":1,…}')
  if (head.nexus_recording !== recordingVersion)
    return Result.fail(
      `line 1: this is a recording of version ${head.nexus_recording}, and this Nexus reads version ${recordingVersion}`
    )
  const exchanges: Array<RecordedExchange> = []
  for (const [at, line] of lines.entries()) {
    if (at === 0 || line === "") continue
    const exchange = Option.getOrUndefined(decodeExchange(line))
    if (exchange !== undefined) exchanges.push(exchange)
    // Each line ends in a line feed: what stands behind the last one was being written.
    else if (at === lines.length - 1) return Result.succeed({ head, exchanges, torn: true })
    else return Result.fail(`line ${at + 1}: this is no exchange`)
  }
  return Result.succeed({ head, exchanges, torn: false })
}

/** The bytes of a request. */
export const bodyOf = ({ request }: RecordedExchange): Uint8Array =>
  request.base64 === undefined
    ? encoder.encode(request.body ?? "")
    : new Uint8Array(Buffer.from(request.base64, "base64"))

/** The pieces of an answer with their times. */
export const piecesIn = ({ answer }: RecordedExchange): ReadonlyArray<readonly [ms: number, bytes: Uint8Array]> =>
  (answer?.pieces ?? []).map(([ms, text]) => [
    ms,
    answer?.base64 === true ? new Uint8Array(Buffer.from(text, "base64")) : encoder.encode(text)
  ])

// What may carry a key, or says who somebody is, is not among them, and neither is what nobody has thought of.
const keptOfRequests = /^(?:accept|content-type|user-agent|x-nexus-.*|x-request-id)$/
const keptOfAnswers =
  /^(?:content-type|content-encoding|retry-after|retry-after-ms|x-request-id|x-nexus-.*|.*-ratelimit-.*)$/

/** What dialects say of their headers and their keys. */
export interface KeepingRules {
  readonly asked: ReadonlySet<string>
  readonly answered: ReadonlySet<string>
  /** Parameters of URLs that hold keys. */
  readonly keyParameters: ReadonlyArray<string>
}

/** What of exchanges in these dialects is kept. */
export const keepingRules = (dialects: DialectList): KeepingRules => ({
  asked: new Set(dialects.flatMap(({ headers }) => headers.asked)),
  answered: new Set(
    dialects.flatMap(({ headers }) => [...headers.answered, ...(headers.id === undefined ? [] : [headers.id])])
  ),
  keyParameters: dialects.flatMap(({ keyParameter }) => keyParameter ?? [])
})

const kept = (
  headers: Iterable<readonly [string, string]>,
  names: RegExp,
  ofDialects: ReadonlySet<string>,
  redact: Redact
): Record<string, string> =>
  Object.fromEntries(
    [...headers]
      .filter(([name]) => names.test(name) || ofDialects.has(name))
      .map(([name, value]) => [name, redact(value)])
  )

const secretHeaders = ["authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie"]

/** What takes the keys of a request out of a text, and what looks like anybody's. */
const redactorFor = (headers: Headers, query: URLSearchParams, keyParameters: ReadonlyArray<string>): Redact => {
  const given = [
    ...secretHeaders.map((name) => headers.get(name)?.replace(/^(?:bearer|basic) +/i, "")),
    ...keyParameters.map((name) => query.get(name))
  ]
  const keys = given.flatMap((value) => (value === null || value === undefined || value === "" ? [] : [value]))
  // Addresses are the client's own words here.
  return redactorOf(keys, "https://example.com")
}

/** What has passed, as it was. */
export interface PassedExchange {
  readonly at: number
  readonly path: string
  readonly dialect: string
  readonly operation: string
  readonly model: string
  readonly stream: boolean
  readonly headers: Headers
  readonly body: Uint8Array
  readonly answer:
    | {
        readonly status: number
        readonly headers: ReadonlyArray<readonly [string, string]>
        readonly headMs: number
        readonly pieces: ReadonlyArray<readonly [ms: number, bytes: Uint8Array]>
      }
    | undefined
  readonly ended: RecordedExchange["ended"]
  readonly ms: number
}

const rounded = (ms: number): number => Math.round(ms * 10) / 10

/** The text of some bytes; undefined when they are none. */
const textOf = (bytes: Uint8Array): string | undefined => {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined
  }
}

/** The texts of pieces: a letter that was cut goes with its end. Undefined when they are no text together. */
const textsOf = (
  pieces: ReadonlyArray<readonly [ms: number, bytes: Uint8Array]>
): ReadonlyArray<readonly [number, string]> | undefined => {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
  try {
    const texts = pieces.map(([ms, bytes]) => [rounded(ms), decoder.decode(bytes, { stream: true })] as const)
    return decoder.decode() === "" ? texts : undefined
  } catch {
    return undefined
  }
}

// No key is longer, in characters.
const longestKey = 4096

/** The same with no key cut: it goes with its end, as a letter does. */
const withWholeKeys = (
  texts: ReadonlyArray<readonly [number, string]>,
  redact: Redact
): ReadonlyArray<readonly [number, string]> => {
  const all = texts.map(([, text]) => text).join("")
  if (redact(all) === all) return texts
  let [from, to] = [0, 0]
  return texts.map(([ms, text]) => {
    to += text.length
    const [before, after] = [all.slice(Math.max(from, to - longestKey), to), all.slice(to, to + longestKey)]
    if (redact(before + after) !== redact(before) + redact(after)) return [ms, ""]
    const whole = all.slice(from, to)
    from = to
    return [ms, whole]
  })
}

/** The path as it is kept: without a key in its query. */
const keptPath = (path: string, keyParameters: ReadonlyArray<string>, redact: Redact): string => {
  const [before = "", query] = path.split("?")
  if (query === undefined) return redact(before)
  const rest = new URLSearchParams(query)
  for (const name of keyParameters) rest.delete(name)
  return redact(rest.size === 0 ? before : `${before}?${rest.toString()}`)
}

/**
 * An exchange as it is kept: of headers those that are known to be harmless, of bodies all but the keys that its own request
 * carried and what looks like a key.
 */
export const keptExchange = (
  passed: PassedExchange,
  { answered, asked, keyParameters }: KeepingRules
): RecordedExchange => {
  const { answer, body, headers, path } = passed
  const redact = redactorFor(headers, new URLSearchParams(path.split("?")[1] ?? ""), keyParameters)
  const text = textOf(body)
  const said = answer === undefined ? undefined : textsOf(answer.pieces)
  const texts = said === undefined ? undefined : withWholeKeys(said, redact)
  return {
    at: rounded(passed.at),
    path: keptPath(path, keyParameters, redact),
    dialect: passed.dialect,
    operation: passed.operation,
    model: passed.model,
    stream: passed.stream,
    request: {
      headers: kept(headers, keptOfRequests, asked, redact),
      ...(text === undefined ? { base64: Buffer.from(body).toString("base64") } : { body: redacted(text, redact) })
    },
    ...(answer === undefined
      ? {}
      : {
          answer: {
            status: answer.status,
            headers: kept(answer.headers, keptOfAnswers, answered, redact),
            head_ms: rounded(answer.headMs),
            ...(texts === undefined ? { base64: true } : {}),
            pieces:
              texts?.map(([ms, each]) => [ms, redacted(each, redact)] as const) ??
              answer.pieces.map(([ms, bytes]) => [rounded(ms), Buffer.from(bytes).toString("base64")] as const)
          }
        }),
    ended: passed.ended,
    ms: rounded(passed.ms)
  }
}

const canonical = (text: string): string => {
  const json = parseBoundedJson(text)
  return (Predicate.isObjectOrArray(json) ? canonicalRequest(json) : undefined) ?? text
}

/** By what a request is known again: its path and its body, whatever the order of its fields. */
export const requestKey = ({ path, request }: Pick<RecordedExchange, "path" | "request">): string =>
  `${path} ${request.base64 ?? canonical(request.body ?? "")}`
