/**
 * What is written of a release beside its files: the notes, from CHANGELOG.md, and the checksums.
 */

/** A file of the release. */
export interface Asset {
  readonly name: string
  readonly bytes: number
  /** Lower-case hexadecimal. */
  readonly sha256: string
}

/** What CHANGELOG.md says of a version, and under which heading: its own, or `Unreleased` when it has none. */
export const changesOf = (
  changelog: string,
  version: string
): { readonly heading: string; readonly text: string } | undefined => {
  const sections = changelog.split(/^## +/m).slice(1)
  const nameOf = (section: string): string => section.split("\n")[0]?.replace(/[[\]]/g, "").split(" ")[0] ?? ""
  const section = [version, "Unreleased"].flatMap((name) => sections.find((each) => nameOf(each) === name) ?? [])[0]
  if (section === undefined) return undefined
  const text = section.split("\n").slice(1).join("\n").trim()
  return text === "" ? undefined : { heading: nameOf(section), text }
}

/** The checksums as `sha256sum -c` reads them. */
export const checksums = (assets: ReadonlyArray<Asset>): string =>
  assets.map(({ name, sha256 }) => `${sha256}  ${name}\n`).join("")

const size = (bytes: number): string =>
  bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`

/** The notes as Markdown. */
export const notes = (version: string, changes: string, assets: ReadonlyArray<Asset>): string => {
  const archive = assets.find(({ name }) => name.endsWith(".tgz"))?.name
  return [
    `# Nexus ${version}`,
    "",
    changes,
    "",
    "## Install",
    "",
    "A binary needs nothing else: fetch it, `chmod +x`, and call it `nexus`.",
    ...(archive === undefined ? [] : [`With Node.js and npm: \`npm install -g ./${archive}\`.`]),
    "Check what was fetched with `sha256sum -c SHA256SUMS --ignore-missing`.",
    "",
    "| file | size | SHA-256 |",
    "| --- | --- | --- |",
    ...assets.map(({ name, bytes, sha256 }) => `| \`${name}\` | ${size(bytes)} | \`${sha256}\` |`),
    ""
  ].join("\n")
}
