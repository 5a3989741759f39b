/**
 * Builds dist/nexus: one file that holds the runtime and the program, and takes nothing from the directory it runs in.
 * With `--target`, for another machine.
 */
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs"
import { basename, dirname, join, relative } from "node:path"
import { bundleUi, embeddedName } from "../src/operations/pages/live-page.ts"
import { parseBuild, type Build, usage } from "./targets.ts"

const root = join(import.meta.dir, "..")

/** Where the files of the live page are put on their way into the executable. */
const pageFolder = join(root, "dist/ui")

/** Writes the files of the live page; gives their paths. */
export const buildPage = async (): Promise<ReadonlyArray<string>> => {
  mkdirSync(pageFolder, { recursive: true })
  return Promise.all(
    [...(await bundleUi())].map(async ([name, bytes]) => {
      const path = join(pageFolder, embeddedName(name))
      await Bun.write(path, bytes)
      return path
    })
  )
}

/** Arguments of one build. */
export const buildArguments = (
  { outfile, target, runtime }: Build,
  pageFiles: ReadonlyArray<string>
): ReadonlyArray<string> => [
  "build",
  "--compile",
  ...(target === undefined ? [] : [`--target=bun-${target}-v${Bun.version}`]),
  ...(runtime === undefined ? [] : [`--compile-executable-path=${runtime}`]),
  // What is imported when it is needed stays apart, so that a start does not take up all of it.
  "--splitting",
  "--minify",
  "--bytecode",
  "--format=esm",
  "--sourcemap",
  "--no-compile-autoload-dotenv",
  "--no-compile-autoload-bunfig",
  "--define",
  `process.env.NODE_ENV="production"`,
  "--asset-naming=[name].[ext]",
  "--outfile",
  outfile,
  join(root, "src/main.ts"),
  ...pageFiles
]

const advice = ({ target, outfile }: Build): string =>
  [
    `${relative(root, outfile)} was not built.`,
    `A binary for ${target} needs the Bun ${Bun.version} of that machine. It is fetched when it is not there yet; where it`,
    "cannot be had, get it elsewhere and name it:",
    `  bun run build --target ${target} --compile-executable-path <bun of ${target}>`
  ].join("\n")

const build = (wanted: Build, pageFiles: ReadonlyArray<string>): boolean => {
  const { outfile } = wanted
  // Bun leaves a source map of each part beside what it builds, and has put all of them into it as well.
  const scratch = mkdtempSync(join(dirname(outfile), ".build-"))
  try {
    const made = join(scratch, basename(outfile))
    const args = buildArguments({ ...wanted, outfile: made }, pageFiles)
    const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: "inherit" })
    if (status === 0) {
      renameSync(made, outfile)
      console.log(`Built ${relative(root, outfile)}`)
    } else if (wanted.target !== undefined) console.error(advice(wanted))
    return status === 0
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

if (import.meta.main) {
  const wanted = parseBuild(process.argv.slice(2), join(root, "dist"))
  if ("mistake" in wanted) {
    console.error(`error: ${wanted.mistake}\n\n${usage}`)
    process.exit(2)
  }
  for (const { outfile } of wanted.builds) mkdirSync(dirname(outfile), { recursive: true })
  // Every target is tried, whatever became of those before it.
  const pageFiles = await buildPage()
  const built = wanted.builds.map((each) => build(each, pageFiles))
  process.exit(built.every(Boolean) ? 0 : 1)
}
