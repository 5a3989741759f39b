import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { requestText, routeText } from "../../src/cli/explain.ts"
import type { Route } from "../../src/api/admin-api.ts"
import { lines, makeShell } from "../kit/shell.ts"

// Each test starts processes, and a busy machine starts them slowly.
setDefaultTimeout(120_000)

const { close, nexus, serving, tomlFor } = makeShell()
afterAll(close)

describe("nexus explain", () => {
  test("shows who would be asked, in which order, and what one request was decided by", async () => {
    const { child, port, url } = await serving("--demo", "--no-discovery")
    const asked = await nexus("explain", "-m", "simulated-small", "--tools", "--tokens", "100", "--port", port)
    expect({ code: asked.code, stderr: asked.stderr }).toEqual({ code: 0, stderr: "" })
    expect(lines(asked.stdout)[0]).toBe("Model:      simulated-small")
    expect(asked.stdout).toMatch(/^1 +simulated-[ab] +simulated-small +capability-match$/m)
    expect(asked.stdout).toMatch(/^2 +simulated-[ab] +simulated-small +capability-match$/m)

    const unknown = await nexus("explain", "-m", "nobody", "--port", port, "--json")
    expect({ code: unknown.code, stderr: unknown.stderr }).toEqual({
      code: 1,
      stderr: "error: The request would be refused with 404 model_not_found\n"
    })
    expect(JSON.parse(unknown.stdout)).toMatchObject({ refusal: { status: 404, code: "model_not_found" } })

    const chat = { model: "simulated-small", messages: [{ role: "user", content: "hello" }] }
    const answer = await fetch(`${url}/v1/chat/completions`, { method: "POST", body: JSON.stringify(chat) })
    const id = answer.headers.get("x-request-id") ?? ""
    await answer.text()
    const told = await nexus("explain", "--request", id, "--port", port)
    expect(told.code).toBe(0)
    expect(told.stdout).toContain(`Request:     ${id}`)
    expect(told.stdout).toContain(
      `Backend:     ${answer.headers.get("x-nexus-backend") ?? ""}, asked for simulated-small`
    )
    expect(told.stdout).not.toContain("hello")

    const missing = await nexus("explain", "--request", "nobody", "--port", port)
    expect(missing).toEqual({
      code: 1,
      stdout: "",
      stderr: "error: No request 'nobody' among the last 512; its id is in x-request-id\n"
    })
    child.kill("SIGTERM")
    expect(await child.exited).toBe(0)
  })

  test("tells how long a request waited for a slot, which its first byte came after", () => {
    const request = {
      id: "one",
      at: 0,
      endpoint: "chat/completions",
      model: "m",
      stream: false,
      outcome: "completed" as const,
      status: 200,
      backend: "a",
      upstream_model: "m",
      attempts: 1,
      failures: [],
      first_byte_ms: 3140,
      duration_ms: 5500
    }
    const told = (to_ms: number) =>
      requestText({ request, decision: null, time_line: [{ part: "queue", from_ms: 0.3, to_ms }] })
    expect(told(3013.3)).toContain("Waited:      3013 ms for a slot\nFirst byte:  3140 ms\n")
    expect(told(0.6)).not.toContain("Waited")
  })

  test("tells a backend that is asked only when nobody else is left from those that are asked before", () => {
    const attempt = { model: "m", reason: "capability-match", fallback: false }
    const decision: Route["decision"] = {
      requested: "m",
      models: ["m"],
      strategy: "smart",
      candidates: [],
      excluded: [{ backend: "broken", model: "m", reason: "left alone for 2 s after failures in a row" }],
      order: [
        { ...attempt, backend: "well" },
        { ...attempt, backend: "broken" }
      ]
    }
    const text = lines(routeText({ decision, max_retries: 2, refusal: null }))
    expect(text).toContain("1      well     m      capability-match")
    expect(text).toContain("2      broken   m      capability-match (last resort)")
  })

  test("shows the slots of a model beside all that is in flight at its backend, and how they are known", () => {
    const about = { model: "m", priority: 50, in_flight: 1, first_byte_ms: null }
    const text = routeText({
      decision: {
        requested: "m",
        models: ["m"],
        strategy: "smart",
        candidates: [
          { ...about, backend: "told", slots: 4, slots_from: "told" },
          { ...about, backend: "unknown" }
        ],
        excluded: [],
        order: []
      },
      max_retries: 2,
      refusal: null
    })
    const cells = lines(text).map((line) => line.split(/ {2,}/))
    const column = cells.find(([first]) => first === "Candidate")?.indexOf("In flight") ?? -1
    const shown = cells
      .filter(([first]) => first === "told" || first === "unknown")
      .map((row) => row.slice(column, column + 2))
    expect(shown).toEqual([
      ["1", "4 (told)"],
      ["1", "-"]
    ])
  })

  test("says that it needs a running gateway", async () => {
    const { code, stdout, stderr } = await nexus("explain", "-m", "x", "-c", tomlFor("explain.toml", {}))
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" })
    expect(stderr).toStartWith("error: No gateway answers at http://127.0.0.1:1")
  })
})
