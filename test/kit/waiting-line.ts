/**
 * Requests that wait for the slot of a server whose answers are held.
 */
import { expect } from "bun:test"
import type { RequestsUnderWayList } from "../../src/api/admin-api.ts"
import type { Secrets } from "../../src/config/compile.ts"
import { type FakeUpstream, good, startUpstream } from "./FakeUpstream.ts"
import { backendFor, type Gateway, type SettingsTree, startGateway, until } from "./gateway.ts"
import { ask, dial, type RawClient, requestBytes } from "./rawClient.ts"

const path = "/v1/chat/completions"

/** A server that answers when it is let. */
export interface Held extends AsyncDisposable {
  readonly upstream: FakeUpstream
  /** Lets it answer the nth request that came to it, from 0. */
  readonly answer: (nth: number) => void
  /** What reached it, in order. */
  readonly asked: () => ReadonlyArray<string>
}

const contentOf = (text: string): string => JSON.parse(text).messages[0].content

/** Starts a server whose answers are held. */
export const startHeld = async (): Promise<Held> => {
  // Each is there before its request or its permission, whichever comes first.
  const gates: Array<PromiseWithResolvers<void>> = []
  const gateOf = (nth: number) => (gates[nth] ??= Promise.withResolvers<void>())
  let begun = 0
  const upstream = await startUpstream({
    models: ["m"],
    script: async function* (request) {
      const nth = begun
      begun += 1
      yield { until: gateOf(nth).promise }
      yield* good()(request)
    }
  })
  return {
    upstream,
    answer: (nth) => gateOf(nth).resolve(),
    asked: () => upstream.calls().map(({ text }) => contentOf(text)),
    [Symbol.asyncDispose]: () => upstream[Symbol.asyncDispose]()
  }
}

/** Asks for a chat; its content is its id as well. */
export const post = async (
  port: number,
  content: string,
  headers: ReadonlyArray<string> = [],
  more: object = {}
): Promise<RawClient> => {
  const client = await dial(port)
  const body = JSON.stringify({ model: "m", messages: [{ role: "user", content }], ...more })
  await client.send(requestBytes("POST", path, body, [`x-request-id: ${content}`, ...headers]))
  return client
}

/** How the requests under way stand. */
export const phases = async (port: number, headers: ReadonlyArray<string> = []) => {
  const { requests } = (await ask(port, "GET", "/admin/v1/requests", "", headers)).json() as RequestsUnderWayList // reason: checked by what is expected of it
  return requests
}

/** Waits until so many wait for a slot. */
export const untilQueued = async (port: number, count: number, headers: ReadonlyArray<string> = []): Promise<void> => {
  const end = performance.now() + 60_000
  for (;;) {
    const queued = (await phases(port, headers)).filter(({ phase }) => phase === "queued").length
    if (queued === count) return
    if (performance.now() > end) throw new Error(`${queued} are queued, not ${count}`)
  }
}

/** Sends one after the other, each once the one before it waits. */
export const line = async (
  port: number,
  contents: ReadonlyArray<string>,
  headers: (content: string) => ReadonlyArray<string> = () => [],
  reading: ReadonlyArray<string> = []
): Promise<ReadonlyArray<RawClient>> => {
  const clients: Array<RawClient> = []
  for (const [at, content] of contents.entries()) {
    clients.push(await post(port, content, headers(content)))
    await untilQueued(port, at + 1, reading)
  }
  return clients
}

/** A gateway before one server with one slot. */
export const before = ({ upstream }: Held, more: SettingsTree = {}, secrets?: Secrets): Promise<Gateway> =>
  startGateway({ backends: [backendFor("one", upstream, { slots: 1 })], ...more }, secrets)

/** Answers all that reach the server, one after the other. */
export const answerAll = async (held: Held, count: number): Promise<void> => {
  for (let nth = 0; nth < count; nth += 1) {
    await held.upstream.call(nth)
    expect(held.upstream.busy()).toBe(1)
    held.answer(nth)
    await until(() => held.upstream.busy() === 0 || held.asked().length > nth + 1, "the answer has gone")
  }
}
