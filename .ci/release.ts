/**
 * Makes the files of a release in dist/release: the binaries, the npm package, SHA256SUMS and RELEASE_NOTES.md.
 */
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { type Asset, changesOf, checksums, notes } from "./notes.ts"
import { targets } from "./targets.ts"

const root = join(import.meta.dir, "..")
const directory = join(root, "dist/release")

const fail = (message: string): never => {
  console.error(`error: ${message}`)
  process.exit(1)
}

const run = (file: string, args: ReadonlyArray<string>): void => {
  const { status, error } = spawnSync(file, [...args], { cwd: root, stdio: ["ignore", "ignore", "inherit"] })
  if (status !== 0) fail(`${file} ${args.join(" ")} failed${error === undefined ? "" : `: ${error.message}`}`)
}

const assetOf = (name: string): Asset => {
  const bytes = readFileSync(join(directory, name))
  return { name, bytes: bytes.byteLength, sha256: createHash("sha256").update(bytes).digest("hex") }
}

const asked = process.argv.slice(2)
const wrong = asked.find((name) => !targets.some((target) => target === name))
if (wrong !== undefined) {
  console.error(
    `error: no such target: ${wrong}\n\nUsage: bun run release [TARGET]...\nTargets: ${targets.join(", ")}; all of them without any.`
  )
  process.exit(2)
}

const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { readonly version: string } // reason: the project's own file
const changes = changesOf(readFileSync(join(root, "CHANGELOG.md"), "utf8"), version)
if (changes === undefined) fail(`CHANGELOG.md has nothing under ${version}, and nothing under Unreleased`)

rmSync(directory, { recursive: true, force: true })
mkdirSync(directory, { recursive: true })
for (const target of asked.length > 0 ? asked : targets) {
  const name = `nexus-${version}-${target}${target.startsWith("windows") ? ".exe" : ""}`
  console.log(`Building ${name}`)
  run(process.execPath, [join(root, ".ci/build.ts"), "--target", target, "--outfile", join(directory, name)])
}
run("npm", ["pack", "--silent", "--pack-destination", directory])

const assets = readdirSync(directory)
  .filter((name) => !name.endsWith(".map"))
  .sort()
  .map(assetOf)
writeFileSync(join(directory, "SHA256SUMS"), checksums(assets))
writeFileSync(join(directory, "RELEASE_NOTES.md"), notes(version, changes?.text ?? "", assets))
if (changes?.heading !== version) {
  console.log(`note: CHANGELOG.md has no section ${version} yet; the notes are those of ${changes?.heading}`)
}
console.log(`Wrote ${assets.length} files, SHA256SUMS and RELEASE_NOTES.md to dist/release`)
