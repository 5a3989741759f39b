/**
 * How the files of `src/` hang together: which import which, what goes against the table of folders, and which names recur.
 * The architecture test holds the code to it; run by itself, it prints the figures.
 */
import { spawnSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { basename, dirname, join, normalize } from "node:path"
import { house } from "./house.ts"

const root = join(import.meta.dir, "..")

/** Whether a file of the project is there. */
export const isThere = (file: string): boolean => existsSync(join(root, file))

/** All files that belong to the project, by what Git knows; what is new and not ignored counts as well. */
export const tracked: ReadonlyArray<string> = spawnSync(
  "git",
  ["ls-files", "-z", "--cached", "--others", "--exclude-standard"],
  { cwd: root }
)
  .stdout.toString()
  .split("\0")
  .filter((file) => file !== "" && isThere(file))

/** The text of a file. */
export const textOf = (file: string): string => readFileSync(join(root, file), "utf8")

/** How many lines a file has. */
export const linesOf = (file: string): number => textOf(file).trimEnd().split("\n").length

/** All files of TypeScript. */
export const code: ReadonlyArray<string> = tracked.filter((file) => /\.tsx?$/.test(file))

/** Those of the program. */
export const src: ReadonlyArray<string> = code.filter((file) => file.startsWith("src/"))

const scanner = new Bun.Transpiler({ loader: "ts" })

/** Files that hold programs of others as text, to be printed; what they import and call is theirs. */
export const printed: ReadonlyArray<string> = ["src/connect/code.ts"]

const importsIn = (text: string): ReadonlyArray<string> =>
  [
    ...text.matchAll(/^\s*(?:import|export)\b[^"'`;]*?from\s+"([^"]+)"|^\s*import\s+"([^"]+)"|\bimport\(\s*"([^"]+)"/gm)
  ].map(([, from, bare, later]) => from ?? bare ?? later ?? "")

/** All imports of a file as they are written, type-only ones too. */
export const importsOf = (file: string): ReadonlyArray<string> =>
  printed.includes(file) ? scanner.scanImports(textOf(file)).map(({ path }) => path) : importsIn(textOf(file))

/** The file that a relative import leads to. */
export const target = (file: string, path: string): string => normalize(join(dirname(file), path))

/** The folder of the table that a file is in; `main` for src/main.ts. */
export const folderOf = (file: string): string =>
  Object.keys(house)
    .filter((room) => file.startsWith(`src/${room}/`) || file === `src/${room}.ts`)
    .sort((a, b) => b.length - a.length)[0] ?? ""

/** Files of the program that a file imports, for values or for types, at once or later. */
export const ownImportsOf = (file: string): ReadonlyArray<string> =>
  importsOf(file)
    .filter((path) => path.startsWith("."))
    .map((path) => target(file, path))
    .filter((to) => to.startsWith("src/"))

const imports: ReadonlyArray<{ readonly from: string; readonly to: string }> = src.flatMap((from) =>
  [...new Set(ownImportsOf(from))].map((to) => ({ from, to }))
)

const across = imports.filter(({ from, to }) => folderOf(from) !== folderOf(to))

/** Imports that the table does not allow. */
export const notAllowed: ReadonlyArray<string> = across
  .filter(({ from, to }) => !(house[folderOf(from)]?.mayImport ?? []).includes(folderOf(to)))
  .map(({ from, to }) => `${from} imports ${to}`)

const order = Object.keys(house)

const arrows = order.flatMap((from) => (house[from]?.mayImport ?? []).map((to) => ({ from, to })))

/** Arrows of the table that do not lead to a folder before their own. */
export const back: ReadonlyArray<string> = arrows
  .filter(({ from, to }) => order.indexOf(to) >= order.indexOf(from) || !order.includes(to))
  .map(({ from, to }) => `${from} -> ${to}`)

/** Arrows of the table that nothing goes along. */
export const unused: ReadonlyArray<string> = arrows
  .filter(({ from, to }) => !across.some((each) => folderOf(each.from) === from && folderOf(each.to) === to))
  .map(({ from, to }) => `${from} -> ${to}`)

/** Circles of files, those of types among them. */
export const circles = (): ReadonlyArray<string> => {
  const done = new Set<string>()
  const found: Array<string> = []
  const visit = (file: string, path: ReadonlyArray<string>): void => {
    if (path.includes(file)) found.push([...path.slice(path.indexOf(file)), file].join(" -> "))
    if (done.has(file) || path.includes(file)) return
    for (const to of ownImportsOf(file)) visit(to, [...path, file])
    done.add(file)
  }
  for (const file of src) visit(file, [])
  return found
}

const recurring = (places: ReadonlyArray<readonly [name: string, file: string]>): ReadonlyArray<string> =>
  [...Map.groupBy(places, ([name]) => name)]
    .map(([name, all]) => [name, [...new Set(all.map(([, file]) => file))]] as const)
    .filter(([, files]) => files.length > 1)
    .map(([name, files]) => `${name}: ${files.join(", ")}`)
    .sort()

const exported = /^export (?:declare |abstract |async )*(?:const|let|function\*?|class|interface|type|enum) ([\w$]+)/gm

/** Names that more than one file exports. */
export const recurringNames = (): ReadonlyArray<string> =>
  recurring(src.flatMap((file) => [...textOf(file).matchAll(exported)].map(([, name = ""]) => [name, file] as const)))

/** Names of files that are in more than one folder, whatever their case. */
export const recurringFiles = (): ReadonlyArray<string> =>
  recurring(src.map((file) => [basename(file).toLowerCase(), file] as const))

/** Files of less than 40 lines that a single file imports, and that one imports at once. */
export const crumbs = (): ReadonlyArray<string> =>
  src
    .filter((file) => !file.endsWith(".d.ts") && linesOf(file) < 40)
    .flatMap((file) => {
      const users = imports.filter(({ to }) => to === file).map(({ from }) => from)
      const later = users.some((user) =>
        [...textOf(user).matchAll(/\bimport\(\s*"([^"]+)"/g)].some(([, path = ""]) => target(user, path) === file)
      )
      return users.length === 1 && !later ? [file] : []
    })

if (import.meta.main) {
  const longest = src.toSorted((a, b) => linesOf(b) - linesOf(a))[0] ?? ""
  const rows = [
    ["folders", order.length],
    ["files", src.length],
    ["lines", src.reduce((sum, file) => sum + linesOf(file), 0)],
    ["longest file", `${longest} (${linesOf(longest)})`],
    ["imports between files", imports.length],
    ["arrows between folders", arrows.length],
    ["arrows back", back.length],
    ["arrows unused", unused.length],
    ["imports not allowed", notAllowed.length],
    ["circles of files", circles().length],
    [
      "exported names that recur",
      recurringNames()
        .map((line) => line.replace(/:.*/, ""))
        .join(", ") || 0
    ],
    ["file names that recur", recurringFiles().length],
    ["small files with one user", crumbs().length]
  ]
  console.log(rows.map(([what, figure]) => `${String(what).padEnd(28)}${figure}`).join("\n"))
}
