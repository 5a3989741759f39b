/**
 * Faults of event streams, before their first event and after it, and streams that are odd and right.
 */
import { chatEvents, chunk, delta, done, event, head, lastChunk, streamHead } from "../kit/answers.ts"
import type { Step } from "../kit/rawServer.ts"
import { badGateway, broken, type Fault, intact, limitWords, refused } from "./fault.ts"

const first = event(delta("m", { role: "assistant", content: "Hel" })) + event(delta("m", { content: "lo" }))

const finish = event(delta("m", {}, "stop"))

const all = first + finish + done

/** Steps of a stream that begins well: its first event has been sent on when the rest comes. */
const begun = (rest: ReadonlyArray<Step>) => () => [streamHead(), chunk(first), { pause: 15 }, ...rest]

/** A stream that fails before its first event: another backend is asked. */
const early = (name: string, steps: Fault["steps"], more: Partial<Fault> = {}): Fault => ({
  name,
  only: "stream",
  steps,
  alone: badGateway,
  failover: true,
  again: true,
  blame: "counted",
  ...more
})

/** A stream that fails after its first event: nobody else is asked. */
const late = (name: string, rest: ReadonlyArray<Step>, more: Partial<Fault> = {}): Fault => ({
  name,
  only: "stream",
  steps: begun(rest),
  alone: broken(first),
  failover: false,
  blame: "counted",
  closes: true,
  ...more
})

/** A stream that is odd and right: its bytes, and nothing else, arrive. */
const fine = (
  name: string,
  body: string | Uint8Array,
  pieces?: ReadonlyArray<Step>,
  more: Partial<Fault> = {}
): Fault => ({
  name,
  only: "stream",
  steps: () => pieces ?? [streamHead(), chunk(body), lastChunk],
  alone: intact(body),
  failover: false,
  blame: "nothing",
  ...more
})

const closing = head(200, ["Content-Type: text/event-stream", "Connection: close"])

const failure = { error: { message: "CUDA out of memory", type: "server_error", param: null, code: null } }

const numeric = { error: { message: "Loading model", type: "unavailable_error", code: 503 } }

/** A stream that says, after its first event, nothing but these pieces, again and again. */
const comments = (pieces: ReadonlyArray<string>) =>
  function* (): Generator<Step> {
    yield* [streamHead(), chunk(first)]
    for (;;) for (const piece of pieces) yield* [{ pause: 15 }, chunk(piece)]
  }

/** The stream of {@link comments}, ended by the idle limit. */
const goesOn = (comment: string) => () => ({
  _tag: "Broken" as const,
  before: first,
  again: comment,
  message: limitWords("idle")
})

const wrongNumber = { error: { message: "too many tokens", type: "BadRequestError", param: null, code: 400 } }

const flock = Array.from({ length: 10_000 }, (_, i) => event(delta("m", { content: `${i}` }))).join("") + finish + done

const large = event(delta("m", { content: "x".repeat(4 * 1_048_576) })) + finish + done

const odd = new Uint8Array(
  Buffer.concat([
    Buffer.from(first),
    Buffer.from('data: {"choices":[{"delta":{"content":"'),
    new Uint8Array([0xc3, 0x28, 0xff, 0xed, 0xa0, 0x80, 0]),
    Buffer.from(`"}}]}\n\n${finish}${done}`)
  ])
)

const zipped = new Uint8Array(Bun.gzipSync(all))

/** The rows. */
export const streams: ReadonlyArray<Fault> = [
  early("a stream ends before it begins", () => [streamHead(), lastChunk]),
  early("a stream is cut before it begins", () => [streamHead(), "fin"], { closes: true }),
  early("a stream is reset before it begins", () => [streamHead(), "reset"], { closes: true }),
  early("a stream without framing ends before it begins", () => [closing, "fin"], { closes: true }),
  early("a stream ends after comments", () => [streamHead(), chunk(": hello\n\n: you\n\n"), lastChunk]),
  early("the first event is half an event", () => [streamHead(), chunk('data: {"id'), "reset"], { closes: true }),
  early("the first event is an error", () => [streamHead(), chunk(event(failure)), chunk(done), lastChunk]),
  early("the first event is an error by its name", () => [
    streamHead(),
    chunk(`event: error\ndata: {"message":"busy"}\n\n`),
    lastChunk
  ]),
  early("the first event is an error with a number", () => [streamHead(), chunk(event(numeric)), lastChunk], {
    alone: refused(503, "service_unavailable"),
    again: false
  }),
  early("the first event says that the request is wrong", () => [streamHead(), chunk(event(wrongNumber)), lastChunk], {
    alone: refused(400, undefined, "too many tokens"),
    failover: false,
    again: false,
    blame: "nothing"
  }),
  early("[DONE] is all that comes", () => [streamHead(), chunk(done), lastChunk]),
  early("an HTML page comes in place of a stream", () => [
    head(200, ["Content-Type: text/html", "Content-Length: 6"]),
    "<html>"
  ]),
  late("the connection is closed in the middle of a stream", ["fin"]),
  late("the connection is reset in the middle of a stream", ["reset"]),
  late("a stream ends cleanly without a finish reason or [DONE]", [lastChunk], { closes: false }),
  late("a stream stops", ["hang"], {
    waits: true,
    alone: broken(first, limitWords("idle"))
  }),
  late("a chunk size in a stream is no number", ["what\r\n", "hang"]),
  late("a chunk of a stream is cut", [`500\r\ndata: {"choi`, { pause: 15 }, "reset"], {
    alone: broken(`${first}data: {"choi`)
  }),
  late(
    "a runner dies and its server ends the stream like a success",
    [chunk(event(delta("", { role: "assistant", content: "" }))), lastChunk],
    { alone: broken(first + event(delta("", { role: "assistant", content: "" }))), closes: false }
  ),
  late("a stream goes on with nothing but comments", [], {
    steps: comments([": still here\n\n"]),
    waits: true,
    alone: goesOn(": still here\n\n")
  }),
  late("a stream goes on with comments that come in pieces", [], {
    steps: comments([": sti", "ll here\n", "\n"]),
    waits: true,
    alone: goesOn(": still here\n\n")
  }),
  late("an error comes in the middle, and then [DONE] as if all were well", [chunk(event(failure) + done), lastChunk], {
    alone: () => ({ _tag: "Intact", body: first + event(failure) + done }),
    closes: false
  }),
  late("an error comes in the middle, and then a clean end", [chunk(event(failure)), lastChunk], {
    alone: () => ({ _tag: "Told", body: first + event(failure) }),
    closes: false
  }),
  {
    ...late("a stream without framing is cut", []),
    steps: () => [closing, first, { pause: 15 }, "fin"]
  },
  {
    ...late("a stream is shorter than its length", []),
    steps: () => [head(200, ["Content-Type: text/event-stream", "Content-Length: 9000"]), first, { pause: 15 }, "fin"]
  },
  {
    ...fine("a stream ends with a finish reason and without [DONE]", first + finish + done),
    steps: () => [streamHead(), chunk(first + finish), lastChunk]
  },
  {
    ...fine("the connection is closed after a finish reason", first + finish + done),
    steps: () => [streamHead(), chunk(first + finish), { pause: 15 }, "fin"],
    closes: true
  },
  fine(
    "the connection is closed after [DONE], before the last chunk",
    all,
    [streamHead(), chunk(all), { pause: 15 }, "fin"],
    {
      closes: true
    }
  ),
  fine(
    "a connection announced as kept alive is closed after the stream",
    all,
    [streamHead(["Keep-Alive: timeout=5, max=100"]), chunk(all), lastChunk, "fin"],
    { closes: true }
  ),
  fine("a stream ends with the connection", all, [closing, all, "fin"], { closes: true }),
  fine("a stream has a length", all, [
    head(200, ["Content-Type: text/event-stream", `Content-Length: ${all.length}`]),
    all
  ]),
  fine("there is no space after data:", all.replaceAll("data: ", "data:")),
  fine("lines end with CRLF", all.replaceAll("\n", "\r\n")),
  fine("lines end with CR", all.replaceAll("\n", "\r")),
  fine("a byte order mark comes first", `\ufeff${all}`),
  fine("comments, names and ids stand between the events", `: hi\n\nid: 1\nevent: message\nretry: 5\n${all}: bye\n\n`),
  fine("an event has its data on several lines", `${first}data: {"choices":\ndata: []}\n\n${finish}${done}`),
  fine("the blank line at the end is missing", all.trimEnd()),
  fine("an event in the middle is no JSON", `${first}data: {oops\n\n${finish}${done}`),
  fine("a stream holds bytes that are no UTF-8", odd),
  fine("ten thousand events come in one segment", flock),
  fine("one event has 4 MB", large),
  fine("every byte comes in a segment of its own", all, [
    ...Array.from(new TextEncoder().encode(streamHead()), (byte) => new Uint8Array([byte])),
    ...Array.from(new TextEncoder().encode(all), (byte) => chunk(new Uint8Array([byte]))),
    lastChunk
  ]),
  fine(
    "the usage is null, then absurd",
    [
      event({ ...delta("m", { content: "a" }), usage: null }),
      event({ ...delta("m", {}, "stop"), usage: { prompt_tokens: -1, completion_tokens: 1e300 } }),
      event({ choices: [], usage: null }),
      done
    ].join("")
  ),
  fine(
    "the first piece of content is null",
    [
      event(delta("m", { role: "assistant", content: null })),
      event(delta("m", { reasoning_content: "hm" })),
      finish,
      event({ choices: [], usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 } }),
      done
    ].join("")
  ),
  fine(
    "a stream begins with a comment and repeats it",
    `: keep-alive\n\n${chatEvents("m", ["a"]).join(": keep-alive\n\n")}`
  ),
  fine("a stream is compressed although that was not asked for", zipped, [
    head(200, ["Content-Type: text/event-stream", "Content-Encoding: gzip", "Transfer-Encoding: chunked"]),
    chunk(zipped.subarray(0, 20)),
    { pause: 15 },
    chunk(zipped.subarray(20)),
    lastChunk
  ]),
  late("a compressed stream is cut", [], {
    steps: () => [
      head(200, ["Content-Type: text/event-stream", "Content-Encoding: gzip", "Transfer-Encoding: chunked"]),
      chunk(zipped.subarray(0, 20)),
      { pause: 15 },
      "fin"
    ],
    alone: () => ({ _tag: "Cut" })
  }),
  fine("a stream ends with trailers", all, [streamHead(), chunk(all), "0\r\nX-Trailer: a\r\n\r\n"])
]
