/**
 * The clients of a workload: one request as a stream, timed in simulated seconds.
 */
import { connect, post, type Wire } from "../wire.ts"
import type { ChatBody } from "./prompt.ts"
import type { SimClock } from "./sim-clock.ts"

/** A request of a workload. */
export interface Question {
  /** Name of the key that it is sent with. */
  readonly key: string
  readonly body: ChatBody
}

/** What became of a question; times in seconds of the run. */
export interface Told {
  readonly key: string
  readonly started: number
  /** Of its first token; NaN when there was none. */
  readonly first: number
  readonly ended: number
  /** 200 only when the whole answer came; 0 when the connection broke. */
  readonly status: number
  readonly text: string
  readonly call: string | undefined
  readonly promptTokens: number
  readonly cachedTokens: number
  readonly answerTokens: number
}

interface Chunk {
  readonly choices?: ReadonlyArray<{
    readonly delta?: {
      readonly content?: string | null
      readonly tool_calls?: ReadonlyArray<{ readonly function?: { readonly arguments?: string } }>
    }
  }>
  readonly usage?: {
    readonly prompt_tokens: number
    readonly completion_tokens: number
    readonly prompt_tokens_details?: { readonly cached_tokens: number }
  } | null
}

/** The secret of a key, by its name. */
export const secretOf = (key: string): string => `sk-fleet-${key}`

/** Reads the events of one answer. */
class Reading {
  text = ""
  call: string | undefined
  first = Number.NaN
  finished = false
  usage: NonNullable<Chunk["usage"]> | undefined
  #rest = ""

  take(piece: string, now: () => number): void {
    const lines = (this.#rest + piece).split("\n")
    this.#rest = lines.pop() ?? ""
    for (const line of lines) {
      if (!line.startsWith("data:")) continue
      const data = line.slice(5).trim()
      if (data === "[DONE]") this.finished = true
      else this.#event(JSON.parse(data) as Chunk, now) // reason: the simulated servers' own events
    }
  }

  #event({ choices = [], usage }: Chunk, now: () => number): void {
    if (usage !== undefined && usage !== null) this.usage = usage
    for (const { delta } of choices) {
      const part = delta?.content ?? ""
      const called = delta?.tool_calls?.[0]?.function?.arguments
      if (part === "" && called === undefined) continue
      if (Number.isNaN(this.first)) this.first = now()
      this.text += part
      if (called !== undefined) this.call = (this.call ?? "") + called
    }
  }
}

/** Connections that are kept between requests. */
export class Client {
  readonly #clock: SimClock
  readonly #idle = new Map<number, Array<Wire>>()

  constructor(clock: SimClock) {
    this.#clock = clock
  }

  /** Sends a question to a port; resolves at the end of the answer, whatever it is. */
  async ask(port: number, { body, key }: Question, started: number): Promise<Told> {
    const request = post(
      "/v1/chat/completions",
      JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
      `Authorization: Bearer ${secretOf(key)}\r\n`
    )
    const idle = this.#idle.get(port) ?? []
    this.#idle.set(port, idle)
    let wire = idle.pop()
    while (wire !== undefined && !wire.usable()) wire = idle.pop()
    wire ??= await connect(port)
    const kept = wire
    const decoder = new TextDecoder()
    const reading = new Reading()
    const status = await new Promise<number>((done) => {
      let head = 0
      kept.send(request, {
        head: (status) => {
          head = status
        },
        piece: (bytes) => {
          if (head === 200) reading.take(decoder.decode(bytes, { stream: true }), this.#clock.now)
        },
        end: (status) => {
          if (kept.usable()) idle.push(kept)
          done(status === 200 && !reading.finished ? 0 : status)
        },
        broken: () => done(0)
      })
    })
    return {
      key,
      started,
      first: reading.first,
      ended: this.#clock.now(),
      status,
      text: reading.text,
      call: reading.call,
      promptTokens: reading.usage?.prompt_tokens ?? 0,
      cachedTokens: reading.usage?.prompt_tokens_details?.cached_tokens ?? 0,
      answerTokens: reading.usage?.completion_tokens ?? 0
    }
  }

  /** Closes the connections that are kept. */
  close(): void {
    for (const wire of [...this.#idle.values()].flat()) wire.close()
  }
}
