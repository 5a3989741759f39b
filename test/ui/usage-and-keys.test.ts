import { afterAll, describe, expect, test } from "bun:test"
import { createHash } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { browserOfFile } from "../kit/browser.ts"
import { browserPath } from "../kit/browserPath.ts"
import { audience, startIssuer } from "../kit/oidc-issuer.ts"
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
    await tab.page.getByRole("gridcell", { name: "models m, qwen3*; 3 at a time" }).waitFor()
    await tab.page.getByRole("gridcell", { name: "<i>search</i>", exact: true }).waitFor()
    expect(await tab.page.getByText(first).count()).toBe(0)

    await tab.page.getByRole("button", { name: "rotate ci" }).click()
    await tab.page.getByLabel("How long the old key counts").selectOption("no time")
    await tab.page.getByRole("button", { name: "Replace ci" }).click()
    const second = (await shown.locator("code").textContent()) ?? ""
    expect(second).not.toBe(first)
    expect([await asks(first), await asks(second)]).toEqual([401, 200])

    await tab.page.getByRole("button", { name: "revoke ci" }).click()
    await tab.page.getByRole("button", { name: "Revoke ci", exact: true }).click()
    await tab.page.getByRole("gridcell", { name: "ci", exact: true }).waitFor({ state: "detached" })
    expect(await asks(second)).toBe(401)
    expect(await tab.page.getByRole("gridcell", { name: "config file" }).count()).toBe(1)
    expect(tab.faults).toEqual([])
  })

  test("shows how near keys, owners and models are to their limits, as it changes", async () => {
    await using at = await started(
      ["m", "other"],
      {
        auth: {
          keys: [
            { name: "boss", sha256: "0".repeat(64), admin: true },
            { name: "ci", sha256: "0".repeat(64), owner: "search", requests_per_minute: 2, max_concurrent: 9 }
          ]
        },
        limits: { owners: [{ name: "search", tokens_per_minute: 100_000 }] },
        models: [{ name: "m", requests_per_minute: 1000 }]
      },
      {
        backendKeys: new Map(),
        authKeys: [
          { name: "boss", digest: digestOf("b"), admin: true },
          { name: "ci", digest: digestOf("c") }
        ]
      }
    )
    await using tab = await inBrowser()
    await signIn(tab.page, at.gateway, "b")
    await open(tab.page, at.gateway, "keys")
    const row = tab.page.getByRole("row").filter({ hasText: "ci" })
    await row.getByText("0 of 2 requests/min").waitFor()
    for (let turn = 0; turn < 3; turn += 1) await chat(at.gateway, {}, `ci-${turn}`, "c")
    await row.getByText(/[12] of 2 requests\/min/).waitFor()
    await open(tab.page, at.gateway, "requests/ci-2")
    await tab.page.getByText("Rate limit reached for the key 'ci': 2 requests per minute").waitFor()
    await open(tab.page, at.gateway, "keys")
    const others = tab.page.getByRole("region", { name: "Other limits" })
    await others.getByRole("row", { name: /^owner search [\d,]+ of 100k tokens\/min$/ }).waitFor()
    await others.getByRole("row", { name: /^model m [0-2] of 1,000 requests\/min$/ }).waitFor()
    expect(tab.faults).toEqual([])
  })

  test("revokes tokens of an issuer, says which, and lets them in again", async () => {
    await using issuer = await startIssuer()
    await using at = await started(
      ["m"],
      {
        auth: {
          store: join(folder, "revocations.sqlite"),
          keys: [{ name: "boss", sha256: "0".repeat(64), admin: true }],
          issuers: [{ name: "corp", issuer: issuer.url, audience: [audience], refresh_seconds: 3600 }]
        }
      },
      { backendKeys: new Map(), authKeys: [{ name: "boss", digest: digestOf("b"), admin: true }] }
    )
    const token = (sub: string) => issuer.signed({ sub, exp: 4_102_444_800, iat: 1_700_000_000, jti: `id of ${sub}` })
    const asks = (key: string) =>
      fetch(`${at.gateway.url}/v1/models`, { headers: { authorization: `Bearer ${key}` } }).then(({ status }) => status)
    const hostile = "<img src=x onerror=alert(1)>"
    const tokens = [await token("alice"), await token("bob"), await token(hostile)]
    const all = async () => [await asks(tokens[0] ?? ""), await asks(tokens[1] ?? ""), await asks(tokens[2] ?? "")]
    expect(await all()).toEqual([200, 200, 200])
    await using tab = await inBrowser()
    await signIn(tab.page, at.gateway, "b")
    await open(tab.page, at.gateway, "keys")
    const part = tab.page.getByRole("region", { name: "Revoked tokens" })
    await part.getByText("None: those of corp count until they end.").waitFor()
    await part.getByText("Revoke tokens").click()
    const form = part.getByRole("form", { name: "Revoke tokens" })
    const revoke = form.getByRole("button", { name: "Revoke them" })
    expect(await revoke.isDisabled()).toBe(true)

    await form.getByLabel("Whose").fill(hostile)
    await revoke.click()
    await part.getByRole("gridcell", { name: `corp:${hostile}`, exact: true }).waitFor()
    expect(await all()).toEqual([200, 200, 401])

    await form.getByLabel("Which").selectOption("one, by its id (jti)")
    await form.getByLabel("Its id", { exact: true }).fill("id of bob")
    await revoke.click()
    await part.getByRole("gridcell", { name: "corp: the token id of bob", exact: true }).waitFor()
    expect(await all()).toEqual([200, 401, 401])

    await form.getByLabel("Which").selectOption("one that is at hand")
    await form.getByLabel("The token", { exact: true }).fill("no token")
    await revoke.click()
    await form.getByRole("alert").getByText("is no signed token").waitFor()
    await form.getByLabel("The token", { exact: true }).fill(tokens[0] ?? "")
    await revoke.click()
    await part.getByRole("gridcell", { name: "corp: one token", exact: true }).waitFor()
    expect(await all()).toEqual([401, 401, 401])

    for (const name of ["corp: one token", "corp: the token id of bob", `corp:${hostile}`])
      await part.getByRole("button", { name: `let in again: ${name}` }).waitFor()
    // All at once: the list is asked for anew when one of them is over, and again when the others are.
    const listed = tab.page.waitForResponse(`${at.gateway.url}/admin/v1/revocations`)
    let isFirst = true
    await tab.page.route("**/admin/v1/revocations/*", async (route) => {
      const waits = !isFirst
      isFirst = false
      if (waits) await listed
      await route.continue()
    })
    await part.getByRole("button", { name: /^let in again: / }).evaluateAll((buttons) => {
      for (const button of buttons) button.dispatchEvent(new Event("click", { bubbles: true }))
    })
    await part.getByText("None: those of corp count until they end.").waitFor()
    expect(await all()).toEqual([200, 200, 200])

    await form.getByLabel("Which").selectOption("everybody's")
    await form.getByLabel("Those issued").selectOption("before a moment")
    await form.getByLabel("The moment").fill("2020-01-31T18:00")
    await revoke.click()
    await part.getByRole("gridcell", { name: /^corp:\*, issued before 31 Jan 2020/ }).waitFor()
    expect(await all()).toEqual([200, 200, 200])
    await form.getByLabel("Which").selectOption("everybody's")
    await revoke.click()
    await part.getByRole("gridcell", { name: /^corp:\*, issued before (?!31 Jan 2020)/ }).waitFor()
    expect(await all()).toEqual([401, 401, 401])
    expect(await tab.page.locator("main img").count()).toBe(0)
    expect(tab.faults).toEqual([])
  })

  test("says where revocations are kept where they cannot be, and nothing of tokens where none are taken", async () => {
    await using issuer = await startIssuer()
    await using at = await started(
      ["m"],
      {
        auth: {
          keys: [{ name: "boss", sha256: "0".repeat(64), admin: true }],
          issuers: [{ name: "corp", issuer: issuer.url, audience: [audience] }]
        }
      },
      { backendKeys: new Map(), authKeys: [{ name: "boss", digest: digestOf("b"), admin: true }] }
    )
    await using tab = await inBrowser()
    await signIn(tab.page, at.gateway, "b")
    await open(tab.page, at.gateway, "keys")
    await tab.page.getByText("once there is a file of keys").waitFor()
    expect(await tab.page.getByText("Revoke tokens").count()).toBe(0)
    await using plain = await started()
    await open(tab.page, plain.gateway, "keys")
    await tab.page.getByText("Keys stand in the config file alone").waitFor()
    expect(await tab.page.getByText("Revoked tokens").count()).toBe(0)
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
