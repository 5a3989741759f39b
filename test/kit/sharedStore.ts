/**
 * A real Valkey or Redis for tests of replicas, where there is one: the program that VALKEY_SERVER names, else one in its usual
 * places. Each is a process of its own, on a free port of loopback, with a folder of its own.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { createServer, type AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Redis } from "ioredis"
import { until } from "./gateway.ts"

const places = ["/usr/bin/valkey-server", "/usr/local/bin/valkey-server", "/usr/bin/redis-server"]

/** The program; undefined where there is none. */
export const storePath = [process.env["VALKEY_SERVER"] ?? "", ...places].find((path) => path !== "" && existsSync(path))

if (storePath === undefined)
  console.warn("Skipped: replicas with a real store; no Valkey or Redis is here (VALKEY_SERVER names one)")

/** A server under test. */
export interface TestStore extends AsyncDisposable {
  readonly port: number
  readonly url: string
  /** Ends it at once; what it knew is gone. */
  readonly kill: () => Promise<void>
  /** Starts it again on its port. */
  readonly revive: () => Promise<void>
  /** Stops it without an end: it takes connections and answers nothing. */
  readonly freeze: () => void
  readonly thaw: () => void
  /** A client that looks what is there. */
  readonly client: Redis
}

/** A port that nobody listens on. */
export const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer().on("error", reject)
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })

/** Starts a server with further arguments of its own. */
export const startStore = async (args: ReadonlyArray<string> = [], password?: string): Promise<TestStore> => {
  const folder = mkdtempSync(join(tmpdir(), "nexus-store-"))
  const port = await freePort()
  const client = new Redis({
    port,
    host: "127.0.0.1",
    ...(password === undefined ? {} : { password }),
    retryStrategy: () => 20,
    maxRetriesPerRequest: null
  })
  client.on("error", () => undefined)
  let child: ChildProcess | undefined
  const kill = async (): Promise<void> => {
    const ending = child
    child = undefined
    if (ending === undefined || ending.exitCode !== null || ending.signalCode !== null) return
    const ended = new Promise((resolve) => ending.once("exit", resolve))
    ending.kill("SIGKILL")
    await ended
  }
  const revive = async (): Promise<void> => {
    const given = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder, ...args]
    await until(() => {
      // Somebody else may have its port for a moment.
      if (child === undefined || child.exitCode !== null) child = spawn(storePath ?? "", given, { stdio: "ignore" })
      return client.status === "ready"
    }, "the store answers")
    await client.ping()
  }
  await revive()
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    kill,
    revive,
    freeze: () => void child?.kill("SIGSTOP"),
    thaw: () => void child?.kill("SIGCONT"),
    client,
    [Symbol.asyncDispose]: async () => {
      client.disconnect()
      await kill()
      rmSync(folder, { recursive: true, force: true })
    }
  }
}
