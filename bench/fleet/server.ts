/**
 * A machine behind HTTP on loopback: chat, whole or as a stream, and what its kind tells of itself.
 */
import { chanceOf } from "../soak/chance.ts"
import { type Answer, answerTo, asWritten } from "./answer.ts"
import { type Machine, machineOf, type MachineSpec } from "./machine.ts"
import { charactersPerToken, type ChatBody, promptOf, templated } from "./prompt.ts"
import type { Submitted, Task } from "./runner.ts"
import type { SimClock } from "./sim-clock.ts"
import { told } from "./told.ts"
import { completions, type Facts, ollamaLines, type Voice } from "./voices.ts"

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

/** Calls all who look at something, at one pace, while there are any. */
const pacer = (clock: SimClock): ((look: () => void) => () => void) => {
  const looks = new Set<() => void>()
  let waiting = false
  const wait = (): void => {
    if (waiting || looks.size === 0) return
    waiting = true
    clock.at(clock.now() + pace, () => {
      waiting = false
      for (const look of looks) look()
      wait()
    })
  }
  return (look) => {
    looks.add(look)
    wait()
    return () => looks.delete(look)
  }
}

type Calls = Pick<Task, "begun" | "done"> & { readonly started?: () => void }

type Submit = (calls: Calls) => Submitted

interface Speaking {
  readonly machine: Machine
  readonly everyPace: (look: () => void) => () => void
  readonly answer: Answer
  readonly voice: Voice
  readonly submit: Submit
}

const streamed = ({ answer, everyPace, machine, submit, voice }: Speaking): Response => {
  let sent = 0
  let submitted: Submitted | undefined
  let forget = (): void => undefined
  const stream = new ReadableStream<Uint8Array>({
    start: (controller) => {
      const send = (text: string): void => {
        if (text !== "") controller.enqueue(encoder.encode(text))
      }
      const upTo = (tokens: number): void => {
        const part = answer.text.slice(sent * charactersPerToken, tokens * charactersPerToken)
        sent = Math.max(sent, tokens)
        if (part !== "") send(voice.piece(part))
      }
      submitted = submit({
        started: () => send(voice.progress()),
        begun: () => {
          send(voice.open())
          upTo(1)
          forget = everyPace(() => {
            machine.pass()
            upTo(submitted?.made() ?? 0)
          })
        },
        done: () => {
          forget()
          upTo(answer.tokens)
          send(voice.close())
          controller.close()
        }
      })
    },
    cancel: () => {
      forget()
      submitted?.leave()
    }
  })
  return new Response(stream, { headers: { "content-type": voice.streamType } })
}

const whole = ({ submit, voice }: Speaking, request: Request): Promise<Response> =>
  new Promise((done) => {
    const submitted = submit({
      begun: () => undefined,
      done: () => done(new Response(voice.whole(), { headers: { "content-type": "application/json" } }))
    })
    request.signal.addEventListener("abort", () => {
      submitted.leave()
      done(new Response(null, { status: 499 }))
    })
  })

/** Starts a machine on a port of its own. */
export const startServer = (name: string, spec: MachineSpec, clock: SimClock, seed: number): SimServer => {
  const machine = machineOf(spec, clock)
  const everyPace = pacer(clock)
  const chance = chanceOf(seed)

  const chat = async (request: Request, native: boolean): Promise<Response> => {
    const body = (await request.json()) as ChatBody // reason: only what the workloads send, and gateways hand on
    if (!spec.models.includes(body.model)) {
      return Response.json({ error: { message: `model '${body.model}' not found` } }, { status: 404 })
    }
    const answer = answerTo(body)
    const prompt = promptOf(templated(body))
    const facts: Facts = {
      promptTokens: prompt.tokens,
      cached: 0,
      arrived: clock.now(),
      started: Number.NaN,
      begun: Number.NaN,
      ended: Number.NaN
    }
    const submit: Submit = (calls) =>
      machine.submit(body.model, {
        prompt,
        tokens: answer.tokens,
        written: asWritten(answer),
        wantedSlot: spec.kind === "llamacpp" ? body.id_slot : undefined,
        stuck: spec.tail !== undefined && chance() < spec.tail.share ? spec.tail.seconds : 0,
        started: (cached) => {
          facts.cached = cached
          facts.started = clock.now()
          calls.started?.()
        },
        begun: () => {
          facts.begun = clock.now()
          calls.begun()
        },
        done: () => {
          facts.ended = clock.now()
          calls.done()
        }
      })
    const voice = native ? ollamaLines(body, answer, facts) : completions(spec, body, answer, facts)
    const speaking = { machine, everyPace, answer, voice, submit }
    return (body.stream ?? native) ? streamed(speaking) : whole(speaking, request)
  }

  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    development: false,
    fetch: (request) => {
      const { pathname } = new URL(request.url)
      if (pathname === "/v1/chat/completions") return chat(request, false)
      if (pathname === "/api/chat" && spec.kind === "ollama") return chat(request, true)
      return told(machine, pathname, request)
    }
  })
  return { name, port: server.port ?? 0, machine, stop: () => server.stop(true) }
}
