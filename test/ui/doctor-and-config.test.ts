import { describe, expect, test } from "bun:test"
import { browserOfFile } from "../kit/browser.ts"
import { browserPath } from "../kit/browserPath.ts"
import { json } from "../kit/answers.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway, startProcess } from "../kit/gateway.ts"
import { chat, open } from "../kit/livePage.ts"

const inBrowser = browserOfFile()

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

  test("tells what a changed file would do: its settings, and who would have answered the last requests", async () => {
    await using a = await startUpstream({ models: ["m"] })
    await using b = await startUpstream({ models: ["m"] })
    const settings = (first: number, second: number) => ({
      backends: [backendFor("a", a, { priority: first }), backendFor("b", b, { priority: second })],
      routing: { strategy: "priority_only" },
      server: { watch_config: false }
    })
    await using gateway = await startProcess(settings(1, 2))
    for (let turn = 0; turn < 3; turn += 1) {
      const body = JSON.stringify({ model: "m", messages: [] })
      const headers = { "content-type": "application/json" }
      await fetch(`${gateway.url}/v1/chat/completions`, { method: "POST", headers, body }).then((told) => told.text())
    }
    await using tab = await inBrowser()
    await tab.page.goto(`${gateway.url}/ui/#/config`)
    await tab.page.getByText("What a reload would change: nothing.").waitFor()
    const inForce = tab.page.getByRole("grid", { name: "Settings" })
    await inForce.getByRole("gridcell", { name: "routing.strategy" }).waitFor()
    await tab.page.getByLabel("defaults too").check()
    await tab.page.getByLabel("Settings to show").fill("queue.enabled")
    await inForce.getByRole("gridcell", { name: "queue.enabled" }).waitFor()

    gateway.rewrite(settings(3, 2))
    await tab.page.getByRole("button", { name: "look again" }).click()
    await tab.page.getByText("3 would have been asked of somebody else first").waitFor()
    await tab.page.getByRole("row", { name: "m a (m) b (m) 3" }).waitFor()

    gateway.rewrite("[server]\nprot = 1\n")
    await tab.page.getByRole("button", { name: "look again" }).click()
    const mistakes = tab.page.getByRole("region", { name: /cannot be taken over/ })
    expect(await mistakes.getByRole("listitem").first().textContent()).toMatch(/nexus\.toml:2 unknown key server\.prot/)
    expect(tab.faults).toEqual([])
  })

  test("draws what took how long of a request that failed over", async () => {
    await using bad = await startUpstream({
      models: ["m"],
      script: () => [json({ error: { message: "<b>no</b>" } }, 500)]
    })
    await using fine = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({
      backends: [backendFor("bad", bad, { priority: 1 }), backendFor("fine", fine, { priority: 2 })],
      routing: { strategy: "priority_only" }
    })
    await chat(gateway, {}, "failed-over")
    await using tab = await inBrowser()
    await open(tab.page, gateway, "requests/failed-over")
    const line = tab.page.getByRole("list", { name: "What took how long" })
    await line.getByText(/connect .* first byte .* the rest/).waitFor()
    const [first, second, third] = await line.getByRole("listitem").allTextContents()
    expect([first, second, third]).toEqual([
      expect.stringMatching(/^requestread and decided/),
      expect.stringMatching(/^badconnect .* in vain .*<b>no<\/b>|^badconnect .* in vain .*500/),
      expect.stringMatching(/^fineconnect/)
    ])
    expect(tab.faults).toEqual([])
  })
})
