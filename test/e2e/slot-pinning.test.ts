import { describe, expect, test } from "bun:test"
import type { Route } from "../../src/api/admin-api.ts"
import { routeText } from "../../src/cli/explain.ts"
import { type FakeUpstream, startUpstream } from "../kit/FakeUpstream.ts"
import { chatEvents, completion, done, event, json } from "../kit/answers.ts"
import { streamed, wantsStream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway } from "../kit/gateway.ts"
import { ask } from "../kit/rawClient.ts"
import type { Seen, Step } from "../kit/rawServer.ts"

interface Message {
  readonly role: string
  readonly content: string
}

interface Body {
  readonly messages: ReadonlyArray<Message>
  readonly id_slot?: number
  readonly stream?: boolean
}

// reason: what comes is what was sent a line before
const bodyOf = ({ text }: Seen): Body => JSON.parse(text) as Body

const tokensOf = (text: string): number => Math.floor(text.length / 4)

const common = (one: string, other: string): number => {
  let at = 0
  while (at < one.length && one[at] === other[at]) at += 1
  return at
}

/** A llama-server as far as its slots go: it takes the one with the most in common, unless it is told which. */
class Slots {
  readonly held = ["", "", "", ""]
  readonly taken = [0, 0, 0, 0]
  readonly asked: Array<number | undefined> = []
  cached = 0
  private tasks = 0
  readonly unified: boolean

  constructor(unified: boolean) {
    this.unified = unified
  }

  private chosen(prompt: string): number {
    const most = this.held.map((text) => common(text, prompt))
    const best = Math.max(...most)
    if (best > 0.1 * prompt.length) return most.indexOf(best)
    return this.taken.indexOf(Math.min(...this.taken))
  }

  readonly script = (request: Seen): Iterable<Step> => {
    const { id_slot: wanted, messages } = bodyOf(request)
    const prompt = messages.map(({ content, role }) => `${role}: ${content}\n`).join("")
    const slot = wanted ?? this.chosen(prompt)
    this.asked.push(wanted)
    this.tasks += 1
    this.taken[slot] = this.tasks
    if (this.unified) this.held.forEach((_, at) => at === slot || (this.held[at] = ""))
    const cached = tokensOf(this.held[slot]?.slice(0, common(this.held[slot], prompt)) ?? "")
    this.cached += cached
    this.held[slot] = `${prompt}assistant: Hello\n`
    const all = tokensOf(prompt)
    const usage = {
      prompt_tokens: all,
      completion_tokens: 2,
      total_tokens: all + 2,
      prompt_tokens_details: { cached_tokens: cached }
    }
    const timings = { cache_n: cached, prompt_n: all - cached, prompt_ms: 1.5, predicted_n: 2, predicted_ms: 1 }
    if (!wantsStream(request)) return [json({ ...completion("m", "Hello"), usage, timings })]
    const end = event({ id: "chatcmpl-1", object: "chat.completion.chunk", model: "m", choices: [], timings })
    const events = chatEvents("m", ["Hello"]).filter((each) => each !== done)
    return streamed([...events, end, done])
  }
}

const system = "Answer in one word, whatever comes. ".repeat(200)

/** Turns of a conversation; each has all that was said before. */
const messagesOf = (chat: number, turn: number): ReadonlyArray<Message> => [
  { role: "system", content: system },
  ...Array.from({ length: turn }, (_, at) => [
    ...(at === 0 ? [] : [{ role: "assistant", content: "Hello" }]),
    { role: "user", content: `Chat ${chat}, question ${at}: ${`why ${chat} and not ${at}? `.repeat(30)}` }
  ]).flat()
]

const sent = (gateway: { readonly port: number }, chat: number, turn: number, more: object = {}) =>
  ask(
    gateway.port,
    "POST",
    "/v1/chat/completions",
    JSON.stringify({ model: "m", messages: messagesOf(chat, turn), ...more })
  )

const llamaServer = (slots: Slots): Promise<FakeUpstream> =>
  startUpstream({ models: [{ id: "m", context: 32_768 }], type: "llamacpp", script: slots.script })

describe("chats with one system prompt on a llama-server", () => {
  for (const stream of [false, true]) {
    test(`each find what they have said in a slot of their own, ${stream ? "streamed" : "whole"}`, async () => {
      const slots = new Slots(false)
      await using llama = await llamaServer(slots)
      await using gateway = await startGateway({ backends: [backendFor("llama", llama, { type: "llamacpp" })] })
      for (let turn = 1; turn <= 4; turn += 1)
        for (let chat = 1; chat <= 4; chat += 1) expect((await sent(gateway, chat, turn, { stream })).status).toBe(200)
      expect(slots.asked.slice(0, 4)).toEqual([0, 1, 2, 3])
      expect(slots.asked.slice(4).every((slot, at) => slot === at % 4)).toBe(true)
    })
  }

  test("are sent as they came but for the slot", async () => {
    const slots = new Slots(false)
    await using llama = await llamaServer(slots)
    await using gateway = await startGateway({ backends: [backendFor("llama", llama, { type: "llamacpp" })] })
    const body = ` \n{ "model":"m",  "messages":[{"role":"user","content":"\\u00e9 {"}],"x": 1.0 }`
    await ask(gateway.port, "POST", "/v1/chat/completions", body)
    expect(llama.lastCall().text).toBe(body.replace("{", '{"id_slot":0,'))
  })

  test("a server that empties its idle slots is not told any after one turn in vain", async () => {
    const slots = new Slots(true)
    await using llama = await llamaServer(slots)
    await using gateway = await startGateway({ backends: [backendFor("llama", llama, { type: "llamacpp" })] })
    for (let turn = 1; turn <= 4; turn += 1) for (let chat = 1; chat <= 4; chat += 1) await sent(gateway, chat, turn)
    expect(slots.asked.slice(0, 5)).toEqual([0, 1, 2, 3, 0])
    expect(slots.asked.slice(5).every((slot) => slot === undefined)).toBe(true)
  })

  test("a server that forgets all is noticed at once, and keeps its chats apart again", async () => {
    const slots = new Slots(false)
    await using llama = await llamaServer(slots)
    await using gateway = await startGateway({ backends: [backendFor("llama", llama, { type: "llamacpp" })] })
    const turns = async (turn: number): Promise<void> => {
      for (let chat = 1; chat <= 4; chat += 1) await sent(gateway, chat, turn)
    }
    for (const turn of [1, 2, 3]) await turns(turn)
    slots.held.fill("")
    await turns(4)
    slots.cached = 0
    await turns(5)
    const before = [1, 2, 3, 4].reduce(
      (sum, chat) =>
        sum +
        tokensOf(
          messagesOf(chat, 4)
            .map(({ content, role }) => `${role}: ${content}\n`)
            .join("")
        ),
      0
    )
    expect(slots.cached).toBeGreaterThanOrEqual(before)
  })

  test("who names a slot is left to it, and nothing else of the request is told any", async () => {
    const slots = new Slots(false)
    await using llama = await llamaServer(slots)
    await using gateway = await startGateway({ backends: [backendFor("llama", llama, { type: "llamacpp" })] })
    await sent(gateway, 1, 1, { id_slot: 3 })
    expect(slots.asked).toEqual([3])
    llama.script(() => [
      json({ object: "list", data: [{ object: "embedding", index: 0, embedding: [0.5] }], model: "m" })
    ])
    await ask(gateway.port, "POST", "/v1/embeddings", JSON.stringify({ model: "m", input: "hello" }))
    expect(llama.lastCall().text).not.toContain("id_slot")
  })

  for (const [why, config] of [
    ["slot_pinning is off", { routing: { slot_pinning: false } }],
    ["affinity is off", { routing: { affinity: false } }]
  ] as const) {
    test(`no slot is named where ${why}`, async () => {
      const slots = new Slots(false)
      await using llama = await llamaServer(slots)
      await using gateway = await startGateway({
        backends: [backendFor("llama", llama, { type: "llamacpp" })],
        ...config
      })
      await sent(gateway, 1, 1)
      expect(slots.asked).toEqual([undefined])
    })
  }

  test("explain says what a server loses whose slots share one cache, and how it is started otherwise", async () => {
    const emptied = [
      { id: 0, is_processing: false, id_task: 3, n_prompt_tokens: 0 },
      { id: 1, is_processing: false, id_task: 7, n_prompt_tokens: 90 }
    ]
    const slots = new Slots(true)
    await using llama = await startUpstream({
      models: [{ id: "m", context: 32_768 }],
      type: "llamacpp",
      script: slots.script,
      probe: ({ target }) => (target === "/slots" ? [json(emptied)] : undefined)
    })
    await using gateway = await startGateway({ backends: [backendFor("llama", llama, { type: "llamacpp" })] })
    await sent(gateway, 1, 1)
    expect(slots.asked).toEqual([undefined])
    const body = JSON.stringify({ model: "m", messages: messagesOf(1, 1) })
    const answer = await ask(gateway.port, "POST", "/admin/v1/route", body)
    const route = answer.json() as Route // reason: checked by what is expected of it
    expect(routeText(route)).toMatch(/^llama: .* -np N -c N\*CONTEXT -sps 0\.9, or with --no-cache-idle-slots\.$/m)
  })

  test("a chat of another dialect is told its slot as well", async () => {
    const slots = new Slots(false)
    await using llama = await llamaServer(slots)
    await using gateway = await startGateway({ backends: [backendFor("llama", llama, { type: "llamacpp" })] })
    const [, user] = messagesOf(1, 1)
    const body = JSON.stringify({ model: "m", max_tokens: 10, system, messages: [user] })
    const answer = await ask(gateway.port, "POST", "/v1/messages", body, ["anthropic-version: 2023-06-01"])
    expect(answer.status).toBe(200)
    expect(slots.asked).toEqual([0])
  })
})
