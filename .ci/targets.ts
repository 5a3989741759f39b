/**
 * Machines a binary can be built for, and what `bun run build` is told about them.
 */
import { join, resolve } from "node:path"

/** Names of machines, as Bun spells them too; `baseline` is for x64 without AVX2, `musl` for Alpine. */
export const targets = [
  "linux-x64",
  "linux-x64-baseline",
  "linux-x64-musl",
  "linux-arm64",
  "linux-arm64-musl",
  "darwin-arm64",
  "darwin-x64",
  "windows-x64",
  "windows-x64-baseline",
  "windows-arm64"
] as const

/** One of {@link targets}. */
export type Target = (typeof targets)[number]

/** One file to build. */
export interface Build {
  /** Undefined is this machine. */
  readonly target: Target | undefined
  /** Executable of Bun for the target, when it is not to be fetched. */
  readonly runtime: string | undefined
  readonly outfile: string
}

/** How the command is used. */
export const usage = `Usage: bun run build [--target TARGET]... [--compile-executable-path BUN] [--outfile FILE]
Targets: ${targets.join(", ")}, or all
Without a target: dist/nexus for this machine; with one: dist/nexus-<target>.`

const isTarget = (name: string): name is Target => targets.some((target) => target === name)

const flags = ["--target", "--compile-executable-path", "--outfile"] as const

const read = (args: ReadonlyArray<string>) => {
  const given: Record<(typeof flags)[number], Array<string>> = {
    "--target": [],
    "--compile-executable-path": [],
    "--outfile": []
  }
  for (let at = 0; at < args.length; at += 1) {
    const [name = "", ...rest] = (args[at] ?? "").split("=")
    const flag = flags.find((each) => each === name)
    if (flag === undefined) return { mistake: `unknown argument ${args[at]}` }
    const value = rest.length > 0 ? rest.join("=") : args[(at += 1)]
    if (value === undefined || value === "") return { mistake: `${flag} needs a value` }
    given[flag].push(value)
  }
  return given
}

/** What to build, or what is wrong with the arguments. */
export const parseBuild = (
  args: ReadonlyArray<string>,
  directory: string
): { readonly builds: ReadonlyArray<Build> } | { readonly mistake: string } => {
  const given = read(args)
  if ("mistake" in given) return given
  const names = given["--target"].flatMap((name) => (name === "all" ? targets : [name]))
  const wrong = names.find((name) => !isTarget(name))
  if (wrong !== undefined) return { mistake: `no such target: ${wrong}` }
  const [runtime, outfile] = [given["--compile-executable-path"].at(-1), given["--outfile"].at(-1)]
  const chosen = [...new Set(names.filter(isTarget))]
  if (chosen.length > 1 && (runtime ?? outfile) !== undefined) {
    return { mistake: "--compile-executable-path and --outfile are for one target at a time" }
  }
  const one = (target: Target | undefined): Build => ({
    target,
    runtime: runtime === undefined ? undefined : resolve(runtime),
    outfile:
      outfile === undefined
        ? join(
            directory,
            target === undefined ? "nexus" : `nexus-${target}${target.startsWith("windows") ? ".exe" : ""}`
          )
        : resolve(outfile)
  })
  return { builds: chosen.length === 0 ? [one(undefined)] : chosen.map(one) }
}
