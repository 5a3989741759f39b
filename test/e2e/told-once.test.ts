import { describe, expect, test } from "bun:test"
import { chunk, delta, done, event, lastChunk, streamHead } from "../kit/answers.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway } from "../kit/gateway.ts"
import { claude, claudeEvent, claudeWorld, messageEvents } from "../kit/claude.ts"
import { ask } from "../kit/rawClient.ts"
import type { Step } from "../kit/rawServer.ts"

const calls = (index: number, name: string | undefined, args: string) =>
  chunk(
    event(
      delta("m", {
        tool_calls: [
          {
            index,
            ...(name === undefined ? {} : { id: `call_${index}`, type: "function" }),
            function: { ...(name === undefined ? {} : { name }), arguments: args }
          }
        ]
      })
    )
  )

const words = (content: string) => chunk(event(delta("m", { content })))

const messages = [{ role: "user", content: "hello" }]

/** Answers that a client cannot be given, as is known in the middle of them. */
const clients: ReadonlyArray<readonly [name: string, path: string, body: object, said: ReadonlyArray<Step>]> = [
  [
    "Messages",
    "/v1/messages",
    { model: "m", max_tokens: 9, messages, stream: true },
    [calls(0, "f", "{}"), words("then"), calls(0, undefined, '{"a":1}')]
  ],
  [
    "Responses",
    "/v1/responses",
    { model: "m", input: "hello", stream: true },
    [calls(0, "f", "{}"), words("then"), calls(0, undefined, '{"a":1}')]
  ]
]

const ends: ReadonlyArray<readonly [name: string, rest: ReadonlyArray<Step>]> = [
  ["whose backend says no more", ["hang"]],
  ["whose backend goes on to its end", [words("and"), chunk(event(delta("m", {}, "stop"))), chunk(done), lastChunk]],
  ["whose backend is lost", ["reset"]]
]

test("a client that knows functions as of old is told once that there is more than one call", async () => {
  const made = (index: number) => [
    claudeEvent({
      type: "content_block_start",
      index,
      content_block: { type: "tool_use", id: `toolu_${index}`, name: "f", input: {} }
    }),
    claudeEvent({ type: "content_block_stop", index })
  ]
  const [start = ""] = messageEvents({ content: [] })
  await using world = await claudeWorld(() => [
    streamHead(),
    ...[start, ...made(0), ...made(1)].map((each) => chunk(each)),
    "hang"
  ])
  const body = { model: claude, messages, functions: [{ name: "f", parameters: { type: "object" } }], stream: true }
  const answer = await ask(world.gateway.port, "POST", "/v1/chat/completions", JSON.stringify(body))
  expect(answer.text.match(/^data: \{"error"/gm)).toHaveLength(1)
  expect(answer.text).toContain("The backend called several functions")
  await world.gateway.quiet()
  await world.upstream.lastCall().gone
})

describe("an answer that fails in its middle, as its client cannot be given it, tells so once:", () => {
  for (const [client, path, body, said] of clients) {
    for (const [name, rest] of ends) {
      test(`to ${client}, ${name}`, async () => {
        await using upstream = await startUpstream({
          models: [{ id: "m", tools: true }],
          script: () => [streamHead(), ...said, { pause: 20 }, ...rest]
        })
        await using gateway = await startGateway({ backends: [backendFor("one", upstream)] })
        const answer = await ask(gateway.port, "POST", path, JSON.stringify(body))
        const failures = answer.text.match(/^event: (?:error|response\.failed)$/gm)
        expect(new Set(failures)).toHaveLength(failures?.length ?? 0)
        expect(failures).toContain("event: error")
        expect(answer.text).toContain("went on with a call that was whole")
        expect(answer.text).not.toContain("connection lost")
        await gateway.quiet()
        if (rest[0] === "hang") await upstream.lastCall().gone
      })
    }
  }
})
