/**
 * Takes in a body while it is not decided yet what becomes of it: either it ends and is had whole, or it is handed on as
 * a flow with nothing lost in between.
 */
import type { UpstreamError } from "../domain/upstream.ts"
import type { Body, Sink } from "./arrival.ts"

/** What an intake came to: the whole body, or the first bytes of one that goes on. */
export type Intake =
  | { readonly _tag: "Whole"; readonly bytes: Uint8Array }
  | { readonly _tag: "Part"; readonly attach: (sink: Sink) => void }

const join = (pieces: ReadonlyArray<Uint8Array>, size: number): Uint8Array => {
  const [only] = pieces
  if (pieces.length === 1 && only !== undefined) return only
  const whole = new Uint8Array(size)
  let at = 0
  for (const piece of pieces) {
    whole.set(piece, at)
    at += piece.byteLength
  }
  return whole
}

/**
 * Starts the body and takes pieces until it ends or `enough` says so, which is asked after each piece with all bytes so
 * far; it may throw an upstream error, which drops the body. Rejects with what ended the body badly.
 */
export const take = (body: Body, enough: (size: number, bytes: () => Uint8Array) => boolean): Promise<Intake> =>
  new Promise((resolve, reject) => {
    let pieces: Array<Uint8Array> = []
    let size = 0
    let part = false
    let target: Sink | undefined
    // What comes between the decision and the attachment of the next sink.
    let last: ((sink: Sink) => void) | undefined

    const bytes = (): Uint8Array => {
      const whole = join(pieces, size)
      pieces = [whole]
      return whole
    }
    const attach = (sink: Sink): void => {
      target = sink
      sink.piece(bytes())
      pieces = []
      if (last === undefined) body.resume()
      else last(sink)
    }
    const hold = (piece: Uint8Array): void => {
      pieces.push(piece)
      size += piece.byteLength
    }
    const judge = (): void => {
      try {
        if (!enough(size, bytes)) return
        part = true
        body.pause()
        resolve({ _tag: "Part", attach })
      } catch (error) {
        part = true
        body.abort()
        reject(error)
      }
    }
    body.start({
      piece: (piece) => {
        if (target !== undefined) return target.piece(piece)
        hold(piece)
        if (!part) judge()
      },
      end: () => {
        if (target !== undefined) target.end()
        else if (part) last = (sink) => sink.end()
        else resolve({ _tag: "Whole", bytes: bytes() })
      },
      fail: (error: UpstreamError) => {
        if (target !== undefined) target.fail(error)
        else if (part) last = (sink) => sink.fail(error)
        else reject(error)
      }
    })
  })
