import { describe, expect, setDefaultTimeout, test } from "bun:test"
import { createHash } from "node:crypto"
import { join } from "node:path"
import { answered } from "../kit/agentBackend.ts"
import { chunk, completion, delta, event, json, streamHead } from "../kit/answers.ts"
import { modelOf, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway } from "../kit/gateway.ts"
import type { Script } from "../kit/rawServer.ts"
import { fieldsOf, usage } from "../kit/voices.ts"

// A Python that has the packages; the checks make one where the network is there.
const python = process.env["PYTHON_WITH_SDKS"] ?? ""
const missing = python === "" ? " (skipped: PYTHON_WITH_SDKS names no Python that has them)" : ""

// Each package takes seconds to load, and a busy machine loads it slowly.
setDefaultTimeout(120_000)

const packages = ["openai", "responses", "anthropic", "ollama", "google-genai"] as const

const places = ["Oslo", "Bergen"]
const calls = places.map((city, at) => ({ id: `call_${at}`, name: "weather", arguments: JSON.stringify({ city }) }))

interface Message {
  readonly role: string
  readonly content?: string | ReadonlyArray<{ readonly text?: string; readonly image_url?: { readonly url: string } }>
}

/** What a chat-only server says, by the words of its user. */
const script: Script = (request) => {
  const messages = fieldsOf(request)["messages"] as ReadonlyArray<Message> // reason: it takes nothing else
  const content = messages.findLast(({ role }) => role === "user")?.content ?? ""
  const asked = typeof content === "string" ? content : content.map(({ text }) => text ?? "").join("")
  const model = modelOf(request)
  const piece = (words: string) => chunk(event(delta(model, { role: "assistant", content: words })))
  const status = /^status (\d+)$/.exec(asked)?.[1]
  if (status !== undefined) {
    const wait = status === "429" ? ["Retry-After: 2"] : []
    return [json({ error: { message: "so it is", type: "x_error", param: null, code: null } }, Number(status), wait)]
  }
  if (asked === "hang") return [streamHead(), piece("half"), "hang"]
  if (asked === "broken") return [streamHead(), piece("half"), "reset"]
  if (asked === "a report") return answered(request, '{"city":"Oslo","celsius":7}')
  if (asked === "an image") {
    const url =
      typeof content === "string" ? "none" : (content.find(({ image_url }) => image_url)?.image_url?.url ?? "none")
    return answered(request, url.replace(/,.*/, ""))
  }
  if (asked === "think") {
    const message = { role: "assistant", content: "4", reasoning_content: "2 and 2" }
    return [json({ ...completion(model, ""), choices: [{ index: 0, message, finish_reason: "stop" }] })]
  }
  if (asked.startsWith("Weather")) {
    const results = messages.filter(({ role }) => role === "tool").map(({ content }) => JSON.stringify(content))
    const told = ["rain", "sun"].filter((word) => results.some((each) => each.includes(word)))
    return answered(request, results.length === 0 ? calls : told.join(", "))
  }
  return answered(request, asked.startsWith("number") ? `You said ${asked}` : "Hello there, you")
}

describe.skipIf(python === "")(`the packages of Python${missing}`, () => {
  const run = async (name: string, urls: ReadonlyArray<string>): Promise<ReadonlyMap<string, unknown>> => {
    const program = [python, join(import.meta.dir, "python_sdks.py"), name, ...urls]
    // Nothing of this machine's settings, and no proxy between.
    const env = { PATH: process.env["PATH"] ?? "", HOME: "/nonexistent", NO_PROXY: "127.0.0.1" }
    const child = Bun.spawn(program, { env, stdout: "pipe", stderr: "pipe", timeout: 100_000 })
    const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()])
    if ((await child.exited) !== 0) throw new Error(`${name}: ${stderr}`)
    return new Map(
      stdout
        .trim()
        .split("\n")
        .map((line): [string, unknown] => JSON.parse(line))
    )
  }

  const raises = (names: Readonly<Record<(typeof packages)[number], string>>, status: number, words: string) =>
    Object.fromEntries(packages.map((name) => [name, [names[name], status, expect.stringContaining(words)]]))
  const everywhere = (name: string, other: Partial<Record<(typeof packages)[number], string>> = {}) => ({
    openai: name,
    responses: name,
    anthropic: name,
    ollama: "ResponseError",
    "google-genai": "ClientError",
    ...other
  })
  const server = { "google-genai": "ServerError" }

  const expected: Readonly<Record<string, unknown>> = {
    whole: ["Hello there, you", 7],
    streamed: [["Hello there,", " you"], usage.total_tokens],
    tools: [places.map((city) => ["weather", { city }]), "rain, sun"],
    "streamed tools": places.map((city) => ["weather", { city }]),
    structured: { city: "Oslo", celsius: 7 },
    image: "data:image/png;base64",
    reasoning: ["2 and 2", "4"],
    "right key": "Hello there, you",
    fifty: [],
    left: "half"
  }
  const failures: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
    "unknown model": raises(everywhere("NotFoundError"), 404, "Qwen/Qwen3-8B"),
    "wrong key": raises(everywhere("AuthenticationError"), 401, "key"),
    "400": raises(everywhere("BadRequestError"), 400, "so it is"),
    "500": raises(everywhere("InternalServerError", server), 502, "so it is"),
    "429": raises(everywhere("RateLimitError"), 429, "so it is")
  }

  for (const name of packages) {
    test(`by ${name}: all that is asked is answered, and every failure is told`, async () => {
      await using upstream = await startUpstream({ models: [{ id: "Qwen/Qwen3-8B", tools: true }], script })
      const settings = { backends: [backendFor("one", upstream)], routing: { max_retries: 0 } }
      await using gateway = await startGateway(settings)
      const digest = createHash("sha256").update("nx-right").digest()
      await using locked = await startGateway(settings, {
        backendKeys: new Map(),
        authKeys: [{ name: "laptop", digest }]
      })
      const told = await run(name, [gateway.url, locked.url])
      const results = Object.fromEntries(told)
      expect(results).toMatchObject({
        ...expected,
        ...Object.fromEntries(Object.entries(failures).map(([of, each]) => [of, each[name]]))
      })
      // How a break in the middle is told differs, but no package takes it for an end.
      expect(String(results["broken stream"])).not.toContain("nothing was raised")
      // Whoever left holds nothing.
      await gateway.quiet()
    })
  }
})
