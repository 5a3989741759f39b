import { describe, expect, test } from "bun:test"
import { Effect, Redacted } from "effect"
import fc from "fast-check"
import { jsonLine, maxLine, textLine } from "../../src/telemetry/log-line.ts"
import { makeLogBuffer, maxWaiting } from "../../src/telemetry/log-buffer.ts"
import { layerOf, RequestLog } from "../../src/telemetry/logging.ts"
import { logNamings } from "../../src/telemetry/log-names.ts"
import { logsAt } from "../kit/log.ts"

const record = (message: string, fields: Record<string, unknown> = {}) =>
  ({ time: 0, level: "info", message, fields }) as const

const values = fc.oneof(fc.string({ unit: "binary", maxLength: 3000 }), fc.jsonValue(), fc.bigInt())
const records = fc
  .tuple(fc.string({ unit: "binary", maxLength: 3000 }), fc.dictionary(fc.string({ unit: "binary" }), values))
  .map(([message, fields]) => record(message, fields))

// oxlint-disable-next-line no-control-regex -- reason: the law is about control characters
const control = /[\u0000-\u001f\u007f-\u009f\u2028-\u202e]/

describe("a log line", () => {
  test("is one bounded line without control characters, whatever is logged", () =>
    fc.assert(
      fc.property(records, (entry) => {
        const lines = Object.values(logNamings).flatMap((naming) => [textLine(entry, naming), jsonLine(entry, naming)])
        for (const line of lines) {
          expect(line).not.toMatch(control)
          expect(line.length).toBeLessThanOrEqual(maxLine)
        }
      })
    ))

  test("in JSON always parses and keeps its own time, level and message", () =>
    fc.assert(
      fc.property(records, (entry) => {
        const parsed = JSON.parse(jsonLine(entry))
        expect(parsed.time).toBe("1970-01-01T00:00:00.000Z")
        expect(parsed.level).toBe("info")
        if (entry.message.length < 2000) expect(parsed.message).toBe(entry.message)
      })
    ))

  test("in JSON parses under the names of every convention, and says whose level is whose", () =>
    fc.assert(
      fc.property(records, (entry) => {
        expect(JSON.parse(jsonLine(entry, logNamings.ecs))["log.level"]).toBe("info")
        expect(JSON.parse(jsonLine(entry, logNamings.otel)).severity_text).toBe("INFO")
      })
    ))

  test("never shows a redacted value", () => {
    const fields = { key: Redacted.make("sk-secret"), deep: { list: [Redacted.make("sk-secret")] } }
    expect(textLine(record("m", fields))).not.toContain("sk-secret")
    expect(jsonLine(record("m", fields))).not.toContain("sk-secret")
  })

  test("as text reads message first, then the fields", () => {
    expect(
      textLine(record("backend is healthy", { backend: "a", models: 2, note: "two words", esc: "\u001b[31m" }))
    ).toBe('1970-01-01T00:00:00.000Z INFO  backend is healthy backend=a models=2 note="two words" esc="\\u001b[31m"')
  })

  test("in JSON counts the fields that did not fit", () => {
    const fields = Object.fromEntries(Array.from({ length: 20 }, (_, at) => [`f${at}`, "x".repeat(1500)]))
    expect(JSON.parse(jsonLine(record("m", fields))).fields_left_out).toBeGreaterThan(0)
  })
})

describe("a log reader that stalls", () => {
  test("costs the oldest lines and is told how many when it comes back", async () => {
    const taken: Array<string> = []
    const resume: Array<() => void> = []
    const buffer = makeLogBuffer(
      (text, done) => {
        taken.push(text)
        resume.push(done)
      },
      (count) => `lost ${count}`
    )
    const line = "x".repeat(1023)
    buffer.push("first")
    await Promise.resolve()
    expect(taken).toEqual(["first\n"])
    for (let at = 0; at < maxWaiting / 1023 + 99; at++) buffer.push(line)
    buffer.push("last")
    while (resume.length > 0) resume.shift()?.()
    await buffer.flushed()
    const text = taken.join("")
    const lost = Number(/lost (\d+)/.exec(text)?.[1])
    expect(lost).toBeGreaterThanOrEqual(99)
    expect(text).toEndWith("last\n")
    expect(text.split("\n").filter((each) => each === line).length + lost).toBe(Math.ceil(maxWaiting / 1023 + 99))
  })
})

test("lines that could not be written, on a full disk, leave no half line in front of the next one, and are told of with it", async () => {
  let file = ""
  let room = 40
  const buffer = makeLogBuffer(
    (text, done) => {
      file += text.slice(0, room)
      done(text.length > room)
    },
    (count, why) => `${why} ${count}`
  )
  buffer.push("first")
  await buffer.flushed()
  room = 3
  for (const line of ["second", "third"]) buffer.push(line)
  await buffer.flushed()
  room = 0
  for (const line of ["fourth", "fifth"]) {
    buffer.push(line)
    await buffer.flushed()
  }
  room = 1000
  await buffer.flushed()
  expect(file).toBe("first\nsec")
  buffer.push("sixth")
  await buffer.flushed()
  const [first, half, ...rest] = file.split("\n").filter((line) => line !== "")
  expect([first, half]).toEqual(["first", "sec"])
  expect(rest).toEqual(["unwritten 4", "sixth"])
})

test("lines that may wait leave together after a moment, or at once with one that may not, or when there are many", async () => {
  const taken: Array<string> = []
  const moments: Array<() => void> = []
  const buffer = makeLogBuffer(
    (text, done) => {
      taken.push(text)
      done()
    },
    () => "",
    (call) => void moments.push(call)
  )
  for (const line of ["a", "b", "c"]) buffer.pushLater(line)
  await Promise.resolve()
  expect(taken).toEqual([])
  expect(moments).toHaveLength(1)
  moments.shift()?.()
  await Promise.resolve()
  expect(taken.splice(0)).toEqual(["a\nb\nc\n"])
  buffer.pushLater("d")
  buffer.push("e")
  await Promise.resolve()
  expect(taken.splice(0)).toEqual(["d\ne\n"])
  moments.shift()?.()
  await Promise.resolve()
  expect(taken).toEqual([])
  buffer.pushLater("f".repeat(70_000))
  await Promise.resolve()
  expect(taken.splice(0)).toHaveLength(1)
  buffer.pushLater("g")
  await buffer.flushed()
  expect(taken).toEqual(["g\n"])
})

test("lines that are made later are made after a moment, before any other line, and before the end, each once and in order", async () => {
  const taken: Array<string> = []
  const moments: Array<() => void> = []
  const buffer = makeLogBuffer(
    (text, done) => {
      taken.push(text)
      done()
    },
    () => "",
    (call) => void moments.push(call)
  )
  const noted: Array<string> = []
  const make = () => {
    for (const line of noted.splice(0)) buffer.pushLater(line)
  }
  const note = (line: string) => {
    noted.push(line)
    buffer.makeLater(make)
  }
  note("a")
  note("b")
  await Promise.resolve()
  expect(taken).toEqual([])
  expect(moments).toHaveLength(1)
  moments.shift()?.()
  // One moment for each batch.
  expect(moments).toEqual([])
  await Promise.resolve()
  expect(taken.splice(0)).toEqual(["a\nb\n"])
  note("c")
  buffer.push("d")
  await Promise.resolve()
  expect(taken.splice(0)).toEqual(["c\nd\n"])
  note("e")
  // Whoever makes lines in another way follows on those of before.
  buffer.makeLater(() => buffer.pushLater("f"))
  await buffer.flushed()
  expect(taken.splice(0)).toEqual(["e\nf\n"])
  while (moments.length > 0) moments.shift()?.()
  await buffer.flushed()
  expect(taken).toEqual([])
})

test("lines that are made later, as a reader stalls, are made once it has come back", async () => {
  const taken: Array<string> = []
  const resume: Array<() => void> = []
  const moments: Array<() => void> = []
  const buffer = makeLogBuffer(
    (text, done) => {
      taken.push(text)
      resume.push(done)
    },
    () => "",
    (call) => void moments.push(call)
  )
  buffer.push("first")
  await Promise.resolve()
  buffer.makeLater(() => buffer.pushLater("second"))
  expect(moments).toHaveLength(0)
  resume.shift()?.()
  expect(moments).toHaveLength(1)
  moments.shift()?.()
  await Promise.resolve()
  expect(taken).toEqual(["first\n", "second\n"])
})

describe("the log", () => {
  const run = async (level: "info" | "debug", format: "auto" | "text" | "json", terminal: boolean) => {
    let out = ""
    const sink = (text: string, done: () => void) => {
      out += text
      done()
    }
    await Effect.runPromise(
      Effect.gen(function* () {
        const log = yield* RequestLog
        log.write("debug", "a request", { id: "r1" })
        yield* Effect.annotateLogs(Effect.logWarning("a warning"), { backend: "b" })
        yield* Effect.logDebug("a detail")
        expect(log.debugEnabled()).toBe(level === "debug")
      }).pipe(Effect.provide(layerOf(() => logsAt(level, format), sink, terminal)))
    )
    return out
  }

  test("has only what its level lets through, flushed at the end", async () => {
    expect((await run("info", "text", true)).split("\n")).toHaveLength(2)
    expect((await run("debug", "text", true)).split("\n")).toHaveLength(4)
  })

  test("is text on a terminal and JSON elsewhere, unless the format is forced", async () => {
    expect(await run("info", "auto", true)).toContain("WARN  a warning backend=b")
    expect(JSON.parse(await run("info", "auto", false))).toMatchObject({
      level: "warn",
      message: "a warning",
      backend: "b"
    })
    expect(await run("info", "text", false)).toContain("WARN  a warning")
    expect(JSON.parse(await run("info", "json", true)).message).toBe("a warning")
  })
})
