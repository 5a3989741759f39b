/**
 * What is read of JSON that others wrote, and that may be anything.
 */

/** A JSON text; undefined when it is none. */
export const parsedJson = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** A number of tokens; 0 where there is none. */
export const countIn = (value: unknown): number =>
  Number.isSafeInteger(value) && Number(value) > 0 ? Number(value) : 0
