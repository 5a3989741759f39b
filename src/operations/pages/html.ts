/**
 * Pages for people: whole in themselves, without scripts, and with every text from elsewhere escaped.
 */
import { createHash } from "node:crypto"
import { printable } from "../../domain/printable.ts"

/** A page in both of its forms. */
export interface Page {
  readonly text: string
  readonly html: string
}

const marks: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" }

/** A text as it stands between tags and in attributes. */
export const escaped = (text: string): string => printable(text).replace(/[&<>"']/g, (mark) => marks[mark] ?? "")

const style = `
:root { color-scheme: light dark; --dim: light-dark(#5c6370, #9aa1ac); --line: light-dark(#d9dce1, #363b43); }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2.5rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p { margin: .5rem 0; } .dim { color: var(--dim); }
pre, code { font: 14px/1.5 ui-monospace, monospace; }
pre { padding: .75rem; border: 1px solid var(--line); border-radius: 6px; white-space: pre-wrap; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; } th { text-align: left; font-weight: 600; }
th, td { padding: .3rem .75rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere; }
.healthy { color: light-dark(#13703a, #5fcf8a); } .unhealthy, .config_error { color: light-dark(#b3261e, #ff8a80); }
summary { cursor: pointer; padding: .2rem 0; } details { border-bottom: 1px solid var(--line); }
`

/** What a browser may do with a page: show it, and nothing else. */
const policy = `default-src 'none'; style-src 'sha256-${createHash("sha256").update(style).digest("base64")}'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`

/** A whole document; `body` is HTML. */
export const documentOf = (title: string, body: string): string =>
  `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escaped(title)}</title>
<link rel="icon" href="data:,">
<style>${style}</style>
</head>
<body>
${body}
</body>
</html>
`

/** A table with a heading; the cells are HTML. */
export const tableOf = (heading: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const row = (tag: string) => (cells: ReadonlyArray<string>) =>
    `<tr>${cells.map((cell) => `<${tag}>${cell}</${tag}>`).join("")}</tr>`
  return `<table>\n${[row("th")(heading), ...rows.map(row("td"))].join("\n")}\n</table>`
}

/** Lines of words in columns. */
export const columnsOf = (rows: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<string> => {
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => (row[at] ?? "").length)))
  return rows.map((row) => `  ${row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join("  ")}`.trimEnd())
}

/** The form that was asked for: a browser asks for HTML, everything else gets text. */
export const answerWith = ({ headers }: Request, { text, html }: Page): Response => {
  const common = { "cache-control": "no-store", vary: "accept", "x-content-type-options": "nosniff" }
  if (!/\btext\/html\b(?!;q=0(\.0*)?(,|$))/i.test(headers.get("accept") ?? "")) {
    return new Response(text, { headers: { ...common, "content-type": "text/plain; charset=utf-8" } })
  }
  const forHtml = { "content-security-policy": policy, "referrer-policy": "no-referrer" }
  return new Response(html, { headers: { ...common, ...forHtml, "content-type": "text/html; charset=utf-8" } })
}
