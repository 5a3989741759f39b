import { describe, expect, test } from "bun:test"
import { spawnSync } from "node:child_process"
import { join } from "node:path"
import fc from "fast-check"
import { buildArguments } from "../../.ci/build.ts"
import { parseBuild, targets } from "../../.ci/targets.ts"

const parsed = (...args: ReadonlyArray<string>) => parseBuild(args, "/dist")

describe("bun run build", () => {
  test("without a target makes the binary of this machine", () => {
    expect(parsed()).toEqual({ builds: [{ target: undefined, runtime: undefined, outfile: "/dist/nexus" }] })
  })

  test("takes targets in either spelling of a flag, each once, and gives each its own file", () => {
    expect(parsed("--target", "linux-arm64", "--target=windows-x64", "--target", "linux-arm64")).toEqual({
      builds: [
        { target: "linux-arm64", runtime: undefined, outfile: "/dist/nexus-linux-arm64" },
        { target: "windows-x64", runtime: undefined, outfile: "/dist/nexus-windows-x64.exe" }
      ]
    })
    const all = parsed("--target", "all")
    expect("builds" in all ? all.builds.map(({ target }) => target) : all).toEqual([...targets])
  })

  test("says Bun which machine, with the version that builds, and hands a given runtime on", () => {
    const wanted = parsed("--target", "linux-x64-musl", "--compile-executable-path", "/opt/bun")
    const [first = []] = "builds" in wanted ? wanted.builds.map((each) => buildArguments(each, [])) : []
    expect(first).toContain(`--target=bun-linux-x64-musl-v${Bun.version}`)
    expect(first).toContain("--compile-executable-path=/opt/bun")
  })

  test.each([
    [["--target", "linux-x86"], "no such target: linux-x86"],
    [["--target"], "--target needs a value"],
    [["--target="], "--target needs a value"],
    [["linux-x64"], "unknown argument linux-x64"],
    [["--target=all", "--outfile=x"], "--compile-executable-path and --outfile are for one target at a time"]
  ])("refuses %p", (args, mistake) => {
    expect(parsed(...args)).toEqual({ mistake })
  })

  test("any word that is no target is refused", () =>
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (word) => {
        fc.pre(word !== "all" && !targets.some((target) => target === word))
        expect(parsed("--target", word)).toEqual({ mistake: `no such target: ${word}` })
      })
    ))

  test("a wrong target is refused with the list, and nothing is built", () => {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [join(import.meta.dir, "../../.ci/build.ts"), "--target", "amiga"],
      { encoding: "utf8" }
    )
    expect([status, stdout]).toEqual([2, ""])
    expect(stderr).toContain("error: no such target: amiga")
    for (const target of targets) expect(stderr).toContain(target)
  })

  test("a runtime that cannot be had is said, with what to do", () => {
    const { status, stderr } = spawnSync(
      process.execPath,
      [
        join(import.meta.dir, "../../.ci/build.ts"),
        "--target=linux-arm64",
        "--compile-executable-path=/there/is/none",
        `--outfile=${join(import.meta.dir, "never-built")}`
      ],
      { encoding: "utf8" }
    )
    expect(status).toBe(1)
    expect(stderr).toContain("bun run build --target linux-arm64 --compile-executable-path <bun of linux-arm64>")
  })
})
