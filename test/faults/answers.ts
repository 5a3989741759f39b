/**
 * Faults of whole answers: a body that is not what was promised.
 */
import { chunk, completion, head, json, lastChunk, whole } from "../kit/answers.ts"
import { badGateway, type Fault, intact, timedOut } from "./fault.ts"

const good = JSON.stringify(completion("m", "ok"))

const jsonHead = (headers: ReadonlyArray<string>): string => head(200, ["Content-Type: application/json", ...headers])

const chunkedHead = jsonHead(["Transfer-Encoding: chunked"])

const large = `{"choices":[],"x":"${"y".repeat(11 * 1_048_576)}"}`

/** An answer that is no good one: another backend is asked. */
const bad = (name: string, steps: Fault["steps"], more: Partial<Fault> = {}): Fault => ({
  name,
  only: "whole",
  steps,
  alone: badGateway,
  failover: true,
  again: true,
  blame: "counted",
  ...more
})

/** An answer that is odd and right. */
const fine = (name: string, steps: Fault["steps"], body: string | Uint8Array, more: Partial<Fault> = {}): Fault => ({
  name,
  only: "whole",
  steps,
  alone: intact(body),
  failover: false,
  blame: "nothing",
  ...more
})

const gzipped = new Uint8Array(Bun.gzipSync(good))

const bomb = new Uint8Array(Bun.gzipSync(new Uint8Array(64 * 1_048_576)))

const compressed = (body: Uint8Array) => [whole(200, body, "application/json", ["Content-Encoding: gzip"])]

/** The rows. */
export const answers: ReadonlyArray<Fault> = [
  bad("the body is empty", () => [whole(200, "")]),
  bad("the body is blank", () => [whole(200, " \n ")]),
  bad("204 comes", () => [head(204)], {}),
  bad("304 comes", () => [head(304)], {}),
  bad("a body is shorter than its length, then the end", () => [jsonHead(["Content-Length: 900"]), good, "fin"], {
    closes: true
  }),
  bad("a body is shorter than its length, then a reset", () => [jsonHead(["Content-Length: 900"]), good, "reset"], {
    closes: true
  }),
  bad("a chunk size is no number", () => [chunkedHead, "zz\r\n{}\r\n", "hang"], { closes: true }),
  bad("the last chunk is missing", () => [chunkedHead, chunk(good), "fin"], { closes: true }),
  bad("a chunk is cut", () => [chunkedHead, `400\r\n${good}`, "reset"], { closes: true }),
  bad("the body stops", () => [jsonHead(["Content-Length: 900"]), good, "hang"], {
    waits: true,
    alone: timedOut("idle"),
    closes: true
  }),
  bad("the JSON is cut", () => [whole(200, good.slice(0, -9))]),
  bad("the JSON is no object", () => [whole(200, "null")]),
  bad("the JSON is a text", () => [whole(200, '"busy"')]),
  bad("an HTML page comes with 200", () => [whole(200, "<!doctype html><title>Login</title>", "text/html")]),
  bad("an error comes with 200", () => [json({ error: { message: "out of memory", type: "server_error" } })]),
  bad("an error text comes with 200", () => [json({ error: "Unexpected endpoint or method." })]),
  bad("an event stream comes that nobody asked for", () => [
    head(200, ["Content-Type: text/event-stream", "Transfer-Encoding: chunked"]),
    chunk("data: {}\n\n"),
    lastChunk
  ]),
  fine("the body comes in chunks of one byte", () => [chunkedHead, ...Array.from(good, chunk), lastChunk], good),
  fine("the body ends with trailers", () => [chunkedHead, chunk(good), "0\r\nX-Trailer: a\r\n\r\n"], good),
  fine("chunks have extensions", () => [chunkedHead, `${good.length.toString(16)};a=b\r\n${good}\r\n0\r\n\r\n`], good),
  fine("the body ends with the connection", () => [jsonHead(["Connection: close"]), good, "fin"], good, {
    closes: true
  }),
  fine(
    "the answer is HTTP/1.0",
    () => ["HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n", good, "fin"],
    good,
    { closes: true }
  ),
  fine("the body is compressed although that was not asked for", () => compressed(gzipped), gzipped, {
    headers: (header) => {
      if (header("content-encoding") !== "gzip") throw new Error("compressed bytes must say that they are")
    }
  }),
  fine("the body is a bomb", () => compressed(bomb), bomb),
  fine("the body is larger than what is held back", () => [whole(200, large)], large),
  bad("a body larger than what is held back is cut", () => [jsonHead(["Content-Length: 99000000"]), large, "fin"], {
    alone: () => ({ _tag: "Cut" }),
    failover: false,
    again: false,
    closes: true
  })
]
