/**
 * A scripted OpenAI-compatible server: good unless it is told otherwise, and a witness of everything that reaches it.
 */
import type { BackendType } from "../../src/backend/all.ts"
import { chatEvents, chunk, completion, json, lastChunk, streamHead } from "./answers.ts"
import { type Dialect, dialects, type FakeModel } from "./dialects.ts"
import { type RawServer, type Script, type Seen, startRaw, type Step } from "./rawServer.ts"

/** What a fake upstream is. */
export interface FakeOptions {
  /** Its models: names, or names with facts. */
  readonly models: ReadonlyArray<string | FakeModel>
  /** Whose words its probes are answered in; `generic` when absent. */
  readonly type?: BackendType
  /** What a POST to an OpenAI endpoint gets; a good answer when absent. */
  readonly script?: Script
  /** What any other request gets before the dialect is asked; undefined leaves it to the dialect. */
  readonly probe?: (request: Seen) => Iterable<Step> | undefined
  /** Further paths that it has, as it shows to whoever asks for them with another method or an empty request. */
  readonly serves?: ReadonlyArray<string>
  /** Close the connection after each probe, so that a forwarded request finds no idle socket. */
  readonly closeProbes?: boolean
  /** Any free one when absent. */
  readonly port?: number
}

/** Starts a fake upstream where Nexus looks by itself, on the first well-known port that is free of those nobody uses here. */
export const startWhereFound = async (options: FakeOptions): Promise<FakeUpstream> => {
  for (const port of [52_415, 9931, 30_000]) {
    const started = await startUpstream({ ...options, port }).catch(() => undefined)
    if (started !== undefined) return started
  }
  throw new Error("no well-known port of this machine is free")
}

/** A fake upstream that is listening. */
export interface FakeUpstream extends AsyncDisposable {
  readonly server: RawServer
  readonly url: string
  readonly port: number
  /** Forwarded requests, in order. */
  readonly calls: () => ReadonlyArray<Seen>
  /** Probes, in order. */
  readonly probes: () => ReadonlyArray<Seen>
  /** The only or latest forwarded request. */
  readonly lastCall: () => Seen
  /** Resolves with the nth forwarded request (from 0), once it has come. */
  readonly call: (nth: number) => Promise<Seen>
  /** Forwarded requests that are being answered now, and the most there were. */
  readonly busy: () => number
  readonly script: (script: Script) => void
  readonly models: (models: ReadonlyArray<string | FakeModel>) => void
}

const object = (text: string): Record<string, unknown> => {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === "object" && value !== null ? { ...value } : {}
  } catch {
    return {}
  }
}

/** Whether a request asks for a stream. */
export const wantsStream = ({ text }: Seen): boolean => object(text)["stream"] === true

/** The model a request asks for. */
export const modelOf = ({ text }: Seen): string => String(object(text)["model"])

/** The steps of a stream of these pieces, one write and one chunk each, with its head and its end. */
export const streamed = function* (pieces: Iterable<string | Uint8Array>): Generator<Step> {
  yield streamHead()
  for (const piece of pieces) yield chunk(piece)
  yield lastChunk
}

/** The good answer to any request: the words are the answer's content. */
export const good =
  (words: ReadonlyArray<string> = ["Hello", " ", "there"]): Script =>
  (request) => {
    const model = modelOf(request)
    if (request.target.endsWith("/embeddings")) {
      return [json({ object: "list", data: [{ object: "embedding", index: 0, embedding: [0.5, -0.25] }], model })]
    }
    return wantsStream(request) ? streamed(chatEvents(model, words)) : [json(completion(model, words.join("")))]
  }

const facts = (model: string | FakeModel): FakeModel => (typeof model === "string" ? { id: model } : model)

const lacking = { error: { message: "'messages' is required", type: "invalid_request_error" } }

const notFound = { error: { message: "no such path", type: "not_found_error", param: null, code: null } }

// Below whatever path, and with whatever query.
const isCall =
  /^\/v[12]\/|^\/api\/(?!show$)|\/(?:completions|messages|embeddings|rerank|tokenize|detokenize)(?:\?|$)|:[a-zA-Z]+(?:\?|$)/

/** Starts a fake upstream on loopback. */
export const startUpstream = async (options: FakeOptions): Promise<FakeUpstream> => {
  let script = options.script ?? good()
  let answer: ReturnType<Dialect>
  const setModels = (models: FakeOptions["models"]) => {
    answer = dialects[options.type ?? "generic"](models.map(facts))
  }
  setModels(options.models)
  const calls: Array<Seen> = []
  const probes: Array<Seen> = []
  const waiting = new Map<number, (seen: Seen) => void>()
  let busy = 0

  const probed = (request: Seen): Iterable<Step> => {
    probes.push(request)
    const told = options.probe?.(request)
    if (told !== undefined) return told
    if (options.serves?.includes(request.target) === true) {
      return request.method === "POST" ? [json(lacking, 400)] : [json(lacking, 405)]
    }
    const body = answer(request.method, request.target, request.text)
    const bytes = json(
      body ?? notFound,
      body === undefined ? 404 : 200,
      options.closeProbes === true ? ["Connection: close"] : []
    )
    return options.closeProbes === true ? [bytes, "fin"] : [bytes]
  }
  const called = async function* (request: Seen): AsyncGenerator<Step> {
    const nth = calls.push(request) - 1
    waiting.get(nth)?.(request)
    busy += 1
    try {
      yield* script(request)
    } finally {
      busy -= 1
    }
  }
  const server = await startRaw({
    ...(options.port === undefined ? {} : { port: options.port }),
    script: (request) =>
      request.method === "POST" && isCall.test(request.target) && request.text !== "{}"
        ? called(request)
        : probed(request)
  })
  return {
    server,
    url: server.url,
    port: server.port,
    calls: () => calls,
    probes: () => probes,
    lastCall: () => {
      const last = calls.at(-1)
      if (last === undefined) throw new Error("nothing was forwarded")
      return last
    },
    call: (nth) =>
      new Promise((resolve) => {
        const seen = calls[nth]
        if (seen === undefined) waiting.set(nth, resolve)
        else resolve(seen)
      }),
    busy: () => busy,
    script: (next) => {
      script = next
    },
    models: setModels,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]()
  }
}
