/**
 * Starts the programs of a bench, each on its core when the machine can pin, and ends them.
 */
import { existsSync } from "node:fs"
import { availableParallelism } from "node:os"
import { resolve } from "node:path"
import { connect, get, type Wire } from "./wire.ts"

/** A program under way. */
export interface Running {
  readonly pid: number
  readonly port: number
  /** Ends it and waits for its end; the signal is SIGKILL unless told. */
  readonly stop: (signal?: NodeJS.Signals) => Promise<number>
  /** Resolves with its exit code, once all that it wrote is there. */
  readonly exited: Promise<number>
  /** What it has written so far. */
  readonly output: () => string
}

/** The Bun that runs this bench. */
export const bun = process.execPath

/** Root of the checkout. */
export const root = resolve(import.meta.dir, "..")

/** Path of the built binary. */
export const binaryPath = resolve(root, "dist/nexus")

/** True when the binary has been built. */
export const hasBinary = (): boolean => existsSync(binaryPath)

const pins = Bun.which("taskset") !== null && availableParallelism() > 1

/** Whether processes sit on a core of their own. */
export const pinned = pins

/** Core of the program that is measured. */
export const proxyCore = 0

/** Core of the mock and of the generator. */
const loadCore = 1

/** Puts this process, the generator, on its core. */
export const pinSelf = (): void => {
  if (pins) Bun.spawnSync(["taskset", "-apc", String(loadCore), String(process.pid)])
}

const live = new Set<{ kill: (signal: NodeJS.Signals) => void }>()
process.on("exit", () => {
  for (const child of live) child.kill("SIGKILL")
})
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(130))

/** A port that nobody listens on. */
export const freePort = (): number => {
  const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => undefined } })
  const { port } = listener
  listener.stop(true)
  return port
}

/** All cores, for a program that is to run wherever there is room. */
export const everyCore = `0-${String(availableParallelism() - 1)}`

/** Starts a program; `core` is where it is pinned, if it is. */
export const start = (
  command: ReadonlyArray<string>,
  port: number,
  core: number | string,
  environment: Readonly<Record<string, string>> = {}
): Running => {
  const child = Bun.spawn(pins ? ["taskset", "-c", String(core), ...command] : [...command], {
    cwd: root,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, BUN_CONFIG_MAX_HTTP_REQUESTS: "65535", ...environment }
  })
  live.add(child)
  let output = ""
  const collect = async (stream: ReadableStream<Uint8Array>): Promise<void> => {
    const decoder = new TextDecoder()
    for await (const piece of stream) output = (output + decoder.decode(piece)).slice(-8000)
  }
  const written = Promise.all([collect(child.stdout), collect(child.stderr)])
  return {
    pid: child.pid,
    port,
    exited: written.then(() => child.exited),
    output: () => output,
    stop: async (signal = "SIGKILL") => {
      child.kill(signal)
      const code = await child.exited
      live.delete(child)
      return code
    }
  }
}

/** Runs a program of the bench to its end on the measured core; what it said as JSON. */
export const told = async (program: string, args: ReadonlyArray<string>): Promise<unknown> => {
  const running = start([bun, resolve(root, program), ...args], 0, proxyCore)
  const code = await running.exited
  if (code !== 0) throw new Error(`${program} ${args.join(" ")}: exit ${String(code)}\n${running.output()}`)
  return JSON.parse(running.output())
}

/** One request on a connection of its own; resolves with the status (0 when the connection failed) and the body. */
export const once = async (port: number, request: Uint8Array): Promise<{ status: number; text: string }> => {
  let wire: Wire
  try {
    wire = await connect(port)
  } catch {
    return { status: 0, text: "" }
  }
  return new Promise((done) => {
    let text = ""
    const end = (status: number): void => {
      wire.close()
      done({ status, text })
    }
    wire.send(request, {
      piece: (bytes) => {
        text += bytes.toString("latin1", 0, bytes.length)
      },
      end,
      broken: () => {
        end(0)
      }
    })
  })
}

/** Waits until the request gets a 200; throws with the program's output after `limitMs`. */
export const ready = async (program: Running, request: Uint8Array, limitMs = 60_000): Promise<void> => {
  const until = performance.now() + limitMs
  let last = { status: 0, text: "" }
  while (performance.now() < until) {
    last = await once(program.port, request)
    if (last.status === 200) return
    await Bun.sleep(20)
  }
  throw new Error(`no 200 from port ${String(program.port)}: ${String(last.status)} ${last.text}\n${program.output()}`)
}

/** Starts a mock on the given core. */
export const startMockProcess = async (core = loadCore): Promise<Running> => {
  const port = freePort()
  const mock = start([bun, resolve(root, "bench/mock.ts"), String(port)], port, core)
  await ready(mock, get("/v1/models"))
  return mock
}
