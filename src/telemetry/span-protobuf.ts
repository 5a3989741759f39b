/**
 * Spans as protobuf: the messages of `opentelemetry/proto/trace/v1`, fields in the order of their numbers.
 */
import { type ByteWriter, utf8, varintSize } from "./byte-writer.ts"
import {
  type Attributes,
  givenOf,
  isWhole,
  type SpanEncoding,
  spanKinds,
  spanStatuses,
  type SpanWriter,
  written
} from "./span-encoding.ts"

// Tags of protobuf: the number of a field and how it is written.
const tags = {
  text: 0x0a,
  bool: 0x10,
  int: 0x18,
  double: 0x21,
  list: 0x2a,
  listed: 0x0a,
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
  const from = out.at
  opened(out, key, 1 + varintSize(length) + length)
  out.byte(tags.text)
  out.varint(length)
  // Nearly all are as long as they are written; what is not is begun anew.
  if (out.ascii(value)) return
  out.at = from
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
      else if (typeof value === "object") {
        const texts = written((list) => {
          for (const text of value)
            field(
              list,
              tags.listed,
              written((of) => textField(of, tags.text, text))
            )
        })
        opened(out, key, 1 + varintSize(texts.length) + texts.length)
        field(out, tags.list, texts)
      } else {
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
      const bytes = protobufAttributes({ [name]: value })
      bytes[0] = tags.resourceAttribute
      out.put(bytes)
    }
  })

// How it ended, and four bytes of which the first says that it is recorded.
const endOf = (status: number): Uint8Array =>
  new Uint8Array([tags.status, 2, tags.statusCode, status, ...tags.flags, 1, 0, 0, 0])

const ends = { failed: endOf(spanStatuses.error), usual: endOf(spanStatuses.unset) } as const

const protobufWriter = (out: ByteWriter): SpanWriter => {
  let from = 0
  const id = (tag: number, hex: string): void => {
    out.byte(tag)
    out.byte(hex.length / 2)
    out.hex(hex)
  }
  return {
    open: ({ state, traceId }, spanId, parentId, naming, started, ended) => {
      out.byte(tags.span)
      from = out.opened()
      id(tags.traceId, traceId)
      id(tags.spanId, spanId)
      if (state !== undefined && state !== "") textField(out, tags.traceState, state)
      if (parentId !== undefined) id(tags.parentId, parentId)
      out.put(naming)
      out.byte(tags.started)
      out.thousands(started)
      out.byte(tags.ended)
      out.thousands(ended)
    },
    attributes: (attributes) => out.put(attributes),
    int: (key, value) => protobufInt(out, key, value),
    double: (key, value) => protobufDouble(out, key, value),
    text: (key, value) => protobufText(out, key, value),
    event: (event, at) => {
      out.byte(tags.event)
      out.varint(9 + event.length)
      out.byte(tags.eventTime)
      out.thousands(at)
      out.put(event)
    },
    close: (failed) => {
      out.put(failed ? ends.failed : ends.usual)
      out.closed(from)
    }
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
  writer: protobufWriter,
  bodies: ({ resource, scope: { name, version } }) => {
    const scope = written((out) => {
      textField(out, tags.text, name)
      textField(out, tags.version, version)
    })
    const head = written((out) => field(out, tags.scope, scope))
    const about = written((out) => field(out, tags.resource, resourceOf(resource)))
    return (spans) => {
      const scopeSize = head.length + spans.length
      const all = about.length + 1 + varintSize(scopeSize) + scopeSize
      const before = written((out) => {
        out.byte(tags.resourceSpans)
        out.varint(all)
        out.put(about)
        out.byte(tags.scopeSpans)
        out.varint(scopeSize)
        out.put(head)
      })
      return [before, spans]
    }
  }
}
