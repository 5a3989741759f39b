/**
 * JSON within one line, whoever reads it: Python's readers of lines, which several clients use for streams, end a line at
 * more than CR and LF.
 */

const lineEnds = /[\u0085\u2028\u2029]/g

const escaped = (end: string): string => `\\u${end.charCodeAt(0).toString(16).padStart(4, "0")}`

/** A value as JSON that has no end of a line within it. */
export const lineJson = (value: unknown): string => JSON.stringify(value).replaceAll(lineEnds, escaped)
