import { afterAll, afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test"
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

setDefaultTimeout(120_000)

const main = join(import.meta.dir, "../../src/main.ts")
const root = mkdtempSync(join(tmpdir(), "nexus-service-"))
const [home, bin, work] = [join(root, "home"), join(root, "bin"), join(root, "a work dir")]
const unit = join(home, ".config/systemd/user/nexus.service")
const calls = join(root, "calls")

const run = async (args: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}) => {
  const child = Bun.spawn([process.execPath, main, "service", ...args], {
    cwd: work,
    env: { HOME: home, PATH: `${bin}:${process.env["PATH"]}`, NO_COLOR: "1", ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe"
  })
  const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()])
  return { code: await child.exited, stdout, stderr }
}

const service = (...args: ReadonlyArray<string>) => run(args)

const called = () => (existsSync(calls) ? readFileSync(calls, "utf8").trimEnd().split("\n") : [])

beforeEach(() => {
  for (const each of [home, bin, work]) mkdirSync(each, { recursive: true })
  // It stands for systemctl: writes down how it was called, and fails when it is told to.
  writeFileSync(join(bin, "systemctl"), `#!/bin/sh\necho "$@" >> '${calls}'\nexit "\${FAKE_EXIT:-0}"\n`, {
    mode: 0o755
  })
})
afterEach(() => {
  for (const each of [home, bin, work, calls]) rmSync(each, { recursive: true, force: true })
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

describe.skipIf(process.platform !== "linux")("nexus service, for a user of systemd", () => {
  test("print shows what install would write, and changes nothing", async () => {
    const printed = await service("print")
    expect(printed).toMatchObject({ code: 0, stderr: "" })
    expect(existsSync(join(home, ".config"))).toBe(false)
    await service("install")
    expect(readFileSync(unit, "utf8")).toBe(printed.stdout)
    expect(printed.stdout).toContain(`ExecStart=${process.execPath} ${main} serve\n`)
    expect(called()).toEqual([])
  })

  test("names the config of this directory by its absolute path, with its own time to end", async () => {
    writeFileSync(join(work, "nexus.toml"), "[server]\nshutdown_grace_seconds = 90\n")
    const { stdout } = await service("print")
    expect(stdout).toContain(` serve -c "${join(work, "nexus.toml")}"\n`)
    expect(stdout).toContain("\nTimeoutStopSec=100\n")
  })

  test("install says what comes next, and uninstall takes back what was written", async () => {
    expect(await service("install")).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(
        `Wrote ${unit}.\nNext: systemctl --user daemon-reload && systemctl --user enable --now nexus.service\n`
      ),
      stderr: ""
    })
    const link = join(home, ".config/systemd/user/default.target.wants/nexus.service")
    mkdirSync(join(link, ".."))
    symlinkSync(unit, link)
    expect(await service("uninstall")).toEqual({
      code: 0,
      stdout: `Removed ${unit}.\nNext, when it runs: systemctl --user stop nexus.service; systemctl --user daemon-reload\n`,
      stderr: ""
    })
    expect([existsSync(unit), existsSync(link), called()]).toEqual([false, false, []])
    expect(await service("uninstall")).toEqual({
      code: 1,
      stdout: "",
      stderr: `error: There is no ${unit}: nothing is installed\n`
    })
  })

  test("--now tells systemd, in order; a second install restarts what runs", async () => {
    await service("install", "--now")
    expect(called()).toEqual(["--user daemon-reload", "--user enable --now nexus.service"])
    await service("install", "--now")
    expect(called().slice(2)).toEqual([
      "--user daemon-reload",
      "--user enable --now nexus.service",
      "--user restart nexus.service"
    ])
    await service("uninstall", "--now")
    expect(called().slice(5)).toEqual(["--user stop nexus.service", "--user daemon-reload"])
  })

  test("a systemctl that fails, or is not there, is said", async () => {
    expect(await run(["install", "--now"], { FAKE_EXIT: "4" })).toMatchObject({
      code: 1,
      stderr: "error: systemctl --user daemon-reload failed with 4\n"
    })
    expect(await run(["install", "--now"], { PATH: "/nowhere" })).toMatchObject({
      code: 1,
      stderr: "error: systemctl cannot be run on this machine\n"
    })
  })

  test("a file that Nexus did not write is left alone, unless --force", async () => {
    mkdirSync(join(unit, ".."), { recursive: true })
    writeFileSync(unit, "[Service]\nExecStart=/opt/mine\n")
    for (const command of ["install", "uninstall"]) {
      expect(await service(command)).toEqual({
        code: 1,
        stdout: "",
        stderr: `error: ${unit} was not written by Nexus and is left as it is; see --force\n`
      })
    }
    expect(readFileSync(unit, "utf8")).toContain("/opt/mine")
    expect(await service("install", "--force")).toMatchObject({ code: 0 })
    expect(readFileSync(unit, "utf8")).not.toContain("/opt/mine")
  })

  test("a config with a mistake is not installed", async () => {
    writeFileSync(join(work, "nexus.toml"), "[server]\nport = 'x'\n")
    const { code, stderr } = await service("install")
    expect([code, existsSync(unit)]).toEqual([1, false])
    expect(stderr).toContain("nexus.toml:2: server.port")
  })

  test("says which variables the service will not see, and where to put them; their values are not shown", async () => {
    writeFileSync(
      join(work, "nexus.toml"),
      '[[backends]]\nname = "a"\nurl = "${WHERE}"\napi_key_env = "A_KEY"\n[[auth.keys]]\nname = "k"\nenv = "B_KEY"\n'
    )
    const env = { WHERE: "http://127.0.0.1:9", A_KEY: "secret-a", B_KEY: "secret-b", NEXUS_PORT: "9000" }
    const { code, stdout, stderr } = await run(["install"], env)
    expect(code).toBe(0)
    for (const name of Object.keys(env)) expect(stderr).toContain(name)
    expect(stderr).toContain(`${home}/.config/nexus/nexus.env`)
    expect(stdout + stderr + readFileSync(unit, "utf8")).not.toMatch(/secret-|9000|127\.0\.0\.1/)
  })

  test("a service of the machine is not made of files that its account cannot read", async () => {
    writeFileSync(join(work, "nexus.toml"), "", { mode: 0o600 })
    const { code, stderr } = await service("install", "--system")
    expect(code).toBe(1)
    expect(stderr).toContain("is not readable for every account")
    expect(existsSync("/etc/systemd/system/nexus.service")).toBe(false)
  })

  test.each([
    [["install", "--run-as", "me"], "--run-as goes with --system"],
    [["print", "--system", "--run-as", "a b"], "Expected the name of an account"],
    [["print", "--manager", "upstart"], "upstart"]
  ])("%p is wrong usage", async (args, why) => {
    const { code, stdout, stderr } = await service(...args)
    expect([code, stdout]).toEqual([2, ""])
    expect(stderr).toContain(why)
  })
})

test("nexus service print writes for launchd on any machine", async () => {
  const { code, stdout } = await service("print", "--manager", "launchd")
  expect(code).toBe(0)
  expect(stdout).toContain(`<string>${main}</string>`)
  expect(stdout).toContain(`<string>${home}/Library/Logs/nexus.log</string>`)
})
