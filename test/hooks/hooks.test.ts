import { afterAll, describe, expect, test } from "bun:test"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { chatEvents, completion, delta, event, json, whole } from "../kit/answers.ts"
import { modelOf, startUpstream, streamed, wantsStream } from "../kit/FakeUpstream.ts"
import { backendFor, type SettingsTree, startGateway } from "../kit/gateway.ts"
import { ask, dial, requestBytes } from "../kit/rawClient.ts"
import { type Seen, startRaw, type Step } from "../kit/rawServer.ts"

interface Question {
  readonly phase: "request" | "answer"
  readonly model: string
  readonly dialect: string
  readonly window?: number
  readonly last?: boolean
  readonly media: number
  readonly texts: ReadonlyArray<{
    readonly index: number
    readonly role: string
    readonly kind: string
    readonly text: string
  }>
}

const folder = mkdtempSync(join(tmpdir(), "nexus-hook-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const secret = /4111[ -]?1111/g

/** What a hook does that takes numbers of cards out of all texts and blocks what is forbidden. */
const guarding = (question: Question): object => {
  if (question.texts.some(({ text }) => text.includes("forbidden")))
    return { action: "block", reason: "forbidden word" }
  const texts = question.texts
    .filter(({ text }) => text.match(secret))
    .map(({ index, text }) => ({ index, text: text.replaceAll(secret, "[card]") }))
  return texts.length === 0 ? { action: "allow" } : { action: "replace", texts }
}

const startHook = async (does: (question: Question, seen: Seen) => object | Iterable<Step> = guarding) => {
  const questions: Array<Question> = []
  const server = await startRaw({
    script: (seen) => {
      const question: Question = JSON.parse(seen.text)
      questions.push(question)
      const said = does(question, seen)
      return Symbol.iterator in said ? said : [json(said)]
    }
  })
  return { server, questions, url: `${server.url}/judge`, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
}

type Hook = Awaited<ReturnType<typeof startHook>>

const withHook = async (hook: Pick<Hook, "url">, more: SettingsTree = {}, settings: SettingsTree = {}) => {
  const upstream = await startUpstream({ models: ["m"] })
  const gateway = await startGateway({
    backends: [backendFor("b", upstream)],
    hooks: [{ name: "cards", url: hook.url, ...more }],
    ...settings
  })
  return {
    upstream,
    gateway,
    post: (path: string, body: object, headers: ReadonlyArray<string> = []) =>
      ask(gateway.port, "POST", path, JSON.stringify(body), headers),
    [Symbol.asyncDispose]: async () => {
      await gateway[Symbol.asyncDispose]()
      await upstream[Symbol.asyncDispose]()
    }
  }
}

const chat = (content: string, more: object = {}) => ({ model: "m", messages: [{ role: "user", content }], ...more })

const chatPath = "/v1/chat/completions"

const contentOf = (text: string): string =>
  text
    .split("\n")
    .filter((line) => line.startsWith("data: {"))
    .map((line) => JSON.parse(line.slice(6)).choices?.[0]?.delta?.content ?? "")
    .join("")

const codeOf = (text: string): string => JSON.parse(text).error.code

describe("a request with a hook", () => {
  test("goes on with the words that the hook puts in the place of its own, in the dialect of whoever is asked", async () => {
    await using hook = await startHook()
    await using world = await withHook(hook)
    const answers = [
      await world.post(chatPath, chat("my card is 4111 1111, ok?", { seed: 12345678901234567890n.toString() })),
      await world.post("/v1/messages", { ...chat("pay 4111-1111"), max_tokens: 9 }),
      await world.post("/v1/responses", { model: "m", input: "pay 4111-1111" }),
      await world.post("/api/chat", { ...chat("pay 4111-1111"), stream: false }),
      await world.post("/v1beta/models/m:generateContent", {
        contents: [{ role: "user", parts: [{ text: "pay 4111-1111" }] }]
      }),
      await world.post("/v1/completions", { model: "m", prompt: "pay 4111-1111" }),
      await world.post("/v1/embeddings", { model: "m", input: ["pay 4111-1111"] })
    ]
    expect(answers.slice(0, 5).map(({ status }) => status)).toEqual([200, 200, 200, 200, 200])
    const asked = world.upstream.calls().map(({ text }) => text)
    expect(asked).toHaveLength(7)
    for (const text of asked) {
      expect(text).toContain("[card]")
      expect(text).not.toContain("4111")
    }
    expect(hook.questions.filter(({ phase }) => phase === "request").map(({ dialect }) => dialect)).toEqual([
      "openai",
      "anthropic",
      "responses",
      "ollama",
      "gemini",
      "openai",
      "openai"
    ])
  })

  test("is written anew from what the hook saw, so that no field that is there twice goes past it", async () => {
    await using hook = await startHook(() => ({ action: "allow" }))
    await using world = await withHook(hook, { phases: ["request"] })
    const body =
      '{"model":"m","messages":[{"role":"user","content":"forbidden"}],"messages":[{"role":"user","content":"fine"}],"top_k":1.50}'
    await ask(world.gateway.port, "POST", chatPath, body)
    expect(world.upstream.lastCall().text).toBe(
      '{"model":"m","messages":[{"role":"user","content":"fine"}],"top_k":1.50}'
    )
  })

  test("is refused in the words of its dialect when the hook blocks it, and nobody is asked", async () => {
    await using hook = await startHook()
    await using world = await withHook(hook)
    const plain = await world.post(chatPath, chat("forbidden"))
    expect([plain.status, codeOf(plain.text)]).toEqual([400, "content_policy_violation"])
    expect(plain.text).toContain("blocked by hook 'cards': forbidden word")
    const claude = await world.post("/v1/messages", { ...chat("forbidden"), max_tokens: 5 })
    expect([claude.status, JSON.parse(claude.text).error.type]).toEqual([400, "invalid_request_error"])
    expect(world.upstream.calls()).toEqual([])
  })

  test("is refused while the hook is away, silent or senseless, and goes on where that is allowed", async () => {
    const senseless: ReadonlyArray<() => object | Iterable<Step>> = [
      () => ["reset"],
      () => ["hang"],
      () => [json({ action: "allow" }, 500)],
      () => [whole(200, "no json", "text/plain")],
      () => ({ action: "perhaps" }),
      () => ({ action: "replace", texts: [{ index: 7, text: "x" }] })
    ]
    for (const does of senseless) {
      await using hook = await startHook(does)
      await using closed = await withHook(hook, { timeout_seconds: 0.2 })
      const refused = await closed.post(chatPath, chat("hi"))
      expect([refused.status, codeOf(refused.text)]).toEqual([503, "hook_unavailable"])
      expect(closed.upstream.calls()).toEqual([])
      await using open = await withHook(hook, { timeout_seconds: 0.2, on_error: "allow" })
      expect((await open.post(chatPath, chat("hi"))).status).toBe(200)
    }
  })

  test("is shown to hooks by any name that leads to their model, and to no other hook", async () => {
    await using hook = await startHook()
    await using world = await withHook(
      hook,
      { models: ["m"], phases: ["request"] },
      { routing: { aliases: { fast: "m" }, groups: { all: ["fast"] } } }
    )
    const named = async (model: string) => {
      await world.post(chatPath, chat("hi", { model }))
      return hook.questions.splice(0).length
    }
    expect([await named("m"), await named("fast"), await named("all"), await named("openai/m")]).toEqual([1, 1, 1, 1])
    await using other = await withHook(hook, { models: ["other*"] })
    expect([(await other.post(chatPath, chat("forbidden"))).status, hook.questions.length]).toEqual([200, 0])
  })

  test("that no hook can be shown is refused where hooks fail closed", async () => {
    await using hook = await startHook()
    await using world = await withHook(hook)
    const form =
      '--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\r\n--x--\r\n'
    const multipart = await fetch(`${world.gateway.url}/v1/audio/transcriptions`, {
      method: "POST",
      headers: { "content-type": "multipart/form-data; boundary=x" },
      body: form
    })
    expect([multipart.status, codeOf(await multipart.text())]).toEqual([400, "content_policy_violation"])
    const batch = await ask(world.gateway.port, "GET", "/v1/batches")
    expect([batch.status, codeOf(batch.text)]).toEqual([400, "content_policy_violation"])
    expect(hook.questions).toEqual([])
  })

  test("passes by hooks that cost nothing where none is for it", async () => {
    await using world = await withHook({ url: "http://127.0.0.1:9" }, { keys: ["team"] })
    const body = '{"model":"m",  "messages":[{"role":"user","content":"hi"}]}'
    await ask(world.gateway.port, "POST", chatPath, body)
    expect(world.upstream.lastCall().text).toBe(body)
  })
})

describe("the hook of the documentation", () => {
  test("runs as it stands there, and takes out and blocks what it says", async () => {
    const page = readFileSync(join(import.meta.dir, "../../docs/hooks.md"), "utf8")
    const [, code = ""] = /```js\n([\s\S]*?)```/.exec(page) ?? []
    const file = join(folder, "hook.js")
    await Bun.write(file, code)
    const child = Bun.spawn([process.execPath, file], { env: { PORT: "0" }, stdout: "pipe", stderr: "inherit" })
    try {
      const { value } = await child.stdout.getReader().read()
      const [url = ""] = /http:\S+/.exec(new TextDecoder().decode(value)) ?? []
      await using world = await withHook({ url })
      await world.post(chatPath, chat("charge 4111 1111 1111 1111 now"))
      expect(JSON.parse(world.upstream.lastCall().text).messages[0].content).toBe("charge [card] now")
      const { status, text } = await world.post(chatPath, chat("what is Project Nightjar?"))
      expect([status, codeOf(text)]).toEqual([400, "content_policy_violation"])
    } finally {
      child.kill()
    }
  })
})

describe("an answer with a hook", () => {
  test("has other words where the hook puts them, whole and streamed, in every dialect", async () => {
    await using hook = await startHook()
    await using world = await withHook(hook, { phases: ["answer"], overlap_chars: 12, window_chars: 20 })
    const words = ["The num", "ber is 41", "11 ", "1111", ", keep", " it secret and safe for a long time"]
    world.upstream.script((seen) =>
      wantsStream(seen) ? streamed(chatEvents(modelOf(seen), words)) : [json(completion("m", words.join("")))]
    )
    const good = "The number is [card], keep it secret and safe for a long time"
    const asked = chat("hi")
    expect(JSON.parse((await world.post(chatPath, asked)).text).choices[0].message.content).toBe(good)
    expect(contentOf((await world.post(chatPath, { ...asked, stream: true })).text)).toBe(good)
    const others: ReadonlyArray<readonly [string, object]> = [
      ["/v1/messages", { ...asked, max_tokens: 9 }],
      ["/v1/messages", { ...asked, max_tokens: 9, stream: true }],
      ["/v1/responses", { model: "m", input: "hi" }],
      ["/v1/responses", { model: "m", input: "hi", stream: true }],
      ["/api/chat", { ...asked, stream: false }],
      ["/api/chat", asked],
      ["/v1beta/models/m:generateContent", { contents: [{ parts: [{ text: "hi" }] }] }],
      ["/v1beta/models/m:streamGenerateContent?alt=sse", { contents: [{ parts: [{ text: "hi" }] }] }]
    ]
    for (const [path, body] of others) {
      const { status, text } = await world.post(path, body)
      expect([path, status]).toEqual([path, 200])
      expect(text).toContain("[card]")
      expect(text).not.toMatch(/is 41|"11 "|"1111"/)
    }
  })

  test("shows the arguments of calls, and takes others in their place", async () => {
    await using hook = await startHook()
    await using world = await withHook(hook, { phases: ["answer"] })
    const call = (args: string) => ({
      tool_calls: [{ index: 0, id: "c", type: "function", function: { name: "pay", arguments: args } }]
    })
    world.upstream.script(() =>
      streamed([
        event(delta("m", call('{"card":"41'))),
        event(delta("m", call('11 1111"}'))),
        event(delta("m", {}, "tool_calls")),
        "data: [DONE]\n\n"
      ])
    )
    const { text } = await world.post(chatPath, chat("pay", { stream: true }))
    expect(hook.questions.flatMap(({ texts }) => texts)).toMatchObject([
      { kind: "arguments", text: '{"card":"4111 1111"}', name: "pay" }
    ])
    expect(text).toContain("[card]")
    expect(text).not.toContain("11 1111")
  })

  test("that is blocked before anything of it went out is an error of its own", async () => {
    await using hook = await startHook()
    await using world = await withHook(hook)
    world.upstream.script((seen) =>
      wantsStream(seen) ? streamed(chatEvents("m", ["a ", "forbidden"])) : [json(completion("m", "forbidden"))]
    )
    for (const stream of [true, false]) {
      const { status, text } = await world.post(chatPath, chat("hi", { stream }))
      expect([status, codeOf(text)]).toEqual([400, "content_policy_violation"])
    }
  })

  test("that is blocked in its middle ends as a broken stream of its dialect does, and says why", async () => {
    let asked = Promise.withResolvers<void>()
    await using hook = await startHook((question) => {
      if (question.phase === "answer") asked.resolve()
      return guarding(question)
    })
    await using world = await withHook(hook, { window_chars: 10, overlap_chars: 0 })
    world.upstream.script(function* (seen) {
      asked = Promise.withResolvers()
      const [head = "", first = "", ...rest] = streamed(
        chatEvents(modelOf(seen), ["all is well so far, ", "but now forbidden", " and more"])
      )
      yield* [head, first, { until: asked.promise }, ...rest]
    })
    const { text } = await world.post(chatPath, chat("hi", { stream: true }))
    expect(contentOf(text)).toBe("all is well so far, ")
    expect(text).toContain('"code":"content_policy_violation"')
    expect(text).not.toContain('forbidden"}')
    expect(text).not.toContain("[DONE]")
    const claude = await world.post("/v1/messages", { ...chat("hi", { stream: true }), max_tokens: 9 })
    expect(claude.text).toContain("event: error")
    const list = await ask(world.gateway.port, "GET", "/admin/v1/decisions")
    const [last] = JSON.parse(list.text).requests
    expect([last.outcome, last.hooks]).toMatchObject([
      "refused",
      [
        { hook: "cards", phase: "request", action: "allow" },
        { phase: "answer", action: "block" }
      ]
    ])
    expect(list.text).not.toContain("all is well")
  })

  test("comes while its backend still makes it, a window behind, and stops with its client", async () => {
    await using hook = await startHook()
    await using world = await withHook(hook, { window_chars: 10, overlap_chars: 0, phases: ["answer"] })
    const gate = Promise.withResolvers<void>()
    world.upstream.script(function* () {
      yield* [...streamed(chatEvents("m", ["first window here", "second"]).slice(0, 2))].slice(0, -1)
      yield { until: gate.promise }
      yield "hang"
    })
    {
      using client = await dial(world.gateway.port)
      await client.send(requestBytes("POST", chatPath, JSON.stringify(chat("hi", { stream: true }))))
      await client.until((received) => received.text.includes("first window here"))
    }
    gate.resolve()
    await world.upstream.lastCall().gone
    await world.gateway.quiet()
  })

  test("that comes in a coding nobody can read is refused where hooks fail closed, be it a text", async () => {
    await using hook = await startHook()
    await using world = await withHook(hook, { phases: ["answer"] })
    world.upstream.script(() => [whole(200, "pay 4111-1111", "text/plain", ["Content-Encoding: compress"])])
    const form = new FormData()
    form.set("model", "m")
    form.set("file", new Blob(["RIFF"]), "a.wav")
    const answer = await fetch(`${world.gateway.url}/v1/audio/transcriptions`, { method: "POST", body: form })
    expect([answer.status, codeOf(await answer.text())]).toEqual([400, "content_policy_violation"])
    expect(hook.questions).toEqual([])
  })

  test("is counted with its hooks, and passes compressed or unread only where hooks may fail open", async () => {
    await using hook = await startHook()
    await using world = await withHook(hook, { phases: ["answer"] })
    world.upstream.script(() => [
      whole(200, Bun.gzipSync(JSON.stringify(completion("m", "pay 4111-1111"))), "application/json", [
        "Content-Encoding: gzip"
      ])
    ])
    expect((await world.post(chatPath, chat("hi"))).text).toContain("pay [card]")
    const metrics = (await ask(world.gateway.port, "GET", "/metrics")).text
    expect(metrics).toContain('nexus_hook_calls_total{hook="cards",phase="answer",outcome="replace"} 1')
  })
})
