/**
 * What is used of the package multicast-dns, which brings no types.
 */
declare module "multicast-dns" {
  export interface Packet {
    readonly type: string
    readonly questions: ReadonlyArray<unknown>
    readonly answers: ReadonlyArray<unknown>
    readonly additionals: ReadonlyArray<unknown>
  }

  export interface Responder {
    on(event: "ready", listener: () => void): void
    on(event: "error" | "warning", listener: (error: Error) => void): void
    on(event: "packet", listener: (packet: Packet, from: { address: string; port: number }) => void): void
    query(questions: ReadonlyArray<object>, done: (error?: Error | null) => void): void
    respond(answers: ReadonlyArray<object>, done: (error?: Error | null) => void): void
    destroy(done: () => void): void
  }

  const open: (options: {
    readonly port: number
    /** Address of the interface that is sent to. */
    readonly interface: string
    readonly bind: string
  }) => Responder
  export default open
}
