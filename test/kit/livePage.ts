/**
 * What tests of the live page have in common: a gateway before one server, and the page at it.
 */
import type { Page } from "playwright-core"
import type { Secrets } from "../../src/config/compile.ts"
import { type FakeUpstream, good, startUpstream } from "./FakeUpstream.ts"
import { backendFor, type Gateway, type SettingsTree, startGateway } from "./gateway.ts"
import type { Step } from "./rawServer.ts"

/** Asks for a chat, and waits for the whole answer. */
export const chat = (gateway: Gateway, body: object, id: string = crypto.randomUUID(), key = ""): Promise<string> =>
  fetch(`${gateway.url}/v1/chat/completions`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "x-request-id": id,
      ...(key === "" ? {} : { authorization: `Bearer ${key}` })
    },
    body: JSON.stringify({ model: "m", messages: [{ role: "user", content: "Hello" }], ...body })
  }).then((response) => response.text())

/** Opens a view of the page, and waits until it follows what happens. */
export const open = async (page: Page, gateway: Gateway, view: string): Promise<void> => {
  await page.goto(`${gateway.url}/ui/#/${view}`)
  await page.getByRole("status").getByText("live").waitFor()
}

/** A gateway before one server of these models; requests are answered when `gate` opens. */
export const started = async (
  models: ReadonlyArray<string> = ["m"],
  settings: SettingsTree = {},
  secrets?: Secrets,
  gate?: Promise<void>
) => {
  const held = async function* (request: Parameters<ReturnType<typeof good>>[0]): AsyncGenerator<Step> {
    if (gate !== undefined) yield { until: gate }
    yield* good()(request)
  }
  const upstream: FakeUpstream = await startUpstream({ models: [...models], script: held })
  const gateway = await startGateway({ backends: [backendFor("a", upstream)], ...settings }, secrets)
  return {
    gateway,
    upstream,
    [Symbol.asyncDispose]: async () => {
      await gateway[Symbol.asyncDispose]()
      await upstream[Symbol.asyncDispose]()
    }
  }
}
