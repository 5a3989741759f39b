import { describe, expect, test } from "bun:test"
import { browserOfFile } from "../kit/browser.ts"
import { browserPath } from "../kit/browserPath.ts"
import { chat, open, started } from "../kit/livePage.ts"

const inBrowser = browserOfFile()

describe.skipIf(browserPath === undefined)("the table of requests, while others come", () => {
  test("keeps what is read where it is, once somebody has scrolled to it", async () => {
    await using at = await started()
    for (let turn = 0; turn < 80; turn += 1) await chat(at.gateway, { model: turn === 40 ? "read-this" : "m" })
    await using tab = await inBrowser()
    await open(tab.page, at.gateway, "requests")
    const table = tab.page.getByRole("grid", { name: "Requests" })
    await tab.page.getByText("80 of 80").waitFor()
    await table.evaluate((element) => element.scrollTo(0, 34 * 35))
    const row = tab.page.getByRole("row", { name: /read-this/ })
    await row.waitFor()
    const before = await row.boundingBox()
    for (let turn = 0; turn < 12; turn += 1) await chat(at.gateway, {})
    await tab.page.getByText("92 of 92").waitFor()
    expect((await row.boundingBox())?.y).toBe(before?.y ?? 0)
  })

  test("opens by Enter the row that somebody has gone to, wherever it is by then", async () => {
    await using at = await started()
    for (const id of ["first", "second", "third"]) await chat(at.gateway, {}, id)
    await using tab = await inBrowser()
    await open(tab.page, at.gateway, "requests")
    await tab.page.getByText("3 of 3").waitFor()
    await tab.page.getByRole("grid", { name: "Requests" }).focus()
    await tab.page.keyboard.press("ArrowDown")
    for (let turn = 0; turn < 40; turn += 1) await chat(at.gateway, {})
    await tab.page.getByText("43 of 43").waitFor()
    expect(await tab.page.locator(".row.at").isVisible()).toBe(true)
    await tab.page.keyboard.press("Enter")
    await tab.page.getByRole("region", { name: "Request second" }).waitFor()
  })
})
