/**
 * Faults of connections and heads: nothing of a body has come yet.
 */
import { chatEvents, chunk, completion, head, json, lastChunk, streamHead } from "../kit/answers.ts"
import { streamed } from "../kit/FakeUpstream.ts"
import type { Step } from "../kit/rawServer.ts"
import { badGateway, type Fault, intact, refused, timedOut } from "./fault.ts"

const events = chatEvents("m", ["ok"])

const whole = JSON.stringify(completion("m", "ok"))

const good = (stream: boolean): Iterable<Step> => (stream ? streamed(events) : [json(completion("m", "ok"))])

const goodBody = (stream: boolean): string => (stream ? events.join("") : whole)

const dripped = function* (text: string, pause: number): Generator<Step> {
  for (const letter of text) {
    yield letter
    yield { pause }
  }
}

/** The rows. */
export const connections: ReadonlyArray<Fault> = [
  {
    name: "the connection is refused",
    down: true,
    steps: () => [],
    alone: refused(503, "service_unavailable", "No healthy backends available for model 'm'"),
    failover: true,
    blame: "counted"
  },
  {
    name: "the connection is reset before any byte",
    steps: () => ["reset"],
    alone: badGateway,
    failover: true,
    again: true,
    silentDeath: true,
    blame: "counted",
    closes: true
  },
  {
    name: "the connection is closed before any byte",
    steps: () => ["fin"],
    alone: badGateway,
    failover: true,
    again: true,
    silentDeath: true,
    blame: "counted",
    closes: true
  },
  {
    name: "an SSH banner comes instead of HTTP",
    steps: () => ["SSH-2.0-OpenSSH_9.9\r\n", "hang"],
    alone: badGateway,
    failover: true,
    again: true,
    blame: "counted",
    closes: true
  },
  {
    name: "bytes that are nothing come instead of HTTP",
    steps: () => [new Uint8Array([0, 1, 2, 255, 254, 13, 10, 13, 10]), "fin"],
    alone: badGateway,
    failover: true,
    again: true,
    blame: "counted",
    closes: true
  },
  {
    name: "half a head comes, then the end",
    steps: () => ["HTTP/1.1 200 OK\r\nContent-Ty", "fin"],
    alone: badGateway,
    failover: true,
    again: true,
    blame: "counted",
    closes: true
  },
  {
    name: "nothing comes",
    steps: () => ["hang"],
    waits: true,
    alone: timedOut("first_byte"),
    failover: true,
    again: true,
    blame: "counted",
    closes: true
  },
  {
    name: "the head comes late, within its time",
    steps: (stream) => [{ pause: 120 }, ...good(stream)],
    alone: (stream) => ({ _tag: "Intact", body: goodBody(stream) }),
    failover: false,
    blame: "nothing"
  },
  {
    name: "the head drips past its time",
    steps: () => dripped(`HTTP/1.1 200 OK\r\nX-Slow: ${"a".repeat(500)}`, 15),
    waits: true,
    alone: timedOut("first_byte"),
    failover: true,
    again: true,
    blame: "counted",
    closes: true
  },
  {
    name: "a header is larger than any header",
    steps: () => [head(200, [`X-Large: ${"a".repeat(4_000_000)}`, "Content-Length: 2"]), "{}", "hang"],
    alone: badGateway,
    failover: true,
    again: true,
    blame: "counted",
    closes: true
  },
  {
    name: "there are three hundred headers",
    steps: () => [
      head(200, [...Array.from({ length: 300 }, (_, i) => `X-${i}: a`), "Content-Length: 2"]),
      "{}",
      "hang"
    ],
    alone: badGateway,
    failover: true,
    again: true,
    blame: "counted",
    closes: true
  },
  {
    name: "interim answers come first",
    steps: (stream) => [
      "HTTP/1.1 100 Continue\r\n\r\n",
      "HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n",
      ...good(stream)
    ],
    alone: (stream) => ({ _tag: "Intact", body: goodBody(stream) }),
    failover: false,
    blame: "nothing"
  },
  {
    name: "two lengths contradict each other",
    steps: () => [
      head(200, ["Content-Type: application/json", "Content-Length: 2", "Content-Length: 20"]),
      "{}",
      "hang"
    ],
    alone: badGateway,
    failover: true,
    again: true,
    blame: "counted",
    closes: true
  },
  {
    name: "a length and chunks contradict each other",
    steps: () => [
      head(200, ["Content-Type: application/json", "Content-Length: 5", "Transfer-Encoding: chunked"]),
      chunk(whole),
      lastChunk,
      "hang"
    ],
    alone: badGateway,
    failover: true,
    again: true,
    blame: "counted",
    closes: true
  },
  {
    name: "bytes follow the answer that belong to none",
    only: "whole",
    steps: () => [new Uint8Array(Buffer.concat([json(completion("m", "ok")), json({ smuggled: true })])), "hang"],
    alone: intact(whole),
    failover: false,
    blame: "nothing",
    closes: true
  },
  {
    name: "a stream's head comes, and nothing else",
    only: "stream",
    steps: () => [streamHead(), "hang"],
    waits: true,
    alone: timedOut("first_byte"),
    failover: true,
    again: true,
    blame: "counted",
    closes: true
  },
  {
    name: "comments come in place of a first event",
    only: "stream",
    steps: function* () {
      yield streamHead()
      for (;;) yield* [chunk(": waiting\n\n"), { pause: 40 }]
    },
    waits: true,
    alone: timedOut("first_byte"),
    failover: true,
    again: true,
    blame: "counted",
    closes: true
  }
]
