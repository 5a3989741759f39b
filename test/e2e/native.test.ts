import { describe, expect, test } from "bun:test"
import type { BackendType } from "../../src/backend/all.ts"
import { completion, event, json } from "../kit/answers.ts"
import { type FakeOptions, type FakeUpstream, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type SettingsTree, startGateway, until } from "../kit/gateway.ts"
import { asking, messagesPath, messagesVersion, usage } from "../kit/messages.ts"
import { ask } from "../kit/rawClient.ts"
import type { Seen, Step } from "../kit/rawServer.ts"
import { fieldsOf, streaming } from "../kit/voices.ts"

const countPath = `${messagesPath}/count_tokens`

const message = {
  type: "message",
  id: "msg_theirs",
  role: "assistant",
  model: "m",
  content: [{ type: "text", text: "natively" }],
  stop_reason: "end_turn",
  stop_sequence: null,
  usage: { input_tokens: 1, output_tokens: 1 },
  odd: 1
}

const response = {
  id: "resp_theirs",
  object: "response",
  created_at: 1,
  model: "m",
  status: "completed",
  output: [
    {
      type: "message",
      id: "msg_1",
      role: "assistant",
      status: "completed",
      content: [{ type: "output_text", text: "natively", annotations: [] }]
    }
  ],
  usage: { input_tokens: 1, output_tokens: 1, total_tokens: 2 }
}

/** A server that has every API, and says which one it was asked by. */
const answering = (request: Seen): ReadonlyArray<Step> => {
  if (request.target.startsWith(countPath)) return [json({ input_tokens: 4711 })]
  if (request.target.startsWith("/v1/responses/input_tokens"))
    return [json({ object: "response.input_tokens", input_tokens: 4712 })]
  if (request.target.startsWith(messagesPath)) return [json(message)]
  if (request.target.startsWith("/v1/responses")) return [json(response)]
  return [json({ ...completion("m", "translated"), usage })]
}

const world = async (
  type: BackendType,
  options: Partial<FakeOptions> = {},
  backend: SettingsTree = {},
  settings: SettingsTree = {}
) => {
  const upstream = await startUpstream({ models: [{ id: "m", tools: true }], type, script: answering, ...options })
  const gateway = await startGateway({
    backends: [backendFor("one", upstream, { type, ...backend })],
    ...settings
  })
  return {
    gateway,
    upstream,
    port: gateway.port,
    messages: () => ask(gateway.port, "POST", messagesPath, asking(), [messagesVersion]),
    count: () => ask(gateway.port, "POST", countPath, asking(), [messagesVersion]),
    responses: () => ask(gateway.port, "POST", "/v1/responses", JSON.stringify({ model: "m", input: "hello" })),
    [Symbol.asyncDispose]: async () => {
      await gateway[Symbol.asyncDispose]()
      await upstream[Symbol.asyncDispose]()
    }
  }
}

const asked = ({ upstream }: { readonly upstream: FakeUpstream }) => upstream.calls().map(({ target }) => target)

const newVllm: FakeOptions["probe"] = ({ target }) =>
  target === "/version" ? [json({ version: "0.32.0" })] : undefined

describe("a backend is asked in its client's own API", () => {
  test("where its kind is known to do that well and it has shown that it is there: Responses of vLLM", async () => {
    await using here = await world("vllm", { probe: newVllm, serves: ["/v1/responses"] })
    const answer = await here.responses()
    expect([answer.header("x-nexus-dialect"), answer.json()]).toEqual([undefined, response])
    expect(asked(here)).toEqual(["/v1/responses"])
  })

  test("and not in it of an older version, or where it is not there, or is set never", async () => {
    const worlds = [
      () => world("vllm", { serves: ["/v1/responses"] }),
      () => world("vllm", { probe: newVllm }),
      () => world("vllm", { probe: newVllm, serves: ["/v1/responses"] }, { native: "never" })
    ]
    for (const start of worlds) {
      await using here = await start()
      const answer = await here.responses()
      expect([answer.status, answer.header("x-nexus-dialect")]).toEqual([200, "responses->openai"])
      expect(asked(here)).toEqual(["/v1/chat/completions"])
    }
  })

  test("although it is not known to do that well where its setting says so, if it has it", async () => {
    for (const setting of [{ native: "always" }, { native_dialects: ["anthropic"] }]) {
      await using here = await world("generic", { serves: [messagesPath] }, setting)
      expect((await here.messages()).json()).toEqual(message)
      await using without = await world("generic", {}, setting)
      expect((await without.messages()).header("x-nexus-dialect")).toBe("anthropic->openai")
    }
  })

  test("and else not: no setting, and llama-server and Ollama are asked for a chat", async () => {
    for (const type of ["generic", "llamacpp", "ollama"] as const) {
      await using here = await world(type, { serves: [messagesPath, "/v1/responses"] })
      expect((await here.messages()).header("x-nexus-dialect")).toBe("anthropic->openai")
      expect((await here.responses()).header("x-nexus-dialect")).toBe("responses->openai")
    }
  })

  test("with a cut stream noticed, and an error in the form of its client, though bytes pass as they came", async () => {
    const begun = event({ type: "message_start", message: { ...message, content: [] } }).replace(
      "data:",
      "event: message_start\ndata:"
    )
    const script = (request: Seen): ReadonlyArray<Step> =>
      fieldsOf(request)["stream"] === true
        ? streaming([
            begun,
            'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n'
          ])
        : [json({ error: { message: "no such thing", type: "BadRequestError", code: 400 } }, 400)]
    await using here = await world("generic", { serves: [messagesPath], script }, { native: "always" })
    const refused = await here.messages()
    expect([refused.status, refused.json()]).toMatchObject([
      400,
      { type: "error", error: { type: "invalid_request_error", message: "no such thing" } }
    ])
    const cut = await ask(here.port, "POST", messagesPath, asking({ stream: true }), [messagesVersion])
    expect(cut.text.startsWith(begun)).toBe(true)
    expect(cut.text).toContain("event: error")
  })
})

describe("what a server has is asked", () => {
  test("once, with what costs nothing, and again when it has been away", async () => {
    const serves = ["/v1/responses"]
    const health_check = { interval_seconds: 0.05, failure_threshold: 1, recovery_threshold: 1 }
    await using here = await world("vllm", { probe: newVllm, serves }, {}, { health_check })
    const { port } = here.upstream
    await until(
      () => here.upstream.probes().filter(({ target }) => target === "/v1/models").length > 3,
      "several probes"
    )
    const questions = here.upstream.probes().filter(({ target }) => target === "/v1/responses")
    expect(questions.map(({ method }) => method)).toEqual(["GET"])
    await here.upstream[Symbol.asyncDispose]()
    const status = () => here.gateway.backends()[0]?.status
    await until(() => status() === "unhealthy", "it is gone")
    await using _ = await startUpstream({ models: ["m"], type: "vllm", script: answering, port })
    await until(() => status() === "healthy", "another one is there")
    expect((await here.responses()).header("x-nexus-dialect")).toBe("responses->openai")
  })

  test("only where the answer decides something", async () => {
    await using here = await world("generic", { serves: [messagesPath, "/v1/responses"] })
    const targets = here.upstream.probes().map(({ target }) => target)
    expect(targets.filter((target) => target === messagesPath || target === "/v1/responses")).toEqual([])
  })
})

describe("tokens are counted", () => {
  test("by a server that counts as its model does, though its Messages are translated", async () => {
    await using here = await world("llamacpp", { serves: [countPath] })
    const answer = await here.count()
    expect([answer.status, answer.header("x-nexus-estimated"), answer.json()]).toEqual([
      200,
      undefined,
      { input_tokens: 4711 }
    ])
    expect(answer.header("x-nexus-backend")).toBe("one")
    expect((await here.messages()).header("x-nexus-dialect")).toBe("anthropic->openai")
  })

  test("under the name that the server knows the model by", async () => {
    await using here = await world("llamacpp", { serves: [countPath] }, {}, { routing: { aliases: { claude: "m" } } })
    const answer = await ask(here.port, "POST", countPath, asking({ model: "claude" }), [messagesVersion])
    expect([answer.json(), fieldsOf(here.upstream.lastCall())["model"]]).toEqual([{ input_tokens: 4711 }, "m"])
  })

  test("by an estimate where no server counts, or where it fails, and nothing is held against it", async () => {
    const failing: ReadonlyArray<ReadonlyArray<Step>> = [
      [json({ error: { message: "image input is not supported" } }, 500)],
      [json({ error: { message: "not found" } }, 404)],
      [json({ tokens: 3 })],
      ["reset"]
    ]
    for (const steps of failing) {
      const script = (request: Seen): ReadonlyArray<Step> => (request.target === countPath ? steps : answering(request))
      await using here = await world("llamacpp", { serves: [countPath], script })
      for (let time = 0; time < 6; time += 1) {
        const answer = await here.count()
        expect([answer.status, answer.header("x-nexus-estimated")]).toEqual([200, "input_tokens"])
      }
      expect((await here.messages()).status).toBe(200)
      expect(here.gateway.backends()[0]).toMatchObject({ status: "healthy", circuits: [] })
    }
    await using none = await world("llamacpp")
    expect((await none.count()).header("x-nexus-estimated")).toBe("input_tokens")
    expect(asked(none)).toEqual([])
  })

  test("for Responses in the same way", async () => {
    const path = "/v1/responses/input_tokens"
    await using here = await world("llamacpp", { serves: [path] })
    const answer = await ask(here.port, "POST", path, JSON.stringify({ model: "m", input: "hello" }))
    expect([answer.header("x-nexus-estimated"), answer.json()]).toEqual([
      undefined,
      { object: "response.input_tokens", input_tokens: 4712 }
    ])
  })

  test("by an estimate while every backend has all it can take", async () => {
    const gate = Promise.withResolvers<void>()
    const script = async function* (request: Seen): AsyncGenerator<Step> {
      if (request.target !== countPath) await gate.promise
      yield* answering(request)
    }
    await using here = await world("llamacpp", { serves: [countPath], script }, { max_concurrent: 1 })
    const busy = here.messages()
    await here.upstream.call(0)
    const answer = await here.count()
    expect([answer.status, answer.header("x-nexus-estimated")]).toEqual([200, "input_tokens"])
    gate.resolve()
    expect((await busy).status).toBe(200)
  })
})
