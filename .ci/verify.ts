/**
 * Every check of the project, in order; the last line says `N passed, N failed`.
 */
import { join } from "node:path"
import { checkChart } from "./chart.ts"
import { preparePython } from "./python.ts"
import { prepareBrowser, prepareStore } from "./programs.ts"
import { smoke } from "./smoke.ts"
import { endAll, type Result, root, run } from "./steps.ts"

const bun = process.execPath
const count = { passed: 0, failed: 0 }

const say = (name: string, began: number, failure: string | undefined): void => {
  const time = `${((performance.now() - began) / 1000).toFixed(1)} s`
  console.log(`${failure === undefined ? "ok  " : "FAIL"} ${name} (${time})`)
  if (failure !== undefined) console.log(failure.replace(/^/gm, "     "))
}

const output = ({ code, stdout, stderr }: Result): string => `${stdout}\n${stderr}\nexit ${code}`.trim()

const step = async (name: string, args: ReadonlyArray<string>): Promise<boolean> => {
  const began = performance.now()
  const result = await run(bun, args)
  const passed = result.code === 0
  count[passed ? "passed" : "failed"] += 1
  say(name, began, passed ? undefined : output(result))
  return passed
}

const tests = async (
  name: string,
  files: ReadonlyArray<string>,
  env: Readonly<Record<string, string>>
): Promise<void> => {
  const began = performance.now()
  // Each test has a limit that only catches what hangs, and says so where it needs another one; all together have none.
  const limits = ["--timeout", "120000", "--max-concurrency", "4"]
  const result = await run(bun, ["test", "--parallel=3", ...limits, ...files], { env })
  const text = `${result.stdout}\n${result.stderr}`
  const number = (word: string) => Number(new RegExp(`^ *(\\d+) ${word}$`, "m").exec(text)?.[1] ?? 0)
  const passed = number("pass")
  // A run that ends badly without a failed test (an error outside of tests, a crash, no test at all) is one failure.
  const failed = Math.max(number("fail"), result.code === 0 && passed > 0 ? 0 : 1)
  count.passed += passed
  count.failed += failed
  const lines = text.split("\n").filter((line) => !line.startsWith("(pass)"))
  say(`${name}: ${passed} passed, ${failed} failed`, began, failed === 0 ? undefined : lines.join("\n").trim())
}

const chart = async (): Promise<void> => {
  const began = performance.now()
  const { failures, passed, skipped } = await checkChart()
  count.passed += passed
  count.failed += failures.length
  say(
    `chart: ${passed} passed, ${failures.length} failed`,
    began,
    failures.length === 0 ? undefined : failures.join("\n")
  )
  for (const line of skipped) console.log(`     ${line}`)
}

/** The speed against the floor: each line is a check, and is shown either way. */
const gate = async (): Promise<void> => {
  const began = performance.now()
  const result = await run(bun, ["bench/gate.ts"])
  const lines = result.stdout.split("\n").filter((line) => /^(pass|skip|FAIL) /.test(line))
  const failed =
    lines.filter((line) => line.startsWith("FAIL")).length + (result.code === 0 || lines.length > 0 ? 0 : 1)
  count.passed += lines.filter((line) => line.startsWith("pass")).length
  count.failed += failed
  say("speed against the floor", began, failed === 0 ? undefined : output(result))
  if (failed === 0)
    console.log(lines.map((line) => line.replace(/^pass */, "     ").replace(/^skip */, "     skipped: ")).join("\n"))
}

const smokeTests = async (): Promise<void> => {
  for (const { name, check } of smoke()) {
    const began = performance.now()
    const failure = await check().then(
      () => undefined,
      (error: unknown) => (error instanceof Error ? error.message : String(error))
    )
    count[failure === undefined ? "passed" : "failed"] += 1
    say(`binary: ${name}`, began, failure)
  }
}

// It waits for the network, not for this machine.
const preparing = preparePython()
const browsing = prepareBrowser()
// Only one at a time may install packages.
const storing = browsing.then(prepareStore)
await step("types", ["run", "check"])
await step("lint", ["run", "lint"])
await step("unused code", ["run", "unused"])
await step("format", ["run", "format:check"])
await chart()
const { note, python, remove } = await preparing
console.log(`     ${note}`)
const browser = await browsing
console.log(`     ${browser.note}`)
const store = await storing
console.log(`     ${store.note}`)
// Tests that start the program as a process start the built file: it is what users run, and is there sooner.
const isBuilt = await step("build", [".ci/build.ts"])
await tests("tests", [], {
  // Laws look for new counterexamples wherever else they are run.
  LAWS_SEED: "1",
  ...(isBuilt ? { PROGRAM_UNDER_TEST: join(root, "dist/nexus") } : {}),
  ...(python === undefined ? {} : { PYTHON_WITH_SDKS: python }),
  ...(browser.path === undefined ? {} : { CHROMIUM: browser.path }),
  ...(store.path === undefined ? {} : { VALKEY_SERVER: store.path })
})
remove()
if (isBuilt) await smokeTests()
await gate()

endAll()
console.log(`${count.passed} passed, ${count.failed} failed`)
process.exit(count.failed === 0 ? 0 : 1)
