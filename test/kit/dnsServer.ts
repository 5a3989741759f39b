/**
 * A DNS server on loopback (UDP) that answers what a test says, and a witness of what it is asked.
 */
import { createSocket } from "node:dgram"
import { AUTHORITATIVE_ANSWER, decode, encode } from "dns-packet"

/** A record: of an address, or of a service. */
export type DnsRecord =
  | { readonly type: "A" | "AAAA"; readonly data: string; readonly ttl?: number }
  | {
      readonly type: "SRV"
      readonly data: {
        readonly target: string
        readonly port: number
        readonly priority?: number
        readonly weight?: number
      }
      readonly ttl?: number
    }

/** What becomes of a question: records (of all types), a code of failure, or nothing at all. */
export type DnsReply = ReadonlyArray<DnsRecord> | "NXDOMAIN" | "SERVFAIL" | "silence"

/** A running server. */
export interface DnsServer extends AsyncDisposable {
  /** As `discovery.dns_servers` has it. */
  readonly address: string
  /** What was asked so far, as `A name`. */
  readonly asked: () => ReadonlyArray<string>
}

const codes = { NXDOMAIN: 3, SERVFAIL: 2 } as const

/** Starts one; `reply` is asked for each question, by its name in lower case. */
export const startDns = async (reply: (name: string, type: string) => DnsReply): Promise<DnsServer> => {
  const asked: Array<string> = []
  const socket = createSocket("udp4")
  socket.on("message", (bytes, from) => {
    const { id = 0, questions = [] } = decode(bytes)
    const [question] = questions
    if (question === undefined) return
    const name = question.name.toLowerCase()
    asked.push(`${question.type} ${name}`)
    const said = reply(name, question.type)
    if (said === "silence") return
    const code = typeof said === "string" ? codes[said] : 0
    const answers =
      typeof said === "string"
        ? []
        : said
            .filter(({ type }) => type === question.type)
            .map(({ data, ttl = 5, type }) => ({ name: question.name, type, ttl, data }))
    socket.send(
      encode({ id, type: "response", flags: AUTHORITATIVE_ANSWER | code, questions, answers }),
      from.port,
      from.address
    )
  })
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve))
  return {
    address: `127.0.0.1:${socket.address().port}`,
    asked: () => asked,
    [Symbol.asyncDispose]: () => new Promise((resolve) => socket.close(() => resolve()))
  }
}
