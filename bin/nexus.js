#!/usr/bin/env node
/**
 * `nexus` as an npm package: finds the Bun that was installed with it and runs the program on it.
 * Runs on Node 18 and later, and on Bun; nothing of the directory it is started in (.env, bunfig.toml) is read.
 */
import { spawn } from "node:child_process"
import { existsSync, statSync } from "node:fs"
import { createRequire } from "node:module"
import { constants } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const root = join(dirname(fileURLToPath(import.meta.url)), "..")

/** The directory of a package, seen from a file; undefined when it is not installed. */
const packageAt = (name, from) => {
  try {
    return dirname(createRequire(from).resolve(`${name}/package.json`))
  } catch {
    return undefined
  }
}

// Where install scripts do not run, a few lines of text stand in the place of Bun.
const isProgram = (file) => existsSync(file) && statSync(file).size > 1_000_000

/** The packages that hold Bun for this machine. */
const builds = () => {
  const system = process.platform === "win32" ? "windows" : process.platform
  const machine = process.arch === "arm64" ? "aarch64" : process.arch
  const name = `@oven/bun-${system}-${machine}`
  return [name, `${name}-musl`]
}

const findBun = () => {
  if (process.versions.bun !== undefined) return process.execPath
  const bun = packageAt("bun", join(root, "package.json"))
  if (bun === undefined) return undefined
  const windows = process.platform === "win32"
  const own = builds().flatMap((name) => packageAt(name, join(bun, "package.json")) ?? [])
  const files = [join(bun, "bin", "bun.exe"), ...own.map((path) => join(path, "bin", windows ? "bun.exe" : "bun"))]
  return files.find(isProgram)
}

const bun = findBun()
if (bun === undefined) {
  process.stderr.write(
    `error: the Bun that nexus runs on is not installed (package bun, for ${process.platform} ${process.arch}); install nexus again with its optional dependencies\n`
  )
  process.exit(1)
}

const settled = ["--no-env-file", `--config=${join(root, "bunfig.toml")}`]
const child = spawn(bun, [...settled, join(root, "src", "main.ts"), ...process.argv.slice(2)], { stdio: "inherit" })

// Whoever ends this process means the program.
const signals = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"].filter(
  (name) => name in constants.signals
)
for (const signal of signals) process.on(signal, () => child.kill(signal))

child.on("error", ({ message }) => {
  process.stderr.write(`error: Bun cannot be started: ${message}\n`)
  process.exit(1)
})
child.on("exit", (code, signal) => {
  if (signal === null) process.exit(code ?? 1)
  for (const each of signals) process.removeAllListeners(each)
  process.kill(process.pid, signal)
})
