/**
 * One client's requests: of every kind, some left in the middle, some read slowly, each answer judged.
 */
import { connect, post, type Wire } from "../wire.ts"
import { between, type Chance, pick } from "./chance.ts"
import type { Marker } from "./faulty.ts"

/** How requests ended, and what must not have happened. */
export class Books {
  readonly outcomes: Record<string, number> = {}
  readonly wrongs: Array<string> = []
  /** How many attempts an answer says it took, by request; 0 when it does not say. */
  readonly attempts = new Map<string, number>()
  /** Requests that an administrator has cancelled. */
  readonly cancelled = new Set<string>()
  /** Answers by their status, of clients that have seen it. */
  readonly statuses: Record<number, number> = {}
  /** Requests that were sent. */
  asked = 0
  /** Longest time a request took, in milliseconds. */
  longestMs = 0

  note(outcome: string): void {
    this.outcomes[outcome] = (this.outcomes[outcome] ?? 0) + 1
  }

  wrong(what: string): void {
    this.note("WRONG")
    if (this.wrongs.length < 50) this.wrongs.push(what)
  }
}

const kinds = { chat: 30, stream: 30, embeddings: 10, alias: 10, leave: 12, slow: 5, unknown: 2, broken: 1 }

const refusals: ReadonlySet<number> = new Set([429, 500, 502, 503, 504, 529])

// Longer than all limits of the gateway under test together: what takes longer is lost.
const lostAfterMs = 45_000

interface Answer {
  readonly status: number
  readonly text: string
  readonly whole: boolean
}

interface Asked {
  readonly marker: Marker
  readonly kind: keyof typeof kinds
  readonly request: Uint8Array
}

let next = 0

/** Header lines for a request of this name. */
type HeadersFor = (id: string) => string

const ask = (chance: Chance, headersFor: HeadersFor): Asked => {
  const kind = pick(chance, kinds)
  next += 1
  const streaming = kind === "stream" || kind === "slow" || (kind === "leave" && chance() < 0.7)
  const marker = { id: `r${String(next)}`, frames: streaming ? between(chance, 1, 60) : 0 }
  const model = kind === "alias" ? "short-name" : kind === "unknown" ? "nobody-has-this" : "soak"
  const head = `{"soak":${JSON.stringify(marker)},"model":"${model}"`
  const headers = headersFor(marker.id)
  const padding = chance() < 0.05 ? "x".repeat(between(chance, 10_000, 300_000)) : "Say it."
  if (kind === "embeddings")
    return { marker, kind, request: post("/v1/embeddings", `${head},"input":"${padding}"}`, headers) }
  const messages = `,"messages":[{"role":"user","content":"${padding}"}]`
  const body = `${head}${messages}${streaming ? ',"stream":true' : ""}${kind === "broken" ? "" : "}"}`
  return { marker, kind, request: post("/v1/chat/completions", body, headers) }
}

const judgeStream = ({ id, frames }: Marker, { text, whole }: Answer, books: Books): void => {
  const numbers = [...text.matchAll(/"content":"(r\d+)#(\d+);"/g)]
  const foreign = numbers.find(([, owner]) => owner !== id)
  if (foreign !== undefined) return books.wrong(`${id}: got a token of ${String(foreign[1])}`)
  if (numbers.some(([, , number], at) => Number(number) !== at)) return books.wrong(`${id}: tokens lost or doubled`)
  const done = text.includes("data: [DONE]")
  if (!whole && books.cancelled.has(id)) return books.note("cancelled")
  if (text.includes('data: {"error"')) {
    if (done) return books.wrong(`${id}: an error and [DONE]`)
    return whole
      ? books.wrong(`${id}: an error, and an end like any other`)
      : books.note("stream broken, said so and cut")
  }
  if (!whole) return books.wrong(`${id}: a stream cut without an error event`)
  if (!done) return books.wrong(`${id}: a stream ended well without [DONE]`)
  if (numbers.length !== frames) return books.wrong(`${id}: ${String(numbers.length)} tokens of ${String(frames)}`)
  books.note("stream complete")
}

const isError = (text: string): boolean => {
  try {
    const json = JSON.parse(text) as { readonly error?: { readonly message?: unknown } } // reason: only looked at
    return typeof json.error?.message === "string"
  } catch {
    return false
  }
}

const judge = ({ marker, kind }: Asked, answer: Answer, books: Books): void => {
  const { status, text, whole } = answer
  const { id, frames } = marker
  if (status !== 0) books.statuses[status] = (books.statuses[status] ?? 0) + 1
  if (books.cancelled.has(id) && (status === 499 || (frames === 0 && !whole))) return books.note("cancelled")
  if (status !== 200) {
    if (!whole) return books.wrong(`${id}: no whole answer (status ${String(status)})`)
    if (!isError(text)) return books.wrong(`${id}: status ${String(status)} with ${text.slice(0, 100)}`)
    const expected = kind === "unknown" ? status === 404 : kind === "broken" ? status === 400 : refusals.has(status)
    return expected
      ? books.note(`refused ${String(status)}`)
      : books.wrong(`${id}: status ${String(status)}: ${text.slice(0, 200)}`)
  }
  if (kind === "unknown" || kind === "broken") return books.wrong(`${id}: 200 for a ${kind} request`)
  if (frames > 0) return judgeStream(marker, answer, books)
  if (!whole) return books.wrong(`${id}: an answer cut short under 200`)
  if (!text.includes(`"${id}"`)) return books.wrong(`${id}: somebody else's answer`)
  books.note("answered")
}

const exchange = (wire: Wire, asked: Asked, chance: Chance, books: Books): Promise<void> =>
  new Promise((done) => {
    let text = ""
    let over = false
    const began = performance.now()
    books.asked += 1
    const end = (): void => {
      over = true
      books.longestMs = Math.max(books.longestMs, performance.now() - began)
      clearTimeout(lost)
      clearTimeout(leaving)
      done()
    }
    let status = 0
    const lost = setTimeout(() => {
      books.wrong(
        `${asked.marker.id}: no end within ${String(lostAfterMs / 1000)} s (${asked.kind}, status ${String(status)}, ${String(text.length)} bytes)`
      )
      wire.close()
      end()
    }, lostAfterMs)
    const leaving =
      asked.kind === "leave"
        ? setTimeout(
            () => {
              if (over) return
              books.note("left")
              wire.close()
              end()
            },
            between(chance, 0, 200)
          )
        : undefined
    wire.send(asked.request, {
      head: (code, head) => {
        status = code
        books.attempts.set(asked.marker.id, Number(/\r\nx-nexus-attempts: (\d+)/i.exec(head)?.[1] ?? 0))
      },
      piece: (bytes) => {
        text += bytes.toString("latin1")
        if (asked.kind !== "slow" || chance() > 0.2) return
        wire.pause()
        setTimeout(
          () => {
            wire.resume()
          },
          between(chance, 10, 300)
        )
      },
      end: (code) => {
        judge(asked, { status: code, text, whole: true }, books)
        end()
      },
      broken: () => {
        judge(asked, { status, text, whole: false }, books)
        end()
      }
    })
  })

/** Sends requests one after the other until told to stop. */
export const client = async (
  port: number,
  chance: Chance,
  books: Books,
  going: () => boolean,
  headersFor: HeadersFor = () => ""
): Promise<void> => {
  let wire = await connect(port)
  while (going()) {
    // A connection of some clients is never reused.
    if (!wire.usable() || chance() < 0.05) {
      wire.close()
      wire = await connect(port)
    }
    const asked = ask(chance, headersFor)
    await exchange(wire, asked, chance, books)
    await Bun.sleep(between(chance, 0, 40))
  }
  wire.close()
}
