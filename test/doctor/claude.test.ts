import { expect, test } from "bun:test"
import { Redacted } from "effect"
import { answering, calls, claude, says } from "../kit/claude.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendAt, bad, look } from "./patient.ts"

test("Anthropic is tried in its own dialect: an answer, a stream, a tool, a form, and no embedding", async () => {
  await using upstream = await startUpstream({
    type: "anthropic",
    models: [{ id: claude, tools: true, vision: true }],
    script: answering(({ text }) =>
      text.includes("get_time")
        ? { content: [calls("t", "get_time", {})], stop_reason: "tool_use" }
        : { content: [says(text.includes("json_schema") ? '{"ok":true}' : "1 2 3 4 5")] }
    )
  })
  const findings = await look(backendAt(upstream.url, { type: "anthropic", apiKey: Redacted.make("sk-ant-x") }), true)
  expect(bad(findings)).toEqual([])
  expect(findings.map(({ check }) => check)).toEqual(["connect", "type", "models", "chat", "stream", "tools", "json"])
  expect(new Set(upstream.calls().map(({ target }) => target))).toEqual(new Set(["/v1/messages"]))
  expect(upstream.calls()[0]?.header("x-api-key")).toBe("sk-ant-x")
})
