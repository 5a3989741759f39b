import { describe, expect, test } from "bun:test"
import * as fc from "fast-check"
import { ConnectionLost, TimedOut, type UpstreamError } from "../../src/domain/upstream-errors.ts"
import { type FlowEnd, relay } from "../../src/proxy/relay.ts"
import type { AnswerBody, BodySink } from "../../src/wire/received-answer.ts"
import { EventWatch } from "../../src/dialect/openai/event-watch.ts"

const encode = (text: string) => new TextEncoder().encode(text)

/** A body that delivers the pieces, then ends or fails, and obeys pause and resume. */
const bodyOf = (pieces: ReadonlyArray<Uint8Array>, error?: UpstreamError) => {
  const state = { given: 0, aborts: 0, paused: false, sink: undefined as BodySink | undefined }
  const pump = (): void => {
    while (!state.paused && state.aborts === 0 && state.sink !== undefined) {
      const piece = pieces[state.given]
      if (piece !== undefined) {
        state.given += 1
        state.sink.piece(piece)
        continue
      }
      const { sink } = state
      state.sink = undefined
      if (error === undefined) sink.end()
      else sink.fail(error)
    }
  }
  const body: AnswerBody = {
    length: undefined,
    start: (sink) => {
      state.sink = sink
      queueMicrotask(pump)
    },
    pause: () => {
      state.paused = true
    },
    resume: () => {
      state.paused = false
      queueMicrotask(pump)
    },
    abort: () => {
      state.aborts += 1
    }
  }
  return { body, state }
}

/** What came of a body, and whether it was cut behind that. */
const readOf = async (body: ReadableStream<Uint8Array>): Promise<readonly [text: string, cut: boolean]> => {
  const decoder = new TextDecoder()
  const reader = body.getReader()
  let text = ""
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return [text, false]
      text += decoder.decode(value, { stream: true })
    }
  } catch {
    return [text, true]
  }
}

interface Options {
  readonly pieces: ReadonlyArray<Uint8Array>
  readonly error?: UpstreamError
  readonly events?: boolean
}

const run = ({ pieces, error, events = true }: Options) => {
  const ends: Array<FlowEnd> = []
  const calls = { progress: 0, stalled: 0, resumed: 0, parted: 0, late: 0, closed: 0 }
  const { body: source, state } = bodyOf(pieces, error)
  const flow = relay({
    body: source,
    attach: source.start,
    watch: events ? new EventWatch() : undefined,
    endsInOrder: false,
    marked: events,
    errorText: ({ _tag }) => `{"error":{"message":"${_tag}"}}`,
    progress: () => {
      calls.progress += 1
    },
    stalled: () => {
      calls.stalled += 1
    },
    resumed: () => {
      calls.resumed += 1
    },
    parting: (cut, late) => {
      calls.parted += 1
      if (late) calls.late += 1
      queueMicrotask(cut)
    },
    onEnd: (end) => void ends.push(end),
    onClosed: () => {
      calls.closed += 1
    }
  })
  const body = new ReadableStream<Uint8Array>(flow)
  return { flow, ends, calls, state, body, text: () => new Response(body).text(), read: () => readOf(body) }
}

const good = 'data: {"choices":[{"delta":{"content":"héé 🙂"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'

describe("a stream on its way to the client", () => {
  test("arrives intact at every split, inside UTF-8 sequences too", async () => {
    const whole = encode(good)
    for (let cut = 1; cut < whole.length; cut++) {
      const { text, ends } = run({ pieces: [whole.slice(0, cut), whole.slice(cut)] })
      expect(await text()).toBe(good)
      expect(ends).toEqual([{ _tag: "Complete" }])
    }
  })

  test("arrives intact under any chunking", () =>
    fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 40 }), async (sizes) => {
        const whole = encode(good)
        const pieces: Array<Uint8Array> = []
        let at = 0
        for (let i = 0; at < whole.length; i++) {
          const size = sizes[i % sizes.length] ?? 1
          pieces.push(whole.slice(at, at + size))
          at += size
        }
        expect(await run({ pieces }).text()).toBe(good)
      })
    ))

  test("gets the end marker that a backend forgot after its finish reason", async () => {
    const text = 'data: {"choices":[{"finish_reason":"stop"}]}\n\n'
    const { text: read, ends } = run({ pieces: [encode(text)] })
    expect(await read()).toBe(`${text}data: [DONE]\n\n`)
    expect(ends).toEqual([{ _tag: "Complete" }])
  })

  test("that ends cleanly without finish reason or end marker ends in an error event and is cut, not in success", async () => {
    const text = 'data: {"choices":[{"delta":{"content":"x"},"finish_reason":null}]}\n\n'
    const { read, ends, state, calls } = run({ pieces: [encode(text)] })
    const [received, cut] = await read()
    expect(received).toBe(`${text}data: {"error":{"message":"ConnectionLost"}}\n\n`)
    expect([cut, calls.parted, calls.closed]).toEqual([true, 1, 1])
    expect(ends.map((end) => end._tag)).toEqual(["Broken"])
    expect(state.aborts).toBe(1)
  })

  test("that breaks ends in an error event after what had come, and no end marker, and is cut", async () => {
    const error = new TimedOut({ limit: "idle", afterMs: 5 })
    const { read, ends } = run({ pieces: [encode("data: {}\n\n"), encode('data: {"ha')], error })
    expect(await read()).toEqual(['data: {}\n\ndata: {"ha\n\ndata: {"error":{"message":"TimedOut"}}\n\n', true])
    expect(ends).toEqual([{ _tag: "Broken", error }])
  })

  const failure = 'data: {"error":{"message":"out of memory"}}\n\n'

  test("whose backend says that it failed is passed on, and cut", async () => {
    const { read, ends } = run({ pieces: [encode(failure)] })
    expect(await read()).toEqual([failure, true])
    expect(ends.map((end) => end._tag)).toEqual(["Broken"])
  })

  test("whose failure has no blank line behind it gets that before it is cut", async () => {
    expect(await run({ pieces: [encode(failure.trimEnd())] }).read()).toEqual([failure, true])
  })

  test("is cut later when its client has not kept up", async () => {
    const { body, calls, state } = run({
      pieces: Array(8).fill(encode("data: {}\n\n")),
      error: new TimedOut({ limit: "idle", afterMs: 5 })
    })
    const reader = body.getReader()
    await reader.read()
    // Eight pieces wait for it, and the error event behind them.
    while (state.aborts === 0) await Bun.sleep(1)
    await Bun.sleep(80)
    reader.releaseLock()
    expect((await readOf(body))[1]).toBe(true)
    expect([calls.parted, calls.late]).toEqual([1, 1])
  })

  test("is never cut behind the end marker, not even when its backend failed", async () => {
    const text = `${failure}data: [DONE]\n\n`
    const { read, ends, calls } = run({ pieces: [encode(text)] })
    expect(await read()).toEqual([text, false])
    expect([calls.parted, calls.closed]).toEqual([0, 1])
    expect(ends.map((end) => end._tag)).toEqual(["Broken"])
  })

  test("that is no event stream is cut short when it breaks", async () => {
    const error = new ConnectionLost({ reason: "gone", answered: true })
    const { text: read, ends } = run({ pieces: [encode('{"a":')], error, events: false })
    await expect(read()).rejects.toThrow()
    expect(ends).toEqual([{ _tag: "Broken", error }])
  })

  test("is read no further than the client takes, and goes on when it takes more", async () => {
    const pieces = Array.from({ length: 100 }, () => new Uint8Array(16 * 1024).fill(0x20))
    const { body, state, calls } = run({ pieces, events: false })
    const reader = body.getReader()
    const first = await reader.read()
    const given = state.given
    expect(given).toBeLessThanOrEqual(8)
    expect(calls.stalled).toBe(1)
    let size = first.value?.byteLength ?? 0
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      size += value.byteLength
    }
    expect(size).toBe(100 * 16 * 1024)
    expect(calls.resumed).toBe(calls.stalled)
  })

  test("is dropped at the backend when the client leaves, once, and nobody is blamed", async () => {
    const { body, flow, ends, state, calls } = run({
      pieces: Array.from({ length: 100 }, () => encode(`data: ${"x".repeat(16_000)}\n\n`))
    })
    const reader = body.getReader()
    await reader.read()
    await reader.cancel()
    flow.cut(new ConnectionLost({ reason: "late", answered: true }))
    flow.drop()
    expect(ends).toEqual([{ _tag: "ClientGone" }])
    expect([state.aborts, calls.closed]).toEqual([1, 1])
  })

  test("brings an error of any size whole, however it is cut, and holds nobody back for it", () =>
    fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 200_000 }),
        fc.integer({ min: 1, max: 50_000 }),
        async (size, step) => {
          const whole = `data: {"choices":[]}\n\ndata: {"error":{"message":"${"x".repeat(size)}"}}\n\n`
          const bytes = encode(whole)
          const count = Math.ceil(bytes.length / step)
          const pieces = Array.from({ length: count }, (_, at) => bytes.slice(at * step, (at + 1) * step))
          const { read, ends } = run({ pieces })
          expect(await read()).toEqual([whole, true])
          expect(ends).toMatchObject([{ _tag: "Broken" }])
        }
      ),
      { numRuns: 50 }
    ))

  test("counts comments as life but not as progress", async () => {
    const { text: read, calls } = run({
      pieces: [encode("data: 1\n\n"), encode(": ping\n\n"), encode(": ping\n\n"), encode("data: [DONE]\n\n")]
    })
    await read()
    expect(calls.progress).toBe(2)
  })
})
