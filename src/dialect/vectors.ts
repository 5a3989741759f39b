/**
 * Vectors as servers write them: lists of numbers, or the bytes of these in base64.
 */
import * as Result from "effect/Result"

const isNumber = (value: unknown): value is number => typeof value === "number"

/** A vector as 32-bit numbers, least byte first, in base64. */
export const base64Vector = (vector: ReadonlyArray<number>): string => {
  const bytes = new DataView(new ArrayBuffer(vector.length * 4))
  for (const [at, value] of vector.entries()) bytes.setFloat32(at * 4, value, true)
  return Buffer.from(bytes.buffer).toString("base64")
}

const ofBase64 = (text: string): ReadonlyArray<number> | undefined => {
  const bytes = Buffer.from(text, "base64")
  if (bytes.byteLength === 0 || bytes.byteLength % 4 !== 0) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Array.from({ length: bytes.byteLength / 4 }, (_, at) => view.getFloat32(at * 4, true))
}

/** Whether this is a list of numbers. */
export const isVector = (value: unknown): value is ReadonlyArray<number> =>
  Array.isArray(value) && value.length > 0 && value.every(isNumber)

const vectorOf = (value: unknown): ReadonlyArray<number> | undefined => {
  if (typeof value === "string") return ofBase64(value)
  return isVector(value) ? value : undefined
}

/** The vectors for so many texts; fails with what is wrong with them. */
export const readVectors = (
  values: ReadonlyArray<unknown>,
  count: number
): Result.Result<ReadonlyArray<ReadonlyArray<number>>, string> => {
  if (values.length !== count) return Result.fail(`${values.length} vectors for ${count} texts`)
  const vectors: Array<ReadonlyArray<number>> = []
  for (const value of values) {
    const vector = vectorOf(value)
    if (vector === undefined) return Result.fail("a vector that is no list of numbers")
    vectors.push(vector)
  }
  return Result.succeed(vectors)
}
