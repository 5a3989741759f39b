/**
 * Servers whose models can be loaded, unloaded and got.
 */
import { chunk, json, lastChunk } from "./answers.ts"
import { line, linesHead } from "./ollama.ts"
import { type RawServer, type Script, type Seen, startRaw, type Step } from "./rawServer.ts"

/** What has been asked of a server, by method and path. */
export const toldOf = ({ requests }: Pick<RawServer, "requests">, path: string): ReadonlyArray<unknown> =>
  requests.filter(({ target }) => target === path).map(({ text }) => JSON.parse(text))

const fieldOf = ({ text }: Seen, field: string): unknown => {
  const told: unknown = JSON.parse(text)
  return typeof told === "object" && told !== null ? Reflect.get(told, field) : undefined
}

/** An Ollama with these models on its disk. */
export const startModelOllama = async (...installed: ReadonlyArray<string>) => {
  const disk = new Set(installed)
  const memory = new Set<string>()
  const embedders = new Set<string>()
  const entry = (name: string) => ({ name, model: name, digest: name, context_length: 4096 })
  let loading: Script | undefined
  let pulling: Script | undefined
  const loaded = (request: Seen, reason: string): Iterable<Step> => {
    const name = String(fieldOf(request, "model"))
    if (!disk.has(name)) return [json({ error: `model '${name}' not found` }, 404)]
    memory.add(name)
    return [json({ model: name, response: "", done: true, done_reason: reason })]
  }
  const own: Readonly<Record<string, Script>> = {
    "GET /api/tags": () => [json({ models: [...disk].map(entry) })],
    "GET /api/ps": () => [json({ models: [...memory].map(entry) })],
    "GET /api/version": () => [json({ version: "0.33.0" })],
    "POST /api/show": (request) => [
      json({ capabilities: [embedders.has(String(fieldOf(request, "model"))) ? "embedding" : "completion"] })
    ],
    "POST /api/generate": (request) => {
      if (fieldOf(request, "keep_alive") === 0) {
        memory.delete(String(fieldOf(request, "model")))
        return [json({ done: true, done_reason: "unload" })]
      }
      return loading?.(request) ?? loaded(request, "load")
    },
    "POST /api/embed": (request) => loaded(request, "load"),
    "POST /api/pull": (request) => {
      if (pulling !== undefined) return pulling(request)
      disk.add(String(fieldOf(request, "model")))
      return [linesHead, chunk(line({ status: "success" })), lastChunk]
    }
  }
  const server = await startRaw({
    script: (request) => own[`${request.method} ${request.target}`]?.(request) ?? [json({ error: "404" }, 404)]
  })
  return {
    server,
    url: server.url,
    disk,
    memory,
    embedders,
    /** What a load is answered with; the good answer when absent. */
    loads: (script: Script | undefined) => {
      loading = script
    },
    pulls: (script: Script | undefined) => {
      pulling = script
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]()
  }
}
