/**
 * Programs that some tests need: those that are there, else the packages of the system where they can be installed (Debian and
 * Ubuntu, as root). Tests whose program is missing are skipped.
 */
import { existsSync } from "node:fs"
import { run } from "./steps.ts"

/** A program, or why there is none. */
export interface PreparedProgram {
  readonly path: string | undefined
  readonly note: string
}

interface Wanted {
  /** What it is called where it is there already, where it is missing, and where it was installed. */
  readonly there: string
  readonly missing: string
  readonly installed: string
  /** What is skipped without it. */
  readonly tests: string
  readonly places: ReadonlyArray<string>
  readonly packages: ReadonlyArray<string>
  /** How long the packages may take to come, in milliseconds. */
  readonly limitMs: number
}

const browser: Wanted = {
  there: "a browser",
  missing: "Chromium",
  installed: "Chromium",
  tests: "tests of the live page in a browser",
  places: ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"],
  packages: ["chromium", "fonts-dejavu-core"],
  limitMs: 180_000
}

const store: Wanted = {
  there: "a server for replicas",
  missing: "Valkey or Redis",
  installed: "Redis",
  tests: "tests of replicas",
  places: [
    "/usr/bin/valkey-server",
    "/usr/local/bin/valkey-server",
    "/usr/bin/redis-server",
    "/usr/local/bin/redis-server"
  ],
  packages: ["redis-server"],
  limitMs: 120_000
}

const prepare = async (wanted: Wanted): Promise<PreparedProgram> => {
  const { installed, limitMs, missing, packages, places, tests, there } = wanted
  const found = (): string | undefined => places.find((path) => existsSync(path))
  const here = found()
  if (here !== undefined) return { path: here, note: `${there} is there: ${here}` }
  const skipped = `${tests} are skipped:`
  if (process.getuid?.() !== 0 || !existsSync("/usr/bin/apt-get"))
    return { path: undefined, note: `${skipped} there is no ${missing}, and no package of it can be installed here` }
  const began = performance.now()
  const env = { DEBIAN_FRONTEND: "noninteractive" }
  await run("apt-get", ["update", "-q"], { limitMs, env })
  const { code, stderr } = await run("apt-get", ["install", "-q", "-y", "--no-install-recommends", ...packages], {
    limitMs,
    env
  })
  const path = found()
  const seconds = ((performance.now() - began) / 1000).toFixed(1)
  return path === undefined
    ? { path, note: `${skipped} the package did not come (${code}): ${stderr.trim().split("\n").at(-1) ?? ""}` }
    : { path, note: `${installed} was installed (${seconds} s)` }
}

/** A Chromium for the tests of the live page. */
export const prepareBrowser = (): Promise<PreparedProgram> => prepare(browser)

/** A Valkey or Redis for the tests of replicas. */
export const prepareStore = (): Promise<PreparedProgram> => prepare(store)
