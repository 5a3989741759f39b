/**
 * A Chromium for the tests of the live page: the one that is there, else the package of the system where it can be installed
 * (Debian and Ubuntu, as root). Where there is none those tests are skipped.
 */
import { existsSync } from "node:fs"
import { run } from "./steps.ts"

const places = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"]

/** How long the package may take to come, in milliseconds. */
const limitMs = 180_000

const found = (): string | undefined => places.find((path) => existsSync(path))

/** A browser, or why there is none. */
export interface PreparedBrowser {
  readonly path: string | undefined
  readonly note: string
}

/** Looks for one, or has it installed. */
export const prepareBrowser = async (): Promise<PreparedBrowser> => {
  const here = found()
  if (here !== undefined) return { path: here, note: `a browser is there: ${here}` }
  const skipped = "tests of the live page in a browser are skipped:"
  if (process.getuid?.() !== 0 || !existsSync("/usr/bin/apt-get"))
    return { path: undefined, note: `${skipped} there is no Chromium, and no package of it can be installed here` }
  const began = performance.now()
  const env = { DEBIAN_FRONTEND: "noninteractive" }
  await run("apt-get", ["update", "-q"], { limitMs, env })
  const wanted = ["chromium", "fonts-dejavu-core"]
  const { code, stderr } = await run("apt-get", ["install", "-q", "-y", "--no-install-recommends", ...wanted], {
    limitMs,
    env
  })
  const path = found()
  const seconds = ((performance.now() - began) / 1000).toFixed(1)
  return path === undefined
    ? { path, note: `${skipped} the package did not come (${code}): ${stderr.trim().split("\n").at(-1) ?? ""}` }
    : { path, note: `Chromium was installed (${seconds} s)` }
}
