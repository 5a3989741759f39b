/**
 * A real browser for tests, where there is one.
 */
import { afterAll, beforeAll } from "bun:test"
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core"
import { browserPath } from "./browserPath.ts"

if (browserPath === undefined)
  console.warn("Skipped: the live page in a browser; no Chromium is here (CHROMIUM names one)")

/** What went wrong in pages: errors of scripts, and what their rules forbade. */
export interface Tab extends AsyncDisposable {
  readonly page: Page
  readonly faults: ReadonlyArray<string>
}

const openTab = async (browser: Browser, options: BrowserContextOptions): Promise<Tab> => {
  const context = await browser.newContext({
    viewport: { width: 1440, height: 900 },
    locale: "en-GB",
    timezoneId: "Europe/Berlin",
    reducedMotion: "reduce",
    ...options
  })
  const page = await context.newPage()
  page.setDefaultTimeout(30_000)
  const faults: Array<string> = []
  page.on("pageerror", ({ message }) => faults.push(message))
  page.on("dialog", (dialog) => {
    faults.push(`a dialog: ${dialog.message()}`)
    void dialog.dismiss()
  })
  page.on("console", (message) => {
    if (/content security policy/i.test(message.text())) faults.push(message.text())
  })
  return { page, faults, [Symbol.asyncDispose]: () => context.close() }
}

/** Opens tabs, each with nothing of what others keep, in a browser that is there for the tests of the file that calls this. */
export const browserOfFile = (): ((options?: BrowserContextOptions) => Promise<Tab>) => {
  let browser: Browser | undefined
  beforeAll(async () => {
    if (browserPath === undefined) return
    browser = await chromium.launch({ executablePath: browserPath, args: ["--no-sandbox"], timeout: 60_000 })
  })
  afterAll(() => browser?.close())
  return async (options = {}) => {
    if (browser === undefined) throw new Error("no browser")
    return openTab(browser, options)
  }
}
