/**
 * A Python with the official packages of four APIs, for the tests that ask the gateway through them: made anew in a folder of
 * its own, while other checks run. Where there is no Python, no pip or no network, there is none, and those tests are skipped.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { run } from "./steps.ts"

const packages = [
  "openai==3.57.0",
  "anthropic==2.14.0",
  "ollama==0.6.3",
  "google-genai==3.6.1",
  "opentelemetry-proto==1.45.2",
  "prometheus-client==0.26.0"
]

/** How long the packages may take to come, in milliseconds: twenty seconds where nothing else runs. */
const limitMs = 120_000

/** A Python, or why there is none. */
export interface PythonWithSdks {
  readonly python: string | undefined
  readonly note: string
  readonly remove: () => void
}

const attempt = async (folder: string): Promise<string | undefined> => {
  const python = join(folder, "bin/python")
  // Its own pip would take as long as the packages.
  const made = await run("python3", ["-m", "venv", "--without-pip", folder], { limitMs })
  if (made.code !== 0) return "there is no python3 that makes environments"
  const quick = [
    "--quiet",
    "--only-binary",
    ":all:",
    "--disable-pip-version-check",
    "--retries",
    "1",
    "--timeout",
    "10"
  ]
  const pip = ["-m", "pip", "--python", python, "install", ...quick, ...packages]
  const installed = await run("python3", pip, { limitMs })
  if (installed.code === 0) return undefined
  return `the packages are not to be had: ${installed.stderr.trim().split("\n").at(-1) ?? ""}`
}

/** Begins to make it. */
export const preparePython = async (): Promise<PythonWithSdks> => {
  const folder = mkdtempSync(join(tmpdir(), "nexus-python-"))
  const began = performance.now()
  const missing = await attempt(folder)
  const seconds = ((performance.now() - began) / 1000).toFixed(1)
  return {
    python: missing === undefined ? join(folder, "bin/python") : undefined,
    note:
      missing === undefined
        ? `a Python with the official packages (${seconds} s)`
        : `tests of Python's packages are skipped: ${missing}`,
    remove: () => rmSync(folder, { recursive: true, force: true })
  }
}
