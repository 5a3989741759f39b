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

/** Says whether what has come is enough, `size` bytes so far; may throw an upstream error, which drops the body. */
export type Enough = (size: number, bytes: () => Uint8Array) => boolean

class Taking implements Sink {
  private readonly body: Body
  private readonly enough: Enough
  private readonly resolve: (intake: Intake) => void
  private readonly reject: (reason: unknown) => void
  private pieces: Array<Uint8Array> = []
  private size = 0
  private part = false
  private target: Sink | undefined
  // How the body ended between the decision and the attachment of the next sink.
  private last: ((sink: Sink) => void) | undefined

  constructor(body: Body, enough: Enough, resolve: (intake: Intake) => void, reject: (reason: unknown) => void) {
    this.body = body
    this.enough = enough
    this.resolve = resolve
    this.reject = reject
  }

  piece(piece: Uint8Array): void {
    if (this.target !== undefined) return this.target.piece(piece)
    this.pieces.push(piece)
    this.size += piece.byteLength
    if (!this.part) this.judge()
  }

  end(): void {
    if (this.target !== undefined) this.target.end()
    else if (this.part) this.last = (sink) => sink.end()
    else this.resolve({ _tag: "Whole", bytes: this.bytes() })
  }

  fail(error: UpstreamError): void {
    if (this.target !== undefined) this.target.fail(error)
    else if (this.part) this.last = (sink) => sink.fail(error)
    else this.reject(error)
  }

  private bytes(): Uint8Array {
    const whole = join(this.pieces, this.size)
    this.pieces = [whole]
    return whole
  }

  private judge(): void {
    try {
      if (!this.enough(this.size, () => this.bytes())) return
      this.part = true
      this.body.pause()
      this.resolve({ _tag: "Part", attach: (sink) => this.attach(sink) })
    } catch (error) {
      this.part = true
      this.body.abort()
      this.reject(error)
    }
  }

  private attach(sink: Sink): void {
    this.target = sink
    // Nothing comes from inside of this; a sink that has enough with the first bytes holds the body back again.
    if (this.last === undefined) this.body.resume()
    const { pieces } = this
    this.pieces = []
    for (const piece of pieces) sink.piece(piece)
    this.last?.(sink)
  }
}

/**
 * Starts the body and takes pieces until it ends or `enough` says so, which is asked after each piece; then `judge` makes
 * of them what the promise resolves with. Rejects with what ended the body badly, or with what one of the two threw;
 * `dropped` is called before it rejects without having judged.
 */
export const take = <A>(
  body: Body,
  enough: Enough,
  judge: (intake: Intake) => A,
  dropped: () => void = () => undefined
): Promise<A> =>
  new Promise((resolve, reject) => {
    const taken = (intake: Intake): void => {
      try {
        resolve(judge(intake))
      } catch (error) {
        reject(error)
      }
    }
    const failed = (reason: unknown): void => {
      dropped()
      reject(reason)
    }
    body.start(new Taking(body, enough, taken, failed))
  })
