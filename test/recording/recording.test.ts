import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { existsSync, readFileSync, statSync } from "node:fs"
import { join } from "node:path"
import { Result } from "effect"
import fc from "fast-check"
import { Dialects } from "../../src/dialect/all.ts"
import {
  bodyOf,
  exchangeLine,
  headLine,
  keepingRules,
  keptExchange,
  piecesIn,
  readRecording,
  type RecordedExchange,
  requestKey
} from "../../src/recording/recording-format.ts"
import { makeShell } from "../kit/shell.ts"

// Commands are processes, and a busy machine starts them slowly.
setDefaultTimeout(60_000)

const { close, cwd, nexus, startLimited, startUntil } = makeShell()
afterAll(close)

const linesIn = (file: string): ReadonlyArray<string> => readFileSync(join(cwd, file), "utf8").trimEnd().split("\n")

const recordedIn = (file: string): ReadonlyArray<RecordedExchange> =>
  Result.getOrThrow(readRecording(readFileSync(join(cwd, file), "utf8"))).exchanges

const hello = [{ role: "user", content: "Hello, my key is sk-live-0123456789" }]

const ask = (url: string, model: string, stream: boolean) =>
  fetch(`${url}/v1/messages`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-api-key": "a-key-of-mine", cookie: "session=abc" },
    body: JSON.stringify({ model, max_tokens: 50, messages: hello, stream })
  })

describe("nexus record and nexus replay", () => {
  test("keep what was asked without its keys, serve it as it was, and send it once more", async () => {
    const mock = await startUntil(
      /listens on (http:\S+\d)/,
      "mock",
      "-p",
      "0",
      "--model",
      "small",
      "--model",
      "cut",
      "--model",
      "other",
      "--speed",
      "100",
      "--fault",
      "cut=3 model=cut",
      "--model",
      "calm",
      "--fault",
      "stall=2 model=calm"
    )
    const recorder = await startUntil(
      /ask (http:\S+\d) in place/,
      "record",
      "--listen",
      "0",
      "--to",
      `${mock.found}/v1`,
      "--out",
      "r.jsonl",
      "--requests",
      "4",
      "--model",
      "small",
      "--model",
      "c*"
    )
    const stream = await (await ask(recorder.found, "small", true)).text()
    expect(stream).toContain("message_stop")
    expect((await ask(recorder.found, "other", false)).status).toBe(200)
    expect(await (await fetch(`${recorder.found}/v1/models`)).text()).toContain("small")
    await (await ask(recorder.found, "cut", true)).text().catch(() => undefined)
    // It never ends, and its client goes.
    const left = (await ask(recorder.found, "calm", true)).body?.getReader()
    await left?.read()
    await left?.cancel()
    // What was kept has no key, and neither has what is served of it.
    const whole = (await (await ask(recorder.found, "small", false)).text()).replace(/sk-live-\d+/, "[redacted]")
    // It ends by itself after four.
    expect(await recorder.child.exited).toBe(0)
    expect(statSync(join(cwd, "r.jsonl")).mode & 0o077).toBe(0)
    const text = readFileSync(join(cwd, "r.jsonl"), "utf8")
    for (const secret of ["a-key-of-mine", "session=abc", "sk-live"]) expect(text).not.toContain(secret)
    const kept = recordedIn("r.jsonl").map(({ ended, model, stream: isStream }) => `${model} ${isStream} ${ended}`)
    // They stand in the order in which they ended.
    expect(kept.toSorted()).toEqual(["calm true left", "cut true cut", "small false whole", "small true whole"])
    const [first] = recordedIn("r.jsonl")
    expect(first?.answer?.pieces.length).toBeGreaterThan(5)
    const times = first?.answer?.pieces.map(([ms]) => ms) ?? []
    expect(times).toEqual(times.toSorted((a, b) => a - b))
    // A piece takes a hundredth of a second there, so its time here cannot be an earlier one.
    expect(times.at(-1) ?? 0).toBeGreaterThanOrEqual(200)

    const served = await startUntil(
      /served on (http:\S+\d)/,
      "replay",
      "r.jsonl",
      "--serve",
      "--speed",
      "max",
      "-p",
      "0"
    )
    const again = await ask(served.found, "small", true)
    expect([again.headers.get("x-nexus-replay"), await again.text()]).toEqual(["exact", stream])
    expect(await (await ask(served.found, "small", false)).text()).toBe(whole)
    expect(
      await (await ask(served.found, "cut", true)).text().then(
        () => "whole",
        () => "cut"
      )
    ).toBe("cut")
    const alike = await fetch(`${served.found}/v1/messages`, {
      method: "POST",
      body: JSON.stringify({ model: "small", max_tokens: 1, messages: [{ role: "user", content: "?" }] })
    })
    expect([alike.headers.get("x-nexus-replay"), await alike.text()]).toEqual(["model", whole])
    const unknown = await ask(served.found, "big", false)
    expect([unknown.status, await unknown.json()]).toMatchObject([404, { error: { type: "not_found_error" } }])

    const same = await nexus("replay", "r.jsonl", "--to", mock.found, "--speed", "max", "--json")
    expect(same.code).toBe(0)
    const told: unknown = JSON.parse(same.stdout)
    expect(told).toMatchObject({ whole: true, sent: 3, recorded: 4 })
    expect(told).toHaveProperty("rows.0.tokens_per_second.before")

    const worse = await startUntil(
      /listens on (http:\S+\d)/,
      "mock",
      "-p",
      "0",
      "--model",
      "small",
      "--model",
      "cut",
      "--fault",
      "status=503 model=small"
    )
    const compared = await nexus("replay", "r.jsonl", "--to", worse.found, "--speed", "max")
    expect(compared.stdout).toMatch(/messages +small +2 +0 +200 -> 503: 2/)
    expect([compared.code, compared.stderr]).toEqual([1, expect.stringContaining("2 of 3 got another status")])
  })

  test("end with the reason where the file can be written no further, and leave what was written", async () => {
    const mock = await startUntil(/listens on (http:\S+\d)/, "mock", "-p", "0", "--model", "m")
    const asked = ["record", "--listen", "0", "--to", mock.found, "-o", "full.jsonl"]
    const recorder = await startLimited(16, /ask (http:\S+\d) in place/, ...asked)
    // Ten of them are more than fit, and those that come late find nobody.
    for (let each = 0; each < 10; each += 1) await ask(recorder.found, "m", false).then((one) => one.text(), String)
    expect(await recorder.child.exited).toBe(1)
    expect(await new Response(recorder.child.stderr).text()).toContain("full.jsonl can be written no further")
    expect(recordedIn("full.jsonl").length).toBeGreaterThan(0)
  })

  test("end as they are asked to, and say what is wrong with a file or an address", async () => {
    const recorder = await startUntil(
      /ask (http:\S+\d) in place/,
      "record",
      "--listen",
      "0",
      "-p",
      "1",
      "-o",
      "none.jsonl"
    )
    const unreachable = await ask(recorder.found, "m", false)
    expect([unreachable.status, await unreachable.json()]).toMatchObject([502, { type: "error" }])
    const taken = await nexus("record", "--listen", new URL(recorder.found).port, "-o", "taken.jsonl")
    expect([taken.code, taken.stderr]).toEqual([1, expect.stringContaining("--listen names another one")])
    // What could not begin leaves nothing that would be in its own way.
    expect(existsSync(join(cwd, "taken.jsonl"))).toBe(false)
    recorder.child.kill("SIGINT")
    expect(await recorder.child.exited).toBe(0)
    expect(recordedIn("none.jsonl").map(({ answer, ended }) => [answer, ended])).toEqual([[undefined, "unanswered"]])
    expect(linesIn("none.jsonl")).toHaveLength(2)
    const [over, empty, wrong, far, missing] = await Promise.all([
      nexus("record", "-o", "none.jsonl", "--listen", "0"),
      nexus("replay", "none.jsonl", "--serve", "-p", "0"),
      nexus("replay", "none.jsonl", "--to", "example"),
      nexus("replay", "none.jsonl", "--to", "https://api.example.com"),
      nexus("replay", "missing.jsonl", "--serve")
    ])
    expect([over.code, over.stderr]).toEqual([1, expect.stringContaining("is there already")])
    expect([empty.code, empty.stderr]).toEqual([1, expect.stringContaining("holds no answer")])
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining("--to takes a URL")])
    expect([far.code, far.stderr]).toEqual([1, expect.stringContaining("--yes sends them")])
    expect([missing.code, missing.stderr]).toEqual([1, expect.stringContaining("there is no such file")])
  })
})

const rules = keepingRules(Dialects.defaultValue())

const bytes = fc.uint8Array({ maxLength: 40 })
const passed = fc.record({
  at: fc.nat(10_000),
  path: fc.constantFrom("/v1/messages", "/v1/chat/completions", "/v1beta/models/m:generateContent?alt=sse"),
  body: fc.oneof(
    bytes,
    fc.string({ unit: "binary" }).map((text) => new TextEncoder().encode(text))
  ),
  cuts: fc.array(fc.nat(60), { maxLength: 6 }),
  said: fc.oneof(
    bytes,
    fc.string({ unit: "grapheme" }).map((text) => new TextEncoder().encode(text))
  )
})

const cutAt = (all: Uint8Array, cuts: ReadonlyArray<number>): ReadonlyArray<readonly [number, Uint8Array]> => {
  const places = [0, ...cuts.filter((at) => at < all.length).toSorted((a, b) => a - b), all.length]
  return places.slice(1).map((to, at) => [at, all.subarray(places[at], to)] as const)
}

describe("the format of a recording", () => {
  test("gives back every body and every piece byte for byte, however they were cut, and whatever they hold", () =>
    fc.assert(
      fc.property(passed, ({ at, body, cuts, path, said }) => {
        const pieces = cutAt(said, cuts)
        const kept = keptExchange(
          {
            at,
            path,
            dialect: "d",
            operation: "o",
            model: "m",
            stream: true,
            headers: new Headers(),
            body,
            answer: { status: 200, headers: [], headMs: 0, pieces },
            ended: "whole",
            ms: 1
          },
          rules
        )
        const head = headLine({ recorded_at: "", nexus: "", target: "" })
        const [back] = Result.getOrThrow(readRecording(head + exchangeLine(kept))).exchanges
        if (back === undefined) throw new Error("it is gone")
        expect(Buffer.from(bodyOf(back))).toEqual(Buffer.from(body))
        expect(Buffer.concat(piecesIn(back).map(([, each]) => each))).toEqual(Buffer.from(said))
        expect(piecesIn(back)).toHaveLength(pieces.length)
      })
    ))

  test("never holds a key that came with the request, wherever else it stood, and wherever it was cut", () =>
    fc.assert(
      fc.property(
        fc.stringMatching(/^[A-Za-z0-9]{12,40}$/),
        fc.constantFrom("authorization", "x-api-key", "api-key", "x-goog-api-key"),
        fc.array(fc.nat(60), { maxLength: 12 }),
        (key, name, cuts) => {
          const said = new TextEncoder().encode(`no such key: ${key}, ${key}`)
          const value = name === "authorization" ? `Bearer ${key}` : key
          const kept = keptExchange(
            {
              at: 0,
              path: `/v1/x?key=${key}&alt=sse`,
              dialect: "d",
              operation: "o",
              model: "m",
              stream: false,
              headers: new Headers({ [name]: value, "user-agent": `me ${key}` }),
              body: new TextEncoder().encode(JSON.stringify({ said: `"${key}"` })),
              answer: {
                status: 401,
                headers: [["x-request-id", key]],
                headMs: 1,
                pieces: cutAt(said, cuts)
              },
              ended: "whole",
              ms: 1
            },
            rules
          )
          expect(exchangeLine(kept)).not.toContain(key)
          const told = piecesIn(kept).map(([, each]) => Buffer.from(each).toString())
          expect(told.join("")).toBe("no such key: [redacted], [redacted]")
        }
      )
    ))

  test("says which line is wrong, leaves out one that was being written, and refuses another version", () => {
    const head = headLine({ recorded_at: "", nexus: "", target: "" })
    expect(readRecording("{}\n")).toMatchObject({ failure: expect.stringContaining("line 1: this is no recording") })
    expect(readRecording(head.replace('"nexus_recording":1', '"nexus_recording":2'))).toMatchObject({
      failure: expect.stringContaining("version 2")
    })
    expect(readRecording(`${head}{}\n${head}`)).toMatchObject({ failure: "line 2: this is no exchange" })
    expect(readRecording(`${head}{"at":`)).toMatchObject({ success: { torn: true, exchanges: [] } })
  })

  test("knows a request again whatever the order of its fields", () => {
    const key = (body: string) => requestKey({ path: "/v1/messages", request: { headers: {}, body } })
    expect(key('{"b":[{"d":1,"c":2}],"a":1}')).toBe(key('{"a":1,  "b":[{"c":2,"d":1}]}'))
    expect(key('{"a":[1,2]}')).not.toBe(key('{"a":[2,1]}'))
  })
})
