import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { spawn, spawnSync } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import fc from "fast-check"
import { changesOf, checksums, notes } from "../../.ci/notes.ts"
import { version } from "../../src/domain/version.ts"

setDefaultTimeout(120_000)

const root = join(import.meta.dir, "../..")
const place = mkdtempSync(join(tmpdir(), "nexus-package-"))
afterAll(() => rmSync(place, { recursive: true, force: true }))

const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("NEXUS_")))

/** Runs the `nexus` of a package on Node, as npm's own link does. */
const onNode = (launcher: string, ...args: ReadonlyArray<string>) => {
  const { status, stdout, stderr } = spawnSync("node", [launcher, ...args], { cwd: place, env, encoding: "utf8" })
  return { status, stdout, stderr }
}

const launcher = join(root, "bin/nexus.js")

describe("the npm package", () => {
  test("holds the program and its launcher, no tests and no pages, and is small", () => {
    const { stdout } = spawnSync("npm", ["pack", "--dry-run", "--json"], { cwd: root, env, encoding: "utf8" })
    const packed: unknown = JSON.parse(stdout)
    // npm 11 and older give a list, later ones a table by name.
    const [about] = Object.values(packed as Record<string, { files: ReadonlyArray<{ path: string }>; size: number }>) // reason: checked by what is expected of it
    const files = about?.files.map(({ path }) => path) ?? []
    for (const path of ["bin/nexus.js", "src/main.ts", "bunfig.toml", "nexus.example.toml", "LICENSE", "README.md"]) {
      expect(files).toContain(path)
    }
    expect(files.filter((path) => /^(test|bench|docs|\.ci|dist|node_modules)\//.test(path))).toEqual([])
    expect(about?.size).toBeLessThan(1_500_000)
  })

  test("names a command, and the Bun that it runs on", () => {
    const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
    expect(manifest.bin).toEqual({ nexus: "bin/nexus.js" })
    expect(existsSync(launcher)).toBe(true)
    expect(manifest.dependencies.bun).toBe(manifest.packageManager.replace("bun@", ""))
  })
})

describe("nexus of the npm package, on Node", () => {
  test("runs the program, and ends with its exit code", () => {
    expect(onNode(launcher, "--version")).toEqual({ status: 0, stdout: `nexus ${version}\n`, stderr: "" })
    expect(onNode(launcher, "no-such-command").status).toBe(2)
  })

  test("reads no .env and no bunfig.toml of the directory it is started in", () => {
    writeFileSync(join(place, ".env"), "NEXUS_PORT=1\n")
    writeFileSync(join(place, "bunfig.toml"), 'preload = ["./other.ts"]\n')
    writeFileSync(join(place, "other.ts"), 'require("node:fs").writeFileSync("other-ran", "")\n')
    const { stdout } = onNode(launcher, "config", "show")
    expect(stdout).toMatch(/^server\.port +8000 +default$/m)
    expect(existsSync(join(place, "other-ran"))).toBe(false)
  })

  test("hands a signal on: requests may finish, and the exit code is the program's", async () => {
    const child = spawn("node", [launcher, "serve", "--demo", "--no-discovery", "--port", "0"], { cwd: place, env })
    let output = ""
    child.stdout.on("data", (text) => (output += String(text)))
    while (!output.includes("listens on")) await Bun.sleep(20)
    child.kill("SIGTERM")
    const code = await new Promise((resolve) => child.on("exit", resolve))
    expect([code, output]).toEqual([0, expect.stringContaining("SIGTERM: stopping")])
  })

  /** A package with these files as Bun's. */
  const installed = (name: string, bun: Readonly<Record<string, string | undefined>>): string => {
    const at = join(place, name)
    mkdirSync(join(at, "bin"), { recursive: true })
    for (const each of ["src", "package.json", "bunfig.toml"]) symlinkSync(join(root, each), join(at, each))
    writeFileSync(join(at, "bin/nexus.js"), readFileSync(launcher))
    for (const [file, text] of Object.entries(bun)) {
      mkdirSync(join(at, "node_modules", dirname(file)), { recursive: true })
      if (text === undefined) symlinkSync(process.execPath, join(at, "node_modules", file))
      else writeFileSync(join(at, "node_modules", file), text)
    }
    return join(at, "bin/nexus.js")
  }

  test.skipIf(process.platform !== "linux")(
    "finds Bun where no install scripts ran, as with npm 11.19 and pnpm",
    () => {
      const own = `@oven/bun-linux-${process.arch === "arm64" ? "aarch64" : "x64"}`
      const without = installed("no-scripts", {
        "bun/package.json": "{}",
        "bun/bin/bun.exe": 'echo "Error: Bun\'s postinstall script was not run." >&2\nexit 1\n',
        [`${own}/package.json`]: "{}",
        [`${own}/bin/bun`]: undefined
      })
      expect(onNode(without, "--version")).toEqual({ status: 0, stdout: `nexus ${version}\n`, stderr: "" })
    }
  )

  test("says what is missing where there is no Bun", () => {
    const { status, stdout, stderr } = onNode(installed("no-bun", {}), "--version")
    expect([status, stdout]).toEqual([1, ""])
    expect(stderr).toContain("the Bun that nexus runs on is not installed")
  })
})

describe("a release", () => {
  const changelog =
    "# Changelog\n\n## Unreleased\n\n- new\n\n## [0.2.0] - 2026-12-01\n\n### Added\n\n- two\n\n## 0.1.0\n\n- one\n"

  test("has the notes of its version, or those that are not released yet, and says which", () => {
    expect(changesOf(changelog, "0.2.0")).toEqual({ heading: "0.2.0", text: "### Added\n\n- two" })
    expect(changesOf(changelog, "0.1.0")).toEqual({ heading: "0.1.0", text: "- one" })
    expect(changesOf(changelog, "0.3.0")).toEqual({ heading: "Unreleased", text: "- new" })
    expect(changesOf("# Changelog\n", "0.1.0")).toBeUndefined()
    expect(changesOf("## Unreleased\n\n## 0.0.1\n\n- x\n", "0.1.0")).toBeUndefined()
    expect(changesOf(readFileSync(join(root, "CHANGELOG.md"), "utf8"), version)?.text).toContain("- ")
  })

  test("lists every file with its size and checksum, as sha256sum reads them", () => {
    const assets = [
      { name: "nexus-0.2.0-linux-x64", bytes: 119_658_672, sha256: "a".repeat(64) },
      { name: "nexus-0.2.0.tgz", bytes: 352_220, sha256: "b".repeat(64) }
    ]
    expect(checksums(assets)).toBe(`${"a".repeat(64)}  nexus-0.2.0-linux-x64\n${"b".repeat(64)}  nexus-0.2.0.tgz\n`)
    const text = notes("0.2.0", "- two", assets)
    for (const words of ["# Nexus 0.2.0\n\n- two\n", "119.7 MB", "353 kB", "npm install -g ./nexus-0.2.0.tgz"]) {
      expect(text).toContain(words)
    }
  })

  test("has the words of a version whatever stands in the others", () =>
    fc.assert(
      fc.property(
        fc.array(fc.string({ minLength: 1 }).filter((text) => !/[#\n\r]/.test(text) && text.trim() !== "")),
        (words) => {
          const sections = words.map((word, at) => `## 1.0.${at}\n\n${word}\n`)
          const text = `# Changelog\n\n${sections.join("\n")}`
          words.forEach((word, at) => expect(changesOf(text, `1.0.${at}`)?.text).toBe(word.trim()))
        }
      )
    ))

  test("of a target that is none is refused with the list, and nothing is made", () => {
    const script = join(root, ".ci/release.ts")
    const { status, stderr } = spawnSync(process.execPath, [script, "amiga"], { cwd: root, encoding: "utf8" })
    expect([status, stderr]).toEqual([2, expect.stringContaining("linux-arm64-musl")])
  })
})
