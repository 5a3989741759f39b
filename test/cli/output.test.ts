import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { duration, jsonText, milliseconds, tableText } from "../../src/cli/output.ts"
import { modelRows } from "../../src/cli/models.ts"
import { reasonsOf, toJson } from "../../src/cli/backends/backends.ts"
import { overridesOf } from "../../src/cli/serve.ts"
import { Option } from "effect"
import type { BackendEntry } from "../../src/api/backend-entry.ts"

const entry = (name: string, status: BackendEntry["status"], models: BackendEntry["models"]): BackendEntry => ({
  name,
  url: "http://127.0.0.1:1",
  type: "vllm",
  origin: "config",
  priority: 1,
  mode: "enabled",
  status,
  reason: "",
  models,
  latency_ms: 12.3,
  in_flight: 0,
  cooling_ms: 0,
  circuits: []
})

describe("tables", () => {
  test("that are wider than the terminal stand in parts that fit, each with what its rows are of", () => {
    const heading = ["Name", "State", "Requests", "First token"]
    const rows = [
      ["gpu-box", "healthy", "12", "40 ms"],
      ["a", "", "3", ""]
    ]
    expect(tableText(heading, rows, 26).split("\n")).toEqual([
      "Name     State    Requests",
      "gpu-box  healthy  12",
      "a                 3",
      "",
      "Name     First token",
      "gpu-box  40 ms",
      "a"
    ])
    expect(tableText(heading, rows, 39)).toBe(tableText(heading, rows))
    // No column is left out, however narrow it is.
    expect(tableText(heading, rows, 5).split("\n\n")).toHaveLength(3)
  })

  test("in parts have in each all columns that tell their rows apart", () => {
    const rows = [
      ["gpu-box", "1", "40 ms"],
      ["gpu-box", "16", "90 ms"]
    ]
    expect(
      tableText(
        ["Backend", "At a time", "p95", "Tokens/s"],
        rows.map((row) => [...row, "7"]),
        28,
        2
      ).split("\n")
    ).toEqual([
      "Backend  At a time  p95",
      "gpu-box  1          40 ms",
      "gpu-box  16         90 ms",
      "",
      "Backend  At a time  Tokens/s",
      "gpu-box  1          7",
      "gpu-box  16         7"
    ])
    expect(
      tableText(
        ["Backend", "At a time"],
        rows.map((row) => row.slice(0, 2)),
        5,
        2
      ).split("\n\n")
    ).toHaveLength(1)
  })

  test("line up, without trailing spaces", () => {
    expect(
      tableText(
        ["Name", "URL"],
        [
          ["a", "x"],
          ["longer", ""]
        ]
      )
    ).toBe("Name    URL\na       x\nlonger")
  })

  test("have one line per row, whatever the cells hold", () =>
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }))), (rows) => {
        expect(tableText(["A", "B"], rows).split(/[\r\n\u2028\u2029]/)).toHaveLength(rows.length + 1)
      })
    ))

  test("show times in words", () => {
    expect([null, 0.4, 12.5].map(milliseconds)).toEqual(["-", "0 ms", "13 ms"])
    expect([0, 59, 60, 3600, 90_061].map(duration)).toEqual(["0s", "59s", "1m", "1h", "1d 1h"])
  })
})

describe("--json", () => {
  test("is the same value again when parsed, and has no control characters", () =>
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = jsonText(value)
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)))
        // oxlint-disable-next-line no-control-regex -- reason: control characters are what this is about
        expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/)
      })
    ))

  test("has the documented keys of a backend", () => {
    expect(toJson(entry("a", "healthy", [{ id: "m", capabilities: {} }]))).toMatchObject({
      name: "a",
      url: "http://127.0.0.1:1",
      backend_type: "vllm",
      status: "healthy",
      models: ["m"],
      avg_latency_ms: 12.3
    })
  })
})

test("the reason of a backend tells of pauses and circuits, and nothing of closed ones", () => {
  const circuit = { model: "m", failures: 3, retry_in_ms: 900 }
  const shaky: BackendEntry = {
    ...entry("a", "healthy", []),
    cooling_ms: 1500,
    circuits: [
      { ...circuit, state: "open" },
      { ...circuit, model: "n", state: "half_open" },
      { ...circuit, model: "o", state: "closed" }
    ]
  }
  expect(reasonsOf(shaky)).toBe("cooling for 2 s; circuit open for m; circuit half open for n")
  expect(reasonsOf({ ...shaky, circuits: [], cooling_ms: 0, reason: "connection refused" })).toBe("connection refused")
})

test("models are listed once, sorted, of backends in rotation, with the largest context", () => {
  const rows = modelRows([
    entry("a", "healthy", [
      { id: "z", capabilities: {} },
      { id: "m", context_length: 10, capabilities: {} }
    ]),
    entry("b", "healthy", [{ id: "m", context_length: 20, capabilities: {} }]),
    entry("c", "unhealthy", [{ id: "gone", capabilities: {} }]),
    { ...entry("d", "healthy", [{ id: "drained", capabilities: {} }]), mode: "draining" }
  ])
  expect(rows).toEqual([
    { id: "m", backends: ["a", "b"], context_length: 20 },
    { id: "z", backends: ["a"], context_length: null }
  ])
})

test("a model that two Ollamas list in different spellings is one row, by the first", () => {
  const ollama = (name: string, id: string) => ({
    ...entry(name, "healthy", [{ id, capabilities: {} }]),
    type: "ollama" as const
  })
  expect(modelRows([ollama("a", "llama3:latest"), ollama("b", "Llama3")])).toEqual([
    { id: "llama3:latest", backends: ["a", "b"], context_length: null }
  ])
})

test("flags of serve become settings, and those not given become nothing", () => {
  const none = { host: Option.none(), port: Option.none(), workers: Option.none(), logLevel: Option.none() }
  const off = { noDiscovery: false, noHealthCheck: false, insecure: false }
  expect(overridesOf({ ...none, ...off })).toEqual({})
  expect(
    overridesOf({
      host: Option.some("::1"),
      port: Option.some(0),
      workers: Option.some(0),
      logLevel: Option.some("debug"),
      noDiscovery: true,
      noHealthCheck: true,
      insecure: true
    })
  ).toEqual({
    server: { host: "::1", port: 0, workers: 0, insecure: true },
    discovery: { enabled: false },
    health_check: { enabled: false },
    logging: { level: "debug" }
  })
})
