import { describe, expect, test } from "bun:test"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { browserOfFile } from "../kit/browser.ts"
import { browserPath } from "../kit/browserPath.ts"
import { backendFor, startGateway } from "../kit/gateway.ts"
import { chat, open } from "../kit/livePage.ts"

const inBrowser = browserOfFile()

describe.skipIf(browserPath === undefined)("the live page before 200 backends of 10 models each", () => {
  test("keeps what is in the document small in each view, and draws what is scrolled to", async () => {
    await using upstream = await startUpstream({ models: Array.from({ length: 10 }, (_, at) => `model-${at}`) })
    const names = Array.from({ length: 200 }, (_, at) => `server-${at + 1}`)
    await using gateway = await startGateway({
      backends: names.map((name) => backendFor(name, upstream, name === "server-42" ? { priority: 1 } : {})),
      routing: { strategy: "priority_only" }
    })
    await chat(gateway, { model: "model-0", stream: true })
    await using tab = await inBrowser()
    const { page } = tab
    const elements = () => page.evaluate<number>("document.querySelectorAll('*').length")
    const firstNamed = () => page.locator("article h3").first().textContent()

    await open(page, gateway, "fleet")
    await page.getByText("200 of 200").waitFor()
    expect(await page.getByRole("article").count()).toBe(200)
    expect(await elements()).toBeLessThan(2500)
    const last = page.getByRole("article", { name: "Backend server-200" })
    expect(await last.getByText("generic").count()).toBe(0)
    await last.scrollIntoViewIfNeeded()
    await last.getByText("generic").waitFor()
    expect(await elements()).toBeLessThan(2500)

    expect(await firstNamed()).toBe("server-1")
    await page.getByLabel("Backends that stand first").selectOption({ label: "slowest first token" })
    await page.locator("article:first-child h3", { hasText: "server-42" }).waitFor()
    await page.getByLabel("Backends to show").fill("server-17")
    await page.getByText("11 of 200").waitFor()
    await page.getByRole("link", { name: "requests of server-17", exact: true }).click()
    await page.getByRole("grid", { name: "Requests" }).waitFor()
    expect(await page.getByLabel("Requests to show").inputValue()).toBe("server-17")

    await open(page, gateway, "models")
    await page.getByText("2000 of 2000").waitFor()
    expect(await page.locator(".list .row").count()).toBeLessThan(80)
    expect(await elements()).toBeLessThan(1000)
    await page.getByRole("grid", { name: "Models" }).focus()
    await page.keyboard.press("End")
    await page.getByRole("gridcell", { name: "model-9" }).first().waitFor()
    expect(await page.locator(".list .row").count()).toBeLessThan(80)
    expect(tab.faults).toEqual([])
  })
})
