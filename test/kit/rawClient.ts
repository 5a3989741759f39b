/**
 * A client that sends exactly the bytes it is told to and shows exactly what came back: framing, and how it ended.
 */
import { connect, type Socket } from "node:net"
import { type BodyReader, bytesOf, end, type Head, headerOf, readerFor, takeHead } from "./http.ts"

/**
 * How an answer ended: `complete` by its own framing, `cut` by an orderly close before that, `reset` by a reset; `open`
 * while it has not ended.
 */
type End = "complete" | "cut" | "reset" | "open"

/** An answer as far as it has come. */
export interface Answer {
  readonly status: number
  readonly headers: Head["headers"]
  readonly header: (name: string) => string | undefined
  /** The body without its framing. */
  readonly body: Uint8Array
  readonly text: string
  /** The body parsed as JSON. */
  readonly json: () => unknown
  readonly end: End
}

/** A connection to a gateway. */
export interface RawClient extends Disposable {
  readonly send: (bytes: string | Uint8Array) => Promise<void>
  /** The answer to the last request, as far as it has come; undefined before its head. */
  readonly now: () => Answer | undefined
  /** Waits until the answer holds, or has ended, or `limitMs` have passed: then it fails with what there is. */
  readonly until: (holds: (answer: Answer) => boolean, limitMs?: number) => Promise<Answer>
  /** Waits for the end of the answer. */
  readonly answer: (limitMs?: number) => Promise<Answer>
  /** Forgets the last answer, for another request on the same connection. */
  readonly next: () => void
  /** Stops and resumes reading. */
  readonly pause: () => void
  readonly resume: () => void
  /** Closes the connection, whatever is under way. */
  readonly hangUp: () => void
  readonly closed: () => boolean
  /** Bytes that came in all. */
  readonly received: () => number
}

/** What is shown of an answer that is not what was waited for. */
const shown = (answer: Answer | undefined): string =>
  answer === undefined ? "no head" : `${answer.status} ${answer.end}: ${answer.text.slice(-400)}`

/** Connects to a port of loopback; `headOnly` for HEAD requests, whose answers have no body. */
export const dial = (port: number, headOnly = false): Promise<RawClient> =>
  new Promise((resolve, reject) => {
    const socket: Socket = connect(port, "127.0.0.1")
    socket.setNoDelay(true)
    let start: Uint8Array = new Uint8Array(0)
    let head: Head | undefined
    let reader: BodyReader | undefined
    let size = 0
    let closed: "open" | "fin" | "reset" = "open"
    const waiting = new Set<() => void>()
    const wake = () => {
      for (const each of waiting) each()
    }
    const take = (piece: Uint8Array) => {
      if (reader !== undefined) return reader.push(piece)
      start = end(start, piece)
      head = takeHead(start)
      if (head === undefined) return
      reader = readerFor(head, headOnly)
      reader.push(head.rest)
    }
    const ending = (): End => {
      if (reader?.complete === true) return "complete"
      if (closed === "open") return "open"
      if (closed === "reset") return "reset"
      return reader?.untilClose === true ? "complete" : "cut"
    }
    const now = (): Answer | undefined => {
      if (head === undefined || reader === undefined) return undefined
      const { status, headers } = head
      const body = reader.body
      const text = () => new TextDecoder().decode(body)
      return {
        status,
        headers,
        header: (name) => headerOf(headers, name),
        body,
        get text() {
          return text()
        },
        json: () => JSON.parse(text()),
        end: ending()
      }
    }
    socket.on("data", (piece: Buffer) => {
      size += piece.byteLength
      take(new Uint8Array(piece))
      wake()
    })
    socket.on("error", (error) => {
      if (closed === "open") closed = "reset"
      reject(error)
      wake()
    })
    socket.on("end", () => {
      if (closed === "open") closed = "fin"
      wake()
    })
    socket.on("close", () => {
      if (closed === "open") closed = "fin"
      wake()
    })
    const until = (holds: ((answer: Answer) => boolean) | undefined, limitMs = 60_000): Promise<Answer> =>
      new Promise((done, failed) => {
        const stop = () => {
          clearTimeout(timer)
          waiting.delete(look)
        }
        const look = () => {
          const ended = ending() !== "open"
          if (!ended && (holds === undefined || head === undefined)) return
          const answer = now()
          if (answer === undefined) {
            stop()
            failed(new Error(`the connection ended (${closed}) without an answer`))
          } else if (ended || holds?.(answer) === true) {
            stop()
            done(answer)
          }
        }
        const timer = setTimeout(() => {
          stop()
          failed(new Error(`still waiting after ${limitMs} ms: ${shown(now())}`))
        }, limitMs)
        waiting.add(look)
        look()
      })
    const hangUp = () => {
      socket.destroy()
    }
    socket.once("connect", () =>
      resolve({
        send: (bytes) =>
          new Promise((sent) => {
            socket.write(typeof bytes === "string" ? bytesOf(bytes) : bytes, () => sent())
          }),
        now,
        until,
        answer: (limitMs) => until(undefined, limitMs),
        next: () => {
          start = new Uint8Array(reader?.rest ?? [])
          head = undefined
          reader = undefined
          take(new Uint8Array(0))
        },
        pause: () => {
          socket.pause()
        },
        resume: () => {
          socket.resume()
        },
        hangUp,
        closed: () => closed !== "open",
        received: () => size,
        [Symbol.dispose]: hangUp
      })
    )
  })

/** A request as bytes. */
export const requestBytes = (
  method: string,
  target: string,
  body: string | Uint8Array = "",
  headers: ReadonlyArray<string> = []
): Uint8Array => {
  const bytes = typeof body === "string" ? bytesOf(body) : body
  const lines = [
    `${method} ${target} HTTP/1.1`,
    "Host: 127.0.0.1",
    ...(method === "POST" || bytes.byteLength > 0
      ? ["Content-Type: application/json", `Content-Length: ${bytes.byteLength}`]
      : []),
    ...headers
  ]
  return end(bytesOf(`${lines.join("\r\n")}\r\n\r\n`), bytes)
}

/** Sends one request on a connection of its own and waits for the end of its answer. */
export const ask = async (
  port: number,
  method: string,
  target: string,
  body?: string | Uint8Array,
  headers?: ReadonlyArray<string>
): Promise<Answer> => {
  using client = await dial(port, method === "HEAD")
  await client.send(requestBytes(method, target, body, headers))
  return await client.answer()
}
