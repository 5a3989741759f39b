/**
 * The events that Nexus itself adds to a stream.
 */

const encoder = new TextEncoder()

/** The data of the end marker of OpenAI's event streams. */
export const endMarker = "[DONE]"

/** A JSON text as data has to be, on one line. */
export const errorLine = (json: string): string => json.replace(/[\r\n]+\s*/g, "")

/** An event of its own; `separator` ends what came before it. */
export const eventOf = (data: string, separator: string): Uint8Array => encoder.encode(`${separator}data: ${data}\n\n`)
