/**
 * Clients installed into a folder of their own, and run with nothing of this machine's settings.
 */
import { spawn } from "node:child_process"
import { existsSync, mkdirSync, writeFileSync } from "node:fs"
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

/** What a client comes from: packages of npm, of Python or of Go, and a newer Node where it wants one. */
export interface Source {
  readonly npm?: string
  readonly pip?: string
  readonly go?: string
  readonly node?: string
}

interface Recipe {
  readonly steps: ReadonlyArray<readonly [command: ReadonlyArray<string>, limitMs: number]>
  readonly programs: string
  readonly env?: Readonly<Record<string, string>>
}

const recipeOf = (kind: keyof Source, name: string, home: string): Recipe => {
  if (kind === "pip") {
    const pip = join(home, "bin/pip")
    return {
      // Nothing is built here: what has no wheel is not to be had.
      steps: [
        [["python3", "-m", "venv", home], 2 * minutes],
        [[pip, "install", "-q", "--only-binary", ":all:", name], 10 * minutes]
      ],
      programs: join(home, "bin")
    }
  }
  if (kind === "go") {
    const env = { GOBIN: join(home, "bin"), GOFLAGS: "-buildvcs=false" }
    return { steps: [[["go", "install", name], 12 * minutes]], programs: join(home, "bin"), env }
  }
  const install = ["npm", "install", "--no-audit", "--no-fund", "--prefix", home, name]
  return { steps: [[install, 10 * minutes]], programs: join(home, "node_modules/.bin") }
}

const failures = new Map<string, string>()

const installOne = async (folder: string, kind: keyof Source, name: string): Promise<string> => {
  const home = join(folder, `${kind}-${name.replaceAll(/[^\w.@-]/g, "_")}`)
  const { env, programs, steps } = recipeOf(kind, name, home)
  const ready = join(home, ".ready")
  if (existsSync(ready)) return programs
  const before = failures.get(home)
  if (before !== undefined) throw new Error(before)
  mkdirSync(home, { recursive: true })
  // As this machine's installers are set up.
  const all = Object.fromEntries(Object.entries(process.env).map(([key, value]) => [key, value ?? ""]))
  for (const [command, limitMs] of steps) {
    const { code, output } = await runProgram(command, { cwd: home, env: { ...all, ...env }, limitMs })
    if (code === 0) continue
    const why = `${command.join(" ")}: ${code === "killed" ? "took too long" : output.trim().slice(-500)}`
    failures.set(home, why)
    throw new Error(why)
  }
  writeFileSync(ready, "")
  return programs
}

/** Installs a client below a folder, unless it is there; the folders of its programs. Fails where it is not to be had. */
export const install = async (folder: string, source: Source): Promise<ReadonlyArray<string>> => {
  const programs: Array<string> = []
  for (const kind of ["npm", "pip", "go"] as const) {
    const name = source[kind]
    if (name !== undefined) programs.push(await installOne(folder, kind, name))
  }
  if (source.node !== undefined) programs.push(await installOne(folder, "npm", `node@${source.node}`))
  return programs
}
