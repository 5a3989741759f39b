/**
 * The W3C Trace Context: which trace a request belongs to, as the headers `traceparent` and `traceresponse` say it.
 */

/** A place in a trace. */
export interface TraceContext {
  /** 32 hexadecimal digits. */
  readonly traceId: string
  /** 16 hexadecimal digits. */
  readonly spanId: string
  /** Whether it is recorded. */
  readonly sampled: boolean
}

const written = /^([\da-f]{2})-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(-.*)?$/

/** Reads a `traceparent`; a version above 00 is read as 00, as far as that goes. Undefined when it is none. */
export const readTraceparent = (text: string | null): TraceContext | undefined => {
  const [, version = "ff", traceId = "", spanId = "", flags = "", rest] = written.exec(text?.trim() ?? "") ?? []
  if (version === "ff" || (version === "00" && rest !== undefined)) return undefined
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 }
}

/** The header that says a place; another span of the same trace where one is given. */
export const traceparentOf = ({ sampled, spanId, traceId }: TraceContext, span = spanId): string =>
  `00-${traceId}-${span}${sampled ? "-01" : "-00"}`

const thresholdDigits = 14

// Behind all digits, for a part that is too small for any.
const aboveAll = "g"

// Digits are compared as text: to make a number of them for each request takes longer than all else that is noted of its trace.
const thresholdOf = (ratio: number): string => {
  const digits = BigInt(Math.ceil((1 - ratio) * 2 ** (4 * thresholdDigits))).toString(16)
  return digits.length > thresholdDigits ? aboveAll : digits.padStart(thresholdDigits, "0")
}

let known = { ratio: 1, threshold: thresholdOf(1) }

/** Whether a trace is among the part that is recorded: everybody who goes by the same ratio decides the same of it. */
export const isSampled = (ratio: number, traceId: string): boolean => {
  if (ratio >= 1 || ratio <= 0) return ratio > 0
  if (ratio !== known.ratio) known = { ratio, threshold: thresholdOf(ratio) }
  return traceId.slice(-thresholdDigits) >= known.threshold
}

const poolBytes = 4096

/** Makes ids of traces and spans of random bytes, fetched many at a time. */
export class TraceIds {
  private hex = ""
  private at = 0

  /** The id of a trace. */
  trace(): string {
    return this.take(32)
  }

  /** The id of a span. */
  span(): string {
    return this.take(16)
  }

  private take(digits: number): string {
    if (this.at + digits > this.hex.length) {
      this.hex = Buffer.from(crypto.getRandomValues(new Uint8Array(poolBytes))).toString("hex")
      this.at = 0
    }
    const id = this.hex.slice(this.at, this.at + digits)
    this.at += digits
    // Zeros alone are no id.
    return id.startsWith("0") && /^0+$/.test(id) ? this.take(digits) : id
  }
}
