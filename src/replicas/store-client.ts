/**
 * The client of Valkey and Redis with the settings under which nobody waits for a server that does not answer, nothing is sent
 * twice, and a link that is lost is there again within a moment of its server.
 */
import type { Socket } from "node:net"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { RedisError } from "effect/persistence/Redis"
import type { Redis as Client, RedisOptions } from "ioredis"
import type { StoreSettings } from "../config/cluster.ts"
import { type StoreWaits, usualWaits } from "./patience.ts"

/** Finds an address of a host that may be connected to; rejects with why there is none. */
export type FindAddress = (host: string, port: number) => Promise<string>

// How often a link that was lost is looked for again.
const retryMs = 200

/** What the client is called in the server's list of clients. */
const clientName = "nexus"

const tlsOf = ({ host, tls }: StoreSettings) =>
  tls === undefined
    ? undefined
    : {
        // The name that the certificate must be for; the connection goes to an address.
        ...(/^[\d.]+$|:/.test(host) ? {} : { servername: host }),
        ...(tls.ca === undefined ? {} : { ca: tls.ca }),
        ...(tls.cert === undefined ? {} : { cert: tls.cert }),
        ...(tls.key === undefined ? {} : { key: Redacted.value(tls.key) }),
        rejectUnauthorized: tls.insecure !== true
      }

// All keys are in one slot of a Cluster: whichever node is asked says where they are.
const movedTo = /^MOVED \d+ (.*):(\d+)$/

const optionsOf = (
  settings: StoreSettings,
  { commandMs, silentMs }: StoreWaits,
  isElsewhere: (message: string) => boolean
): RedisOptions => ({
  host: settings.host,
  port: settings.port,
  db: settings.db,
  ...(settings.username === undefined ? {} : { username: settings.username }),
  ...(settings.password === undefined ? {} : { password: Redacted.value(settings.password) }),
  connectionName: clientName,
  disableClientInfo: true,
  // A user may be allowed little; the first ping tells all that is to be known.
  enableReadyCheck: false,
  enableOfflineQueue: false,
  // It forgets what it listens to where that fails, and nobody could catch the failure: who listens does it by himself.
  autoResubscribe: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  commandTimeout: commandMs,
  socketTimeout: silentMs,
  connectTimeout: silentMs,
  disconnectTimeout: silentMs,
  retryStrategy: () => retryMs,
  // A server that has become a replica of another one: the name may lead to its master by now.
  reconnectOnError: ({ message }) => message.startsWith("READONLY") || isElsewhere(message)
})

/** Opens the client, which connects by itself again and again. */
export const openClient = async (
  settings: StoreSettings,
  findAddress: FindAddress,
  waits: StoreWaits = usualWaits
): Promise<Client> => {
  const [{ AbstractConnector, Redis }, { createConnection, Socket: PlainSocket }, { connect: connectTls }] =
    await Promise.all([import("ioredis"), import("node:net"), import("node:tls")])
  let moved: Pick<StoreSettings, "host" | "port"> | undefined
  class Connector extends AbstractConnector {
    constructor() {
      super(waits.silentMs)
    }

    override async connect(): Promise<Socket> {
      this.connecting = true
      this.stream = await this.dial()
      this.stream.once("error", (error) => {
        this.firstError = error
      })
      return this.stream
    }

    // Whoever fails here is not asked again, while a socket that comes to nothing is looked for again.
    private async dial(): Promise<Socket> {
      const target = { ...settings, ...moved }
      // Where that is lost, the one of the settings is asked again.
      moved = undefined
      const { host: name, port } = target
      const tls = tlsOf(target)
      try {
        const host = await findAddress(name, port)
        if (this.connecting)
          return tls === undefined ? createConnection({ host, port }) : connectTls({ host, port, ...tls })
      } catch (error) {
        this.firstError = error instanceof Error ? error : new Error(String(error))
      }
      return new PlainSocket().destroy()
    }
  }
  const isElsewhere = (message: string): boolean => {
    const [, host, port] = movedTo.exec(message) ?? []
    if (port === undefined) return false
    moved = { host: host || settings.host, port: Number(port) }
    return true
  }
  const tls = tlsOf(settings)
  return new Redis({
    ...optionsOf(settings, waits, isElsewhere),
    replyMapping: "legacy",
    Connector,
    ...(tls === undefined ? {} : { tls })
  })
}

/**
 * Asks whether the other side is there. A link over which no such question was answered in time for as long as one may be silent
 * is opened anew, though something else comes over it: where answers were lost on the way, each is taken for that of an earlier
 * command from then on. So is one at once over which the answer of another command comes.
 */
export const pingOver = (client: Client, { silentMs }: StoreWaits = usualWaits): Effect.Effect<unknown, RedisError> => {
  let since: number | undefined
  const answered = (): void => {
    since = undefined
  }
  client.on("close", answered)
  const ponged = Effect.flatMap(sendOver(client)("PING"), (answer) =>
    Effect.suspend(() => {
      answered()
      if (/^pong/i.test(String(answer))) return Effect.succeed(answer)
      client.disconnect(true)
      return Effect.fail(new RedisError({ cause: new Error("it gives the answers of other commands") }))
    })
  )
  return Effect.tapError(ponged, ({ cause }) =>
    Effect.sync(() => {
      if (isAnswer(cause)) return answered()
      since ??= performance.now()
      if (performance.now() - since < silentMs) return
      answered()
      client.disconnect(true)
    })
  )
}

/** Whether it is what the server itself says, which begins with a word in capitals, such as NOPERM. */
export const isAnswer = (cause: unknown): boolean => cause instanceof Error && cause.name === "ReplyError"

/** Sends a command. */
export const sendOver =
  (client: Client) =>
  <A = unknown>(command: string, ...args: ReadonlyArray<string>): Effect.Effect<A, RedisError> =>
    Effect.tryPromise({
      try: () => client.call(command, ...args) as Promise<A>, // reason: what a command answers is known to whoever sends it
      catch: (cause) => new RedisError({ cause })
    })
