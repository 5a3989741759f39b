import { describe, expect, test } from "bun:test"
import { Exit } from "effect"
import * as fc from "fast-check"
import { openai } from "../../src/dialect/openai/openai.ts"
import { ConnectionLost, type UpstreamError } from "../../src/domain/upstream-errors.ts"
import { type CommittedAnswer, commitAnswer } from "../../src/upstream/answer.ts"
import { HeldBytes } from "../../src/upstream/held-bytes.ts"
import { chatEvents, completion, event } from "../kit/answers.ts"
import { arrivalOf, Feed } from "../kit/stage.ts"

const [operation] = openai.operations
if (operation === undefined) throw new Error("the dialect asks for nothing")
const route = { dialect: openai, operation }
const json = { "content-type": "application/json" }
const events = { "content-type": "text/event-stream" }
const lost = new ConnectionLost({ reason: "reset", answered: true })

/** How a body comes: its pieces, and then its end or its loss. */
interface Came {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly stream?: boolean
  readonly pieces: ReadonlyArray<string>
  readonly end?: "end" | "lost" | "open"
}

/** Commits to an answer; gives what it came to, how often that was told, and what is still held back. */
const committed = ({ status = 200, headers = json, stream = false, pieces, end = "end" }: Came) => {
  const feed = new Feed()
  const holding = new HeldBytes(() => 1_000_000)
  const told: Array<Exit.Exit<CommittedAnswer, UpstreamError>> = []
  const expectation = {
    stream,
    route,
    maxBytes: 100_000,
    holding,
    progress: () => undefined,
    caller: { hearer: () => undefined }
  }
  commitAnswer(arrivalOf(status, feed, headers), expectation, (made) => told.push(made))
  for (const piece of pieces) feed.piece(piece)
  if (end === "end") feed.end()
  if (end === "lost") feed.fail(lost)
  return { told, feed, holding }
}

const outcomeOf = (came: Came): string => {
  const { told } = committed(came)
  const [made] = told
  if (told.length > 1) return "told twice"
  if (made === undefined) return "waits"
  if (Exit.isSuccess(made)) return made.value._tag
  const [reason] = made.cause.reasons
  return reason?._tag === "Fail" ? reason.error._tag : "defect"
}

/** A text in pieces of whatever length. */
const cut = (text: string) =>
  fc.array(fc.integer({ min: 1, max: Math.max(1, text.length) }), { maxLength: 8 }).map((lengths) => {
    const pieces: Array<string> = []
    let rest = text
    for (const length of lengths) {
      pieces.push(rest.slice(0, length))
      rest = rest.slice(length)
    }
    return [...pieces, rest].filter((piece) => piece !== "")
  })

const whole = JSON.stringify(completion("m", "hello"))
const streamed = chatEvents("m", ["a", "b"]).join("")
const failure = event({ error: { message: "no", type: "server_error" } })

describe("an answer", () => {
  test.each([
    ["Whole", { pieces: [whole] }],
    ["Flow", { pieces: [streamed], headers: events, stream: true }],
    ["Flow", { pieces: [streamed], headers: {}, stream: true }],
    ["Whole", { pieces: [whole], stream: true }],
    ["BadAnswer", { pieces: ["<html>"] }],
    ["BadAnswer", { pieces: [whole.slice(0, -9)] }],
    ["BadAnswer", { pieces: [] }],
    ["BadAnswer", { pieces: [], headers: events, stream: true }],
    ["BadAnswer", { pieces: [": only this\n\n"], headers: events, stream: true }],
    ["BadAnswer", { pieces: [streamed], headers: events }],
    ["BadAnswer", { pieces: [], status: 307, end: "open" }],
    ["BadAnswer", { pieces: [], status: 204 }],
    ["ErrorStatus", { pieces: ['{"error":'], status: 500 }],
    ["ErrorStatus", { pieces: ['{"error":'], status: 429, end: "lost" }],
    ["ConnectionLost", { pieces: [whole.slice(0, 9)], end: "lost" }],
    ["ConnectionLost", { pieces: [": nothing yet\n\n"], headers: events, stream: true, end: "lost" }],
    ["waits", { pieces: [whole.slice(0, 9)], end: "open" }],
    ["waits", { pieces: [": nothing yet\n\n"], headers: events, stream: true, end: "open" }]
  ] satisfies ReadonlyArray<readonly [string, Came]>)("comes to %s: %j", (wanted, came) => {
    expect(outcomeOf(came)).toBe(wanted)
  })

  test("comes to the same however its bytes are cut, and is told of once", () => {
    const kinds = fc.constantFrom<Came & { readonly text: string }>(
      { text: whole, pieces: [] },
      { text: "<html>no</html>", pieces: [] },
      { text: whole, pieces: [], end: "lost" },
      { text: streamed, pieces: [], headers: events, stream: true },
      { text: streamed, pieces: [], headers: events, stream: true, end: "lost" },
      { text: `: wait\n\n${streamed}`, pieces: [], headers: {}, stream: true },
      { text: failure, pieces: [], headers: events, stream: true },
      { text: '{"error":{"message":"no"}}', pieces: [], status: 503 }
    )
    fc.assert(
      fc.property(
        kinds.chain((came) => cut(came.text).map((pieces) => [came, pieces] as const)),
        ([came, pieces]) => {
          expect(outcomeOf({ ...came, pieces })).toBe(outcomeOf({ ...came, pieces: [came.text] }))
        }
      )
    )
  })

  test("that is dropped while it is held back is counted no longer", () => {
    const big = JSON.stringify(completion("m", "x".repeat(80_000)))
    for (const end of ["end", "lost"] as const) {
      const { holding } = committed({ pieces: [big.slice(0, 70_000), big.slice(70_000)], end })
      expect(holding.isTooMuch(1)).toBe(false)
      expect(holding.grow(0, 1_000_000)).toBe(1_000_000)
      expect(holding.isTooMuch(1_000_000)).toBe(false)
    }
  })
})
