/**
 * Answers on our own listener: those that are put together for it, and any of the web platform.
 */
import { FieldWriter, answerFields } from "../listener/response-head.ts"
import type { AnswerOutput, AnswerSource, ServerExchange } from "../listener/server-exchange.ts"

const nothing = new Uint8Array(0)

/** The fields of an answer that has not gone out. */
class ReplyFields {
  record: Readonly<Record<string, string>>

  constructor(record: Readonly<Record<string, string>>) {
    this.record = record
  }

  get(name: string): string | null {
    return this.record[name.toLowerCase()] ?? null
  }

  has(name: string): boolean {
    return this.get(name) !== null
  }

  set(name: string, value: string): void {
    this.record = { ...this.record, [name.toLowerCase()]: value }
  }
}

/** An answer as it is, without what the web platform would make of it. */
export class WireReply {
  readonly status: number
  readonly headers: ReplyFields
  private readonly content: Uint8Array | AnswerSource

  constructor(content: Uint8Array | AnswerSource, status: number, headers: Readonly<Record<string, string>>) {
    this.content = content
    this.status = status
    this.headers = new ReplyFields(headers)
  }

  /** Sends it. */
  sendTo(exchange: ServerExchange): void {
    const fields = answerFields(this.headers.record)
    if (this.content instanceof Uint8Array) exchange.respond(this.status, fields, this.content)
    else exchange.stream(this.status, fields, this.content)
  }
}

type Reader = Pick<ReadableStreamDefaultReader<Uint8Array>, "cancel" | "read">
type Read = Awaited<ReturnType<Reader["read"]>>

/** The body of a web answer, drawn as fast as the client takes it. */
class WebSource implements AnswerSource {
  private readonly reader: Reader
  private next: Promise<Read> | undefined
  private output: AnswerOutput | undefined
  private running = false

  constructor(reader: Reader, next: Promise<Read> | undefined) {
    this.reader = reader
    this.next = next
  }

  start(output: AnswerOutput): void {
    this.output = output
  }

  pull(): void {
    if (!this.running) void this.run()
  }

  cancel(): void {
    this.output = undefined
    void this.reader.cancel().catch(() => undefined)
  }

  private async run(): Promise<void> {
    this.running = true
    try {
      while (this.output !== undefined && this.output.desiredSize > 0) {
        const { done, value } = await (this.next ?? this.reader.read())
        this.next = undefined
        if (done) this.output?.close()
        else this.output?.enqueue(value)
        if (done) this.output = undefined
      }
    } catch {
      this.output?.error()
    }
    this.running = false
  }
}

// Turns in which a body that is there tells that it is whole.
const turns = 4

/** What a read gives when it is there already; undefined otherwise. */
const settled = async (read: Promise<Read>): Promise<Read | undefined> => {
  const seen: Array<Read> = []
  read.then(
    (got) => seen.push(got),
    () => undefined
  )
  for (let turn = 0; turn < turns && seen.length === 0; turn += 1) await Promise.resolve()
  return seen[0]
}

/** Sends an answer of the web platform: by its length where all of it is there. */
export const sendResponse = async (exchange: ServerExchange, response: Response): Promise<void> => {
  const fields = new FieldWriter()
  response.headers.forEach((value, name) => fields.add(name, value))
  const { status } = response
  if (response.body === null) return exchange.respond(status, fields, nothing)
  const reader: Reader = response.body.getReader()
  const first = reader.read()
  const begin = await settled(first)
  if (begin === undefined) return exchange.stream(status, fields, new WebSource(reader, first))
  if (begin.done) return exchange.respond(status, fields, nothing)
  const second = reader.read()
  const rest = await settled(second)
  if (rest?.done === true) return exchange.respond(status, fields, begin.value)
  const source = new WebSource(reader, second)
  exchange.stream(status, fields, {
    start: (output) => {
      source.start(output)
      output.enqueue(begin.value)
    },
    pull: () => source.pull(),
    cancel: () => source.cancel()
  })
}
