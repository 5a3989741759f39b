import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { boundaryOf, FormScan } from "../../src/dialect/multipart.ts"

const boundary = "----formdata-x"

interface Part {
  readonly name: string
  readonly file: boolean
  readonly value: Buffer
}

const headOf = ({ file, name }: Part): string =>
  `Content-Disposition: form-data; name="${name.replaceAll(/["\\]/g, String.raw`\$&`)}"${
    file ? '; filename="a;b name=\\"model\\".wav"\r\nContent-Type: audio/wav' : ""
  }`

/** A form, and where the value of each part stands in it. */
const formOf = (parts: ReadonlyArray<Part>, mark = boundary, preamble = "") => {
  let bytes = Buffer.from(preamble)
  const spans = parts.map((part) => {
    const head = Buffer.from(`--${mark}\r\n${headOf(part)}\r\n\r\n`)
    const from = bytes.length + head.length
    bytes = Buffer.concat([bytes, head, part.value, Buffer.from("\r\n")])
    return { from, to: from + part.value.length }
  })
  return { bytes: Buffer.concat([bytes, Buffer.from(`--${mark}--\r\n`)]), spans }
}

// Values that look like what ends them, and are not it.
const values = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
      fc
        .constantFrom("\r\n", "\r", "\n", "--", "\r\n--", `\r\n--${boundary.slice(0, -1)}`, `--${boundary}`, "\r\r\n-")
        .map((text) => Buffer.from(text))
    ),
    { maxLength: 8 }
  )
  .map((pieces) => Buffer.concat(pieces))
  .filter((value) => !Buffer.concat([Buffer.from("\r\n"), value, Buffer.from("\r\n")]).includes(`\r\n--${boundary}`))

const parts = fc.record({
  name: fc.constantFrom("model", "stream", "file", "prompt", 'a"b', "mo\\del", ""),
  file: fc.boolean(),
  value: values
})

const forms = fc.tuple(fc.array(parts, { minLength: 1, maxLength: 6 }), fc.constantFrom("", "\r\n", "preamble\r\n"))

const wanted = ["model", "stream"]

const told = (scan: FormScan) => ({
  ended: scan.ended,
  fault: scan.fault,
  fields: scan.fields.map(({ name, span, value }) => ({ name, span, value: Buffer.from(value).toString("latin1") }))
})

const scanned = (pieces: Iterable<Uint8Array>, mark = boundary) => {
  const scan = new FormScan(mark, wanted)
  for (const piece of pieces) scan.push(piece)
  return told(scan)
}

describe("a form", () => {
  test("tells of each wanted field, and where it stands, whatever is around it (law)", () =>
    fc.assert(
      fc.property(forms, ([all, preamble]) => {
        const { bytes, spans } = formOf(all, boundary, preamble)
        const fields = all.flatMap(({ file, name, value }, at) =>
          !file && wanted.includes(name) ? [{ name, span: spans[at], value: value.toString("latin1") }] : []
        )
        expect(scanned([bytes])).toEqual({ ended: true, fault: undefined, fields: fields as never })
      }),
      { numRuns: 300 }
    ))

  test("tells the same cut at any one byte, or at every byte (law)", () =>
    fc.assert(
      fc.property(forms, ([all, preamble]) => {
        const { bytes } = formOf(all, boundary, preamble)
        const whole = scanned([bytes])
        for (let at = 0; at <= bytes.length; at += 1) {
          expect(scanned([bytes.subarray(0, at), bytes.subarray(at)])).toEqual(whole)
        }
        expect(scanned([...bytes].map((byte) => Uint8Array.of(byte)))).toEqual(whole)
      }),
      { numRuns: 60 }
    ))

  test("tells the same cut anywhere, and of nonsense too (law)", () =>
    fc.assert(
      fc.property(
        fc.oneof(
          forms.map(([all]) => formOf(all).bytes),
          fc.tuple(forms, fc.nat(), fc.uint8Array({ minLength: 1, maxLength: 3 })).map(([[all], at, bad]) => {
            const bytes = Buffer.from(formOf(all).bytes)
            bytes.set(bad, at % (bytes.length - bad.length))
            return bytes
          })
        ),
        fc.array(fc.nat(), { maxLength: 8 }),
        (bytes, cuts) => {
          const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
          const pieces = places.slice(1).map((to, at) => bytes.subarray(places[at], to))
          expect(scanned(pieces)).toEqual(scanned([bytes]))
        }
      ),
      { numRuns: 500 }
    ))

  test("keeps nothing of a file, however long it is", () => {
    const scan = new FormScan(boundary, wanted)
    scan.push(Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n`))
    const piece = Buffer.alloc(1_000_000, "\r\n--")
    for (let at = 0; at < 50; at += 1) scan.push(piece)
    scan.push(
      Buffer.from(`\r\n--${boundary}\r\ncontent-disposition: form-data; name=model\r\n\r\nm\r\n--${boundary}--`)
    )
    expect(told(scan)).toMatchObject({ ended: true, fields: [{ name: "model", value: "m" }] })
    expect(scan.fields[0]?.span.from).toBeGreaterThan(50_000_000)
  })

  test("is refused in words when it is none", () => {
    const part = 'Content-Disposition: form-data; name="model"\r\n\r\n'
    expect(scanned([Buffer.from(`--${boundary}x\r\n${part}m`)]).fault).toBe("something behind a boundary")
    expect(scanned([Buffer.from(`--${boundary}\r\nX: y\r\n\r\nm`)]).fault).toBe("a part without a name")
    expect(scanned([Buffer.from(`--${boundary}\r\n${"x".repeat(20_000)}`)]).fault).toBe(
      "the head of a part without an end"
    )
    expect(scanned([Buffer.from(`--${boundary}\r\n${part}${"x".repeat(70_000)}`)]).fault).toBe(
      "a field that is too long"
    )
    expect(scanned([Buffer.from("no form at all")])).toEqual({ ended: false, fault: undefined, fields: [] })
  })
})

test("the boundary is told by the media type", () => {
  for (const [type, found] of [
    ["multipart/form-data; boundary=abc", "abc"],
    ['Multipart/Form-Data; charset=utf-8; boundary="a b\\"c"', 'a b"c'],
    ["multipart/form-data;boundary=----x", "----x"],
    ["multipart/form-data", undefined],
    ["multipart/form-data; boundary=", undefined],
    ["multipart/mixed; boundary=abc", undefined],
    ["application/json", undefined],
    [`multipart/form-data; boundary=${"x".repeat(300)}`, undefined]
  ] as const) {
    expect({ type, found: boundaryOf(type) }).toEqual({ type, found })
  }
})
