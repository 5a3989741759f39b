/**
 * A Valkey or Redis for the tests of replicas: the one that is there, else the package of the system where it can be installed
 * (Debian and Ubuntu, as root). Where there is none those tests are skipped.
 */
import { existsSync } from "node:fs"
import { run } from "./steps.ts"

/** Where such a server is found. */
const places = [
  "/usr/bin/valkey-server",
  "/usr/local/bin/valkey-server",
  "/usr/bin/redis-server",
  "/usr/local/bin/redis-server"
]

/** How long the package may take to come, in milliseconds. */
const limitMs = 120_000

const found = (): string | undefined => places.find((path) => existsSync(path))

/** A server, or why there is none. */
export interface PreparedStore {
  readonly path: string | undefined
  readonly note: string
}

/** Looks for one, or has it installed. */
export const prepareStore = async (): Promise<PreparedStore> => {
  const here = found()
  if (here !== undefined) return { path: here, note: `a server for replicas is there: ${here}` }
  const skipped = "tests of replicas are skipped:"
  if (process.getuid?.() !== 0 || !existsSync("/usr/bin/apt-get"))
    return {
      path: undefined,
      note: `${skipped} there is no Valkey or Redis, and no package of it can be installed here`
    }
  const began = performance.now()
  const env = { DEBIAN_FRONTEND: "noninteractive" }
  await run("apt-get", ["update", "-q"], { limitMs, env })
  const wanted = ["install", "-q", "-y", "--no-install-recommends", "redis-server"]
  const { code, stderr } = await run("apt-get", wanted, { limitMs, env })
  const path = found()
  const seconds = ((performance.now() - began) / 1000).toFixed(1)
  return path === undefined
    ? { path, note: `${skipped} the package did not come (${code}): ${stderr.trim().split("\n").at(-1) ?? ""}` }
    : { path, note: `Redis was installed (${seconds} s)` }
}
