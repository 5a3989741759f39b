/**
 * The real gateway for tests, on a free port of loopback: in this process, or as the program a user starts.
 */
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Cause, Effect, Exit, Fiber, Metric, Schema } from "effect"
import { compileSettings, type Secrets } from "../../src/config/compile.ts"
import { Settings } from "../../src/config/schema.ts"
import { type DialectList, Dialects } from "../../src/dialect/all.ts"
import type { BackendEntry } from "../../src/api/backend-entry.ts"
import { localBackends } from "../../src/remote/local-backends.ts"
import { StorePatience, type StoreWaits } from "../../src/replicas/patience.ts"
import { type RunningGateway, start } from "../../src/serve/start.ts"
import { sourceOf } from "./control.ts"
import type { FakeUpstream } from "./FakeUpstream.ts"
import { program } from "./program.ts"

/** Settings nested and spelled as in nexus.toml. */
export type SettingsTree = Readonly<Record<string, unknown>>

/** A gateway under test. */
export interface Gateway extends AsyncDisposable {
  readonly url: string
  readonly port: number
  readonly running: RunningGateway
  /** The backends as `/nexus/backends` lists them. */
  readonly backends: () => ReadonlyArray<BackendEntry>
  /** The one of this name. */
  readonly backend: (name: string) => BackendEntry
  /** Requests in flight, summed over the backends, and those the gateway has under way. */
  readonly inFlight: () => number
  /** Waits until nothing is in flight. */
  readonly quiet: () => Promise<void>
  /** Fibers that live. */
  readonly fibers: () => number
}

/** Waits until something holds, looking at each turn of the event loop; fails after `limitMs`. */
export const until = async (holds: () => boolean | Promise<boolean>, what: string, limitMs = 60_000): Promise<void> => {
  const end = performance.now() + limitMs
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`not within ${limitMs} ms: ${what}`)
    await Bun.sleep(1)
  }
}

const value = (of: unknown): string => {
  if (Array.isArray(of)) return `[${of.map(value).join(", ")}]`
  if (typeof of === "object" && of !== null) {
    return `{ ${Object.entries(of)
      .map(([key, each]) => `${JSON.stringify(key)} = ${value(each)}`)
      .join(", ")} }`
  }
  return JSON.stringify(of)
}

/** Settings as the text of a nexus.toml. */
const toToml = (settings: SettingsTree): string =>
  Object.entries(settings)
    .map(([key, each]) => `${key} = ${value(each)}\n`)
    .join("")

const plain = (of: unknown): of is SettingsTree => typeof of === "object" && of !== null && !Array.isArray(of)

const laid = (under: SettingsTree, over: SettingsTree): SettingsTree => {
  const both: Record<string, unknown> = { ...under }
  for (const [key, each] of Object.entries(over)) {
    const below = both[key]
    both[key] = plain(below) && plain(each) ? laid(below, each) : each
  }
  return both
}

/** What every test's gateway has unless it says otherwise: no discovery, one probe, no log. */
const quietly: SettingsTree = {
  // With NEXUS_SERVER_WIRE=own all that is tested through a gateway is tested on our own listener.
  server: { port: 0, wire: process.env["NEXUS_SERVER_WIRE"] ?? "bun" },
  discovery: { enabled: false },
  health_check: { interval_seconds: 3600 },
  logging: { level: "error", format: "json" }
}

/** A `[[backends]]` entry for a fake upstream. */
export const backendFor = (
  name: string,
  { url }: Pick<FakeUpstream, "url">,
  more: SettingsTree = {}
): SettingsTree => ({ name, url, ...more })

const withFile = (toml: string): { readonly path: string; readonly remove: () => void } => {
  const folder = mkdtempSync(join(tmpdir(), "nexus-test-"))
  const path = join(folder, "nexus.toml")
  writeFileSync(path, toml)
  return { path, remove: () => rmSync(folder, { recursive: true, force: true }) }
}

const decode = Schema.decodeUnknownSync(Settings, { onExcessProperty: "error" })

const noSecrets: Secrets = { backendKeys: new Map(), authKeys: [] }

/** How long a shared store is waited for where it is none of what is tested: longer than any machine stands still. */
export const patient: StoreWaits = { requestMs: 30_000, commandMs: 30_000, silentMs: 30_000 }

/** Starts the gateway in this process, and waits until each backend has been probed once. */
export const startGateway = async (
  settings: SettingsTree,
  secrets: Secrets = noSecrets,
  dialects: DialectList = Dialects.defaultValue(),
  storeWaits: StoreWaits = patient
): Promise<Gateway> => {
  const loaded = compileSettings(decode(laid(quietly, settings)), secrets, { path: undefined, warnings: [], notes: [] })
  const ready = Promise.withResolvers<RunningGateway>()
  let fibers = 0
  const counting: Metric.FiberRuntimeMetricsService = {
    recordFiberStart: () => {
      fibers += 1
    },
    recordFiberEnd: () => {
      fibers -= 1
    }
  }
  const life = Effect.gen(function* () {
    ready.resolve(yield* start(sourceOf(loaded), false))
    return yield* Effect.never
  }).pipe(
    Effect.scoped,
    Effect.provideService(Metric.FiberRuntimeMetrics, counting),
    Effect.provideService(Dialects, dialects),
    Effect.provideService(StorePatience, storeWaits)
  )
  const fiber = Effect.runFork(life)
  fiber.addObserver((exit) => {
    if (Exit.isFailure(exit)) ready.reject(Cause.squash(exit.cause))
  })
  const running = await ready.promise
  const backends = () => localBackends(running.snapshot())
  const inFlight = () => backends().reduce((sum, { in_flight }) => sum + in_flight, 0) + running.active()
  await until(() => backends().every(({ status }) => status !== "unknown"), "every backend probed once")
  return {
    url: running.url,
    port: running.port,
    running,
    backends,
    backend: (name) => {
      const found = backends().find((each) => each.name === name)
      if (found === undefined) throw new Error(`no backend ${name}`)
      return found
    },
    inFlight,
    quiet: () => until(() => inFlight() === 0, "nothing in flight"),
    fibers: () => fibers,
    [Symbol.asyncDispose]: () => Effect.runPromise(Fiber.interrupt(fiber))
  }
}

/** The program as a process of its own. */
export interface Process extends AsyncDisposable {
  readonly url: string
  readonly port: number
  readonly pid: number
  readonly output: () => string
  /** Its config file, and what replaces the text of it. */
  readonly config: string
  readonly rewrite: (settings: SettingsTree | string) => void
  readonly signal: (name: NodeJS.Signals) => void
  /** Sends a signal again and again until the program has ended. */
  readonly insist: (name: NodeJS.Signals) => Promise<number | string>
  /** Resolves with the exit code, or the signal that ended it. */
  readonly exited: Promise<number | string>
}

/** Starts `serve -c` with these settings, and waits for its address. */
export const startProcess = async (
  settings: SettingsTree,
  args: ReadonlyArray<string> = [],
  env: Readonly<Record<string, string>> = {}
): Promise<Process> => {
  const file = withFile(toToml(laid(quietly, settings)))
  const [command, ...script] = program
  const child = spawn(command, [...script, "serve", "-c", file.path, ...args], {
    cwd: tmpdir(),
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"]
  })
  let output = ""
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text
    })
  }
  const ended = Promise.withResolvers<number | string>()
  let over = false
  child.on("exit", (code, signal) => {
    over = true
    file.remove()
    ended.resolve(code ?? signal ?? "")
  })
  const address = () =>
    /(?:listens on |"(?:message|body)":"listening",.*[".]url":")(http:\/\/[^\s"]+:(\d+))/.exec(output)
  await until(() => over || address() !== null, "the banner", 100_000).catch((error: unknown) => {
    // Nobody else knows of it.
    child.kill("SIGKILL")
    throw error
  })
  const [, url = "", port = ""] = address() ?? []
  if (url === "") throw new Error(`the gateway did not start:\n${output}`)
  return {
    url,
    port: Number(port),
    pid: child.pid ?? 0,
    output: () => output,
    config: file.path,
    rewrite: (next) => writeFileSync(file.path, typeof next === "string" ? next : toToml(laid(quietly, next))),
    signal: (name) => {
      child.kill(name)
    },
    insist: async (name) => {
      await until(() => {
        child.kill(name)
        return over
      }, `${name} ends the program`)
      return ended.promise
    },
    exited: ended.promise,
    [Symbol.asyncDispose]: async () => {
      if (!over) child.kill("SIGKILL")
      await ended.promise
    }
  }
}
