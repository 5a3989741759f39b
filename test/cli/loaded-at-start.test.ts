import { describe, expect, test } from "bun:test"
import { folderOf, isThere, target, textOf } from "../../.ci/architecture.ts"

const scanner = new Bun.Transpiler({ loader: "ts" })

/** What a file imports at once; types are left out, and what is imported when it is needed. */
const atOnce = (file: string): ReadonlyArray<string> =>
  scanner
    .scanImports(textOf(file))
    .filter(({ kind }) => kind === "import-statement")
    .map(({ path }) => path)

/** All that these files load, by way of others too: files of the program, and names of modules of others. */
const loadedBy = (files: ReadonlyArray<string>) => {
  const seen = new Set<string>()
  const packages = new Set<string>()
  const visit = (file: string): void => {
    if (seen.has(file)) return
    seen.add(file)
    if (!file.endsWith(".ts")) return
    for (const path of atOnce(file)) {
      if (path.startsWith(".")) visit(target(file, path))
      else packages.add(path)
    }
  }
  for (const file of files) visit(file)
  return { files: [...seen], packages: [...packages].sort() }
}

// What `nexus serve` begins with: the command line, and its own command, which is imported by its arguments.
const { files, packages } = loadedBy(["src/main.ts", "src/cli/serve.ts"])

describe("a start of the gateway loads", () => {
  test("the gateway, so that the rest of this says something", () => {
    expect(files).toContain("src/runtime/layers.ts")
    expect(files.length).toBeGreaterThan(300)
  })

  test("no package that only some configs need, and none that answers the operational endpoints", () => {
    const ours = packages.filter((name) => !/^(node:|effect\/[A-Z])/.test(name))
    expect(ours).toEqual([
      "@effect/platform-node-shared/NodeChildProcessSpawner",
      "@effect/platform-node-shared/NodeFileSystem",
      "@effect/platform-node-shared/NodePath",
      "@effect/platform-node-shared/NodeStdio",
      "@effect/platform-node-shared/NodeTerminal",
      "bun:ffi",
      "effect/cli",
      "effect/net/IpNetwork",
      "effect/persistence/Redis",
      "smol-toml"
    ])
  })

  test("no folder of what is for other commands, for several processes, or switched on by settings", () => {
    const later = /^(api|cluster|config\/import|demo|discovery|doctor|listener|load|mock|recording|store|ui)$/
    expect(files.filter((file) => later.test(folderOf(file)))).toEqual([])
  })

  test("no command but its own, and no file of what is switched on by settings", () => {
    const commands = files.filter((file) => file.startsWith("src/cli/"))
    const later = [
      "src/admission/SharedLimiter.ts",
      "src/admission/key-store.ts",
      "src/admission/shared-keys.ts",
      "src/admission/shared-tries.ts",
      "src/admission/token-revocations.ts",
      "src/cache/SharedAnswers.ts",
      "src/issuer/key-set.ts",
      "src/operations/endpoints.ts",
      "src/operations/openapi.ts",
      "src/runtime/otlp-export.ts",
      "src/usage/public-prices.json",
      "src/usage/shared-accounts.ts",
      "src/usage/usage-store.ts"
    ]
    expect(commands.sort()).toEqual([
      "src/cli/banner.ts",
      "src/cli/exit-failure.ts",
      "src/cli/flags.ts",
      "src/cli/output.ts",
      "src/cli/own-command.ts",
      "src/cli/result-output.ts",
      "src/cli/run.ts",
      "src/cli/serve.ts"
    ])
    expect(files.filter((file) => later.includes(file) || !isThere(file))).toEqual([])
    expect(later.filter((file) => !isThere(file))).toEqual([])
  })
})
