/**
 * The watch over the toy dialect's streams.
 */
import type { StreamEnding, StreamOpening, StreamWatch } from "../../../src/dialect/Dialect.ts"
import type { Usage } from "../../../src/telemetry/meter.ts"

const encoder = new TextEncoder()

/** The tokens that a text tells of. */
export const usageIn = (text: string): Usage | undefined => {
  const [, prompt, completion] = /^took (\d+)\+(\d+)$/m.exec(text) ?? []
  return prompt === undefined ? undefined : { prompt: Number(prompt), cached: 0, completion: Number(completion) }
}

/** Watches one stream. */
export class ToyWatch implements StreamWatch {
  size = 0
  opening: StreamOpening = "waiting"
  erring = false
  private readonly decoder = new TextDecoder()
  private line = ""
  private lines = 0
  private quiet = 0
  private done = false
  private usage: Usage | undefined

  get begun(): boolean {
    return this.opening === "good"
  }

  get between(): boolean {
    return this.line === ""
  }

  get written(): number {
    return this.lines
  }

  get silent(): boolean {
    return this.line === "" && this.lines === this.quiet
  }

  push(piece: Uint8Array): boolean {
    this.size += piece.byteLength
    const all = (this.line + this.decoder.decode(piece, { stream: true })).split("\n")
    const before = this.lines - this.quiet
    this.line = all.pop() ?? ""
    for (const line of all) this.take(line)
    if (this.line.startsWith("!")) this.erring = true
    return this.lines - this.quiet > before || !/^~?$/.test(this.line)
  }

  forget(bytes: Uint8Array): Uint8Array {
    this.size -= bytes.byteLength
    return bytes
  }

  ending(): StreamEnding {
    if (this.erring) return this.done ? "failed and done" : "failed"
    return this.done ? "done" : this.usage === undefined ? "cut" : "finished"
  }

  used(): Usage | undefined {
    return this.usage
  }

  rest(): Uint8Array {
    return encoder.encode(this.line === "" ? "" : "\n")
  }

  last(): Uint8Array {
    return encoder.encode(`${this.line === "" ? "" : "\n"}.\n`)
  }

  broken(error: string): Uint8Array {
    return encoder.encode(`${this.line === "" ? "" : "\n"}!${error}\n`)
  }

  private take(line: string): void {
    this.lines += 1
    if (line === "~") this.quiet += 1
    else if (line === ".") this.done = true
    else if (line.startsWith("!")) this.erring = true
    else if (line.startsWith("took ")) this.usage = usageIn(line)
    if (this.opening !== "waiting" || line === "~") return
    this.opening = line.startsWith("+") ? "good" : "error"
  }
}
