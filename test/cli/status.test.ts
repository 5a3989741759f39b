import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import fc from "fast-check"
import { clippedLine, compactNumber, statusLines } from "../../src/cli/status/status-view.ts"
import type { Figures, Stats } from "../../src/api/stats-api.ts"
import { until } from "../kit/gateway.ts"
import { lines, makeShell } from "../kit/shell.ts"
import { type Terminal, onTerminal } from "../kit/terminal.ts"

// Each test starts processes, and a busy machine starts them slowly.
setDefaultTimeout(120_000)

const { close, nexus, piped, serving, start, tomlFor } = makeShell()
afterAll(close)

const number = fc.oneof(fc.nat(2000), fc.double({ min: 0, max: 1e12, noNaN: true }))
const text = fc.string({ unit: "binary", maxLength: 60 })

const figures: fc.Arbitrary<Figures> = fc.record({
  in_flight: number,
  active_streams: number,
  requests: number,
  attempts: number,
  errors: number,
  error_rate: fc.double({ min: 0, max: 1, noNaN: true }),
  failovers: number,
  prompt_tokens: number,
  cached_tokens: number,
  completion_tokens: number,
  requests_per_second: number,
  tokens_per_second: number,
  pieces_per_second: number,
  first_token_ms: fc.option(fc.record({ p50: number, p95: number }))
})

const withFigures = <More extends object>(more: fc.Arbitrary<More>): fc.Arbitrary<More & Figures> =>
  fc.tuple(more, figures).map(([one, other]) => Object.assign({}, one, other))

const stats: fc.Arbitrary<Stats> = fc.record({
  version: fc.constant("1.2.3"),
  uptime_seconds: fc.nat(),
  totals: withFigures(
    fc.record({
      turned_away: number,
      outcomes: fc.record({
        completed: number,
        refused: number,
        failed: number,
        truncated: number,
        client_closed: number
      })
    })
  ),
  backends: fc.array(
    withFigures(
      fc.record({
        name: text,
        reason: text,
        mode: fc.constantFrom("enabled", "draining", "disabled"),
        status: fc.constantFrom("healthy", "unhealthy"),
        models: number
      })
    ),
    { maxLength: 30 }
  ),
  models: fc.array(withFigures(fc.record({ id: text, backends: fc.constant(["a"]) })), { maxLength: 30 }),
  queue: fc.array(
    fc.record({
      model: text,
      waiting: number,
      longest_wait_ms: fc.nat(),
      classes: fc.record({ high: number, normal: number, batch: number })
    }),
    { maxLength: 5 }
  ),
  workers: fc.constant([{ worker: 1, rss_bytes: 1e8, cpu_seconds: 1 }])
})

const url = "http://127.0.0.1:8000"

describe("the view of the status", () => {
  test("fits into the terminal, whatever its size and whatever names there are, and cannot steer it", () =>
    fc.assert(
      fc.property(stats, fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 60 }), (all, columns, rows) => {
        const shown = statusLines(all, url, { columns, rows })
        expect(shown.length).toBeLessThanOrEqual(rows)
        for (const line of shown) {
          expect(Bun.stringWidth(line)).toBeLessThanOrEqual(columns)
          // oxlint-disable-next-line no-control-regex -- reason: control characters are what this is about
          expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/)
        }
      })
    ))

  test("tells of every backend and every model where there is room without end", () =>
    fc.assert(
      fc.property(stats, (all) => {
        const gap = all.models.length === 0 ? 0 : all.models.length + 2
        const queued = all.queue === undefined || all.queue.length === 0 ? 0 : all.queue.length + 2
        const expected = 6 + queued + Math.max(1, all.backends.length + (all.backends.length === 0 ? 0 : 1)) + gap
        expect(statusLines(all, url, undefined)).toHaveLength(expected)
      })
    ))

  test("said once has the table of what waits in parts as well, where the terminal is narrow", () => {
    const classes = { high: 1, normal: 2, batch: 0 }
    const queue = [{ model: "llama3.1:8b", waiting: 3, longest_wait_ms: 4000, classes }]
    fc.assert(
      fc.property(stats, (all) => {
        const shown = statusLines({ ...all, queue }, url, undefined, 40)
        expect(shown).toContain("Waits for a slot  Requests  High  Normal")
        expect(shown).toContain("Waits for a slot  Batch  Longest")
      }),
      { numRuns: 5 }
    )
  })

  test("cuts a line at the width of the terminal, and says that it did", () => {
    expect(clippedLine("abcdef", 6)).toBe("abcdef")
    expect(clippedLine("abcdef", 5)).toBe("abcd…")
    expect(clippedLine("模型模型", 6)).toBe("模型…")
    expect(clippedLine("abc", 0)).toBe("")
  })

  test("shows numbers in a few characters", () => {
    expect([0, 0.25, 9.94, 9.96, 42, 999.4, 1234, 999_949, 3.4e6, 5e9].map(compactNumber)).toEqual([
      "0",
      "0.3",
      "9.9",
      "10",
      "42",
      "999",
      "1.2k",
      "999.9k",
      "3.4M",
      "5.0G"
    ])
  })
})

const chat = async (gateway: string, model: string, stream: boolean): Promise<void> => {
  const body = JSON.stringify({ model, stream, messages: [{ role: "user", content: "hello" }] })
  await (await fetch(`${gateway}/v1/chat/completions`, { method: "POST", body })).text()
}

describe("nexus status", () => {
  test("shows what has been done, as a table and as JSON", async () => {
    const { child, port, url: gateway } = await serving("--demo", "--no-discovery")
    await chat(gateway, "simulated-large", false)
    await chat(gateway, "simulated-large", true)
    await chat(gateway, "nobody", false)
    const shown = await nexus("status", "--port", port)
    expect({ code: shown.code, stderr: shown.stderr }).toEqual({ code: 0, stderr: "" })
    expect(lines(shown.stdout)[0]).toMatch(/^Nexus \S+ at http:\/\/127\.0\.0\.1:\d+, up \d+s, 1 process, \d+ MB$/)
    expect(shown.stdout).toContain("Requests:  3: 2 completed, 0 failed, 0 truncated, 1 refused, 0 left by the client")
    expect(shown.stdout).toMatch(/^simulated-a +local +healthy +2 +0 +0 +2 /m)
    expect(shown.stdout).toMatch(/^simulated-b +local +healthy +1 +0 +0 +0 /m)
    expect(shown.stdout).toMatch(/^simulated-large +1 +0 +0 +2 /m)
    expect(shown.stdout).not.toContain("nobody")
    const asJson = await nexus("status", "--port", port, "--json")
    expect(JSON.parse(asJson.stdout)).toMatchObject({
      totals: { requests: 3 },
      models: [{ id: "simulated-large" }, {}]
    })
    child.kill("SIGTERM")
    expect(await child.exited).toBe(0)
  })

  test("says that it needs a running gateway, also with --watch, and which intervals there are", async () => {
    const config = tomlFor("status.toml", {})
    for (const more of [[], ["--json"], ["--watch"]]) {
      const { code, stdout, stderr } = await nexus("status", "-c", config, ...more)
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" })
      expect(stderr).toStartWith("error: No gateway answers at http://127.0.0.1:1")
    }
    const wrong = await nexus("status", "-c", config, "--interval", "0")
    expect(wrong.code).toBe(2)
    expect(wrong.stderr).toContain("Expected 0.1 to 3600 seconds, got 0")
  })
})

describe("nexus status --watch", () => {
  test("without a terminal says everything anew each time, and ends with 0 when it is told to", async () => {
    const gateway = await serving("--demo", "--no-discovery")
    const watching = start("status", "--port", gateway.port, "--watch", "--interval", "0.1", "--json")
    const decoder = new TextDecoder()
    let told = ""
    for await (const piece of watching.stdout) {
      told += decoder.decode(piece, { stream: true })
      if (lines(told).length > 3) break
    }
    watching.kill("SIGTERM")
    expect(await watching.exited).toBe(0)
    for (const line of lines(told).slice(0, 3)) expect(JSON.parse(line)).toMatchObject({ totals: { requests: 0 } })
    gateway.child.kill("SIGTERM")
    await gateway.child.exited
  })

  test("shows at once that a backend has changed, however long its interval is, and keeps no gateway from its end", async () => {
    for (const more of [[], ["--workers", "2"]]) {
      const gateway = await serving("--demo", "--no-discovery", ...more)
      const watching = start("status", "--port", gateway.port, "--watch", "--interval", "3600", "--json")
      const decoder = new TextDecoder()
      let told = ""
      const modes = () =>
        told
          .split("\n")
          .slice(0, -1)
          .map((line) => JSON.parse(line).backends[0].mode)
      for await (const piece of watching.stdout) {
        told += decoder.decode(piece, { stream: true })
        if (modes().length === 1) void nexus("backends", "disable", "simulated-a", "--port", gateway.port)
        if (modes().includes("disabled")) break
      }
      expect(modes().at(-1)).toBe("disabled")
      gateway.child.kill("SIGTERM")
      expect(await gateway.child.exited).toBe(0)
      watching.kill("SIGTERM")
      expect(await watching.exited).toBe(0)
    }
  })

  test("shows at once that the gateway has gone, and soon that it is back, however long its interval is", async () => {
    const gateway = await serving("--demo", "--no-discovery")
    const watching = start("status", "--port", gateway.port, "--watch", "--interval", "3600", "--json")
    const decoder = new TextDecoder()
    let told = ""
    let later: ReturnType<typeof start> | undefined
    for await (const piece of watching.stdout) {
      told += decoder.decode(piece, { stream: true })
      const looks = told.split("\n").slice(0, -1)
      if (looks.length === 1) gateway.child.kill("SIGTERM")
      if (later === undefined && looks.at(-1)?.startsWith('{"error":"No gateway answers') === true) {
        await gateway.child.exited
        later = start("serve", "--demo", "--no-discovery", "--port", gateway.port)
      }
      if (later !== undefined && looks.at(-1)?.includes('"totals"') === true) break
    }
    for (const child of [watching, later]) {
      child?.kill("SIGTERM")
      expect(await child?.exited).toBe(0)
    }
  })

  test("ends by itself, and well, when nobody reads its pipe any more", async () => {
    const gateway = await serving("--demo", "--no-discovery")
    for (const more of [[], ["--json"]]) {
      const watching = ["status", "--port", gateway.port, "--watch", "--interval", "0.1", ...more]
      expect(await piped("head -n 1 > /dev/null", ...watching)).toEqual({ code: 0, stderr: "" })
    }
    gateway.child.kill("SIGTERM")
    await gateway.child.exited
  })

  test("on a terminal draws in place, follows its size, and leaves it as it was", async () => {
    const gateway = await serving("--demo", "--no-discovery")
    const begin = async (): Promise<Terminal> => {
      const terminal = onTerminal({ columns: 100, rows: 20 }, "status", "--port", gateway.port, "-w", "-i", "0.1")
      await until(() => terminal.frames().length > 2, "it has drawn three times")
      return terminal
    }
    const entered = "\u001b[?1049h\u001b[?25l\u001b[?7l"
    const left = "\u001b[?7h\u001b[?25h\u001b[?1049l"
    for (const end of ["SIGINT", "SIGTERM"] as const) {
      const terminal = await begin()
      expect(terminal.output()).toStartWith(entered)
      expect(terminal.output()).not.toContain(left)
      terminal.kill(end)
      expect(await terminal.exited).toBe(0)
      await until(() => terminal.output().endsWith(left), "the terminal is as it was")
      await terminal.close()
    }
    const terminal = await begin()
    terminal.resize(40, 10)
    const fits = (frame: ReadonlyArray<string>) =>
      frame.length <= 10 && frame.every((line) => Bun.stringWidth(line) <= 40)
    await until(() => fits(terminal.frames().at(-2) ?? ["x".repeat(41)]), "it fits into less room")
    gateway.child.kill("SIGTERM")
    await gateway.child.exited
    await until(() => terminal.output().includes("No gateway answers"), "it says that the gateway has gone")
    terminal.kill("SIGINT")
    expect(await terminal.exited).toBe(0)
    await until(() => terminal.output().endsWith(left), "the terminal is as it was")
    await terminal.close()
  })
})
