import { describe, expect, test } from "bun:test"
import * as Result from "effect/Result"
import { anthropic } from "../../src/dialect/anthropic/anthropic.ts"
import { EventLoopTurns } from "../../src/domain/EventLoopTurns.ts"

const bytes = (text: string): Uint8Array => Buffer.from(text)

const asked = async (body: string): Promise<string> => {
  const [messages] = anthropic.operations
  const read = await messages?.needs(bytes(body), { turns: new EventLoopTurns() })
  if (read === undefined) return "no operation"
  return Result.isSuccess(read) ? read.success.needs.model : read.failure.message
}

const request = (more: string): string => `{"model":"m","max_tokens":9,"messages":[],"metadata":${more}}`

describe("a large request of Messages", () => {
  test("is read however long its texts are", async () => {
    expect(await asked(request(`{"user_id":"${"long ".repeat(400_000)}"}`))).toBe("m")
  })

  test("with more values than are built in a moment gets a 400 that names the limit", async () => {
    const limit = "The request body holds more than 100,000 values; Nexus translates no more"
    expect(await asked(request(`[${"1,".repeat(150_000)}1]`))).toBe(limit)
    expect(await asked(request(`{${'"a":1,'.repeat(150_000)}"b":1}`))).toBe(limit)
    expect(await asked(request(`[${"[],".repeat(60_000)}1]`))).toBe(limit)
    expect(await asked(request(`[[[[[[[[${'"",'.repeat(150_000)}1]]]]]]]]`))).toBe(limit)
  })

  test("that is nested too deep gets a 400 that names the limit", async () => {
    const deep = `${"[".repeat(40_000)}${"]".repeat(40_000)}`
    expect(await asked(request(deep))).toContain("nested more than 512 levels deep")
  })

  test("that is no JSON gets a 400 that says so", async () => {
    expect(await asked(`${request(`"${"x".repeat(70_000)}"`)}}`)).toContain("is not valid JSON")
  })
})
