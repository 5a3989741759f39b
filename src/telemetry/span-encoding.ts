/**
 * Spans as OTLP has them, written into bytes as they come, as protobuf or as JSON: no object is made for a span or an
 * attribute, and what recurs is written once. What effect ships does the same by way of objects, at thirty times the cost.
 */
import { ByteWriter } from "./byte-writer.ts"

/** What is told of a thing, by name; what is undefined, null or empty is left out. */
export type Attributes = Readonly<Record<string, AttributeValue | undefined | null>>

type AttributeValue = string | number | boolean | ReadonlyArray<string>

/** Which side of a call a span is. */
export const spanKinds = { internal: 1, server: 2, client: 3 } as const

type SpanKind = keyof typeof spanKinds

/** What the spans of one trace have in common. */
interface SpanTrace {
  /** In hexadecimal digits. */
  readonly traceId: string
  readonly state: string | undefined
}

/** Who sends. */
interface SpanSource {
  readonly resource: Attributes
  readonly scope: { readonly name: string; readonly version: string }
}

/** One way to write spans; what is made of bytes here goes into its own spans alone. */
export interface SpanEncoding {
  readonly contentType: string
  /** A name and a kind. */
  readonly naming: (name: string, kind: SpanKind) => Uint8Array
  /** Several attributes. */
  readonly attributes: (values: Attributes) => Uint8Array
  /** The name of an attribute whose value differs from span to span. */
  readonly key: (name: string) => Uint8Array
  readonly event: (name: string) => Uint8Array
  readonly writer: (out: ByteWriter) => SpanWriter
  /**
   * Makes what is sent of spans, in pieces that follow each other: a copy of them would cost as much as a third of writing them.
   * What is told of the source is written once.
   */
  readonly bodies: (source: SpanSource) => (spans: Uint8Array) => ReadonlyArray<Uint8Array>
}

/** Writes spans: each is opened, then told of by attributes, then by events, and closed. Times in microseconds since 1970. */
export interface SpanWriter {
  readonly open: (
    trace: SpanTrace,
    spanId: string,
    parentId: string | undefined,
    naming: Uint8Array,
    started: number,
    ended: number
  ) => void
  readonly attributes: (attributes: Uint8Array) => void
  readonly int: (key: Uint8Array, value: number) => void
  readonly double: (key: Uint8Array, value: number) => void
  readonly text: (key: Uint8Array, value: string) => void
  readonly event: (event: Uint8Array, at: number) => void
  readonly close: (failed: boolean) => void
}

type Given = ReadonlyArray<readonly [name: string, value: AttributeValue]>

/** Those that have a value. */
export const givenOf = (values: Attributes): Given =>
  Object.entries(values).flatMap(([name, value]): Given =>
    value === undefined || value === null || value === "" ? [] : [[name, value]]
  )

/** Whether a number is written as a whole one. */
export const isWhole = (value: number): boolean => Number.isSafeInteger(value)

/** How spans ended. */
export const spanStatuses = { unset: 0, error: 2 } as const

/** What is written, by itself. */
export const written = (write: (out: ByteWriter) => void): Uint8Array => {
  const out = new ByteWriter()
  write(out)
  // A copy of its own: what is kept for long is not to keep the rest of a buffer.
  return out.take().slice()
}
