/**
 * Compares what a client got with what a row says it must see.
 */
import { expect } from "bun:test"
import { bytesOf } from "../kit/http.ts"
import type { Answer } from "../kit/rawClient.ts"
import type { LogLine } from "../kit/log.ts"
import type { Fault, Sight } from "./fault.ts"

const errorIn = (text: string): Readonly<Record<string, unknown>> => {
  const parsed: unknown = JSON.parse(text)
  expect(parsed).toEqual({
    error: expect.objectContaining({ message: expect.any(String), type: expect.any(String) })
  })
  const { error } = parsed as { readonly error: Readonly<Record<string, unknown>> } // reason: just checked
  expect(error).toHaveProperty("param")
  expect(error["code"] === null || typeof error["code"] === "string").toBe(true)
  return error
}

/** Nothing that a client is shown may lead to a backend or tell what Nexus runs on. */
const expectDiscreet = (text: string): void => {
  expect(text).not.toMatch(/127\.0\.0\.1|localhost|10\.1\.2\.3|ECONN|fetch|undefined|<html|sk-inner|at .*\.ts/)
}

const same = (body: Uint8Array, expected: string | Uint8Array): void => {
  const bytes = typeof expected === "string" ? bytesOf(expected) : expected
  if (Buffer.compare(body, bytes) === 0) return
  const [got, wanted] = [body, bytes].map((each) => new TextDecoder().decode(each).slice(-2000))
  expect(got).toBe(wanted)
  throw new Error(`${body.byteLength} bytes came, ${bytes.byteLength} were sent, and they differ`)
}

/** Fails unless the answer is what the row says. */
export const expectSight = (answer: Answer, sight: Sight): void => {
  expect(answer.header("x-request-id")).toMatch(/\S/)
  switch (sight._tag) {
    case "Refused": {
      expect([answer.status, answer.end]).toEqual([sight.status, "complete"])
      expect(answer.header("content-type")).toStartWith("application/json")
      const { code, message } = errorIn(answer.text)
      if (sight.code !== undefined) expect(code).toBe(sight.code)
      if (sight.message !== undefined) expect(message).toMatch(sight.message)
      return expectDiscreet(answer.text)
    }
    case "Broken": {
      expect(answer.status).toBe(200)
      expect(answer.end).not.toBe("complete")
      expect(answer.text).not.toContain("[DONE]")
      expect(answer.text.slice(0, sight.before.length)).toBe(sight.before)
      const after = answer.text.slice(sight.before.length)
      const repeated = sight.again === undefined ? 0 : after.lastIndexOf("data: ")
      if (sight.again !== undefined) expect(sight.again.repeat(100)).toStartWith(after.slice(0, repeated).trimEnd())
      const [event = "", ...more] = after.slice(repeated).trim().split("\n\n")
      expect(more).toEqual([])
      expect(event).toStartWith("data: ")
      const { message } = errorIn(event.slice(6))
      if (sight.message !== undefined) expect(message).toMatch(sight.message)
      return expectDiscreet(event)
    }
    case "Intact": {
      expect([answer.status, answer.end]).toEqual([200, "complete"])
      return same(answer.body, sight.body)
    }
    case "Told": {
      expect(answer.status).toBe(200)
      expect(answer.end).not.toBe("complete")
      return same(answer.body, sight.body)
    }
    case "Cut": {
      expect(answer.status).toBe(200)
      expect(answer.end).not.toBe("complete")
    }
  }
}

/** Fails unless the log tells of a request that nobody else answered what its client saw. */
export const expectRecord = (line: LogLine, answer: Answer, sight: Sight, fault: Fault): void => {
  // What is passed on is the client's own matter; some statuses are passed on when nobody else has another answer.
  const passed = sight._tag === "Refused" && (!fault.failover || [401, 403, 404, 429].includes(sight.status))
  const whole = sight._tag === "Intact" && fault.blame === "nothing"
  const failed = sight._tag === "Refused" ? "failed" : "truncated"
  expect(line).toMatchObject({ backend: "faulty", outcome: passed ? "refused" : whole ? "completed" : failed })
  if (whole) {
    expect(line).not.toHaveProperty("failures")
    // An end marker may have been added to what came.
    const added = new TextDecoder().decode(answer.body.subarray(Number(line["bytes_out"])))
    expect(added).toMatch(/^(?:\n{0,2}data: \[DONE\]\n\n)?$/)
  } else {
    expect(line["failures"]).toContainEqual({ backend: "faulty", model: "m", reason: expect.stringMatching(/\w/) })
  }
}
