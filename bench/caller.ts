/**
 * A caller of the mock that uses one of two HTTP clients, and says what a request and a frame of a stream cost it.
 *
 *     bun bench/caller.ts <fetch|own> <port of the mock> <seconds>
 */
import { Abort } from "../src/wire/abort.ts"
import { makeConnectionPool } from "../src/wire/ConnectionPool.ts"

/** What one run of a caller gave; processor time in microseconds, of all threads of the process. */
export interface Costs {
  readonly request: number
  readonly frame: number
  /** Requests that were not answered whole, and frames that did not come. */
  readonly lost: number
  /** Processor time of the whole run. */
  readonly all: number
}

/** Sends a body, hands on the pieces of the answer, and resolves with its status once it has ended. */
type Send = (url: string, body: Uint8Array, piece: (bytes: Uint8Array) => void) => Promise<number>

const headers = { "content-type": "application/json", authorization: "Bearer sk-bench" }

const overFetch: Send = async (url, body, piece) => {
  const { status, body: stream } = await fetch(url, {
    method: "POST",
    headers,
    body,
    signal: new AbortController().signal,
    decompress: false,
    redirect: "manual",
    timeout: false
  })
  const reader = stream?.getReader()
  for (let read = await reader?.read(); read?.value !== undefined; read = await reader?.read()) piece(read.value)
  return status
}

const overOwn = (): Send => {
  const connections = makeConnectionPool()
  return async (url, body, piece) => {
    const { status, body: answer } = await connections.send({
      url,
      headers: { ...headers },
      body,
      abort: new Abort(),
      fresh: false
    })
    return new Promise((resolve) => {
      answer.start({ piece, end: () => resolve(status), fail: () => resolve(0) })
    })
  }
}

const cpu = (): number => {
  const { user, system } = process.cpuUsage()
  return user + system
}

const bodyOf = (order: object): Uint8Array =>
  new TextEncoder().encode(
    JSON.stringify({
      ...order,
      model: "bench",
      messages: [{ role: "user", content: "Hello there, how are you today?" }]
    })
  )

const atATime = 32

/** Requests in a closed loop. */
const requests = async (send: Send, url: string, seconds: number) => {
  const body = bodyOf({})
  let done = 0
  let lost = 0
  const until = performance.now() + seconds * 1000
  const before = cpu()
  const loop = async (): Promise<void> => {
    while (performance.now() < until) {
      let bytes = 0
      const status = await send(url, body, (piece) => {
        bytes += piece.byteLength
      })
      if (status === 200 && bytes > 0) done += 1
      else lost += 1
    }
  }
  await Promise.all(Array.from({ length: atATime }, loop))
  return { cost: (cpu() - before) / done, lost }
}

const streams = 200

/** Streams of 50 frames a second, from when all are open to the end of the first. */
const frames = async (send: Send, url: string, seconds: number) => {
  const each = Math.ceil(seconds * 50)
  const body = bodyOf({ bench: { frames: each, every: 20 }, stream: true })
  let came = 0
  let open = 0
  let from = { cpu: 0, came: 0 }
  let cost = Number.NaN
  const one = async (): Promise<void> => {
    let isOpen = false
    await send(url, body, (piece) => {
      const bytes = Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength)
      // Each frame carries its number.
      for (let at = bytes.indexOf('"#'); at >= 0; at = bytes.indexOf('"#', at + 2)) came += 1
      if (isOpen) return
      isOpen = true
      open += 1
      if (open === streams) from = { cpu: cpu(), came }
    })
    if (Number.isNaN(cost)) cost = (cpu() - from.cpu) / (came - from.came)
  }
  await Promise.all(Array.from({ length: streams }, one))
  return { cost, lost: streams * each - came }
}

if (import.meta.main) {
  const [which = "", port = "", seconds = "1"] = process.argv.slice(2)
  const send = which === "own" ? overOwn() : overFetch
  const url = `http://127.0.0.1:${port}/v1/chat/completions`
  await requests(send, url, Number(seconds) / 2)
  const request = await requests(send, url, Number(seconds))
  const frame = await frames(send, url, Math.max(2, Number(seconds)))
  const costs: Costs = { request: request.cost, frame: frame.cost, lost: request.lost + frame.lost, all: cpu() }
  console.log(JSON.stringify(costs))
  process.exit(0)
}
