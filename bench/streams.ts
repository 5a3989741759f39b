/**
 * Readers of many event streams at once: time to the first token, delay and gap of each frame, frames lost.
 */
import { microseconds } from "./clock.ts"
import { type Times, timesOf } from "./figures.ts"
import { type Voice, wishText } from "./voices.ts"
import { connect, post, type Wire } from "./wire.ts"

/** What a run of streams gave; times in microseconds. */
export interface StreamLoad {
  readonly frames: number
  /** Numbers that were skipped, doubled or out of order. */
  readonly lost: number
  /** Streams that ended without their last event. */
  readonly broken: number
  readonly seconds: number
  /** From sending the request to the first token. */
  readonly first: Times
  /** From the mock's sending of a frame to its arrival here, once all streams are open. */
  readonly delay: Times
  /** How much longer two frames were apart here than where they were sent. */
  readonly gap: Times
  /** Reads from the socket that carried frames; fewer than frames when they were batched. */
  readonly reads: number
}

/** What to run. */
export interface StreamPlan {
  readonly port: number
  readonly path?: string
  readonly model?: string
  /** The dialect to ask in; chat completions when absent. */
  readonly voice?: Voice
  /** Further lines of the head. */
  readonly headers?: string
  readonly streams: number
  /** How many are opened at a time; 25 when absent. */
  readonly batch?: number
  readonly frames: number
  /** Milliseconds between two frames. */
  readonly every: number
  readonly pad?: number
  /** Called for each frame, with when it was sent and how long it took to come, in microseconds. */
  readonly came?: (sent: number, delay: number) => void
  /** Called once, when each stream has had its first frame, with the frames so far. */
  readonly allOpen?: (frames: number) => void
  /** Called once, when the first stream ends, with the frames so far. */
  readonly firstEnded?: (frames: number) => void
}

class Sums {
  readonly firsts: Array<number> = []
  readonly delays: Array<number> = []
  readonly gaps: Array<number> = []
  frames = 0
  lost = 0
  broken = 0
  reads = 0
}

// Tens of thousands of frames a second come in: every so-manieth time is kept once there are enough.
const kept = 200_000

const chatMarks: Pick<Voice, "last" | "mark" | "separator"> = {
  separator: "\n\n",
  mark: '"#',
  last: "data: [DONE]"
}

class FrameReader {
  #rest = ""
  #expected = 0
  #sentBefore = 0
  #cameBefore = 0
  finished = false
  readonly sums: Sums
  readonly started: number
  readonly opened: () => void
  readonly came: StreamPlan["came"]
  readonly marks: Pick<Voice, "last" | "mark" | "separator">

  constructor(sums: Sums, opened: () => void, { came, voice }: StreamPlan) {
    this.sums = sums
    this.started = microseconds()
    this.opened = opened
    this.came = came
    this.marks = voice ?? chatMarks
  }

  piece(bytes: Buffer): void {
    const now = microseconds()
    const { separator } = this.marks
    const text = this.#rest + bytes.toString("latin1", 0, bytes.length)
    let from = 0
    let found = 0
    for (let to = text.indexOf(separator, from); to >= 0; to = text.indexOf(separator, from)) {
      if (this.#frame(text, from, to, now)) found += 1
      from = to + separator.length
    }
    this.#rest = from === text.length ? "" : text.slice(from)
    if (found > 0) this.sums.reads += 1
  }

  #frame(text: string, from: number, to: number, now: number): boolean {
    const { last } = this.marks
    const mark = text.indexOf(this.marks.mark, from)
    if (mark < 0 || mark > to) {
      const ended = text.indexOf(last, from)
      if (ended >= 0 && ended < to) this.finished = true
      return false
    }
    const at = text.indexOf("@", mark)
    const number = Number(text.slice(mark + this.marks.mark.length, at - 1))
    const sent = Number(text.slice(at + 1, text.indexOf(";", at)))
    const { sums } = this
    sums.frames += 1
    if (number !== this.#expected) sums.lost += 1
    if (number === 0) {
      sums.firsts.push(now - this.started)
      this.opened()
    } else if (sums.gaps.length < kept) {
      sums.gaps.push(now - this.#cameBefore - (sent - this.#sentBefore))
    }
    if (sums.delays.length < kept) sums.delays.push(now - sent)
    this.came?.(sent, now - sent)
    this.#expected = number + 1
    this.#sentBefore = sent
    this.#cameBefore = now
    return true
  }
}

const readOne = (wire: Wire, request: Uint8Array, sums: Sums, opened: () => void, plan: StreamPlan): Promise<void> =>
  new Promise((resolve) => {
    const frames = new FrameReader(sums, opened, plan)
    wire.send(request, {
      piece: (bytes) => {
        frames.piece(bytes)
      },
      end: (status) => {
        if (status !== 200 || !frames.finished) sums.broken += 1
        resolve()
      },
      broken: () => {
        sums.broken += 1
        resolve()
      }
    })
  })

const voiced = (voice: Voice, { every, frames, headers, model = "bench", pad = 0 }: StreamPlan): Uint8Array =>
  post(voice.path(model, true), voice.body(model, [wishText({ model, every, frames, pad })], true), headers)

/** The request for a stream. */
const streamRequest = (plan: Omit<StreamPlan, "port" | "streams">): Uint8Array =>
  post(
    plan.path ?? "/v1/chat/completions",
    JSON.stringify({
      bench: { frames: plan.frames, every: plan.every, pad: plan.pad ?? 0 },
      model: plan.model ?? "bench",
      stream: true,
      messages: [{ role: "user", content: "Say something, token by token." }]
    })
  )

/** Opens the streams a few at a time, reads each to its end. */
export const readStreams = async (plan: StreamPlan): Promise<StreamLoad> => {
  const sums = new Sums()
  const request = plan.voice === undefined ? streamRequest(plan) : voiced(plan.voice, plan)
  let open = 0
  const opened = (): void => {
    open += 1
    if (open < plan.streams) return
    // While they are opened all at once, it is that which tokens wait for.
    sums.delays.length = 0
    plan.allOpen?.(sums.frames)
  }
  let ended = 0
  const start = performance.now()
  const all: Array<Promise<void>> = []
  const wires: Array<Wire> = []
  const { batch = 25 } = plan
  for (let at = 0; at < plan.streams; at += batch) {
    const size = Math.min(batch, plan.streams - at)
    const fresh = await Promise.all(Array.from({ length: size }, () => connect(plan.port)))
    for (const wire of fresh) {
      const one = readOne(wire, request, sums, opened, plan).then(() => {
        ended += 1
        if (ended === 1) plan.firstEnded?.(sums.frames)
      })
      all.push(one)
    }
    wires.push(...fresh)
    await Bun.sleep(2)
  }
  await Promise.all(all)
  for (const wire of wires) wire.close()
  return {
    frames: sums.frames,
    lost: sums.lost + Math.max(0, plan.streams * plan.frames - sums.frames),
    broken: sums.broken,
    seconds: (performance.now() - start) / 1000,
    first: timesOf(sums.firsts),
    delay: timesOf(sums.delays),
    gap: timesOf(sums.gaps),
    reads: sums.reads
  }
}
