/**
 * A copy of an answer as its client got it, put together while it is sent.
 */
import type { StreamFilter, StreamWatch } from "../dialect/Dialect.ts"
import type { CommittedAnswer } from "../upstream/answer.ts"
import { isCoded } from "../upstream/content-encoding.ts"

const nothing = new Uint8Array(0)

/** The copy of one answer, up to a size. */
export class AnswerCopy {
  /** The media type of the answer. */
  type = ""
  private readonly mostBytes: number
  private pieces: Array<Uint8Array> = []
  private size = 0
  private watch: StreamWatch | undefined
  private isWhole = false
  private isLost = false

  constructor(mostBytes: number) {
    this.mostBytes = mostBytes
  }

  /** The answer, of which a copy is made when it is sent. */
  of(answer: CommittedAnswer, streamType: string): CommittedAnswer {
    const { head } = answer
    this.type = head.header("content-type") ?? ""
    if (isCoded(head) || head.status !== 200) {
      this.isLost = true
      return answer
    }
    if (answer._tag === "Whole") {
      this.add(answer.body)
      this.isWhole = true
      return answer
    }
    const { watch } = answer
    if (watch === undefined) {
      this.isLost = true
      return answer
    }
    this.type = streamType
    this.watch = watch
    return { ...answer, filter: this.past(answer.filter) }
  }

  /** Takes an answer that came from elsewhere. */
  took(bytes: Uint8Array): void {
    this.add(bytes)
  }

  /** All that was sent, up to the size, be it the beginning of an answer that broke. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return Buffer.concat(this.pieces)
  }

  /** Whether that is all of a good answer. */
  get isComplete(): boolean {
    return !this.isLost && (this.isWhole || this.watch?.ending(true) === "done")
  }

  private past(filter: StreamFilter | undefined): StreamFilter {
    return {
      push: (piece) => this.add(filter === undefined ? piece : filter.push(piece)),
      rest: () => this.add(filter?.rest() ?? nothing)
    }
  }

  private add(bytes: Uint8Array): Uint8Array {
    if (bytes.byteLength === 0) return bytes
    this.size += bytes.byteLength
    if (this.size <= this.mostBytes) this.pieces.push(bytes)
    else this.isLost = true
    return bytes
  }
}
