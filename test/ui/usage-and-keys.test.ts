import { afterAll, describe, expect, test } from "bun:test"
import { createHash } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { browserOfFile } from "../kit/browser.ts"
import { browserPath } from "../kit/browserPath.ts"
import { chat, open, signIn, started } from "../kit/livePage.ts"

const inBrowser = browserOfFile()

const folder = mkdtempSync(join(tmpdir(), "nexus-page-"))

afterAll(() => rmSync(folder, { recursive: true, force: true }))

const digestOf = (key: string) => createHash("sha256").update(key).digest()

describe.skipIf(browserPath === undefined)("the live page", () => {
  test("tells who uses most, what it costs and how full a budget is", async () => {
    const hostile = `<img src=x onerror="alert(1)">`
    await using at = await started(
      ["m", "other", hostile],
      {
        usage: { enabled: true, path: join(folder, "usage.sqlite") },
        budgets: [{ name: "team", per: "month", each: "key", soft_usd: 1, hard_usd: 100 }],
        prices: [{ model: "*", input_usd: 1000, output_usd: 10_000 }]
      },
      {
        backendKeys: new Map(),
        authKeys: [
          { name: "heavy", digest: digestOf("h"), admin: true },
          { name: "light", digest: digestOf("l") }
        ]
      }
    )
    for (let turn = 0; turn < 3; turn += 1) await chat(at.gateway, {}, `h-${turn}`, "h")
    await chat(at.gateway, { model: hostile }, "l-0", "l")
    await using tab = await inBrowser()
    await signIn(tab.page, at.gateway, "h")
    await open(tab.page, at.gateway, "usage")
    const keys = tab.page.getByRole("region", { name: "By key" })
    await keys.getByText("75 %").waitFor()
    expect(await keys.getByRole("rowheader").allTextContents()).toEqual(["heavy", "light"])
    await tab.page.getByRole("region", { name: "By model" }).getByText(hostile, { exact: true }).waitFor()
    await tab.page
      .getByRole("article", { name: "Budget team heavy" })
      .getByText(/ of \$100\.00, /)
      .waitFor()
    await tab.page.getByRole("img", { name: /money by hour: at most \$/ }).waitFor()
    await tab.page.getByLabel("7 days").check()
    await tab.page.getByRole("img", { name: /money by day: at most \$/ }).waitFor()
    await tab.page.getByLabel("requests", { exact: true }).check()
    await tab.page.getByRole("img", { name: "requests by day: at most 4" }).waitFor()
    expect(await tab.page.locator("main img").count()).toBe(0)
    expect(tab.faults).toEqual([])
  })

  test("says how usage is switched on where it is off", async () => {
    await using at = await started()
    await using tab = await inBrowser()
    await open(tab.page, at.gateway, "usage")
    await tab.page.getByText("enabled = true", { exact: false }).first().waitFor()
  })

  test("makes a key that is shown once and lets in, replaces it and takes it back", async () => {
    await using at = await started(
      ["m"],
      { auth: { store: join(folder, "keys.sqlite") } },
      { backendKeys: new Map(), authKeys: [{ name: "boss", digest: digestOf("b"), admin: true }] }
    )
    const asks = (key: string) =>
      fetch(`${at.gateway.url}/v1/models`, { headers: { authorization: `Bearer ${key}` } }).then(({ status }) => status)
    await using tab = await inBrowser()
    await signIn(tab.page, at.gateway, "b")
    await open(tab.page, at.gateway, "keys")
    await tab.page.getByText("Make a key").click()
    const form = tab.page.getByRole("form", { name: "Make a key" })
    await form.getByLabel("Name").fill("not a name")
    await form.getByRole("button", { name: "Make the key" }).click()
    await form.getByRole("alert").getByText("1 to 64 letters").waitFor()
    await form.getByLabel("Name").fill("ci")
    await form.getByLabel("Owner").fill("<i>search</i>")
    await form.getByLabel("Models").fill("m, qwen3*")
    await form.getByLabel("At a time").fill("3")
    await form.getByRole("button", { name: "Make the key" }).click()
    const shown = tab.page.getByRole("region", { name: "The key ci" })
    const first = (await shown.locator("code").textContent()) ?? ""
    expect(await asks(first)).toBe(200)
    await shown.getByRole("button", { name: "I have it" }).click()
    await tab.page.getByRole("cell", { name: "models m, qwen3*; 3 at a time" }).waitFor()
    await tab.page.getByRole("cell", { name: "<i>search</i>", exact: true }).waitFor()
    expect(await tab.page.getByText(first).count()).toBe(0)

    await tab.page.getByRole("button", { name: "rotate ci" }).click()
    await tab.page.getByLabel("How long the old key counts").selectOption("no time")
    await tab.page.getByRole("button", { name: "Replace ci" }).click()
    const second = (await shown.locator("code").textContent()) ?? ""
    expect(second).not.toBe(first)
    expect([await asks(first), await asks(second)]).toEqual([401, 200])

    await tab.page.getByRole("button", { name: "revoke ci" }).click()
    await tab.page.getByRole("button", { name: "Revoke ci", exact: true }).click()
    await tab.page.getByRole("cell", { name: "ci", exact: true }).waitFor({ state: "detached" })
    expect(await asks(second)).toBe(401)
    expect(await tab.page.getByRole("cell", { name: "in the config file" }).count()).toBe(1)
    expect(tab.faults).toEqual([])
  })

  test("asks for what a view shows also where it was opened in the background", async () => {
    await using at = await started()
    await using tab = await inBrowser()
    await tab.page.addInitScript(`Object.defineProperty(Document.prototype, "hidden", { get: () => true })`)
    await open(tab.page, at.gateway, "keys")
    await tab.page.getByText("Keys stand in the config file alone").waitFor()
  })

  test("says why no key can be made where there is no file of keys", async () => {
    await using at = await started()
    await using tab = await inBrowser()
    await open(tab.page, at.gateway, "keys")
    await tab.page.getByText("Keys stand in the config file alone").waitFor()
    expect(await tab.page.getByText("Make a key").count()).toBe(0)
  })
})
