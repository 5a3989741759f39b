/**
 * Where the pages of dialects are.
 */
import { percentDecoded } from "../domain/url-host.ts"
import type { Dialect } from "./Dialect.ts"
import type { DialectPage } from "./pages.ts"

/** A page that a path leads to. */
export interface PageRoute {
  readonly dialect: Dialect
  readonly page: DialectPage
  readonly model: string
}

const variable = "{model}"

/** The model that a path names where a page is; undefined where the path leads elsewhere. */
const modelAt = (page: string, path: string): string | undefined => {
  if (!page.endsWith(variable)) return page === path ? "" : undefined
  const before = page.slice(0, -variable.length)
  return path.startsWith(before) && path.length > before.length ? percentDecoded(path.slice(before.length)) : undefined
}

/** The pages at a path that are for who sends these headers, whatever their methods. */
export const pagesAt = (dialects: ReadonlyArray<Dialect>, path: string, headers: Headers): ReadonlyArray<PageRoute> =>
  dialects.flatMap((dialect) =>
    (dialect.pages ?? []).flatMap((page) => {
      const model = modelAt(page.path, path)
      if (model === undefined || (page.shared === true && dialect.speaksTo?.(headers, path) !== true)) return []
      return [{ dialect, page, model }]
    })
  )

/** The methods of pages. */
export const pageMethods = (pages: ReadonlyArray<PageRoute>): ReadonlyArray<string> => [
  ...new Set(pages.flatMap(({ page }) => (page.method === "GET" ? ["GET", "HEAD"] : [page.method])))
]
