import { afterAll, beforeAll, expect, test } from "bun:test"
import { chunk, event, lastChunk, streamHead } from "../kit/answers.ts"
import { type FakeUpstream, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, startGateway } from "../kit/gateway.ts"
import { bytesOf } from "../kit/http.ts"
import { type Answer, dial, requestBytes } from "../kit/rawClient.ts"
import type { Step } from "../kit/rawServer.ts"

const body = JSON.stringify({ model: "m", messages: [], stream: true })

const text = (content: string) => ({ choices: [{ index: 0, delta: { content } }] })

/** A short stream with every length of UTF-8 sequence, CRLF ends, a comment and an `event` line. */
const stream = bytesOf(
  `: hi\r\n\r\n${event(text("aé€😀"))}event: x\r\ndata: ${JSON.stringify(text("ü"))}\r\n\r\n` +
    event({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] }) +
    "data: [DONE]\n\n"
)

let upstream: FakeUpstream
let gateway: Gateway

beforeAll(async () => {
  upstream = await startUpstream({ models: ["m"] })
  gateway = await startGateway({ backends: [backendFor("one", upstream)] })
})

afterAll(async () => {
  await gateway[Symbol.asyncDispose]()
  await upstream[Symbol.asyncDispose]()
})

const through = async (steps: ReadonlyArray<Step>): Promise<Answer> => {
  upstream.script(() => steps)
  using client = await dial(gateway.port)
  await client.send(requestBytes("POST", "/v1/chat/completions", body))
  return await client.answer()
}

const expectWhole = (answer: Answer, split: string): void => {
  if (answer.status !== 200 || answer.end !== "complete" || Buffer.compare(answer.body, stream) !== 0) {
    throw new Error(`split ${split}: ${answer.status} ${answer.end} ${answer.text}`)
  }
}

test("a stream split at every byte boundary, inside of characters too, arrives intact", async () => {
  for (let at = 1; at < stream.byteLength; at += 1) {
    const answer = await through([
      streamHead(),
      chunk(stream.subarray(0, at)),
      { pause: 0 },
      chunk(stream.subarray(at)),
      lastChunk
    ])
    expectWhole(answer, `${at}`)
  }
})

test("a stream in segments of one byte, framing included, arrives intact", async () => {
  const wire = Buffer.concat([bytesOf(streamHead()), chunk(stream), bytesOf(lastChunk)])
  expectWhole(await through(Array.from(wire, (byte) => new Uint8Array([byte]))), "everywhere")
})

test("a stream in chunks of one byte arrives intact", async () => {
  const chunks = Array.from(stream, (byte) => chunk(new Uint8Array([byte])))
  expectWhole(await through([streamHead(), ...chunks, lastChunk]), "everywhere")
})

test("bytes that are no UTF-8 arrive as they were", async () => {
  const odd = Buffer.concat([
    bytesOf('data: {"choices":[{"delta":{"content":"'),
    new Uint8Array([0xff, 0xfe, 0xc3, 0x28, 0xed, 0xa0, 0x80, 0x00]),
    bytesOf('"}}]}\n\n'),
    bytesOf("data: [DONE]\n\n")
  ])
  const answer = await through([streamHead(), chunk(odd), lastChunk])
  expect(Buffer.compare(answer.body, odd)).toBe(0)
})

test("one event of 16 MB, and ten thousand events in one segment, arrive intact and in order", async () => {
  const end = `${event({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] })}data: [DONE]\n\n`
  const large = event(text("x".repeat(16 * 1_048_576))) + end
  const answer = await through([streamHead(), chunk(large), lastChunk])
  expect([answer.end, answer.body.byteLength]).toEqual(["complete", large.length])
  expect(answer.text === large).toBe(true)

  const flock = Array.from({ length: 10_000 }, (_, i) => event(text(`${i}`))).join("") + end
  const all = await through([`${streamHead()}${new TextDecoder().decode(chunk(flock))}${lastChunk}`])
  expect(all.text === flock).toBe(true)
})
