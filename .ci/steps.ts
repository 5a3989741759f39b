/**
 * Child processes of the checks: bounded in time, in a group of their own, and ended whatever happens.
 */
import { type ChildProcess, spawn } from "node:child_process"

/** The repository. */
export const root = new URL("..", import.meta.url).pathname.replace(/\/$/, "")

/** The whole run takes no longer than this, in milliseconds, where somebody has said so: a slow machine is no failure. */
const wholeMs = Number(process.env["CHECKS_END_AFTER_MINUTES"] ?? Number.POSITIVE_INFINITY) * 60_000

/** A child that has said nothing for so long, in milliseconds, hangs. */
const silentMs = 5 * 60_000

const began = performance.now()

/** The environment without anything that settles how Nexus runs. */
const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("NEXUS_")))

const children = new Set<ChildProcess>()

const end = (child: ChildProcess, signal: NodeJS.Signals): void => {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, signal)
  } catch {
    // It has ended by itself.
  }
}

/** Ends every child that still runs. */
export const endAll = (): void => {
  for (const child of children) end(child, "SIGKILL")
}

process.on("exit", endAll)
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => process.exit(1))

/** How a child went. */
export interface Result {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** A child that runs. */
export interface Running {
  readonly stdout: () => string
  readonly stderr: () => string
  readonly signal: (name: NodeJS.Signals) => void
  readonly done: Promise<Result>
}

/** Starts a program without standard input; it is killed when it hangs, after `limitMs`, or when the whole time is up. */
export const start = (
  file: string,
  args: ReadonlyArray<string>,
  options: { readonly cwd?: string; readonly env?: Record<string, string>; readonly limitMs?: number } = {}
): Running => {
  const out = { stdout: "", stderr: "" }
  const child = spawn(file, [...args], {
    cwd: options.cwd ?? root,
    env: { ...environment, NO_COLOR: "1", ...options.env },
    detached: true,
    stdio: ["ignore", "pipe", "pipe"]
  })
  children.add(child)
  const endAfter = (ms: number, what: string) =>
    setTimeout(() => {
      out.stderr += `\nended after ${Math.round(ms / 1000)} s: ${what}\n`
      end(child, "SIGKILL")
    }, ms)
  const left = Math.max(
    1000,
    Math.min(options.limitMs ?? Number.POSITIVE_INFINITY, wholeMs - (performance.now() - began))
  )
  const timer = Number.isFinite(left) ? endAfter(left, "too slow") : undefined
  const silence = endAfter(silentMs, "it said nothing")
  const read = (name: "stdout" | "stderr") =>
    child[name].setEncoding("utf8").on("data", (text: string) => {
      silence.refresh()
      out[name] += text
    })
  read("stdout")
  read("stderr")
  const done = new Promise<Result>((resolve) => {
    const finish = (code: number) => {
      clearTimeout(timer)
      clearTimeout(silence)
      end(child, "SIGKILL")
      children.delete(child)
      resolve({ code, ...out })
    }
    child.on("error", (error) => {
      out.stderr += String(error)
      finish(127)
    })
    child.on("close", (code) => finish(code ?? 1))
  })
  return {
    stdout: () => out.stdout,
    stderr: () => out.stderr,
    signal: (name) => void child.kill(name),
    done
  }
}

/** Runs a program to its end. */
export const run = (...args: Parameters<typeof start>): Promise<Result> => start(...args).done
