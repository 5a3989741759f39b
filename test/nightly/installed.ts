/**
 * Clients installed into a folder of their own, and run with nothing of this machine's settings.
 */
import { spawn } from "node:child_process"
import { existsSync, mkdirSync } from "node:fs"
import { join } from "node:path"

/** How a program went. */
export interface Outcome {
  readonly code: number | "killed"
  readonly output: string
  readonly seconds: number
}

/** Runs a program in a group of its own, with these variables alone, and kills the group after `limitMs`. */
export const runProgram = (
  command: ReadonlyArray<string>,
  options: { readonly cwd: string; readonly env: Readonly<Record<string, string>>; readonly limitMs: number }
): Promise<Outcome> =>
  new Promise((resolve) => {
    const [file = "", ...args] = command
    const began = performance.now()
    const child = spawn(file, args, {
      cwd: options.cwd,
      env: { ...options.env },
      detached: true,
      stdio: ["ignore", "pipe", "pipe"]
    })
    let output = ""
    let killed = false
    const kill = () => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL")
      } catch {
        // It has ended by itself.
      }
    }
    const timer = setTimeout(() => {
      killed = true
      kill()
    }, options.limitMs)
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        output += text
      })
    }
    const finish = (code: number) => {
      clearTimeout(timer)
      kill()
      resolve({ code: killed ? "killed" : code, output, seconds: (performance.now() - began) / 1000 })
    }
    child.on("error", (error) => {
      output += String(error)
      finish(127)
    })
    child.on("exit", (code) => finish(code ?? 1))
  })

/** The variables that installers need, and clients get. */
export const bare = (home: string, bins: ReadonlyArray<string> = []): Record<string, string> => ({
  PATH: [...bins, process.env["PATH"] ?? ""].join(":"),
  HOME: home,
  LANG: "C.UTF-8",
  NO_COLOR: "1"
})

const minutes = 60_000

/** Installs packages of npm and of Python below a folder, unless they are there, and gives the folders of their programs. */
export const install = async (
  folder: string,
  npm: ReadonlyArray<string>,
  pip: ReadonlyArray<string>
): Promise<ReadonlyArray<string>> => {
  const bins = [join(folder, "npm/node_modules/.bin"), join(folder, "venv/bin")]
  const step = async (command: ReadonlyArray<string>, limitMs: number) => {
    // As this machine's installers are set up.
    const env = Object.fromEntries(Object.entries(process.env).map(([name, value]) => [name, value ?? ""]))
    const { code, output } = await runProgram(command, { cwd: folder, env, limitMs })
    if (code !== 0) throw new Error(`${command.join(" ")}: ${output.slice(-2000)}`)
  }
  if (npm.length > 0 && !existsSync(join(folder, "npm"))) {
    mkdirSync(join(folder, "npm"), { recursive: true })
    await step(["npm", "install", "--no-audit", "--no-fund", "--prefix", join(folder, "npm"), ...npm], 10 * minutes)
  }
  if (pip.length > 0 && !existsSync(join(folder, "venv"))) {
    await step(["python3", "-m", "venv", join(folder, "venv")], 2 * minutes)
    // Nothing is built here: what has no wheel is not to be had.
    await step([join(folder, "venv/bin/pip"), "install", "-q", "--only-binary", ":all:", ...pip], 10 * minutes)
  }
  return bins
}
