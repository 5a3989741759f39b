import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import fc from "fast-check"
import type { RequestUnderWay } from "../../src/api/admin-api.ts"
import type { Figures, Stats } from "../../src/api/stats-api.ts"
import { frameChanges, keysIn } from "../../src/cli/screen.ts"
import { linesAtATime, press, topLines, type TopState, topState, withLook } from "../../src/cli/top/top-view.ts"
import { chatEvents, chunk, streamHead } from "../kit/answers.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway, until } from "../kit/gateway.ts"
import { makeShell } from "../kit/shell.ts"
import { onTerminal } from "../kit/terminal.ts"

// Each test starts processes, and a busy machine starts them slowly.
setDefaultTimeout(120_000)

const { close, nexus, serving } = makeShell()
afterAll(close)

const none: Figures = {
  in_flight: 0,
  active_streams: 0,
  requests: 0,
  attempts: 0,
  errors: 0,
  error_rate: 0,
  failovers: 0,
  prompt_tokens: 0,
  cached_tokens: 0,
  completion_tokens: 0,
  requests_per_second: 0,
  tokens_per_second: 0,
  pieces_per_second: 0,
  first_token_ms: null
}

const statsOf = (names: ReadonlyArray<string>): Stats => ({
  version: "1.2.3",
  uptime_seconds: 5,
  totals: {
    ...none,
    turned_away: 0,
    outcomes: { completed: 0, refused: 0, failed: 0, truncated: 0, client_closed: 0 }
  },
  backends: names.map((name) =>
    Object.assign({ name, mode: "enabled", status: "healthy", reason: "", models: 1 } as const, none)
  ),
  models: [],
  workers: [{ worker: 1, rss_bytes: 1e8, cpu_seconds: 1 }]
})

const requestOf = (id: string): RequestUnderWay => ({
  id,
  at: 0,
  endpoint: "chat/completions",
  model: "m",
  stream: true,
  phase: "committed",
  phase_ms: 1,
  age_ms: 2,
  backend: "a",
  upstream_model: "m",
  attempts: 1,
  failures: [],
  first_byte_ms: 1,
  bytes: 10,
  pieces: 1
})

const texts = fc.string({ unit: "binary", maxLength: 60 })
const states: fc.Arbitrary<TopState> = fc
  .tuple(fc.uniqueArray(texts, { maxLength: 30 }), fc.uniqueArray(texts, { maxLength: 30 }))
  .map(([names, ids]) => topState(statsOf(names), ids.map(requestOf)))
const keys = fc.array(
  fc.constantFrom("up", "down", "pageup", "pagedown", "home", "end", "tab", "c", "e", "d", "y", "n", "enter", "k", "j"),
  { maxLength: 30 }
)

// oxlint-disable-next-line no-control-regex -- reason: how a whole line looks is told by what a terminal is told
const looks = /^\u001b\[(\d+)m([^]*)\u001b\[0m$/

/** A line without how it looks. */
const bare = (line: string): string => looks.exec(line)?.[2] ?? line

const look = (line: string): string | undefined => looks.exec(line)?.[1]

const after = (state: TopState, pressed: ReadonlyArray<string>): TopState =>
  pressed.reduce((now, key) => press(now, key).state, state)

const url = "http://127.0.0.1:8000"

describe("the view of nexus top", () => {
  test("fills the terminal, whatever its size, whatever names there are and whatever was pressed, and no name steers it", () =>
    fc.assert(
      fc.property(
        states,
        keys,
        fc.integer({ min: 1, max: 160 }),
        fc.integer({ min: 1, max: 50 }),
        (state, pressed, columns, rows) => {
          const shown = topLines(after(state, pressed), url, { columns, rows }, false)
          expect(shown).toHaveLength(rows)
          for (const line of shown.map(bare)) {
            expect(Bun.stringWidth(line)).toBeLessThanOrEqual(columns)
            // oxlint-disable-next-line no-control-regex -- reason: control characters are what this is about
            expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/)
          }
        }
      )
    ))

  test("does nothing to a request or a backend that was not confirmed with y", () =>
    fc.assert(
      fc.property(states, keys, (state, pressed) => {
        let now = state
        for (const key of pressed) {
          const asked = now.wanted
          const { does, state: next } = press(now, key)
          if (does !== undefined && does !== "quit" && does._tag !== "Explain")
            expect([key, asked]).toEqual(["y", does])
          now = next
        }
      })
    ))

  test.each([true, false])("marks what is chosen (in colours: %p)", (inColour) => {
    const state = after(topState(statsOf(["a", "b"]), ["1", "2"].map(requestOf)), ["down"])
    const chosen = (now: TopState) =>
      topLines(now, url, { columns: 120, rows: 24 }, inColour)
        .filter((line) => look(line) === "7")
        .map((line) => bare(line).split(" ")[0])
    expect(chosen(state)).toEqual(["2"])
    expect(chosen(after(state, ["tab"]))).toEqual(["a"])
  })

  test("has no colour where none is wanted", () => {
    const state = topState({ ...statsOf(["a"]) }, [requestOf("1")])
    const seen = (inColour: boolean) =>
      topLines({ ...state, trouble: "gone" }, url, { columns: 120, rows: 24 }, inColour).map(look)
    expect(seen(true)).toContain("31")
    expect(seen(false).filter((each) => each !== undefined && !["1", "7"].includes(each))).toEqual([])
  })

  test("goes a screen at a time, and to both ends", () => {
    const ids = Array.from({ length: 100 }, (_, at) => `request-${at}`)
    const state = topState(statsOf(["a"]), ids.map(requestOf))
    const chosen = (...pressed: ReadonlyArray<string>) =>
      pressed.reduce((now, key) => press(now, key, 20).state, state).request
    expect(chosen("pagedown", "pagedown", "pageup", "down")).toBe("request-21")
    expect(chosen("end")).toBe("request-99")
    expect(chosen("end", "home", "up")).toBe("request-0")
    const read: TopState = { ...state, page: { lines: ids, from: 0 } }
    const from = (...pressed: ReadonlyArray<string>) =>
      pressed.reduce((now, key) => press(now, key, 30).state, read).page?.from
    expect(from("pagedown", "pagedown")).toBe(60)
    expect(from("end", "down")).toBe(70)
    expect(from("pagedown", "x")).toBeUndefined()
  })

  test.each([
    ["requests", 24],
    ["backends", 24],
    ["requests", 60],
    ["backends", 60],
    ["requests", 10]
  ] as const)("leads past none of the %s unseen with Page Up and Page Down, on %d rows", (pane, rows) => {
    const names = Array.from({ length: 100 }, (_, at) => `${pane === "requests" ? "r" : "b"}${at}-`)
    const few = ["x1-", "x2-"]
    const [backends, ids] = pane === "requests" ? [few, names] : [names, few]
    const first: TopState = { ...topState(statsOf(backends), ids.map(requestOf)), pane }
    const shown = (state: TopState) =>
      topLines(state, url, { columns: 80, rows }, false)
        .map((line) => names.findIndex((name) => bare(line).startsWith(name)))
        .filter((at) => at >= 0)
    const page = (state: TopState, key: string) => press(state, key, linesAtATime(state, url, rows)).state
    const chosen = (state: TopState) => names.indexOf((pane === "requests" ? state.request : state.backend) ?? "")
    for (const [from, key] of [
      [first, "pagedown"],
      [press(first, "end").state, "pageup"]
    ] as const) {
      let now = from
      const seen = new Set(shown(now))
      for (let at = 0; at < names.length && seen.size < names.length; at += 1) {
        const next = page(now, key)
        expect(Math.abs(chosen(next) - chosen(now))).toBeLessThanOrEqual(shown(now).length)
        now = next
        for (const each of shown(now)) seen.add(each)
      }
      expect(seen.size).toBe(names.length)
      expect(shown(page(from, key))).not.toEqual(shown(from))
    }
  })

  test("leaves no lines empty that backends could be seen in where few requests are under way", () => {
    const names = Array.from({ length: 100 }, (_, at) => `b${at}-`)
    const shown = topLines(topState(statsOf(names), [requestOf("one")]), url, { columns: 80, rows: 40 }, false).map(
      bare
    )
    expect(shown.filter((line) => /^b\d+-/.test(line)).length).toBe(40 - 1 - 5 - 2 - 1 - 2)
    expect(shown.some((line) => line.startsWith("one"))).toBe(true)
  })

  test.each([
    ["requests", 10],
    ["backends", 10],
    ["requests", 16],
    ["backends", 16]
  ] as const)("shows what is chosen of the %s on a terminal of %d rows too", (pane, rows) => {
    const state: TopState = { ...topState(statsOf(["a", "b", "c"]), ["1", "2", "3"].map(requestOf)), pane }
    const classes = { high: 0, normal: 2, batch: 1 }
    const queue = ["a", "b", "c"].map((model) => ({ model, waiting: 3, classes, longest_wait_ms: 4000 }))
    const now = after({ ...state, stats: { ...state.stats, queue } }, ["end"])
    const shown = topLines(now, url, { columns: 80, rows }, false)
    expect(shown.filter((line) => look(line) === "7")).toHaveLength(1)
  })

  test("shows the state of servers with long names on a narrow terminal", () => {
    const name = "a-server-with-a-rather-long-name.example.internal"
    const state = topState(statsOf([name]), [{ ...requestOf("one"), backend: name }])
    const lines = topLines(state, url, { columns: 60, rows: 20 }, false).map(bare)
    expect(lines.find((line) => line.startsWith("a-server"))).toMatch(/^a-server\S*… +\S+ +healthy /)
    expect(lines.find((line) => line.startsWith("one"))).toMatch(/ a-ser\S*… +committed /)
  })

  test("is not ended by Escape, which closes what is read", () => {
    const state = topState(statsOf(["a"]), ["1"].map(requestOf))
    const reading = { ...state, page: { lines: ["a text"], from: 0 } }
    expect(press(reading, "escape").state.page).toBeUndefined()
    expect(press(state, "escape")).toEqual({ state })
    expect(press(state, "q").does).toBe("quit")
  })

  test("tells which models are waited for", () => {
    const classes = { high: 0, normal: 2, batch: 1 }
    const queue = [{ model: "busy:70b", waiting: 3, classes, longest_wait_ms: 4000 }]
    const state = topState({ ...statsOf(["a"]), queue }, [requestOf("one")])
    const shown = topLines(state, url, { columns: 80, rows: 24 }, false).map(bare)
    expect(shown.find((line) => line.startsWith("busy:70b"))?.split(/ +/)).toEqual([
      "busy:70b",
      "3",
      "0",
      "2",
      "1",
      "4s"
    ])
    expect(shown.some((line) => line.startsWith("one"))).toBe(true)
  })

  test("cuts names where a line would not fit, the longest first, so that what is known of each stays", () => {
    const id = "96e98683-247a-46cc-b507-d008ded6c49c"
    const one = { ...requestOf(id), model: "a-model-with-a-long-name:120b", pieces: 552, bytes: 12_400 }
    const shown = (columns: number) =>
      topLines(topState(statsOf(["a"]), [one]), url, { columns, rows: 20 }, false)
        .map(bare)
        .find((line) => line.startsWith("96e"))
    expect(shown(160)).toMatch(/^96e98683-247a-46cc-b507-d008ded6c49c .* 12 KB, 552 pieces *$/)
    expect(shown(110)).toMatch(/^96e98683-[\da-f-]*… .* 12 KB, 552 pieces *$/)
    expect(shown(80)).toMatch(/^96e98683-24… +a-model-wit… /)
    for (const columns of [80, 60]) expect(shown(columns)?.length).toBeLessThanOrEqual(columns)
  })

  test("keeps what is chosen while it is there, and takes what has its place when it is gone", () => {
    const state = after(topState(statsOf(["a"]), ["1", "2", "3"].map(requestOf)), ["down"])
    expect(state.request).toBe("2")
    const same = withLook(state, state.stats, ["0", "1", "2"].map(requestOf))
    expect(same.request).toBe("2")
    expect(withLook(same, same.stats, ["0", "1", "9"].map(requestOf)).request).toBe("9")
    expect(withLook(same, same.stats, []).request).toBeUndefined()
  })
})

test("of 200 backends only the lines that changed are written, and nothing is wiped but in the moment in which it is written anew", () => {
  const names = Array.from({ length: 200 }, (_, at) => `server-${at}`)
  const size = { columns: 120, rows: 50 }
  const first = topLines(topState(statsOf(names), [requestOf("one")]), "http://127.0.0.1:1", size, true)
  const next = topLines(
    topState({ ...statsOf(names), uptime_seconds: 6 }, [requestOf("one")]),
    "http://127.0.0.1:1",
    size,
    true
  )
  expect(first).toHaveLength(50)
  const written = [frameChanges(undefined, first), frameChanges(first, next), frameChanges(next, next)]
  // oxlint-disable-next-line no-control-regex -- reason: that is what a terminal is told
  for (const text of written.slice(0, 2)) expect(text).toMatch(/^\u001b\[\?2026h[^]*\u001b\[\?2026l$/)
  expect(written.map((text) => text.split("\u001b[K").length - 1)).toEqual([50, 1, 0])
  expect(written.map((text) => text.includes("[2J"))).toEqual([true, false, false])
})

test("keys are read one by one from whatever comes at once", () =>
  expect(keysIn("a\u001b[A\u001bOB\u001b[5~\u001b[6~\u001b[H\u001bOF\t\rq\u0003\u001b")).toEqual([
    "a",
    "up",
    "down",
    "pageup",
    "pagedown",
    "home",
    "end",
    "tab",
    "enter",
    "q",
    "ctrl-c",
    "escape"
  ]))

describe("nexus top", () => {
  const entered = "\u001b[?1049h"
  const left = "\u001b[?1049l"

  test("without a terminal says where the same is to be had", async () => {
    const { code, stderr } = await nexus("top")
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: "error: nexus top needs a terminal; nexus status says the same once\n"
    })
  })

  test("shows a request under way, explains and cancels it, drains a backend, and leaves the terminal as it was", async () => {
    await using upstream = await startUpstream({
      models: ["m"],
      script: () => [streamHead(), chunk(chatEvents("m", ["a"])[0] ?? ""), "hang"]
    })
    await using gateway = await startGateway({ backends: [backendFor("only-one", upstream)] })
    const port = String(gateway.port)
    const body = JSON.stringify({ model: "m", stream: true, messages: [] })
    const asking = fetch(`${gateway.url}/v1/chat/completions`, {
      method: "POST",
      body,
      headers: { "x-request-id": "watched" }
    })
    // A stream that is cancelled is cut behind the event that says so.
    const answer = asking.then((response) => response.text()).catch(() => "cut")
    const terminal = onTerminal({ columns: 120, rows: 24 }, "top", "--port", port, "--interval", "0.2")
    await until(() => terminal.output().includes("watched"), "the request is shown")
    terminal.type("e")
    await until(() => terminal.output().includes("By the figures of its beginning"), "it is explained")
    terminal.type("x")
    await until(() => terminal.output().includes("e explain"), "it is back")
    terminal.type("c")
    await until(() => terminal.output().includes("Cancel request watched?"), "it asks first")
    terminal.type("y")
    await until(() => terminal.output().includes("Cancelled watched."), "it says what was done")
    await answer
    await until(() => gateway.inFlight() === 0, "nothing is under way")
    terminal.type("\t")
    await until(() => terminal.output().includes("d drain or enable"), "the backends are chosen from")
    terminal.type("d")
    await until(() => terminal.output().includes("Give no more requests to only-one?"), "it asks first")
    terminal.type("y")
    await until(() => terminal.output().includes("only-one is draining now."), "it is drained")
    expect(terminal.output()).toContain(entered)
    expect(terminal.output()).not.toContain(left)
    terminal.type("q")
    expect(await terminal.exited).toBe(0)
    await until(() => terminal.output().endsWith(left), "the terminal is as it was")
    await terminal.close()
  })

  test.each(["SIGINT", "SIGTERM"] as const)(
    "leaves the terminal as it was on %s, and draws only what has changed",
    async (signal) => {
      const { child, port } = await serving("--demo", "--no-discovery")
      const terminal = onTerminal({ columns: 100, rows: 20 }, "top", "--port", port, "--interval", "0.1")
      await until(() => terminal.output().includes("simulated-b"), "it has drawn")
      const drawn = () => terminal.output().split("simulated-b").length
      const before = drawn()
      await until(() => (terminal.output().match(/\u001b\[1;1H/g) ?? []).length > 1, "its age has been drawn again") // oxlint-disable-line no-control-regex -- reason: what a terminal is told
      expect(drawn()).toBe(before)
      terminal.resize(60, 18)
      await until(() => drawn() > before, "all is drawn again at another size")
      terminal.kill(signal)
      expect(await terminal.exited).toBe(0)
      await until(() => terminal.output().endsWith(left), "the terminal is as it was")
      await terminal.close()
      child.kill("SIGTERM")
      await child.exited
    }
  )
})
