/**
 * A request of our own listener in the form of the web platform: what is looked at is made when it is looked at.
 */
import type { ServerConnection } from "../listener/server-connection.ts"
import type { ServerExchange } from "../listener/server-exchange.ts"

/** The header fields of a request, looked up where they stand in its head. */
class WireHeaders {
  private readonly exchange: ServerExchange

  constructor(exchange: ServerExchange) {
    this.exchange = exchange
  }

  get(name: string): string | null {
    return this.exchange.head.field(name.toLowerCase())
  }

  has(name: string): boolean {
    return this.get(name) !== null
  }

  forEach(each: (value: string, name: string) => void): void {
    for (const [name, value] of this.entries()) each(value, name)
  }

  *entries(): IterableIterator<[string, string]> {
    for (const name of this.keys()) yield [name, this.get(name) ?? ""]
  }

  keys(): IterableIterator<string> {
    return new Set(this.exchange.head.names()).values()
  }

  *values(): IterableIterator<string> {
    for (const [, value] of this.entries()) yield value
  }

  [Symbol.iterator](): IterableIterator<[string, string]> {
    return this.entries()
  }
}

const bodyOf = (exchange: ServerExchange): ReadableStream<Uint8Array> =>
  new ReadableStream(
    {
      pull: async (controller) => {
        const piece = await exchange.read()
        if (piece === undefined) controller.close()
        else controller.enqueue(piece)
      },
      cancel: () => exchange.dismiss()
    },
    { highWaterMark: 0 }
  )

/** What is used of a web request. */
export class WireRequest {
  readonly exchange: ServerExchange
  readonly method: string
  readonly url: string
  private fields: WireHeaders | undefined
  private controller: AbortController | undefined
  private stream: ReadableStream<Uint8Array> | null | undefined

  private readonly connection: ServerConnection

  constructor(exchange: ServerExchange, connection: ServerConnection) {
    const { host, method, path } = exchange.head
    this.exchange = exchange
    this.connection = connection
    this.method = method
    this.url = host === undefined || host === "" ? path : `http://${host}${path}`
  }

  /** The address of the client. */
  get peer(): string {
    return this.connection.peer
  }

  /** Sets the silence after which the connection is closed while this request is under way, in milliseconds. */
  silentFor(ms: number): void {
    this.connection.setSilence(this.exchange, ms)
  }

  get headers(): WireHeaders {
    this.fields ??= new WireHeaders(this.exchange)
    return this.fields
  }

  get signal(): AbortSignal {
    if (this.controller === undefined) {
      const controller = new AbortController()
      this.controller = controller
      this.exchange.onGone(() => controller.abort())
    }
    return this.controller.signal
  }

  get body(): ReadableStream<Uint8Array> | null {
    if (this.stream === undefined) this.stream = this.exchange.head.framing === "none" ? null : bodyOf(this.exchange)
    return this.stream
  }

  bytes(): Promise<Uint8Array> {
    return this.exchange.bytes()
  }

  async arrayBuffer(): Promise<ArrayBuffer> {
    return new Uint8Array(await this.bytes()).buffer
  }

  async text(): Promise<string> {
    return new TextDecoder().decode(await this.bytes())
  }

  async json(): Promise<unknown> {
    return JSON.parse(await this.text())
  }
}
