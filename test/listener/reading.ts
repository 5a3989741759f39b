/**
 * What the reader of our own listener makes of bytes, in the words of the second reading.
 */
import type { RequestHead } from "../../src/listener/request-head.ts"
import { type ReaderLimits, RequestReader } from "../../src/listener/request-reader.ts"
import type { Reading, Readings } from "./slow-reader.ts"

/** Bounds that nothing here reaches. */
const wide: ReaderLimits = {
  headBytes: 4096,
  targetBytes: 4096,
  fields: 100,
  chunkLineBytes: 256,
  trailerBytes: 1024
}

/** What was read, and the status of the refusal that ended it. */
export interface QuickReadings extends Readings {
  readonly status: number | undefined
}

/** Reads pieces one after the other, each request as soon as the last one is whole; `lazy` asks for the next one later. */
export const readQuickly = (
  pieces: ReadonlyArray<Buffer>,
  { lazy = false, limits = wide }: { readonly lazy?: boolean; readonly limits?: ReaderLimits } = {}
): QuickReadings => {
  const requests: Array<Reading> = []
  let head: RequestHead | undefined
  let body = ""
  let status: number | undefined
  const reader: RequestReader = new RequestReader(
    {
      head: (read) => {
        head = read
        body = ""
      },
      piece: (bytes) => {
        if (bytes.byteLength === 0) throw new Error("an empty piece")
        body += Buffer.from(bytes).toString("latin1")
      },
      end: () => {
        if (head === undefined) throw new Error("an end without a beginning")
        const fields = Object.fromEntries(head.names().map((name) => [name, head?.field(name) ?? ""]))
        requests.push({ method: head.method, path: head.path, host: head.host, fields, body })
        head = undefined
        if (!lazy) reader.next()
      },
      refused: (why) => {
        if (status !== undefined) throw new Error("refused twice")
        ;({ status } = why)
      }
    },
    limits
  )
  for (const piece of pieces) {
    // The reader may change what it gets.
    reader.push(Buffer.from(piece))
    if (lazy) for (let before = -1; before !== requests.length; reader.next()) before = requests.length
  }
  if (lazy) for (let before = -1; before !== requests.length; reader.next()) before = requests.length
  const rest = status !== undefined ? "refused" : head === undefined && reader.isIdle ? "whole" : "unfinished"
  return { requests, rest, status }
}

/** A text in pieces of these lengths, used in a circle. */
export const inPieces = (text: string, lengths: ReadonlyArray<number>): ReadonlyArray<Buffer> => {
  const pieces: Array<Buffer> = []
  const whole = Buffer.from(text, "latin1")
  for (let at = 0, nth = 0; at < whole.length; nth += 1) {
    const length = lengths[nth % lengths.length] ?? 1
    pieces.push(whole.subarray(at, at + length))
    at += length
  }
  return pieces
}
