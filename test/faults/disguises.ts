/**
 * Answers that are not what they look like: half ones with the marks of a whole one, errors behind a good beginning,
 * streams under another name, bodies with a good status and no answer.
 */
import { chunk, completion, delta, done, event, head, json, lastChunk, streamHead, whole } from "../kit/answers.ts"
import type { Step } from "../kit/rawServer.ts"
import { badGateway, broken, type Fault, intact, refused, timedOut } from "./fault.ts"

const role = event(delta("m", { role: "assistant", content: "" }))

const said = (finish: string | null, index = 0): string =>
  event({ ...delta("m", {}), choices: [{ index, delta: { content: "Hello" }, finish_reason: finish }] })

const ended = (finish: string, index = 0): string =>
  event({ ...delta("m", {}), choices: [{ index, delta: {}, finish_reason: finish }] })

const failure = { error: { message: "CUDA out of memory", type: "server_error", param: null, code: null } }

const base = { only: "stream", failover: false, blame: "counted", closes: false } as const

/** A stream that is passed on, and ends in an error event and a cut. */
const half = (name: string, events: string, rest: ReadonlyArray<Step> = [lastChunk]): Fault => ({
  ...base,
  name,
  steps: () => [streamHead(), chunk(events), { pause: 15 }, ...rest],
  alone: broken(events)
})

/** A stream that is whole; Nexus adds what its marker lacks. */
const entire = (name: string, events: string, added: string, rest: ReadonlyArray<Step> = [lastChunk]): Fault => ({
  ...base,
  name,
  blame: "nothing",
  steps: () => [streamHead(), chunk(events), { pause: 15 }, ...rest],
  alone: intact(events + added)
})

/** A stream that fails before its answer has begun: the same backend has done its work, and another one is asked. */
const early = (name: string, pieces: ReadonlyArray<string>, more: Partial<Fault> = {}): Fault => ({
  ...base,
  name,
  steps: () => [
    streamHead(),
    ...pieces.flatMap((piece): ReadonlyArray<Step> => [chunk(piece), { pause: 15 }]),
    lastChunk
  ],
  alone: refused(502, "bad_gateway", "CUDA out of memory"),
  failover: true,
  ...more
})

/** A good stream under another name. */
const named = (name: string, headers: ReadonlyArray<string>): Fault => ({
  ...base,
  name,
  blame: "nothing",
  steps: () => [
    head(200, [...headers, "Transfer-Encoding: chunked"]),
    chunk(said(null)),
    { pause: 15 },
    chunk(ended("stop") + done),
    lastChunk
  ],
  alone: intact(said(null) + ended("stop") + done),
  headers: (header) => {
    if (header("content-type") !== "text/event-stream") throw new Error(`a stream as ${header("content-type")}`)
    if (header("content-encoding") !== undefined) throw new Error("no encoding must not be called one")
  }
})

/** The same, broken: it is watched like every other. */
const namedHalf = (name: string, headers: ReadonlyArray<string>): Fault => ({
  ...base,
  name,
  steps: () => [head(200, [...headers, "Transfer-Encoding: chunked"]), chunk(said(null)), { pause: 15 }, lastChunk],
  alone: broken(said(null))
})

/** A body with a good status that holds no answer. */
const empty = (name: string, body: unknown, more: Partial<Fault> = {}): Fault => ({
  name,
  steps: () => [json(body)],
  alone: badGateway,
  failover: true,
  blame: "counted",
  ...more
})

const both = said(null, 0) + said(null, 1)

const citations = event({ ...delta("m", {}), choices: [], citations: "x".repeat(40_000) })

/** The rows. */
export const disguises: ReadonlyArray<Fault> = [
  half("each chunk has an empty finish reason, then the body ends", said("") + said("")),
  half("each chunk has an empty finish reason, then the connection is cut", said("") + said(""), ["fin"]),
  half("the finish reason is the word null", said("null") + ended("null")),
  half("the finish reason is an error", said(null) + ended("error")),
  half("the finish reason is that it was aborted", said(null) + ended("abort")),
  half("the finish reason is a word nobody knows, then a reset", said(null) + ended("because"), ["reset"]),
  half("one choice of two has ended", both + ended("stop", 1)),
  half("the last event is torn after the finish reason", `${said(null)}${ended("stop")}data: {"usage":{"prompt_tok`),
  entire("both choices of two have ended", both + ended("stop", 1) + ended("length", 0), done),
  entire("the finish reason is a word nobody knows, and the body ends in order", said(null) + ended("because"), done),
  entire("40 KB of citations come after the finish reason", said(null) + ended("stop") + citations, done, ["fin"]),
  entire("no line end stands behind the last event", said(null) + ended("stop").trimEnd(), `\n\n${done}`),
  entire("one line end stands behind the last event", said(null) + ended("stop").slice(0, -1), `\n${done}`),
  entire("a CR stands behind the last event", `${said(null)}${ended("stop").trimEnd()}\r`, `\n\n${done}`),
  entire("a CRLF stands behind the last event", `${said(null)}${ended("stop").trimEnd()}\r\n`, `\n${done}`),
  entire("mixed line ends stand behind the last event", `${said(null)}${ended("stop").trimEnd()}\n\r\n`, done),
  early("an error comes behind a role", [role, event(failure)]),
  early("an error comes behind a role without content", [
    event(delta("m", { role: "assistant", content: null })),
    event(failure)
  ]),
  early("an error comes behind an empty data line", ["data:\n\n", event(failure)]),
  early("an error comes behind pings", [": ping\n\n", event({ type: "ping" }), event(failure)]),
  early("an error comes among other fields", [event({ ...delta("m", {}), ...failure, choices: [] })]),
  early("an error comes as a text among other fields", [event({ ...delta("m", {}), error: failure.error.message })]),
  early("an error comes in a list", [`data: [${JSON.stringify(failure)}]\n\n`]),
  early("comments come behind a role, and nothing else", [], {
    steps: function* (): Generator<Step> {
      yield* [streamHead(), chunk(role)]
      for (;;) yield* [{ pause: 15 }, chunk(": still here\n\n")]
    },
    waits: true,
    alone: timedOut("idle"),
    closes: true
  }),
  early("a stream begins with the words of a failure", [event({ code: 500, msg: failure.error.message })]),
  early("a stream begins with a detail", [role, event({ detail: failure.error.message })]),
  early("a stream says a role and no more", [role], { alone: badGateway }),
  early("a stream says a role and [DONE]", [role, done], { alone: badGateway }),
  early("a stream says a role and that it failed", [role + ended("error")], { alone: badGateway }),
  early("JSON with an error comes as an event stream", [JSON.stringify(failure)]),
  ...['""', "null", "false", "{}", '{"message":"","type":"","code":null}'].map((nothing) =>
    entire(
      `the error of every chunk is ${nothing}`,
      (said(null) + ended("stop")).replaceAll("data: {", `data: {"error":${nothing},`),
      done
    )
  ),
  ...["text/plain", "application/json", "application/octet-stream", "application/x-ndjson", "text/html"].map((type) =>
    named(`a stream comes as ${type}`, [`Content-Type: ${type}`])
  ),
  named("a stream comes without a type", []),
  ...["none", "identity", "Identity", "IDENTITY", "utf-8", "UTF8", ""].map((coding) =>
    named(`a stream comes with the encoding "${coding}"`, [
      "Content-Type: text/event-stream",
      `Content-Encoding: ${coding}`
    ])
  ),
  namedHalf("half a stream comes as text/plain", ["Content-Type: text/plain"]),
  namedHalf("half a stream comes with the encoding none", [
    "Content-Type: text/event-stream",
    "Content-Encoding: none"
  ]),
  empty("an empty object", {}),
  empty("a code and a message", { code: 500, msg: "out of memory" }),
  empty("a detail", { detail: "Not Found" }),
  empty("two megabytes of something else", { detail: "x".repeat(2 * 1024 * 1024) }),
  empty("a message", { message: "no more quota" }),
  empty("choices that are null", { choices: null }),
  empty("choices that are no list", { id: "1", choices: {} }),
  empty("no success", { success: false }),
  empty("an error beside choices", { ...completion("m", "half"), ...failure }),
  empty("an error beside an empty list of choices", { id: "1", ...failure, choices: [] }),
  {
    ...empty("an error that is none", {}),
    only: "whole",
    steps: () => [json({ ...completion("m", "ok"), error: { message: "", code: null } })],
    alone: intact(JSON.stringify({ ...completion("m", "ok"), error: { message: "", code: null } })),
    failover: false,
    blame: "nothing"
  },
  {
    ...empty("an error under the encoding none", {}),
    steps: () => [whole(200, JSON.stringify(failure), "application/json", ["Content-Encoding: none"])]
  }
]
