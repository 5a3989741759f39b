import { describe, expect, test } from "bun:test"
import * as fc from "fast-check"
import { ConnectionLost, TimedOut, type UpstreamError } from "../../src/domain/upstream.ts"
import { type FlowEnd, relay } from "../../src/http/relay.ts"

const encode = (text: string) => new TextEncoder().encode(text)

/** A reader that gives the pieces, then ends or throws; counts what was asked of it. */
const readerOf = (pieces: ReadonlyArray<Uint8Array>, error?: UpstreamError) => {
  const state = { reads: 0, left: [...pieces] }
  return {
    state,
    reader: {
      read: () => {
        state.reads += 1
        const value = state.left.shift()
        if (value !== undefined) return Promise.resolve({ done: false, value })
        return error === undefined ? Promise.resolve({ done: true }) : Promise.reject(error)
      },
      cancel: () => Promise.resolve()
    }
  }
}

interface Options {
  readonly pieces: ReadonlyArray<Uint8Array>
  readonly error?: UpstreamError
  readonly events?: boolean
}

const run = ({ pieces, error, events = true }: Options) => {
  const [first = new Uint8Array(0), ...rest] = pieces
  const ends: Array<FlowEnd> = []
  const calls = { aborts: 0, reading: [] as Array<boolean>, waiting: 0 }
  const { reader, state } = readerOf(rest, error)
  const flow = relay({
    first,
    reader,
    events,
    marked: events,
    classify: () => error ?? new ConnectionLost({ reason: "?", answered: true }),
    errorText: ({ _tag }) => `{"error":{"message":"${_tag}"}}`,
    reading: (progressed) => void calls.reading.push(progressed),
    waiting: () => {
      calls.waiting += 1
    },
    onEnd: (end) => void ends.push(end),
    abort: () => {
      calls.aborts += 1
    }
  })
  return { flow, ends, calls, state, text: () => new Response(flow.body).text() }
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

  test("that ends cleanly without finish reason or end marker ends in an error event, not in success", async () => {
    const text = 'data: {"choices":[{"delta":{"content":"x"},"finish_reason":null}]}\n\n'
    const { text: read, ends, calls } = run({ pieces: [encode(text)] })
    const received = await read()
    expect(received).toBe(`${text}data: {"error":{"message":"ConnectionLost"}}\n\n`)
    expect(received).not.toContain("[DONE]")
    expect(ends.map((end) => end._tag)).toEqual(["Broken"])
    expect(calls.aborts).toBe(1)
  })

  test("that breaks ends in an error event after what had come, and no end marker", async () => {
    const error = new TimedOut({ limit: "idle", afterMs: 5 })
    const { text: read, ends } = run({ pieces: [encode("data: {}\n\n"), encode('data: {"ha')], error })
    expect(await read()).toBe('data: {}\n\ndata: {"ha\n\ndata: {"error":{"message":"TimedOut"}}\n\n')
    expect(ends).toEqual([{ _tag: "Broken", error }])
  })

  test("that is no event stream is cut short when it breaks", async () => {
    const error = new ConnectionLost({ reason: "gone", answered: true })
    const { text: read, ends } = run({ pieces: [encode('{"a":')], error, events: false })
    await expect(read()).rejects.toThrow()
    expect(ends).toEqual([{ _tag: "Broken", error }])
  })

  test("is read no further than the client takes", async () => {
    const pieces = Array.from({ length: 100 }, (_, i) => encode(`data: ${i}\n\n`))
    const { flow, state } = run({ pieces })
    const reader = flow.body.getReader()
    await reader.read()
    await reader.read()
    expect(state.reads).toBeLessThanOrEqual(4)
  })

  test("is dropped at the backend when the client leaves, once, and nobody is blamed", async () => {
    const { flow, ends, calls } = run({ pieces: [encode("data: 1\n\n"), encode("data: 2\n\n")] })
    const reader = flow.body.getReader()
    await reader.read()
    await reader.cancel()
    flow.cut(new ConnectionLost({ reason: "late", answered: true }))
    flow.stall()
    expect(ends).toEqual([{ _tag: "ClientGone" }])
    expect(calls.aborts).toBe(1)
  })

  test("counts comments as life but not as progress", async () => {
    const { text: read, calls } = run({
      pieces: [encode("data: 1\n\n"), encode(": ping\n\n"), encode(": ping\n\n"), encode("data: [DONE]\n\n")]
    })
    await read()
    expect(calls.reading).toEqual([true, false, false, true])
  })
})
