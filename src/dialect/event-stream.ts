/**
 * What dialects whose streams are event streams have in common: the events that Nexus adds, and errors without secrets.
 */
import { type Redact, redacted } from "../domain/redact.ts"

const encoder = new TextEncoder()

/** The media type of event streams. */
export const eventStreamType = "text/event-stream"

/** A comment, which keeps a connection alive and says nothing. */
export const keepAliveComment = encoder.encode(": keep-alive\n\n")

/** What keeps a connection alive, with a comment that says why it has to be; a comment alone in place of an empty one. */
export const withComment = (keepAlive: Uint8Array, text: string | undefined): Uint8Array => {
  if (text === undefined) return keepAlive
  const comment = encoder.encode(`: ${text}\n\n`)
  return keepAlive === keepAliveComment ? comment : Buffer.concat([keepAlive, comment])
}

/** An event of its own, on one line whatever the lines of its data; `separator` ends what came before it. */
export const eventBytes = (data: string, separator: string): Uint8Array =>
  encoder.encode(`${separator}data: ${data.replace(/[\r\n]+\s*/g, "")}\n\n`)

const blankLine = /((?:\r\n|\r(?!\n)|\n){2,})/

const inLine = (line: string, redact: Redact): string => {
  const data = /^data: ?/.exec(line)?.[0] ?? ""
  return `${data}${redacted(line.slice(data.length), redact)}`
}

/**
 * The text of an event stream without its secrets: what is no error is an answer, and left alone. `midway` when it begins in
 * the middle of an error.
 */
export const redactedEvents = (text: string, redact: Redact, midway: boolean): string =>
  text
    .split(blankLine)
    .map((event, at) =>
      event.includes("error") || (midway && at === 0)
        ? event
            .split(/(\r\n|\r|\n)/)
            .map((line) => inLine(line, redact))
            .join("")
        : event
    )
    .join("")
