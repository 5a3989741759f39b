/**
 * What the pages hold that can be checked: shell commands and links.
 */

/** A fenced block of shell commands. */
export interface Block {
  /** Line of its first command. */
  readonly line: number
  readonly text: string
  /** Why it is not run, when `<!-- not run: why -->` stands on the line before it. */
  readonly notRun: string | undefined
  /** What the page shows right below it of what comes of it; empty where it shows nothing. */
  readonly shown: string
}

/** The text of a plain block that begins at the next line that is not empty. */
const plainBelow = (lines: ReadonlyArray<string>, from: number): string => {
  const at = lines.findIndex((line, index) => index >= from && line.trim() !== "")
  if (lines[at]?.trim() !== "```") return ""
  return lines
    .slice(
      at + 1,
      lines.findIndex((line, index) => index > at && line.trim() === "```")
    )
    .join("\n")
}

const mark = /^\s*<!-- not run: (.*\S) -->\s*$/

/** The blocks of shell commands of a page, in its order. */
export const blocksOf = (page: string): ReadonlyArray<Block> => {
  const lines = page.split("\n")
  const blocks: Array<Block> = []
  let fence: { readonly at: number; readonly isShell: boolean; readonly end: string } | undefined
  for (const [at, line] of lines.entries()) {
    const found = /^\s*(`{3,}|~{3,})\s*(\S*)/.exec(line)
    if (fence === undefined && found !== null) {
      fence = { at, isShell: found[2] === "bash", end: found[1] ?? "" }
    } else if (fence !== undefined && line.trim() === fence.end) {
      if (fence.isShell) {
        const text = lines.slice(fence.at + 1, at).join("\n")
        const notRun = mark.exec(lines[fence.at - 1] ?? "")?.[1]
        blocks.push({ line: fence.at + 2, text, notRun, shown: plainBelow(lines, at + 1) })
      }
      fence = undefined
    }
  }
  if (fence !== undefined) throw new Error(`the block at line ${fence.at + 1} does not end`)
  return blocks
}

/** A block as a script: it ends at the first command that fails, unless `# exit N` behind the command says it does. */
export const scriptOf = (text: string, port: string): string => {
  const lines = text
    .replace(/\b(localhost|127\.0\.0\.1):8000\b/g, `127.0.0.1:${port}`)
    .split("\n")
    .map((line) => {
      const [, command, code] = /^(.*\S)\s+# exit (\d+)$/.exec(line) ?? []
      return code === undefined ? line : `code=0; ${command} || code=$?; [ "$code" -eq ${code} ]`
    })
  return ["set -eo pipefail", ...lines, ""].join("\n")
}

const fieldsOf = (value: unknown, at: string): ReadonlyArray<string> => {
  if (Array.isArray(value)) return value.flatMap((each) => fieldsOf(each, `${at}[]`))
  if (typeof value !== "object" || value === null) return []
  return Object.entries(value).flatMap(([key, each]) => [`${at}.${key}`].concat(fieldsOf(each, `${at}.${key}`)))
}

const jsonIn = (line: string): unknown => {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

/** The fields of each JSON object that takes a line, or ends where another one begins. */
export const fieldsIn = (text: string): ReadonlyArray<ReadonlyArray<string>> =>
  text
    .split(/\n|(?<=\})(?=\{")/)
    .map(jsonIn)
    .filter((value) => typeof value === "object" && value !== null && !Array.isArray(value))
    .map((value) => [...new Set(fieldsOf(value, ""))].sort())

const withoutCode = (page: string): string =>
  page.replace(/^\s*(```|~~~)[\s\S]*?^\s*\1\s*$/gm, "").replace(/`[^`\n]*`/g, "")

/** Links of a page to other files and to headings; those to other hosts are left out. */
export const linksOf = (page: string): ReadonlyArray<string> =>
  [...withoutCode(page).matchAll(/\[[^\]]*\]\(([^)\s]+)\)/g)]
    .map(([, to = ""]) => to)
    .filter((to) => !/^[a-z]+:/i.test(to))

/** Anchors of the headings of a page, as GitHub makes them. */
export const anchorsOf = (page: string): ReadonlySet<string> => {
  const headings = page.replace(/^\s*```[\s\S]*?^\s*```\s*$/gm, "").matchAll(/^#{1,6} +(.+?) *$/gm)
  const seen = new Map<string, number>()
  const anchors = new Set<string>()
  for (const [, heading = ""] of headings) {
    const plain = heading
      .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .replace(/ /g, "-")
    const count = seen.get(plain) ?? 0
    seen.set(plain, count + 1)
    anchors.add(count === 0 ? plain : `${plain}-${count}`)
  }
  return anchors
}
