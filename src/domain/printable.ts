/**
 * Text from elsewhere made safe to show: model names, reasons and addresses are whatever a backend or a client sent.
 */

// C0 and C1 controls, DEL, line separators, and the marks that reverse or hide text on a terminal.
// oxlint-disable-next-line no-control-regex -- reason: control characters are what this is about
const unsafe = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g

const escape = (char: string): string => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`

/** Text that takes one line and cannot steer a terminal; still the same string inside a JSON text. */
export const printable = (text: string): string => text.replace(unsafe, escape)
