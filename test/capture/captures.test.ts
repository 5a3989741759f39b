import { afterAll, describe, expect, test } from "bun:test"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Layer } from "effect"
import fc from "fast-check"
import { Captures, type CaptureUnreadable } from "../../src/capture/Captures.ts"
import { sealOf } from "../../src/capture/sealing.ts"
import { secretIn } from "../../src/domain/key-terms.ts"
import { RequestLog } from "../../src/telemetry/logging.ts"
import { chatEvents, completion, json } from "../kit/answers.ts"
import { modelOf, startUpstream, streamed, wantsStream } from "../kit/FakeUpstream.ts"
import { backendFor, type SettingsTree, startGateway, until } from "../kit/gateway.ts"
import { scrape, total } from "../kit/metrics.ts"
import { ask } from "../kit/rawClient.ts"
import { makeShell } from "../kit/shell.ts"
import { reading } from "../config/reading.ts"

const folder = mkdtempSync(join(tmpdir(), "nexus-captures-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const path = "/v1/chat/completions"

const keyOf = (fill: number): string => Buffer.alloc(32, fill).toString("base64")

const prompt = "xylophone-prompt"
const answer = "marmalade-answer"

const startCapturing = async (file: string, capture: SettingsTree, key = keyOf(7)) => {
  const upstream = await startUpstream({
    models: ["m", "n"],
    script: (seen) =>
      wantsStream(seen) ? streamed(chatEvents(modelOf(seen), [answer])) : [json(completion(modelOf(seen), answer))]
  })
  const gateway = await startGateway(
    {
      backends: [backendFor("b", upstream)],
      usage: { enabled: true, path: join(folder, "usage.sqlite") },

      capture: { path: join(folder, file), ...capture }
    },
    { backendKeys: new Map(), authKeys: [], captureKey: key }
  )
  const get = async (place: string, method = "GET") => {
    const { status, text } = await ask(gateway.port, method, `/admin/v1/captures${place}`)
    return { status, json: JSON.parse(text) }
  }
  return {
    gateway,
    get,
    post: (model: string, more: object = {}) =>
      ask(
        gateway.port,
        "POST",
        path,
        JSON.stringify({ model, messages: [{ role: "user", content: prompt }], ...more })
      ),
    /** Those that are stored, once there are so many. */
    stored: async (many: number) => {
      for (;;) {
        const { captures } = (await get("")).json
        if (captures.length >= many) return captures
        await Bun.sleep(5)
      }
    },
    [Symbol.asyncDispose]: async () => {
      await gateway[Symbol.asyncDispose]()
      await upstream[Symbol.asyncDispose]()
    }
  }
}

describe("a seal", () => {
  test("opens with its key, in its place, unchanged, and in no other way; the same text is never sealed alike", async () => {
    const seal = sealOf(Buffer.alloc(32, 1))
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 60 }), fc.nat(), async (plain, at) => {
        const closed = await seal.close(plain, "p")
        expect(await seal.open(closed, "p")).toEqual(plain)
        expect(await seal.open(closed, "q")).toBeUndefined()
        expect(await sealOf(Buffer.alloc(32, 2)).open(closed, "p")).toBeUndefined()
        const changed = Uint8Array.from(closed)
        changed[at % changed.length] = (changed[at % changed.length] ?? 0) ^ 1
        expect(await seal.open(changed, "p")).toBeUndefined()
        expect(Buffer.from(await seal.close(plain, "p")).equals(closed)).toBe(false)
      }),
      { numRuns: 30 }
    )
  })

  test("takes keys of 32 bytes alone", () => {
    expect(
      [keyOf(1), "0".repeat(64), Buffer.alloc(32, 255).toString("base64url")].map((text) => secretIn(text)?.byteLength)
    ).toEqual([32, 32, 32])
    expect(["", "secret", "0".repeat(63), Buffer.alloc(31).toString("base64"), `${keyOf(1)}A`].map(secretIn)).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
      undefined
    ])
  })
})

describe("captures", () => {
  test("hold the prompts and answers of those models alone that are named, and no file holds one of them readably", async () => {
    await using all = await startCapturing("some.sqlite", { models: ["m"] })
    await all.post("n")
    await all.post("m")
    await all.post("m", { stream: true })
    const [last, first, ...more] = await all.stored(2)
    expect(more).toEqual([])
    expect([first.facts, last.facts]).toMatchObject([
      { model: "m", outcome: "completed", status: 200, stream: false, backend: "b" },
      { stream: true }
    ])
    const shown = (await all.get(`/${first.id}`)).json
    expect(JSON.parse(shown.request).messages[0].content).toBe(prompt)
    expect(JSON.parse(shown.answer).choices[0].message.content).toBe(answer)
    expect((await all.get(`/${last.id}`)).json.answer).toContain("data: [DONE]")
    await until(() => readdirSync(folder).includes("usage.sqlite"), "usage is written down")
    const files = readdirSync(folder)
    expect(files).toContain("some.sqlite")
    expect(files).toContain("usage.sqlite")
    for (const name of files) {
      const text = readFileSync(join(folder, name), "latin1")
      for (const word of [prompt, answer]) expect([name, text.includes(word)]).toEqual([name, false])
    }
  })

  test("are shown without what steers a terminal, and as they are in JSON", async () => {
    await using all = await startCapturing("shown.sqlite", { models: ["m"] })
    const user = "\u009b2J\u202e"
    await all.post("m", { user })
    const [stored] = await all.stored(1)
    const shell = makeShell()
    const show = ["captures", "show", String(stored.id), "-p", String(all.gateway.port)]
    const [shown, told] = await Promise.all([shell.nexus(...show), shell.nexus(...show, "--json")])
    await shell.close()
    expect(shown.stdout).toContain(prompt)
    expect(shown.stdout).toContain("\\u009b2J\\u202e")
    expect(shown.stdout).not.toMatch(/[\u009b\u202e]/)
    expect(JSON.parse(JSON.parse(told.stdout).request).user).toBe(user)
  })

  test("are read with the key that they were sealed with, and another one says so", async () => {
    {
      await using all = await startCapturing("key.sqlite", { models: ["*"] })
      await all.post("m")
      await all.stored(1)
    }
    await using other = await startCapturing("key.sqlite", { models: ["*"] }, keyOf(8))
    const [found] = await other.stored(1)
    expect(found.facts).toBeNull()
    const { json: refused, status } = await other.get(`/${found.id}`)
    expect([status, refused.error.message]).toEqual([
      409,
      `Capture ${found.id} cannot be read: it was sealed with another key than the one in use`
    ])
  })

  test("make room for newer ones, and are deleted one by one and all together", async () => {
    await using all = await startCapturing("room.sqlite", { models: ["*"], max_mb: 0.01 })
    for (let nth = 0; nth < 20; nth += 1) await all.post("m", { user: "u".repeat(1000) })
    const left = await all.stored(1)
    const bytes = left.reduce((sum: number, each: { bytes: number }) => sum + each.bytes, 0)
    expect(bytes).toBeLessThanOrEqual(0.01 * 1_048_576)
    expect((await all.get(`/${left[0].id}`, "DELETE")).json).toEqual({ deleted: 1 })
    expect((await all.get(`/${left[0].id}`)).status).toBe(409)
    await all.get("", "DELETE")
    expect((await all.get("")).json.captures).toEqual([])
  })

  test("are told by metrics: those that were stored, how much that was, and those that were too large", async () => {
    await using all = await startCapturing("counted.sqlite", { models: ["*"], max_mb: 0.01 })
    for (let nth = 0; nth < 2; nth += 1) await all.post("m")
    const stored = await all.stored(2)
    await all.post("m", { user: "u".repeat(20_000) })
    const seen = async (outcome: string) => total(await scrape(all.gateway.port), "nexus_captures_total", { outcome })
    while ((await seen("refused")) === 0) await Bun.sleep(5)
    expect([await seen("stored"), await seen("refused")]).toEqual([2, 1])
    const bytes = stored.reduce((sum: number, each: { bytes: number }) => sum + each.bytes, 0)
    expect(total(await scrape(all.gateway.port), "nexus_captured_bytes_total")).toBe(bytes)
  })

  test("that have come are stored before the gateway ends", async () => {
    const settings = {
      keys: [],
      models: ["*"],
      path: join(folder, "end.sqlite"),
      secret: Buffer.alloc(32, 1),
      mostBytes: 1_048_576,
      keptMs: 60_000
    }
    const nothing = () => undefined
    const quiet = Layer.succeed(RequestLog, {
      debugEnabled: () => false,
      accessShare: nothing,
      accessTemplate: nothing,
      writeLines: nothing,
      makeLater: nothing,
      time: () => 0,
      write: nothing
    })
    const within = <A>(use: (captures: Captures["Service"]) => Effect.Effect<A, CaptureUnreadable>): Promise<A> =>
      Effect.runPromise(
        Effect.flatMap(Captures, use).pipe(Effect.provide(Layer.provide(Captures.layer(settings), quiet)))
      )
    const facts = {
      key: null,
      endpoint: "e",
      dialect: "d",
      backend: "b",
      outcome: "completed",
      status: 200,
      stream: false
    }
    await within((captures) =>
      Effect.sync(() => {
        for (const model of ["a", "b", "c"]) {
          captures.store({ ...facts, request_id: model, model }, { request: "", answer: "" })
        }
      })
    )
    const found = await within(({ list }) => list(10))
    expect(found.map((each) => each.facts?.model)).toEqual(["c", "b", "a"])
  })

  test("are refused by the config without a key that can seal them", () => {
    const said = (more: string, env: Record<string, string> = {}) => {
      const result = reading(`[capture]\nmodels = ["m"]\n${more}`, { env })
      return result._tag === "Failure" ? result.failure : "fine"
    }
    expect(said("")).toContain("capture needs key_env or key_file")
    expect(said('key_env = "CAPTURE_KEY"')).toContain("this environment variable is not set")
    expect(said('key_env = "CAPTURE_KEY"', { CAPTURE_KEY: "short" })).toContain(
      "does not hold 32 bytes in base64 or hexadecimal"
    )
    expect(said('key_env = "CAPTURE_KEY"', { CAPTURE_KEY: keyOf(3) })).toBe("fine")
  })
})
