import { describe, expect, test } from "bun:test"
import { browserOfFile } from "../kit/browser.ts"
import { browserPath } from "../kit/browserPath.ts"
import { backendFor, startGateway } from "../kit/gateway.ts"
import { open } from "../kit/livePage.ts"
import { startModelOllama } from "../kit/modelServers.ts"

const inBrowser = browserOfFile()

describe.skipIf(browserPath === undefined)("the models of the live page", () => {
  test("are loaded and unloaded, and it is said how that goes, also where the gateway ends in the middle of it", async () => {
    await using lab = await startModelOllama("small:latest")
    await using gateway = await startGateway({ backends: [backendFor("lab", lab, { type: "ollama" })] })
    await using tab = await inBrowser()
    const { page } = tab
    await open(page, gateway, "models")
    const load = page.getByRole("button", { name: "load small:latest at lab", exact: true })
    const unload = page.getByRole("button", { name: "unload small:latest at lab", exact: true })
    const gate = Promise.withResolvers<void>()
    let asked = 0
    await page.route("**/admin/v1/models/load", async (route) => {
      asked += 1
      await gate.promise
      const line = { action: "load", backend: "lab", model: "small:latest", status: "loading", seconds: 0 }
      await route.fulfill({ status: 200, contentType: "application/x-ndjson", body: `${JSON.stringify(line)}\n` })
    })
    await load.focus()
    await page.keyboard.press("Enter")
    expect(await load.isDisabled()).toBe(true)
    await page.keyboard.press("Enter")
    gate.resolve()
    await page.getByText("the gateway has ended too early").waitFor()
    expect(await load.isDisabled()).toBe(false)
    expect(asked).toBe(1)
    expect(await load.evaluate((button) => button.matches(":focus"))).toBe(true)
    await page.unroute("**/admin/v1/models/load")
    await load.click()
    await page.getByText(/^loaded in/).waitFor()
    await unload.click()
    await page.getByText(/^unloaded in/).waitFor()
    await load.waitFor()
    expect(tab.faults).toEqual([])
  })
})
