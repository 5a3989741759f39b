/**
 * How a server is asked by a bench: for a chat that is streamed, in the dialect that its kind is asked in.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { kindNamed } from "../backend/all.ts"
import { type Backend, isOriginal, speakerOf } from "../backend/backend.ts"
import { askedIn } from "../backend/speech.ts"
import type { DialectList } from "../dialect/all.ts"
import { addressFor, serverPath, serverRoute } from "../dialect/routes.ts"
import { jsonAt, parseBoundedJson } from "../domain/bounded-json.ts"
import { bodyFor, prepareBackend, urlFor } from "../upstream/endpoint.ts"
import { Transport } from "../upstream/Transport.ts"
import type { BenchTarget } from "./bench.ts"

/** A backend that is asked itself; undefined where no dialect of its kind can be written. */
export const backendTarget = (dialects: DialectList, backend: Backend, model: string): BenchTarget | undefined => {
  const speaker = serverRoute(dialects, askedIn(speakerOf(backend, undefined)), true)
  if (speaker === undefined) return undefined
  const { codec, route } = speaker
  const prepared = prepareBackend(backend)
  const path = serverPath(route.operation)
  const url = addressFor(urlFor(prepared, backend, path, undefined), model)
  const traits = {
    ...kindNamed(backend.type).takes,
    original: isOriginal(backend),
    files: false,
    word: (field: string) => field
  }
  return {
    name: backend.name,
    model,
    call: (text, maxTokens) => {
      const messages = [{ role: "user", parts: [{ type: "text", text }] }] as const
      const chat = { stream: true, messages, tools: [], maxTokens, extra: {} }
      const encoded = codec.encode(chat, model, traits)
      return {
        url,
        headers: { ...prepared.headers, accept: route.dialect.types.stream },
        // Nothing of such a chat is beyond any dialect.
        body: bodyFor(backend, path, Result.isSuccess(encoded) ? encoded.success.body : new Uint8Array(0)),
        trust: prepared.trust,
        route
      }
    }
  }
}

const listPath = "/v1/models"

const listMs = 10_000

/** The models that a server lists; none where it does not. */
export const listedModels = (backend: Backend): Effect.Effect<ReadonlyArray<string>, never, Transport> =>
  Effect.gen(function* () {
    const { ask } = yield* Transport
    const prepared = prepareBackend(backend)
    const url = urlFor(prepared, backend, listPath, undefined)
    const { text } = yield* ask({ method: "GET", url, headers: { ...prepared.headers }, timeoutMs: listMs })
    const data = jsonAt(parseBoundedJson(text), "data")
    const ids = Array.isArray(data) ? data.map((each: unknown) => jsonAt(each, "id")) : []
    return ids.filter((id) => typeof id === "string")
  }).pipe(Effect.orElseSucceed(() => []))
