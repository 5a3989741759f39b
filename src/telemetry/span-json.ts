/**
 * Spans as JSON, by the rules that OTLP has for it: ids in hexadecimal digits, nanoseconds as text.
 */
import { type ByteWriter, utf8 } from "./byte-writer.ts"
import {
  type Attributes,
  givenOf,
  isWhole,
  type SpanEncoding,
  spanKinds,
  spanStatuses,
  type SpanWriter
} from "./span-encoding.ts"

const json = (value: unknown): string => JSON.stringify(value)

// OTLP has numbers that are none as text.
const jsonNumber = (value: number): string => (Number.isFinite(value) ? String(value) : json(String(value)))

const jsonValue = (value: string | number | boolean | ReadonlyArray<string>): string => {
  if (typeof value === "object") return `{"arrayValue":{"values":[${value.map(jsonValue).join(",")}]}}`
  if (typeof value === "string") return `{"stringValue":${json(value)}}`
  if (typeof value === "boolean") return `{"boolValue":${String(value)}}`
  return isWhole(value) ? `{"intValue":${String(value)}}` : `{"doubleValue":${jsonNumber(value)}}`
}

const jsonAttributes = (values: Attributes): string =>
  givenOf(values)
    .map(([name, value]) => `{"key":${json(name)},"value":${jsonValue(value)}},`)
    .join("")

const marks = { comma: 0x2c, bracket: 0x5d } as const

const parts = {
  traceId: utf8('{"traceId":"'),
  spanId: utf8('","spanId":"'),
  started: utf8('"startTimeUnixNano":"'),
  ended: utf8('000","endTimeUnixNano":"'),
  attributes: utf8('000","attributes":['),
  int: utf8('{"intValue":'),
  double: utf8('{"doubleValue":'),
  text: utf8('{"stringValue":'),
  valueEnd: utf8("}},"),
  events: utf8(',"events":['),
  eventEnd: utf8('000"},'),
  unset: utf8(`,"status":{"code":${spanStatuses.unset}},"flags":1},`),
  error: utf8(`,"status":{"code":${spanStatuses.error}},"flags":1},`)
}

const jsonWriter = (out: ByteWriter): SpanWriter => {
  let hasEvents = false
  const value = (key: Uint8Array, type: Uint8Array, text: string): void => {
    out.put(key)
    out.put(type)
    out.text(text)
    out.put(parts.valueEnd)
  }
  const double: SpanWriter["double"] = (key, number) => value(key, parts.double, jsonNumber(number))
  // Each member of a list has a comma behind it; that of the last one becomes its end.
  const endList = (): void => {
    if (out.last === marks.comma) out.replaceLast(marks.bracket)
    else out.byte(marks.bracket)
  }
  return {
    open: ({ state, traceId }, spanId, parentId, naming, started, ended) => {
      out.put(parts.traceId)
      out.text(traceId)
      out.put(parts.spanId)
      out.text(spanId)
      out.text('",')
      if (state !== undefined && state !== "") out.text(`"traceState":${json(state)},`)
      if (parentId !== undefined) out.text(`"parentSpanId":"${parentId}",`)
      out.put(naming)
      out.put(parts.started)
      out.text(String(started))
      out.put(parts.ended)
      out.text(String(ended))
      out.put(parts.attributes)
      hasEvents = false
    },
    attributes: (attributes) => out.put(attributes),
    int: (key, number) => (isWhole(number) ? value(key, parts.int, String(number)) : double(key, number)),
    double,
    text: (key, text) => value(key, parts.text, json(text)),
    event: (event, at) => {
      if (!hasEvents) {
        endList()
        out.put(parts.events)
        hasEvents = true
      }
      out.put(event)
      out.text(String(at))
      out.put(parts.eventEnd)
    },
    close: (failed) => {
      endList()
      out.put(failed ? parts.error : parts.unset)
    }
  }
}

/** As JSON. */
export const jsonSpans: SpanEncoding = {
  contentType: "application/json",
  naming: (name, kind) => utf8(`"name":${json(name)},"kind":${spanKinds[kind]},`),
  attributes: (values) => utf8(jsonAttributes(values)),
  key: (name) => utf8(`{"key":${json(name)},"value":`),
  event: (name) => utf8(`{"name":${json(name)},"timeUnixNano":"`),
  writer: jsonWriter,
  bodies: ({ resource, scope }) => {
    const attributes = jsonAttributes(resource).slice(0, -1)
    const head = utf8(
      `{"resourceSpans":[{"resource":{"attributes":[${attributes}]},"scopeSpans":[{"scope":${json(scope)},"spans":[`
    )
    const end = utf8("]}]}]}")
    // The last one has a comma behind it as well.
    return (spans) => [head, spans.subarray(0, -1), end]
  }
}
