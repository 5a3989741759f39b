/**
 * Preloaded by a process under test: the table of kinds has one line more.
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { plugin } from "bun"

const kind = join(import.meta.dir, "toy-kind.ts")

void plugin({
  name: "a kind more",
  setup: (build) => {
    build.onLoad({ filter: /src[\\/]backend[\\/]all\.ts$/ }, ({ path }) => {
      const before = readFileSync(path, "utf8")
      const contents = `import { toy } from ${JSON.stringify(kind)}\n${before.replace("\n  generic\n}", "\n  generic,\n  toy\n}")}`
      if (!contents.includes("  toy\n")) throw new Error("the table of kinds has another shape")
      return { contents, loader: "ts" }
    })
  }
})
