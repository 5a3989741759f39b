/**
 * A WebSocket to a backend: opened with headers and trust of ours, held back when its messages are not taken.
 */
import { bareHost, urlAt } from "../domain/url-host.ts"
import { ErrorStatus, Unreachable, type UpstreamError } from "../domain/upstream-errors.ts"
import type { Gate } from "./call.ts"
import { admittedAddresses } from "./dialing.ts"
import { toUpstreamError } from "./to-upstream-error.ts"
import { socketTls, type Trust } from "./tls.ts"

/** One message. */
export type SocketMessage = string | ArrayBuffer

/** Where the messages of a socket go; `closed` comes last and once. */
export interface SocketListener {
  readonly message: (message: SocketMessage) => void
  /** `code` 1006 when the connection was lost. */
  readonly closed: (code: number, reason: string) => void
}

/** What is opened. */
export interface SocketCall {
  /** An address that is `http://` or `https://`. */
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly protocols: ReadonlyArray<string>
  readonly trust: Trust | undefined
}

// A refusal is told in the words of an error alone.
const statusIn = /status code: (\d{3})/

const failureOf = (words: string): UpstreamError => {
  const status = Number(statusIn.exec(words)?.[1] ?? 0)
  if (status < 300) return new Unreachable({ reason: "no WebSocket could be opened" })
  return new ErrorStatus({ status, contentType: "", body: new Uint8Array(0), retryAfterMs: undefined })
}

/** An open socket. */
export class BackendSocket {
  private readonly socket: WebSocket
  private listener: SocketListener | undefined
  // What came before anybody listened.
  private early: Array<SocketMessage> = []
  private ended: { readonly code: number; readonly reason: string } | undefined

  constructor(socket: WebSocket) {
    this.socket = socket
    socket.addEventListener("message", ({ data }: MessageEvent<SocketMessage>) => {
      if (this.listener === undefined) this.early.push(data)
      else this.listener.message(data)
    })
    socket.addEventListener("close", ({ code, reason }) => {
      this.ended = { code, reason }
      this.listener?.closed(code, reason)
    })
  }

  /** The subprotocol that the backend chose; empty when it chose none. */
  get protocol(): string {
    return this.socket.protocol
  }

  /** Bytes that the backend has not taken. */
  get waiting(): number {
    return this.socket.bufferedAmount
  }

  /** Starts delivery. */
  start(listener: SocketListener): void {
    this.listener = listener
    for (const message of this.early.splice(0)) listener.message(message)
    if (this.ended !== undefined) listener.closed(this.ended.code, this.ended.reason)
  }

  send(message: SocketMessage | Uint8Array<ArrayBuffer>): void {
    if (this.ended === undefined) this.socket.send(message)
  }

  /** Takes nothing more from the backend until {@link resume}. */
  pause(): void {
    this.socket.pause()
  }

  resume(): void {
    this.socket.resume()
  }

  /** Closes it; a code that no endpoint may send is said as a usual end. */
  close(code: number, reason: string): void {
    if (this.ended !== undefined) return
    const sendable = (code >= 1000 && code <= 1014 && (code < 1004 || code > 1006)) || (code >= 3000 && code <= 4999)
    this.socket.close(sendable ? code : 1000, sendable ? reason : "")
  }

  /** Drops it. */
  drop(): void {
    this.socket.terminate()
  }
}

/** Opens one to an address; gives what ends that. */
const openAt = (
  address: string,
  { headers, protocols, trust, url }: SocketCall,
  opened: (socket: BackendSocket) => void,
  failed: (error: UpstreamError) => void
): (() => void) => {
  const { host, hostname } = new URL(url)
  const tls = url.startsWith("https:") ? { tls: socketTls(hostname, trust) } : {}
  // By its address, so that it is where the gate has seen it to be.
  const socket = new WebSocket(urlAt(url, address).replace(/^http/, "ws"), {
    headers: { ...headers, host },
    protocols: [...protocols],
    ...tls
  })
  socket.binaryType = "arraybuffer"
  let over = false
  socket.addEventListener("open", () => {
    if (over) return
    over = true
    opened(new BackendSocket(socket))
  })
  let words = ""
  socket.addEventListener("error", (event) => {
    words = "message" in event ? String(event.message) : ""
  })
  socket.addEventListener("close", () => {
    if (over) return
    over = true
    failed(failureOf(words))
  })
  return () => {
    if (over) return
    over = true
    socket.terminate()
  }
}

/** Opens one; gives what ends the attempt. One of the two is called, once, unless it is ended before. */
export const openSocket = (
  call: SocketCall,
  gate: Gate,
  opened: (socket: BackendSocket, address: string) => void,
  failed: (error: UpstreamError) => void
): (() => void) => {
  let drop = (): void => undefined
  let over = false
  const tryNext = (addresses: ReadonlyArray<string>, why: UpstreamError): void => {
    const [address, ...others] = addresses
    if (over) return
    if (address === undefined) return failed(why)
    drop = openAt(
      address,
      call,
      (socket) => opened(socket, address),
      (error) => (error._tag === "Unreachable" ? tryNext(others, error) : failed(error))
    )
  }
  const hostname = call.trust?.address ?? bareHost(new URL(call.url).hostname)
  admittedAddresses(gate, hostname).then(
    (addresses) => tryNext(addresses, failureOf("")),
    (error: unknown) => {
      if (!over) failed(toUpstreamError(error, false))
    }
  )
  return () => {
    over = true
    drop()
  }
}
