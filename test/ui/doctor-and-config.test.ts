import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import type { Browser } from "playwright-core"
import { browserPath, openTab, startBrowser } from "../kit/browser.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startProcess } from "../kit/gateway.ts"

let browser: Browser | undefined

beforeAll(async () => {
  if (browserPath !== undefined) browser = await startBrowser()
})

afterAll(() => browser?.close())

const inBrowser = async () => {
  if (browser === undefined) throw new Error("no browser")
  return openTab(browser)
}

describe.skipIf(browserPath === undefined)("the live page", () => {
  test("looks for what is wrong and shows each finding, the mistakes of the file by their lines", async () => {
    await using up = await startUpstream({ models: ["m"] })
    await using gateway = await startProcess({
      backends: [backendFor("a", up), backendFor("gone", { url: "http://127.0.0.1:1" })]
    })
    gateway.rewrite(`[[backends]]\nname = "a"\nurl = "${up.url}"\nweigth = 3\n`)
    await using tab = await inBrowser()
    await tab.page.goto(`${gateway.url}/ui/#/doctor`)
    await tab.page.getByRole("button", { name: "look for what is wrong" }).click()
    await tab.page
      .getByRole("status")
      .getByText(/done: \d+ errors?/)
      .waitFor()
    await tab.page
      .getByRole("region", { name: "gateway" })
      .getByText(/:4: unknown key .*weigth/)
      .waitFor()
    await tab.page.getByRole("region", { name: "gone" }).getByText("connection refused").waitFor()
    await tab.page.getByRole("region", { name: "a", exact: true }).getByRole("listitem").first().waitFor()
    await tab.page.getByLabel("only what is wrong").check()
    await tab.page.getByRole("region", { name: "a", exact: true }).waitFor({ state: "detached" })
    expect(tab.faults).toEqual([])
  })
})
