/**
 * Where a text is no JSON, for people: looked for only once that is known, and in the beginning of large ones.
 */
import { printable } from "../domain/printable.ts"
import { type JsonListener, JsonScan } from "./json-scan.ts"

// Bytes that are looked at: a few milliseconds.
const lookedBytes = 64 * 1024

const nobody: JsonListener = {
  key: () => undefined,
  string: () => undefined,
  plain: () => undefined,
  open: () => undefined,
  close: () => undefined,
  deep: () => undefined
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

const blank = 0x20

const controlIn = (text: Uint8Array, from: number, to: number): number | undefined => {
  for (let at = from; at < to; at += 1) if (Number(text[at]) < blank) return at
  return undefined
}

/** Where the first byte is that no JSON has there, or the end of one that ends too early; undefined where none is seen. */
export const faultAt = (body: Uint8Array): number | undefined => {
  const isWhole = body.length <= lookedBytes
  // The end of the body is not that of the text, so that they can be told apart.
  const text = new Uint8Array(isWhole ? body.length + 1 : lookedBytes).fill(blank)
  text.set(isWhole ? body : body.subarray(0, lookedBytes))
  // Byte by byte, so that what it stands at is what is wrong.
  const scan = new JsonScan(text, nobody, { sliceBytes: 1 })
  for (;;) {
    const at = scan.passed
    const progress = scan.step()
    // A long string is passed over at once, whatever is in it.
    const control = controlIn(text, at + 1, scan.passed)
    if (control !== undefined) return control
    if (progress === "syntax" && scan.passed < text.length) return at
    if (progress !== "going") return progress === "syntax" && isWhole ? body.length : undefined
  }
}

/** What is said of a body that is no JSON, and where; the place is that of the first character that is wrong. */
export const notJson = (body: Uint8Array): string => {
  const at = faultAt(body)
  if (at === undefined) return "The request body is not valid JSON"
  const lines = decoder.decode(body.subarray(0, at)).split("\n")
  const place = `line ${lines.length}, column ${(lines.at(-1)?.length ?? 0) + 1}`
  const [found] = decoder.decode(body.subarray(at, at + 4))
  if (found === undefined) return `The request body is not valid JSON: it ends too early, at ${place}`
  return `The request body is not valid JSON: '${printable(found)}' at ${place} is not expected there`
}
