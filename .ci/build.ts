/**
 * Builds dist/nexus: one file that holds the runtime and the program, and takes nothing from the directory it runs in.
 */
import { spawnSync } from "node:child_process"
import { mkdirSync } from "node:fs"
import { join } from "node:path"

const root = join(import.meta.dir, "..")

/** Arguments of the build; `outfile` is where the binary goes. */
export const buildArguments = (outfile: string): ReadonlyArray<string> => [
  "build",
  "--compile",
  "--minify",
  "--bytecode",
  "--format=esm",
  "--sourcemap",
  "--no-compile-autoload-dotenv",
  "--no-compile-autoload-bunfig",
  "--define",
  `process.env.NODE_ENV="production"`,
  "--outfile",
  outfile,
  join(root, "src/main.ts")
]

if (import.meta.main) {
  mkdirSync(join(root, "dist"), { recursive: true })
  const { status } = spawnSync(process.execPath, buildArguments(join(root, "dist/nexus")), {
    cwd: root,
    stdio: "inherit"
  })
  process.exit(status ?? 1)
}
