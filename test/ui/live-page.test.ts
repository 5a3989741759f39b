import { afterAll, describe, expect, test } from "bun:test"
import { createHash } from "node:crypto"
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { source as axe } from "axe-core"
import type { Page } from "playwright-core"
import { browserOfFile } from "../kit/browser.ts"
import { browserPath } from "../kit/browserPath.ts"
import { chat, type FleetAtWork, open, signIn, startFleet, started } from "../kit/livePage.ts"
import { dial, requestBytes } from "../kit/rawClient.ts"

const inBrowser = browserOfFile()

const folder = mkdtempSync(join(tmpdir(), "nexus-page-"))

afterAll(() => rmSync(folder, { recursive: true, force: true }))

// Started once: whoever looks changes nothing of it.
let fleet: Promise<FleetAtWork> | undefined

afterAll(async () => (await fleet)?.[Symbol.asyncDispose]())

const shots = process.env["UI_SCREENSHOTS"]

const shoot = async (page: Page, name: string): Promise<void> => {
  if (shots === undefined) return
  mkdirSync(shots, { recursive: true })
  await page.screenshot({ path: join(shots, `${name}.png`), animations: "disabled", caret: "hide" })
}

describe.skipIf(browserPath === undefined)("the live page in a browser", () => {
  test("shows each backend as it is, also one that dies while somebody looks", async () => {
    await using at = await started(["m"], { health_check: { interval_seconds: 1, failure_threshold: 1 } })
    await using tab = await inBrowser()
    await open(tab.page, at.gateway, "fleet")
    const card = tab.page.getByRole("article", { name: "Backend a" })
    await card.getByText("healthy", { exact: true }).waitFor()
    await at.upstream[Symbol.asyncDispose]()
    await card.getByText("unhealthy", { exact: true }).waitFor()
    const isRed =
      "getComputedStyle(document.querySelector('article .state')).color === getComputedStyle(document.querySelector('article')).borderTopColor"
    expect(await tab.page.evaluate<boolean>(isRed)).toBe(true)
    expect(tab.faults).toEqual([])
  })

  test("drains a backend and takes it back", async () => {
    await using at = await started()
    await using tab = await inBrowser()
    await open(tab.page, at.gateway, "fleet")
    const card = tab.page.getByRole("article", { name: "Backend a" })
    await card.getByRole("button", { name: "drain a" }).click()
    await card.getByRole("button", { name: "enable a" }).waitFor()
    await card.getByText("draining", { exact: true }).waitFor()
    await card.getByRole("button", { name: "enable a" }).click()
    await card.getByText("healthy", { exact: true }).waitFor()
  })

  test("says that a backend is full while requests wait for it by the name of a group", async () => {
    const gate = Promise.withResolvers<void>()
    const groups = { routing: { groups: { team: ["m"] }, aliases: { best: "team" } } }
    await using at = await started(["m"], groups, undefined, gate.promise, { slots: 1 })
    await using tab = await inBrowser()
    await open(tab.page, at.gateway, "fleet")
    const answers = [chat(at.gateway, { model: "best" }), chat(at.gateway, { model: "best" })]
    await tab.page.getByRole("article", { name: "Backend a" }).getByText("full: 1 request waits").waitFor()
    gate.resolve()
    await Promise.all(answers)
  })

  test("tells the slots of each model apart from all that is under way at its backend", async () => {
    const gate = Promise.withResolvers<void>()
    const more = { slots: 3, models: [{ id: "n", slots: 1 }] }
    await using at = await started(["m", "n"], {}, undefined, gate.promise, more)
    await using tab = await inBrowser()
    await open(tab.page, at.gateway, "fleet")
    const answers = [chat(at.gateway, {}), chat(at.gateway, {}), chat(at.gateway, { model: "n" }, "first")]
    const card = tab.page.getByRole("article", { name: "Backend a" })
    await card.getByText("slots: 1 to 3 (config), in use: m 2 of 3, n 1 of 1", { exact: true }).waitFor()
    expect(await card.locator(".figure").allTextContents()).toContain("Under way3")
    answers.push(chat(at.gateway, { model: "n" }))
    await card.getByText("full: 1 request waits for a slot of n").waitFor()
    gate.resolve()
    await Promise.all(answers)
    await open(tab.page, at.gateway, "requests/first")
    const detail = tab.page.getByRole("region", { name: "Request first" })
    await detail.getByRole("cell", { name: /^a n, priority \d+, slots 1 \(config\)$/ }).waitFor()
    expect(tab.faults).toEqual([])
  })

  test("draws from clients to models to backends, and what an alias stands for between", async () => {
    await using at = await started(["m"], { routing: { aliases: { best: "m" } } })
    await using tab = await inBrowser()
    await chat(at.gateway, {})
    await open(tab.page, at.gateway, "fleet")
    const drawn = tab.page.getByLabel("What flows", { exact: true })
    await drawn.locator("title").getByText("clients", { exact: true }).waitFor({ state: "attached" })
    expect(await drawn.locator("title").allTextContents()).toEqual(["clients", "m", "a"])
    expect(await drawn.locator("path").count()).toBe(2)
    await chat(at.gateway, { model: "best" })
    await drawn.locator("title").getByText("best", { exact: true }).waitFor({ state: "attached" })
    expect(await drawn.locator("title").allTextContents()).toEqual(["clients", "best", "m", "m", "a"])
    expect(await drawn.locator("path").count()).toBe(5)
  })

  test("opens a request under way to why it went where it went, and cancels it", async () => {
    const gate = Promise.withResolvers<void>()
    await using at = await started(["m"], {}, undefined, gate.promise)
    await using tab = await inBrowser()
    await open(tab.page, at.gateway, "requests")
    const answer = chat(at.gateway, {}, "held-one")
    await tab.page.getByRole("gridcell", { name: "attempting" }).click()
    const detail = tab.page.getByRole("region", { name: "Request held-one" })
    await detail.getByText("Who could answer").waitFor()
    await detail.getByRole("button", { name: "cancel" }).click()
    expect(JSON.parse(await answer).error.code).toBe("request_cancelled")
    await tab.page.getByRole("gridcell", { name: /^cancelled/ }).waitFor()
    gate.resolve()
    expect(tab.faults).toEqual([])
  })

  test("tells of a request that waited for a slot who was asked then, not who was left out at first alone", async () => {
    const gate = Promise.withResolvers<void>()
    await using at = await started(["m"], {}, undefined, gate.promise, { slots: 1 })
    await using tab = await inBrowser()
    await open(tab.page, at.gateway, "fleet")
    const first = chat(at.gateway, {})
    const underWay = tab.page.getByRole("article", { name: "Backend a" }).locator(".figure", { hasText: "Under way" })
    await underWay.getByText("1", { exact: true }).waitFor()
    const second = chat(at.gateway, {}, "waited")
    await tab.page.getByRole("article", { name: "Backend a" }).getByText("full: 1 request waits").waitFor()
    gate.resolve()
    await Promise.all([first, second])
    await open(tab.page, at.gateway, "requests/waited")
    const row = tab.page.getByRole("region", { name: "Request waited" }).getByRole("row", { name: /left out at first/ })
    expect(await row.locator("td").first().textContent()).toBe("1")
  })

  test("shows names as they are, whatever they hold", async () => {
    const name = `<img src=x onerror="alert(1)">'"&lt;/script>`
    await using at = await started([name, "m"])
    await using tab = await inBrowser()
    await open(tab.page, at.gateway, "models")
    await tab.page.getByRole("gridcell", { name, exact: true }).waitFor()
    await chat(at.gateway, { model: `<b>bold</b>` }, "hostile")
    await chat(at.gateway, { model: name })
    await open(tab.page, at.gateway, "requests")
    await tab.page.getByRole("gridcell", { name: "<b>bold</b>", exact: true }).click()
    await tab.page.getByRole("region", { name: "Request hostile" }).getByText("<b>bold</b>").waitFor()
    await open(tab.page, at.gateway, "fleet")
    await tab.page.locator("svg text", { hasText: "<img src=x" }).waitFor()
    expect(await tab.page.locator("main img, main b").count()).toBe(0)
    expect(tab.faults).toEqual([])
  })

  test("tries a model in every client language, two side by side", async () => {
    await using at = await started(["m", "other"])
    await using tab = await inBrowser()
    await open(tab.page, at.gateway, "playground")
    await tab.page.getByLabel("beside").fill("other")
    for (const language of ["chat", "responses", "messages", "ollama", "gemini"]) {
      await tab.page.getByLabel("asked as").selectOption(language)
      await tab.page.getByLabel("Model", { exact: true }).fill("m")
      await tab.page.getByRole("textbox", { name: "Message" }).fill(`Hello by ${language}`)
      await tab.page.keyboard.press("Enter")
      for (const model of ["m", "other"]) {
        const lane = tab.page.getByRole("region", { name: `Chat with ${model}`, exact: true })
        await lane.getByText(`Hello by ${language}`).first().waitFor()
        await lane.getByText(/first token after/).waitFor()
        expect([language, await lane.getByRole("alert").count()]).toEqual([language, 0])
      }
    }
    await tab.page.getByText("The same by curl").first().click()
    expect(await tab.page.locator("details.same pre").first().textContent()).toContain("streamGenerateContent")
    expect(tab.faults).toEqual([])
  })

  test("tells why a model does not answer", async () => {
    await using at = await started()
    await using tab = await inBrowser()
    await open(tab.page, at.gateway, "playground")
    await tab.page.getByLabel("Model", { exact: true }).fill("nobody-has-this")
    await tab.page.getByRole("textbox", { name: "Message" }).fill("Hello")
    await tab.page.keyboard.press("Enter")
    await tab.page.getByRole("alert").getByText("not found").waitFor()
  })

  test("is led by the keyboard alone", async () => {
    await using at = await started()
    await chat(at.gateway, {}, "by-keys")
    await using tab = await inBrowser()
    await open(tab.page, at.gateway, "fleet")
    await tab.page.keyboard.press("Tab")
    await tab.page.keyboard.press("Tab")
    await tab.page.keyboard.press("Enter")
    await tab.page.getByRole("grid", { name: "Requests" }).waitFor()
    await tab.page.getByRole("gridcell", { name: "completed 200" }).waitFor()
    for (let at = 0; at < 12; at += 1) {
      const role = await tab.page.evaluate<string | null>("document.activeElement?.getAttribute('role') ?? null")
      if (role === "grid") break
      await tab.page.keyboard.press("Tab")
    }
    await chat(at.gateway, {}, "below-it")
    await tab.page.getByText("2 of 2").waitFor()
    const told = () =>
      tab.page.evaluate<string | null>(
        "document.getElementById(document.activeElement.getAttribute('aria-activedescendant'))?.getAttribute('aria-rowindex') ?? null"
      )
    await tab.page.keyboard.press("Home")
    expect(await told()).toBe("2")
    await tab.page.keyboard.press("ArrowDown")
    await tab.page.waitForFunction(
      "document.activeElement.getAttribute('aria-activedescendant') === document.querySelector('.row.at').id"
    )
    expect(await told()).toBe("3")
    await tab.page.keyboard.press("Enter")
    await tab.page.locator('[role="row"][aria-selected="true"]').waitFor()
    expect(await tab.page.locator('[role="row"][aria-selected="true"]').getAttribute("aria-rowindex")).toBe("3")
    await tab.page.getByRole("region", { name: "Request by-keys" }).waitFor()
  })

  test("keeps the focus of those who use keys when what has it moves or goes, and closes a request by Escape", async () => {
    await using at = await started()
    await chat(at.gateway, {}, "by-keys")
    await using tab = await inBrowser()
    const focused = () => tab.page.evaluate<string | null>("document.activeElement?.getAttribute('aria-label') ?? null")
    await open(tab.page, at.gateway, "fleet")
    const card = tab.page.getByRole("article", { name: "Backend a" })
    await card.getByRole("button", { name: "drain a" }).focus()
    await tab.page.keyboard.press("Enter")
    await card.getByRole("button", { name: "enable a" }).waitFor()
    expect(await focused()).toBe("enable a")
    await tab.page.evaluate("{ const card = document.querySelector('article'); card.parentElement.append(card) }")
    expect(await focused()).toBe("enable a")
    await card.getByRole("link", { name: "requests of a" }).focus()
    await tab.page.keyboard.press("Enter")
    await tab.page.getByRole("grid", { name: "Requests" }).waitFor()
    expect(await focused()).toBe("Requests")
    await tab.page.keyboard.press("ArrowDown")
    await tab.page.keyboard.press("Enter")
    const one = tab.page.getByRole("region", { name: "Request by-keys" })
    await one.waitFor()
    await one.getByRole("link", { name: "Close" }).focus()
    await tab.page.keyboard.press("Escape")
    await one.waitFor({ state: "detached" })
    expect(await focused()).toBe("Requests")
    expect(tab.faults).toEqual([])
  })

  test("tells its keys where a question mark is pressed, not where one is written, and goes back to where one was", async () => {
    await using at = await started()
    await chat(at.gateway, {}, "by-keys")
    await using tab = await inBrowser()
    const { page } = tab
    await open(page, at.gateway, "requests/by-keys")
    const help = page.getByRole("dialog", { name: "Shortcuts" })
    await page.getByRole("searchbox").first().fill("what?")
    await page.keyboard.press("?")
    expect(await page.getByRole("searchbox").first().inputValue()).toBe("what??")
    expect(await help.isVisible()).toBe(false)
    await page.getByRole("grid", { name: "Requests" }).focus()
    await page.keyboard.press("?")
    await help.getByRole("row", { name: /^Escape closes the request/ }).waitFor()
    await page.keyboard.press("Escape")
    await help.waitFor({ state: "hidden" })
    expect(await page.evaluate<string | null>("document.activeElement?.getAttribute('aria-label')")).toBe("Requests")
    await page.getByRole("region", { name: "Request by-keys" }).waitFor()
    await page.getByRole("radio").first().focus()
    await page.keyboard.press("?")
    await help.getByRole("button", { name: "close" }).click()
    await help.waitFor({ state: "hidden" })
    await open(page, at.gateway, "fleet")
    await page.getByRole("link", { name: "requests of a" }).focus()
    await page.keyboard.press("?")
    await help.waitFor()
    await page.evaluate("location.hash = '#/requests'")
    await page.getByRole("grid", { name: "Requests" }).waitFor()
    await page.keyboard.press("Escape")
    await page.locator("[aria-label='Requests']:focus").waitFor()
    await page.getByRole("button", { name: "Shortcuts" }).click()
    await help.getByRole("button", { name: "close" }).click()
    await help.waitFor({ state: "hidden" })
    expect(tab.faults).toEqual([])
  })

  test("keeps few rows in the document, however many requests are under way", async () => {
    const gate = Promise.withResolvers<void>()
    await using at = await started(["m"], { queue: { enabled: false } }, undefined, gate.promise)
    await using tab = await inBrowser()
    await open(tab.page, at.gateway, "requests")
    const body = JSON.stringify({ model: "m", stream: true, messages: [{ role: "user", content: "Hello" }] })
    const clients = await Promise.all(Array.from({ length: 500 }, () => dial(at.gateway.port)))
    await Promise.all(clients.map((client) => client.send(requestBytes("POST", "/v1/chat/completions", body))))
    await tab.page.getByText("500 of 500").waitFor()
    expect(await tab.page.locator(".list .row").count()).toBeLessThan(80)
    gate.resolve()
    await Promise.all(clients.map((client) => client.answer()))
    for (const client of clients) client[Symbol.dispose]()
    await tab.page.getByRole("gridcell", { name: "completed 200" }).first().waitFor()
    expect(tab.faults).toEqual([])
  })

  test("shows no button that would be refused, where it may look only", async () => {
    const gate = Promise.withResolvers<void>()
    const looks = { admin: { live_page: "read_only" }, auth: { store: join(folder, "keys.sqlite") } }
    const authKeys = [{ name: "boss", digest: createHash("sha256").update("b").digest(), admin: true }]
    await using at = await started(["m"], looks, { backendKeys: new Map(), authKeys }, gate.promise)
    await using tab = await inBrowser()
    await signIn(tab.page, at.gateway, "b")
    await tab.page.getByRole("status").getByText("to look at only").waitFor()
    const answer = chat(at.gateway, {}, "looked-at", "b")
    for (const view of ["fleet", "requests/looked-at", "models", "keys", "config"]) {
      await open(tab.page, at.gateway, view)
      await tab.page.locator("main > *").first().waitFor()
      if (view.startsWith("requests")) await tab.page.getByText("Who could answer").waitFor()
      const named = await tab.page.locator("main button").allTextContents()
      expect([view, named.filter((name) => name !== "look again")]).toEqual([view, []])
    }
    gate.resolve()
    await answer
  })

  test("leads to where the administration is, and from there to where models answer", async () => {
    await using at = await started(["m"], { admin: { listen: "127.0.0.1:0" } })
    const { adminPort = 0 } = at.gateway.running
    await using tab = await inBrowser()
    await tab.page.goto(`${at.gateway.url}/ui/`)
    await tab.page.getByText("This gateway is administered").waitFor()
    await tab.page.getByRole("link", { name: `http://127.0.0.1:${adminPort}/ui/` }).click()
    await tab.page.getByRole("article", { name: "Backend a" }).waitFor()
    await tab.page.getByRole("link", { name: "Playground" }).click()
    await tab.page.getByRole("link", { name: `http://127.0.0.1:${at.gateway.port}/ui/` }).waitFor()
    expect(tab.faults).toEqual([])
  })

  test("shows what a reload would change", async () => {
    await using at = await started()
    await using tab = await inBrowser()
    await open(tab.page, at.gateway, "config")
    await tab.page.getByRole("button", { name: "look again" }).click()
    await tab.page.getByText("What a reload would change").waitFor()
  })

  test("shows all that was expected of those who could answer without a scroll to the side at 1440 px", async () => {
    const { bossKey, gateway } = await (fleet ??= startFleet(folder))
    await using tab = await inBrowser({ viewport: { width: 1440, height: 900 } })
    await tab.page.route("**/admin/v1/decisions/search-0", async (route) => {
      const told = await (await route.fetch()).json()
      const parts = { wait_ms: 11_200, load_ms: 8400, read_ms: 1250, write_ms: 10_300, cached_tokens: 12_288 }
      for (const each of told.decision.candidates) Object.assign(each, { expected_ms: 24_800, parts })
      await route.fulfill({ json: told })
    })
    await signIn(tab.page, gateway, bossKey)
    await open(tab.page, gateway, "requests/search-0")
    await tab.page.getByText("when its end was expected").waitFor()
    const table = tab.page.locator(".detail .wide")
    expect(await table.evaluate((box) => box.scrollWidth - box.clientWidth)).toBe(0)
  })

  for (const width of [390, 1440]) {
    for (const colorScheme of ["light", "dark"] as const) {
      test(`fits ${width} px in ${colorScheme} colours, and can be used by whoever hears it read`, async () => {
        const { bossKey, gateway } = await (fleet ??= startFleet(folder))
        await using tab = await inBrowser({ viewport: { width, height: 900 }, colorScheme })
        const { page } = tab
        await signIn(page, gateway, bossKey)
        const shows: Readonly<Record<string, () => Promise<unknown>>> = {
          fleet: () => page.getByRole("article", { name: "Backend attic" }).waitFor(),
          requests: () => page.getByRole("gridcell", { name: "completed 200" }).first().waitFor(),
          "requests/search-0": () => page.getByText("Who could answer").waitFor(),
          models: () => page.getByRole("gridcell", { name: "llama3.3:70b" }).waitFor(),
          playground: async () => {
            await page.getByLabel("Model", { exact: true }).fill("qwen3:8b")
            await page.getByRole("textbox", { name: "Message" }).fill("Hello?")
            await page.keyboard.press("Enter")
            await page.getByText(/first token after/).waitFor()
            await page.getByText("The same by Python").click()
          },
          usage: () => page.getByRole("region", { name: "By backend" }).getByRole("row").nth(1).waitFor(),
          keys: () => page.getByRole("gridcell", { name: "search team" }).waitFor(),
          config: () => page.getByText("would have been asked of somebody else first").waitFor(),
          doctor: async () => {
            await page.getByRole("button", { name: "look for what is wrong" }).click()
            await page.getByText(/^done: /).waitFor()
          }
        }
        for (const [view, isShown] of Object.entries(shows)) {
          await open(page, gateway, view)
          await isShown()
          const [inner = 0, whole = 0] = await page.evaluate<ReadonlyArray<number>>(
            "[window.innerWidth, document.documentElement.scrollWidth]"
          )
          expect([view, whole <= inner]).toEqual([view, true])
          await page.waitForTimeout(shots === undefined ? 0 : 700)
          await shoot(page, `${view.replace("/search-0", "-one")}-${width}-${colorScheme}`)
          await page.evaluate(axe)
          const found = await page.evaluate<ReadonlyArray<string>>(
            "axe.run().then(({ violations }) => violations.map(({ id, impact, nodes }) => impact + ' ' + id + ': ' + nodes[0]?.html.slice(0, 120)))"
          )
          expect({ view, found: found.filter((each) => /^(serious|critical)/.test(each)) }).toEqual({ view, found: [] })
        }
        expect(tab.faults).toEqual([])
      })
    }
  }

  test("fits 360 px and 4K as well", async () => {
    const { bossKey, gateway } = await (fleet ??= startFleet(folder))
    for (const viewport of [
      { width: 360, height: 640 },
      { width: 3840, height: 2160 }
    ]) {
      await using tab = await inBrowser({ viewport })
      await signIn(tab.page, gateway, bossKey)
      for (const view of ["fleet", "requests/search-0", "usage", "keys", "config", "doctor"]) {
        await open(tab.page, gateway, view)
        await tab.page.locator("main > *").first().waitFor()
        const [inner = 0, whole = 0] = await tab.page.evaluate<ReadonlyArray<number>>(
          "[window.innerWidth, document.documentElement.scrollWidth]"
        )
        expect([viewport.width, view, whole <= inner]).toEqual([viewport.width, view, true])
      }
    }
  })
})
