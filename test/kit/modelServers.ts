/**
 * Servers whose models can be loaded, unloaded and got.
 */
import { chunk, event, json, lastChunk, streamHead } from "./answers.ts"
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

/** Answers by method and path. */
type Routes = Readonly<Record<string, Script>>

const startRoutes = (routes: Routes, otherwise: Script): Promise<RawServer> =>
  startRaw({ script: (request) => (routes[`${request.method} ${request.target}`] ?? otherwise)(request) })

/** An LM Studio with these models on its disk; a download takes two looks. */
export const startLmStudio = async (...keys: ReadonlyArray<string>) => {
  const disk = new Set(keys)
  const instances = new Map<string, string>()
  let looks = 0
  let ends = "completed"
  const unknown = { error: "Unexpected endpoint or method. (POST /nothing)" }
  const job = (status: string, downloaded_bytes: number) => ({
    job_id: "job_1",
    status,
    total_size_bytes: 4000,
    downloaded_bytes
  })
  const server = await startRoutes(
    {
      "GET /api/v1/models": () => [
        json({
          models: [...disk].map((key) => ({
            type: "llm",
            key,
            loaded_instances: [...instances].flatMap(([id, of]) => (of === key ? [{ id, config: {} }] : []))
          }))
        })
      ],
      "GET /v1/models": () => [json({ data: [...disk].map((id) => ({ id, object: "model" })) })],
      "POST /api/v1/models/load": (request) => {
        const key = String(fieldOf(request, "model"))
        if (!disk.has(key)) return [json({ error: { message: `Model ${key} not found`, type: "not_found" } }, 404)]
        instances.set(instances.has(key) ? `${key}:2` : key, key)
        return [json({ type: "llm", instance_id: key, load_time_seconds: 1.5, status: "loaded" })]
      },
      "POST /api/v1/models/unload": (request) => {
        const id = String(fieldOf(request, "instance_id"))
        return instances.delete(id) ? [json({ instance_id: id })] : [json({ error: "no such instance" }, 404)]
      },
      "POST /api/v1/models/download": (request) => {
        if (disk.has(String(fieldOf(request, "model")))) return [json({ status: "already_downloaded" })]
        disk.add(String(fieldOf(request, "model")))
        return [json(job("downloading", 0))]
      },
      "GET /api/v1/models/download/status/job_1": () => {
        looks += 1
        return [json(looks < 2 ? job("downloading", 2000) : job(ends, 4000))]
      }
    },
    () => [json(unknown)]
  )
  return {
    server,
    url: server.url,
    instances,
    /** How downloads end. */
    ends: (status: string) => {
      ends = status
      looks = 0
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]()
  }
}

/** What somebody has wait, once. */
const makeGate = () => {
  let next = Promise.resolve()
  return {
    holds: () => {
      const { promise, resolve } = Promise.withResolvers<void>()
      next = promise
      return resolve
    },
    passed: () => next
  }
}

/** A llama-server without a model of its own, with these on its disk. */
export const startLlamaRouter = async (...ids: ReadonlyArray<string>) => {
  const models = new Map<string, Readonly<Record<string, unknown>>>(ids.map((id) => [id, { value: "unloaded" }]))
  const listeners = new Set<(event: string) => void>()
  let fails = false
  // Who begins to listen hears it too.
  let last: string | undefined
  const say = (value: unknown) => {
    last = event(value)
    for (const hear of listeners) hear(last)
  }
  const list = () => ({
    data: [...models].map(([id, status]) => ({ id, object: "model", owned_by: "llamacpp", status }))
  })
  const of = (request: Seen): string => String(fieldOf(request, "model"))
  const notFound = [json({ error: { code: 404, message: "File Not Found", type: "not_found_error" } }, 404)]
  const error = (message: string) => [json({ error: { code: 400, message, type: "invalid_request_error" } }, 400)]
  const gate = makeGate()
  const server = await startRoutes(
    {
      "GET /health": () => [json({ status: "ok" })],
      "GET /props": () => [json({ role: "router" })],
      "GET /models": () => [json(list())],
      "GET /v1/models": () => [json(list())],
      "GET /models/sse": async function* () {
        yield streamHead()
        if (last !== undefined) yield chunk(last)
        while (true) {
          const next = Promise.withResolvers<string>()
          listeners.add(next.resolve)
          yield chunk(await next.promise)
          listeners.delete(next.resolve)
        }
      },
      "POST /models/load": (request) => {
        const id = of(request)
        const status = models.get(id)
        if (status === undefined) return notFound
        if (status["value"] !== "unloaded") return error("model is already running")
        models.set(id, { value: "loading" })
        const progress = { stages: ["text_model", "mmproj_model"], current: "text_model", value: 0.5 }
        say({ model: id, event: "status_change", data: { status: "loading", progress } })
        void gate
          .passed()
          .then(() => models.set(id, fails ? { value: "unloaded", failed: true, exit_code: 1 } : { value: "loaded" }))
        return [json({ success: true })]
      },
      "POST /models/unload": (request) => {
        models.set(of(request), { value: "unloaded" })
        return [json({ success: true })]
      },
      "POST /models": (request) => {
        const id = of(request)
        if (id === "nonsense") return error("model validation failed, unable to download")
        models.set(id, { value: "downloading" })
        const files = { "https://example.com/a.gguf": { done: 1000, total: 4000 } }
        say({ model: id, event: "download_progress", data: files })
        void gate.passed().then(() => models.set(id, { value: "unloaded" }))
        return [json({ success: true })]
      }
    },
    () => notFound
  )
  return {
    server,
    url: server.url,
    models,
    /** Has the next change wait until what this returns is called. */
    holds: gate.holds,
    /** Has loads fail from now on. */
    breaks: () => {
      fails = true
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]()
  }
}

/** A vLLM, in its development mode or not, which can sleep or only says that it does. */
export const startVllm = async ({ dev = true, sleeps = true } = {}) => {
  let sleeping = false
  const server = await startRoutes(
    {
      "GET /health": () => [json({})],
      "GET /version": () => [json({ version: "0.32.0" })],
      "GET /v1/models": () => [json({ data: [{ id: "m", object: "model", owned_by: "vllm", max_model_len: 4096 }] })],
      ...(dev
        ? {
            "GET /is_sleeping": () => [json({ is_sleeping: sleeping })],
            "POST /sleep?level=1": () => {
              sleeping = sleeps
              return [json({})]
            },
            "POST /wake_up": () => {
              sleeping = false
              return [json({})]
            }
          }
        : {})
    },
    () => [json({ detail: "Not Found" }, 404)]
  )
  return {
    server,
    url: server.url,
    sleeping: () => sleeping,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]()
  }
}

/** A llama-swap with these models, whose servers are ready at once, when they are let, or not at all. */
export const startLlamaSwap = async (...ids: ReadonlyArray<string>) => {
  const running = new Map<string, string>()
  const gate = makeGate()
  let fails = false
  const server = await startRaw({
    script: async function* ({ method, target }) {
      const place = /^\/(?:upstream|api\/models\/unload)\/(.+?)\/?$/.exec(target)?.[1] ?? ""
      if (target === "/v1/models")
        yield json({ data: ids.map((id) => ({ id, object: "model", owned_by: "llama-swap" })) })
      else if (target === "/running") yield json({ running: [...running].map(([model, state]) => ({ model, state })) })
      else if (!ids.includes(place)) yield json({ error: "model not found" }, 404)
      else if (method === "POST") {
        running.delete(place)
        yield json("OK")
      } else {
        running.set(place, "starting")
        await gate.passed()
        if (fails) running.delete(place)
        else running.set(place, "ready")
        // The page of a server that has none.
        yield fails
          ? json({ error: "unable to start process: exit status 1" }, 502)
          : json({ detail: "Not Found" }, 404)
      }
    }
  })
  return {
    server,
    url: server.url,
    running,
    /** Has the next start wait until what this returns is called. */
    holds: gate.holds,
    /** Has starts fail from now on. */
    breaks: () => {
      fails = true
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]()
  }
}
