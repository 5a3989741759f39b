/**
 * Writes what the pages in docs/ take from the code: all that stands between `<!-- generated: name -->` and
 * `<!-- /generated -->`, and the whole page of the metrics.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { backendTypes, kindNamed, plainType } from "../src/backend/all.ts"
import { translatedFor, type Speech } from "../src/backend/speech.ts"
import { legacyMarkdown } from "../src/config/legacy.ts"
import { isFixed } from "../src/config/difference.ts"
import { showPath } from "../src/config/path.ts"
import { configMarkdown, keyEntries, schemaAt } from "../src/config/reference.ts"
import { variablesFor } from "../src/config/sources.ts"
import { errorAdvice } from "../src/operations/error-advice.ts"
import { errorExamples } from "../src/operations/error-examples.ts"
import { typeOf } from "../src/dialect/openai-error.ts"
import { openai } from "../src/dialect/openai/openai.ts"
import { failureIn } from "../src/dialect/refuse.ts"
import { formats } from "../src/config/import/convert.ts"
import { type ImportFormat, importFormats } from "../src/config/import/import-formats.ts"
import { houseTable } from "./house.ts"
import { writeGrafanaFiles } from "./grafana.ts"
import { permissionTable } from "./permissions.ts"
import { metricsPage } from "../src/telemetry/metrics-reference.ts"

const root = join(import.meta.dir, "..")

const cell = (text: string): string => text.replaceAll("|", "\\|")

const table = (heading: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string =>
  [heading, heading.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n")

const rowsOfKeys = (): ReadonlyArray<{ readonly key: string; readonly row: string }> =>
  configMarkdown()
    .split("\n")
    .slice(2)
    .map((row) => ({ key: /^\| `([^`]+)`/.exec(row)?.[1] ?? "", row }))

const variablesCell = (key: string): string =>
  variablesFor(key)
    .map((name) => `\`${name}\``)
    .join(", ")

/** A table of every key for each section of the file. */
const settings = (): string => {
  const rows = rowsOfKeys()
  const sections = [...new Set(rows.map(({ key }) => key.split(/[.[]/)[0] ?? ""))]
  return sections
    .map((section) => {
      const own = rows.filter(({ key }) => key.split(/[.[]/)[0] === section)
      const meaning = String(schemaAt([section])?.["description"] ?? "")
      const head = "| key | type and bounds | default | meaning | variable |\n| --- | --- | --- | --- | --- |"
      const lines = own.map(({ key, row }) => `${row} ${variablesCell(key)} |`)
      return `### \`${section}\`\n\n${meaning}.\n\n${[head, ...lines].join("\n")}`
    })
    .join("\n\n")
}

/** What is known of each kind of server. */
const servers = (): string =>
  table(
    ["`type`", "server", "looked for at port", "told by"],
    backendTypes.map((type) => {
      const { fingerprint: { header, owner, question } = {}, label, ports } = kindNamed(type)
      const signs = [
        ...(header === undefined ? [] : [`its header \`Server: ${header}\``]),
        ...(owner === undefined ? [] : [`\`"owned_by":"${owner}"\` in its list of models`]),
        ...(question === undefined ? [] : [`what it answers at \`${question.path}\``])
      ]
      const unsigned = type === plainType ? "a list of models in OpenAI's shape" : "the config alone"
      return [`\`${type}\``, label, ports.join(", ") || "—", signs.join(", or ") || unsigned]
    })
  )

/** How an API is asked for, why not natively, and how that is known; by version where that counts. */
const askedWords = (speech: Speech): ReadonlyArray<ReadonlyArray<string>> => {
  if (speech.level === "absent") return []
  const { before, level, ofOriginal, since } = speech
  const where = [since === undefined ? "" : `since ${since}`, ofOriginal === true ? "OpenAI's own and Azure" : ""]
  const when = where.filter((each) => each !== "").join(", ")
  const asked = level === "trusted" ? "natively" : "translated"
  const beyond = level === "trusted" ? speech.beyond : undefined
  const told =
    level !== "trusted"
      ? [cell(speech.why), cell(speech.source)]
      : beyond === undefined
        ? ["", ""]
        : [cell(translatedFor(beyond)), cell(beyond.source)]
  return [
    [when === "" ? asked : `${asked} (${when})`].concat(told),
    ...(before === undefined ? [] : askedWords(before))
  ]
}

/** What each kind of server speaks, and how well. */
const dialects = (): string => {
  const rows = backendTypes.flatMap((type) => {
    const { dialects, main, operations = {} } = kindNamed(type).speaks
    return [...Object.entries(dialects), ...Object.entries(operations)].flatMap(([name, speech]) =>
      name === main
        ? [[`\`${type}\``, `\`${name}\``, "natively (its main one)", "", ""]]
        : askedWords(speech).map((words) => [`\`${type}\``, `\`${name}\``].concat(words))
    )
  })
  return table(["`type`", "API", "asked", "why not natively", "known by"], rows)
}

const errors = (): string => {
  const rows = Object.entries(errorExamples).map(([tag, { when, error }]) => {
    const failure = failureIn(openai, error)
    const { status, code, param } = failure
    // What an example holds in a field of its own differs from one such failure to the next.
    const field = "param" in error ? "the field at fault" : param === null ? "" : `\`${param}\``
    const todo = Object.entries(errorAdvice).find(([each]) => each === tag)?.[1] ?? ""
    return [String(status), `\`${code}\``, `\`${typeOf(failure)}\``, field, when, todo]
  })
  const byStatus = rows.sort(([a = "", b = ""], [c = "", d = ""]) => Number(a) - Number(c) || b.localeCompare(d))
  return table(
    ["status", "`code`", "`type`", "`param`", "when", "what to do"],
    byStatus.map((row) => row.map(cell))
  )
}

const restarts = (): string =>
  keyEntries()
    .map(({ path }) => showPath(path))
    .filter(isFixed)
    .map((key) => `\`${key}\``)
    .join(", ")

const mappedKeys = (kind: ImportFormat): string =>
  table(
    ["setting", "becomes"],
    formats[kind].mapped.map(({ from, to }) => [`\`${from}\``, cell(to)])
  )

const unsupportedKeys = (kind: ImportFormat): string =>
  table(
    ["setting", "why it is not carried over"],
    formats[kind].unsupported.map(({ key, why }) => [`\`${key === "*" ? "any other" : key}\``, cell(why)])
  )

const parts: ReadonlyMap<string, () => string> = new Map([
  ["settings", settings],
  ["legacy", legacyMarkdown],
  ["restarts", restarts],
  ["errors", errors],
  ["folders", houseTable],
  ["permissions", permissionTable],
  ["servers", servers],
  ["dialects", dialects],
  ...importFormats.flatMap((kind) => [
    [`${kind} carried`, () => mappedKeys(kind)] as const,
    [`${kind} left`, () => unsupportedKeys(kind)] as const
  ])
])

/** Pages that hold generated parts. */
export const pages = [
  "README.md",
  "docs/configuration.md",
  "docs/dialects.md",
  "docs/discovery.md",
  "docs/errors.md",
  "docs/migration.md",
  "docs/operations.md",
  "docs/security.md"
]

/** A page with its generated parts as the code has them now. */
export const filled = (text: string): string =>
  text.replace(/<!-- generated: (.+?) -->\n[\s\S]*?<!-- \/generated -->/g, (_, name: string) => {
    const part = parts.get(name)
    if (part === undefined) throw new Error(`nothing generates '${name}'; there are ${[...parts.keys()].join(", ")}`)
    return `<!-- generated: ${name} -->\n\n${part()}\n\n<!-- /generated -->`
  })

if (import.meta.main) {
  for (const page of pages) {
    const path = join(root, page)
    writeFileSync(path, filled(readFileSync(path, "utf8")))
  }
  writeFileSync(join(root, "docs/metrics.md"), metricsPage())
  writeGrafanaFiles()
}
