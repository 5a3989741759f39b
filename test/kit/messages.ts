/**
 * What tests of Messages have in common: backends behind a gateway, requests, and what came of them.
 */
import { EventReader } from "../../src/dialect/event-reader.ts"
import { completion, json } from "./answers.ts"
import { type FakeUpstream, startUpstream } from "./FakeUpstream.ts"
import { backendFor, type SettingsTree, startGateway } from "./gateway.ts"
import type { Script, Step } from "./rawServer.ts"

/** Where they are asked for. */
export const messagesPath = "/v1/messages"

/** The header by which clients of Anthropic give themselves away. */
export const messagesVersion = "anthropic-version: 2023-06-01"

/** The body of a request. */
export const asking = (more: Readonly<Record<string, unknown>> = {}) =>
  JSON.stringify({ model: "m", max_tokens: 50, messages: [{ role: "user", content: "hello" }], ...more })

/** The data of an event. */
interface EventData {
  readonly delta?: { readonly text?: string }
  readonly usage?: unknown
}

/** The events of a stream. */
export const messagesEvents = (text: string): ReadonlyArray<{ readonly name: string; readonly json: EventData }> => {
  const reader = new EventReader()
  const all = [...reader.push(new TextEncoder().encode(text)), ...reader.end()]
  return all.map(({ data, name }) => ({ name, json: JSON.parse(data) }))
}

/** Its words. */
export const said = (text: string): string =>
  messagesEvents(text)
    .map(({ json }) => json.delta?.text ?? "")
    .join("")

/** The names of its events. */
export const names = (text: string): ReadonlyArray<string> => messagesEvents(text).map(({ name }) => name)

/** Backends in their order behind a gateway. */
export const messagesWorld = async (scripts: ReadonlyArray<Script>, settings: SettingsTree = {}) => {
  const upstreams: Array<FakeUpstream> = []
  for (const script of scripts)
    upstreams.push(await startUpstream({ models: [{ id: "m", tools: true }, "real"], script }))
  const gateway = await startGateway({
    routing: { strategy: "priority_only", max_retries: scripts.length - 1 },
    backends: upstreams.map((upstream, at) => backendFor(`b${at}`, upstream, { priority: at })),
    ...settings
  })
  return {
    gateway,
    upstreams,
    port: gateway.port,
    [Symbol.asyncDispose]: async () => {
      await gateway[Symbol.asyncDispose]()
      for (const each of upstreams) await each[Symbol.asyncDispose]()
    }
  }
}

/** What a backend says that an answer took. */
export const usage = { prompt_tokens: 9, completion_tokens: 5, prompt_tokens_details: { cached_tokens: 4 } }

/** A whole answer of a backend. */
export const whole = (): ReadonlyArray<Step> => [json({ ...completion("real", "hi"), usage })]
