import { afterAll, describe, expect, test } from "bun:test"
import { createHash } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { browserOfFile } from "../kit/browser.ts"
import { browserPath } from "../kit/browserPath.ts"
import { open, signIn, started } from "../kit/livePage.ts"

const inBrowser = browserOfFile()

const folder = mkdtempSync(join(tmpdir(), "nexus-sign-in-"))

afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe.skipIf(browserPath === undefined)("the live page of a gateway with keys", () => {
  test("asks for a key where one is needed, and goes on when it has one", async () => {
    const digest = createHash("sha256").update("right").digest()
    await using at = await started(["m"], {}, { backendKeys: new Map(), authKeys: [{ name: "team", digest }] })
    await using tab = await inBrowser()
    await tab.page.goto(`${at.gateway.url}/ui/`)
    await tab.page.getByLabel("Key").fill("wrong")
    await tab.page.getByRole("button", { name: "Sign in" }).click()
    await tab.page.getByRole("alert").getByText("not known").waitFor()
    await tab.page.getByLabel("Key").fill("right")
    await tab.page.getByRole("button", { name: "Sign in" }).click()
    await tab.page.getByRole("article", { name: "Backend a" }).waitFor()
    expect(await tab.page.evaluate("document.cookie")).toBe("")
    await tab.page.goto(`${at.gateway.url}/ui/#/playground`)
    await tab.page.getByRole("textbox", { name: "Message" }).fill("Hello")
    await tab.page.keyboard.press("Enter")
    await tab.page.getByText(/first token after/).waitFor()
  })

  test.each([
    ["a worker that they share", ""],
    ["a stream each, where the browser has no such worker", "delete window.SharedWorker"]
  ])("signs out in all tabs with %s, and shows nothing more of what was seen", async (_, missing) => {
    const digest = createHash("sha256").update("right").digest()
    await using at = await started(["m"], {}, { backendKeys: new Map(), authKeys: [{ name: "team", digest }] })
    await using tab = await inBrowser()
    const { page } = tab
    await page.context().addInitScript(missing)
    await signIn(page, at.gateway, "right")
    const other = await page.context().newPage()
    await open(other, at.gateway, "requests")
    await page.getByRole("button", { name: "Sign out" }).click()
    for (const each of [page, other]) {
      await each.getByRole("heading", { name: "Sign in" }).waitFor()
      expect(await each.getByRole("button", { name: "Sign out" }).count()).toBe(0)
    }
    expect(await page.context().cookies()).toEqual([])
    await page.reload()
    await page.getByLabel("Key").fill("right")
    await page.getByRole("button", { name: "Sign in" }).click()
    for (const each of [page, other]) await each.getByRole("status").getByText("live").waitFor()
    await page.getByRole("article", { name: "Backend a" }).waitFor()
    await other.getByRole("grid", { name: "Requests" }).waitFor()
    expect(tab.faults).toEqual([])
  })

  test("goes on as it is where it learns late why an earlier stream ended", async () => {
    await using at = await started()
    await using tab = await inBrowser()
    const { page } = tab
    await page.addInitScript("delete window.SharedWorker")
    const [asked, late] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    await page.route("**/admin/v1/events*", (route) => route.fulfill({ status: 503 }), { times: 1 })
    await page.route(
      "**/admin/v1/config",
      async (route) => {
        asked.resolve()
        await late.promise
        await route.fulfill({ status: 401 })
      },
      { times: 1 }
    )
    await page.goto(`${at.gateway.url}/ui/`)
    await asked.promise
    await page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    await page.getByRole("status").getByText("live").waitFor()
    const told = page.waitForResponse((response) => response.status() === 401)
    late.resolve()
    await told
    // What is asked behind it is answered behind it, and drawn in a frame of its own.
    await page.evaluate(
      "fetch('../health').then(() => new Promise((seen) => requestAnimationFrame(() => requestAnimationFrame(seen))))"
    )
    await page.getByRole("article", { name: "Backend a" }).waitFor()
    expect(await page.getByRole("status").textContent()).toContain("live")
    expect(await page.getByRole("heading", { name: "Sign in" }).count()).toBe(0)
  })

  test("asks for a key again where the one that let in counts no more, while somebody looks", async () => {
    await using at = await started(
      ["m"],
      { auth: { store: join(folder, "looked-at.sqlite") } },
      {
        backendKeys: new Map(),
        authKeys: [{ name: "boss", digest: createHash("sha256").update("b").digest(), admin: true }]
      }
    )
    const boss = { authorization: "Bearer b", "content-type": "application/json" }
    const made = await fetch(`${at.gateway.url}/admin/v1/keys`, {
      method: "POST",
      headers: boss,
      body: JSON.stringify({ name: "guest", admin: true })
    })
    const { key } = (await made.json()) as { readonly key: string }
    await using tab = await inBrowser()
    await signIn(tab.page, at.gateway, key)
    await fetch(`${at.gateway.url}/admin/v1/keys/guest`, { method: "DELETE", headers: boss })
    await tab.page.getByRole("heading", { name: "Sign in" }).waitFor()
  })
})
