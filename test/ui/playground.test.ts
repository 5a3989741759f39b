import { describe, expect, test } from "bun:test"
import { chunk, delta, event, lastChunk, streamHead } from "../kit/answers.ts"
import { browserOfFile } from "../kit/browser.ts"
import { browserPath } from "../kit/browserPath.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway } from "../kit/gateway.ts"
import { open, started } from "../kit/livePage.ts"

const inBrowser = browserOfFile()

describe.skipIf(browserPath === undefined)("the playground in a browser", () => {
  test("says what went wrong in the middle of an answer, as the gateway tells it, and not that a line was cut", async () => {
    await using upstream = await startUpstream({
      models: ["m"],
      script: () => [
        streamHead(),
        chunk(event(delta("m", { role: "assistant", content: "Hel" }))),
        chunk(event({ error: { message: "The card is out of memory", type: "server_error" } })),
        lastChunk
      ]
    })
    await using gateway = await startGateway({ backends: [backendFor("a", upstream)] })
    await using tab = await inBrowser()
    await open(tab.page, gateway, "playground")
    for (const language of ["chat", "responses", "messages", "ollama", "gemini"]) {
      await tab.page.getByLabel("asked as").selectOption(language)
      await tab.page.getByRole("textbox", { name: "Message" }).fill(`Hello by ${language}`)
      await tab.page.keyboard.press("Enter")
      await tab.page.getByText(`Hello by ${language}`).first().waitFor()
      await tab.page.getByText(/whole after/).waitFor()
      expect([language, await tab.page.getByRole("alert").allTextContents()]).toEqual([
        language,
        ["The card is out of memory"]
      ])
    }
  })

  test("shows as a command what was sent, and not the answer to it", async () => {
    await using at = await started()
    await using tab = await inBrowser()
    await open(tab.page, at.gateway, "playground")
    for (const [nth, said] of ["First question", "Second question"].entries()) {
      await tab.page.getByRole("textbox", { name: "Message" }).fill(said)
      await tab.page.keyboard.press("Enter")
      await tab.page
        .getByText(/first token after/)
        .nth(nth)
        .waitFor()
    }
    const shown = (await tab.page.locator("details.same pre").first().textContent()) ?? ""
    const { messages } = JSON.parse(/-d '(.*)'$/s.exec(shown)?.[1] ?? "") as { readonly messages: unknown }
    expect(messages).toEqual(JSON.parse(at.upstream.lastCall().text).messages)
  })

  test("offers aliases and groups beside the models of backends", async () => {
    await using at = await started(["m"], { routing: { aliases: { best: "m" }, groups: { team: ["m"] } } })
    await using tab = await inBrowser()
    await open(tab.page, at.gateway, "playground")
    const offered = tab.page.locator("#models option")
    await offered.nth(2).waitFor({ state: "attached" })
    expect(await offered.evaluateAll((all) => all.map((each) => each.getAttribute("value")))).toEqual([
      "best",
      "team",
      "m"
    ])
  })

  test("takes the same image again, and leaves one out that was taken", async () => {
    await using at = await started()
    await using tab = await inBrowser()
    await open(tab.page, at.gateway, "playground")
    const image = { name: "a.png", mimeType: "image/png", buffer: Buffer.from("not looked at") }
    const file = tab.page.locator('input[type="file"]')
    const without = tab.page.getByRole("button", { name: "without the image" })
    await file.setInputFiles(image)
    await without.click()
    await without.waitFor({ state: "detached" })
    expect(await file.inputValue()).toBe("")
    await file.setInputFiles(image)
    await tab.page.getByRole("textbox", { name: "Message" }).fill("Look")
    await tab.page.keyboard.press("Enter")
    await tab.page.getByRole("img", { name: "what was sent" }).waitFor()
    await tab.page.getByText(/first token after/).waitFor()
    expect(at.upstream.lastCall().text).toContain("data:image/png;base64")
  })
})
