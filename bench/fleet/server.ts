/**
 * A machine behind HTTP on loopback: chat completions, whole or as a stream, and what its kind tells of itself.
 */
import { type Answer, answerTo, asWritten } from "./answer.ts"
import { type Chance, chanceOf } from "../soak/chance.ts"
import { type Machine, machineOf, type MachineSpec } from "./machine.ts"
import { charactersPerToken, type ChatBody, promptOf, templated } from "./prompt.ts"
import type { Task } from "./runner.ts"
import type { SimClock } from "./sim-clock.ts"
import { told } from "./told.ts"

/** A machine that listens. */
export interface SimServer {
  readonly name: string
  readonly port: number
  readonly machine: Machine
  readonly stop: () => Promise<void>
}

/** Simulated seconds between two looks at the answers under way: what has come since goes out as one piece. */
const pace = 0.5

const encoder = new TextEncoder()

const usageOf = (task: Task, answered: number) => ({
  prompt_tokens: task.prompt.tokens,
  completion_tokens: answered,
  total_tokens: task.prompt.tokens + answered,
  prompt_tokens_details: { cached_tokens: task.cached }
})

const callsOf = (answer: Answer, index: boolean) =>
  answer.call === undefined
    ? {}
    : {
        tool_calls: [
          {
            ...(index ? { index: 0 } : {}),
            id: "call_1",
            type: "function",
            function: { name: "run", arguments: answer.call }
          }
        ]
      }

const finishOf = ({ call }: Answer): string => (call === undefined ? "stop" : "tool_calls")

const whole = (body: ChatBody, answer: Answer, task: Task): string =>
  JSON.stringify({
    id: "chatcmpl-fleet",
    object: "chat.completion",
    created: 1_700_000_000,
    model: body.model,
    choices: [
      {
        index: 0,
        message: { role: "assistant", content: answer.text, ...callsOf(answer, false) },
        finish_reason: finishOf(answer)
      }
    ],
    usage: usageOf(task, answer.tokens)
  })

const chunk = (body: ChatBody, choices: ReadonlyArray<unknown>, usage?: unknown): string =>
  `data: ${JSON.stringify({
    id: "chatcmpl-fleet",
    object: "chat.completion.chunk",
    created: 1_700_000_000,
    model: body.model,
    choices,
    ...(usage === undefined ? {} : { usage })
  })}\n\n`

const choice = (delta: unknown, finish: string | null = null) => [{ index: 0, delta, finish_reason: finish }]

/** Streams under way of one server. */
class Streams {
  readonly #open = new Set<() => void>()
  readonly #clock: SimClock
  readonly #machine: Machine
  #next: (() => void) | undefined

  constructor(clock: SimClock, machine: Machine) {
    this.#clock = clock
    this.#machine = machine
  }

  add(look: () => void): () => void {
    this.#open.add(look)
    if (this.#next === undefined) this.#wait()
    return () => this.#open.delete(look)
  }

  #wait(): void {
    this.#next = this.#clock.at(this.#clock.now() + pace, () => {
      this.#next = undefined
      this.#machine.compute.pass()
      for (const look of this.#open) look()
      if (this.#open.size > 0) this.#wait()
    })
  }
}

const streamed = (machine: Machine, streams: Streams, body: ChatBody, answer: Answer, made: Made): Response => {
  let sent = 0
  let task: Task | undefined
  let forget: (() => boolean) | (() => void) = () => undefined
  const stream = new ReadableStream<Uint8Array>({
    start: (controller) => {
      const send = (text: string): void => controller.enqueue(encoder.encode(text))
      const upTo = (tokens: number): void => {
        const part = answer.text.slice(sent * charactersPerToken, tokens * charactersPerToken)
        sent = Math.max(sent, tokens)
        if (part !== "") send(chunk(body, choice({ content: part })))
      }
      task = made({
        begun: () => {
          send(chunk(body, choice({ role: "assistant", content: "" })))
          upTo(1)
          forget = streams.add(() => {
            if (task?.job !== undefined) upTo(machine.compute.made(task.job))
          })
        },
        done: () => {
          forget()
          if (task === undefined) return
          upTo(answer.tokens)
          if (answer.call !== undefined) send(chunk(body, choice(callsOf(answer, true))))
          send(chunk(body, choice({}, finishOf(answer))))
          if (body.stream_options?.include_usage === true) send(chunk(body, [], usageOf(task, answer.tokens)))
          send("data: [DONE]\n\n")
          controller.close()
        }
      })
    },
    cancel: () => {
      forget()
      if (task !== undefined) machine.leave(task)
    }
  })
  return new Response(stream, { headers: { "content-type": "text/event-stream" } })
}

type Made = (calls: { readonly begun: () => void; readonly done: () => void }) => Task

const chat = async (machine: Machine, streams: Streams, chance: Chance, request: Request): Promise<Response> => {
  const body = (await request.json()) as ChatBody // reason: only what the workloads send, and gateways hand on
  const answer = answerTo(body)
  const { tail } = machine.spec
  const made: Made = (calls) =>
    machine.submit(body.model, {
      prompt: promptOf(templated(body)),
      tokens: answer.tokens,
      written: asWritten(answer),
      wantedSlot: body.id_slot,
      stuck: tail !== undefined && chance() < tail.share ? tail.seconds : 0,
      ...calls
    })
  if (body.stream === true) return streamed(machine, streams, body, answer, made)
  return new Promise((done) => {
    const task = made({
      begun: () => undefined,
      done: () => {
        done(new Response(whole(body, answer, task), { headers: { "content-type": "application/json" } }))
      }
    })
    request.signal.addEventListener("abort", () => {
      machine.leave(task)
      done(new Response(null, { status: 499 }))
    })
  })
}

/** Starts a machine on a port of its own. */
export const startServer = (name: string, spec: MachineSpec, clock: SimClock, seed: number): SimServer => {
  const machine = machineOf(spec, clock)
  const streams = new Streams(clock, machine)
  const chance = chanceOf(seed)
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    development: false,
    fetch: (request) => {
      const { pathname } = new URL(request.url)
      if (pathname === "/v1/chat/completions") return chat(machine, streams, chance, request)
      return told(machine, pathname)
    }
  })
  return { name, port: server.port ?? 0, machine, stop: () => server.stop(true) }
}
