/**
 * Spans as protobuf: the messages of `opentelemetry/proto/trace/v1`, fields in the order of their numbers.
 */
import { ByteWriter, isAscii, utf8, varintSize } from "./byte-writer.ts"
import {
  type Attributes,
  givenOf,
  isWhole,
  type SpanEncoding,
  spanKinds,
  spanStatuses,
  type SpanTrace,
  type SpanWriter,
  written
} from "./span-encoding.ts"

// Tags of protobuf: the number of a field and how it is written.
const tags = {
  text: 0x0a,
  bool: 0x10,
  int: 0x18,
  double: 0x21,
  keyText: 0x0a,
  keyValue: 0x12,
  traceId: 0x0a,
  spanId: 0x12,
  traceState: 0x1a,
  parentId: 0x22,
  name: 0x2a,
  kind: 0x30,
  started: 0x39,
  ended: 0x41,
  attribute: 0x4a,
  event: 0x5a,
  eventTime: 0x09,
  eventName: 0x12,
  status: 0x7a,
  statusCode: 0x18,
  flags: [0x85, 0x01],
  span: 0x12,
  scope: 0x0a,
  scopeSpans: 0x12,
  resource: 0x0a,
  resourceAttribute: 0x0a,
  resourceSpans: 0x0a,
  version: 0x12
} as const

const field = (out: ByteWriter, tag: number, bytes: Uint8Array): void => {
  out.byte(tag)
  out.varint(bytes.length)
  out.put(bytes)
}

const textField = (out: ByteWriter, tag: number, text: string): void => field(out, tag, utf8(text))

const keyOf = (name: string): Uint8Array =>
  written((out) => {
    textField(out, tags.keyText, name)
    out.byte(tags.keyValue)
  })

const opened = (out: ByteWriter, key: Uint8Array, valueSize: number): void => {
  out.byte(tags.attribute)
  out.varint(key.length + varintSize(valueSize) + valueSize)
  out.put(key)
  out.varint(valueSize)
}

const protobufInt = (out: ByteWriter, key: Uint8Array, value: number): void => {
  if (!isWhole(value)) return protobufDouble(out, key, value)
  opened(out, key, 1 + varintSize(value))
  out.byte(tags.int)
  out.varint(value)
}

const protobufDouble = (out: ByteWriter, key: Uint8Array, value: number): void => {
  opened(out, key, 9)
  out.byte(tags.double)
  out.double(value)
}

const protobufText = (out: ByteWriter, key: Uint8Array, value: string): void => {
  const { length } = value
  if (isAscii(value)) {
    opened(out, key, 1 + varintSize(length) + length)
    out.byte(tags.text)
    out.varint(length)
    out.text(value)
    return
  }
  const bytes = utf8(value)
  opened(out, key, 1 + varintSize(bytes.length) + bytes.length)
  field(out, tags.text, bytes)
}

const protobufAttributes = (values: Attributes): Uint8Array =>
  written((out) => {
    for (const [name, value] of givenOf(values)) {
      const key = keyOf(name)
      if (typeof value === "string") protobufText(out, key, value)
      else if (typeof value === "number") protobufInt(out, key, value)
      else {
        opened(out, key, 2)
        out.byte(tags.bool)
        out.byte(value ? 1 : 0)
      }
    }
  })

/** What a resource tells is a list of the same pairs under another tag. */
const resourceOf = (values: Attributes): Uint8Array =>
  written((out) => {
    for (const [name, value] of givenOf(values)) {
      const attribute = new ByteWriter()
      attribute.put(protobufAttributes({ [name]: value }))
      const bytes = attribute.take()
      bytes[0] = tags.resourceAttribute
      out.put(bytes)
    }
  })

// Four bytes, of which the first says that it is recorded.
const sampledFlags = new Uint8Array([...tags.flags, 1, 0, 0, 0])

class ProtobufWriter implements SpanWriter {
  private readonly out: ByteWriter
  private from = 0

  constructor(out: ByteWriter) {
    this.out = out
  }

  open(
    { state, traceId }: SpanTrace,
    spanId: string,
    parentId: string | undefined,
    naming: Uint8Array,
    started: number,
    ended: number
  ): void {
    const { out } = this
    out.byte(tags.span)
    this.from = out.opened()
    this.id(tags.traceId, traceId)
    this.id(tags.spanId, spanId)
    if (state !== undefined && state !== "") textField(out, tags.traceState, state)
    if (parentId !== undefined) this.id(tags.parentId, parentId)
    out.put(naming)
    out.byte(tags.started)
    out.thousands(started)
    out.byte(tags.ended)
    out.thousands(ended)
  }

  attributes(attributes: Uint8Array): void {
    this.out.put(attributes)
  }

  int(key: Uint8Array, value: number): void {
    protobufInt(this.out, key, value)
  }

  double(key: Uint8Array, value: number): void {
    protobufDouble(this.out, key, value)
  }

  text(key: Uint8Array, value: string): void {
    protobufText(this.out, key, value)
  }

  event(event: Uint8Array, at: number): void {
    const { out } = this
    out.byte(tags.event)
    out.varint(9 + event.length)
    out.byte(tags.eventTime)
    out.thousands(at)
    out.put(event)
  }

  close(failed: boolean): void {
    const { out } = this
    out.byte(tags.status)
    out.byte(2)
    out.byte(tags.statusCode)
    out.byte(failed ? spanStatuses.error : spanStatuses.unset)
    out.put(sampledFlags)
    out.closed(this.from)
  }

  private id(tag: number, hex: string): void {
    this.out.byte(tag)
    this.out.byte(hex.length / 2)
    this.out.hex(hex)
  }
}

/** As protobuf. */
export const protobufSpans: SpanEncoding = {
  contentType: "application/x-protobuf",
  naming: (name, kind) =>
    written((out) => {
      textField(out, tags.name, name)
      out.byte(tags.kind)
      out.byte(spanKinds[kind])
    }),
  attributes: protobufAttributes,
  key: keyOf,
  event: (name) => written((out) => textField(out, tags.eventName, name)),
  writer: (out) => new ProtobufWriter(out),
  body: ({ resource, scope: { name, version } }, spans) => {
    const scope = written((out) => {
      textField(out, tags.text, name)
      textField(out, tags.version, version)
    })
    const head = written((out) => field(out, tags.scope, scope))
    const about = written((out) => field(out, tags.resource, resourceOf(resource)))
    const scopeSize = head.length + spans.length
    const all = about.length + 1 + varintSize(scopeSize) + scopeSize
    return written((out) => {
      out.byte(tags.resourceSpans)
      out.varint(all)
      out.put(about)
      out.byte(tags.scopeSpans)
      out.varint(scopeSize)
      out.put(head)
      out.put(spans)
    })
  }
}
