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
        blocks.push({ line: fence.at + 2, text, notRun: mark.exec(lines[fence.at - 1] ?? "")?.[1] })
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
