import { createHash } from "node:crypto"
import { describe, expect, test } from "bun:test"
import type { Secrets } from "../../src/config/compile.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { ask, type RawClient } from "../kit/rawClient.ts"
import { backendFor, type SettingsTree, startGateway, startProcess } from "../kit/gateway.ts"
import { answerAll, before, line, phases, post, startHeld, untilQueued } from "../kit/waiting-line.ts"

const errorOf = (text: string) => JSON.parse(text).error

describe("requests beyond the slots of a server", () => {
  test("wait in the gateway and are answered in the order in which they came", async () => {
    await using held = await startHeld()
    await using gateway = await before(held)
    const first = await post(gateway.port, "a")
    await held.upstream.call(0)
    const rest = await line(gateway.port, ["b", "c", "d"])
    expect(held.asked()).toEqual(["a"])
    expect((await phases(gateway.port)).map(({ id, phase }) => [id, phase])).toEqual([
      ["a", "attempting"],
      ["b", "queued"],
      ["c", "queued"],
      ["d", "queued"]
    ])
    await answerAll(held, 4)
    for (const client of [first, ...rest]) expect((await client.answer()).status).toBe(200)
    expect(held.asked()).toEqual(["a", "b", "c", "d"])
    await gateway.quiet()
    expect(await phases(gateway.port)).toEqual([])
  })

  test("that are left by their clients free their places, and nothing of them stays behind", async () => {
    await using held = await startHeld()
    await using gateway = await before(held, { queue: { max_queue: 3 } })
    using first = await post(gateway.port, "a")
    await held.upstream.call(0)
    const [, left] = await line(gateway.port, ["b", "c", "d"])
    left?.hangUp()
    await untilQueued(gateway.port, 2)
    // There is a place again.
    using last = await post(gateway.port, "e")
    await untilQueued(gateway.port, 3)
    await answerAll(held, 4)
    for (const client of [first, last]) expect((await client.answer()).status).toBe(200)
    expect(held.asked()).toEqual(["a", "b", "d", "e"])
    await gateway.quiet()
  })

  test("all go when all clients leave, and a later one has the slot at once", async () => {
    await using held = await startHeld()
    await using gateway = await before(held)
    const first = await post(gateway.port, "a")
    await held.upstream.call(0)
    const rest = await line(gateway.port, ["b", "c"])
    for (const client of rest) client.hangUp()
    // One that has not been seen to leave would get the slot.
    await untilQueued(gateway.port, 0)
    first.hangUp()
    await gateway.quiet()
    using later = await post(gateway.port, "z")
    await held.upstream.call(1)
    held.answer(1)
    expect((await later.answer()).status).toBe(200)
    expect(held.asked()).toEqual(["a", "z"])
    await gateway.quiet()
  })

  test("are not sent away for the length that their answers may have, where they are known to be short", async () => {
    await using held = await startHeld()
    await using gateway = await before(held, { queue: { queue_timeout_seconds: 20 } })
    const more = { max_tokens: 10_000_000 }
    const first = await post(gateway.port, "a", [], more)
    await held.upstream.call(0)
    held.answer(0)
    expect((await first.answer()).status).toBe(200)
    const second = await post(gateway.port, "b", [], more)
    await held.upstream.call(1)
    const third = await post(gateway.port, "c", [], more)
    await untilQueued(gateway.port, 1)
    held.answer(1)
    await held.upstream.call(2)
    held.answer(2)
    for (const client of [second, third]) expect((await client.answer()).status).toBe(200)
    await gateway.quiet()
  })

  test("are not sent away for what those before them were held for before any answer was seen", async () => {
    await using held = await startHeld()
    await using gateway = await before(held, { queue: { queue_timeout_seconds: 100 } })
    const first = await post(gateway.port, "first")
    await held.upstream.call(0)
    const more = { max_tokens: 100_000 }
    const waiting: Array<RawClient> = []
    for (const [at, content] of ["b", "c"].entries()) {
      waiting.push(await post(gateway.port, content, [], more))
      await untilQueued(gateway.port, at + 1)
    }
    held.answer(0)
    expect((await first.answer()).status).toBe(200)
    await held.upstream.call(1)
    // The first answer has shown how soon its turn comes.
    const last = await post(gateway.port, "d")
    await untilQueued(gateway.port, 2)
    for (const nth of [1, 2, 3]) {
      await held.upstream.call(nth)
      held.answer(nth)
    }
    for (const client of [...waiting, last]) expect((await client.answer()).status).toBe(200)
    await gateway.quiet()
  })

  test("wait, whatever is expected, where nobody has told or seen how many a server can work on", async () => {
    await using held = await startHeld()
    await using gateway = await startGateway({
      backends: [backendFor("one", held.upstream)],
      queue: { queue_timeout_seconds: 30 }
    })
    const first = await post(gateway.port, "first")
    await held.upstream.call(0)
    // The only answer that was seen took long: as many turns of it as come would take longer than anybody may wait.
    await Bun.sleep(2000)
    held.answer(0)
    expect((await first.answer()).status).toBe(200)
    const count = 220
    const clients = await Promise.all(Array.from({ length: count }, (_, at) => post(gateway.port, `r${at}`)))
    for (let nth = 1; nth <= count; nth += 1) {
      await held.upstream.call(nth)
      held.answer(nth)
    }
    for (const client of clients) expect((await client.answer()).status).toBe(200)
    await gateway.quiet()
  })

  test("get 429 with the time to wait once they have waited for queue_timeout_seconds", async () => {
    await using held = await startHeld()
    await using gateway = await before(held, { queue: { queue_timeout_seconds: 1 } })
    using first = await post(gateway.port, "a")
    await held.upstream.call(0)
    using late = await post(gateway.port, "b")
    const answer = await late.answer()
    expect(answer.status).toBe(429)
    expect(Number(answer.header("retry-after"))).toBeGreaterThanOrEqual(1)
    expect(errorOf(answer.text).message).toMatch(/queue_timeout_seconds.*try again in \d+ s/)
    held.answer(0)
    expect((await first.answer()).status).toBe(200)
    expect(held.asked()).toEqual(["a"])
    await gateway.quiet()
  })

  test("get 429 at once where max_queue of them wait already", async () => {
    await using held = await startHeld()
    await using gateway = await before(held, { queue: { max_queue: 1 } })
    using first = await post(gateway.port, "a")
    await held.upstream.call(0)
    const [second] = await line(gateway.port, ["b"])
    using third = await post(gateway.port, "c")
    const answer = await third.answer()
    expect(answer.status).toBe(429)
    expect(Number(answer.header("retry-after"))).toBeGreaterThanOrEqual(1)
    expect(errorOf(answer.text).message).toContain("max_queue")
    await answerAll(held, 2)
    for (const client of [first, second]) expect((await client?.answer())?.status).toBe(200)
    await gateway.quiet()
  })

  test("reach the server all the same where the queue is off", async () => {
    await using held = await startHeld()
    await using gateway = await before(held, { queue: { enabled: false } })
    const clients = await Promise.all(["a", "b", "c"].map((content) => post(gateway.port, content)))
    await held.upstream.call(2)
    expect(held.upstream.busy()).toBe(3)
    for (const nth of [0, 1, 2]) held.answer(nth)
    for (const client of clients) expect((await client.answer()).status).toBe(200)
    await gateway.quiet()
  })

  test("wait for max_concurrent as well, which is 429 where the queue is off", async () => {
    await using held = await startHeld()
    const backends = [backendFor("one", held.upstream, { max_concurrent: 1 })]
    await using gateway = await startGateway({ backends })
    await using impatient = await startGateway({ backends, queue: { enabled: false } })
    using first = await post(gateway.port, "a")
    await held.upstream.call(0)
    const [second] = await line(gateway.port, ["b"])
    using third = await post(impatient.port, "c")
    await held.upstream.call(1)
    using fourth = await post(impatient.port, "d")
    expect((await fourth.answer()).status).toBe(429)
    for (const nth of [0, 1]) held.answer(nth)
    await held.upstream.call(2)
    held.answer(2)
    for (const client of [first, second, third]) expect((await client?.answer())?.status).toBe(200)
    await gateway.quiet()
    await impatient.quiet()
  })
})

describe("requests that wait while their server dies", () => {
  test("get an honest error, and none hangs", async () => {
    const held = await startHeld()
    await using gateway = await before(held, { routing: { max_retries: 0 } })
    const first = await post(gateway.port, "a")
    await held.upstream.call(0)
    const rest = await line(gateway.port, ["b", "c", "d"])
    await held[Symbol.asyncDispose]()
    for (const client of [first, ...rest]) {
      const { status, text } = await client.answer()
      expect(status).toBeGreaterThanOrEqual(500)
      expect(errorOf(text).message).toBeString()
    }
    await gateway.quiet()
    expect(await phases(gateway.port)).toEqual([])
  })

  test("are answered by another one", async () => {
    const held = await startHeld()
    await using other = await startHeld()
    await using gateway = await startGateway({
      backends: [
        backendFor("one", held.upstream, { slots: 1, priority: 1 }),
        backendFor("two", other.upstream, { slots: 1, priority: 2 })
      ]
    })
    const first = await post(gateway.port, "a")
    const second = await post(gateway.port, "b")
    await held.upstream.call(0)
    await other.upstream.call(0)
    const rest = await line(gateway.port, ["c", "d"])
    await held[Symbol.asyncDispose]()
    await answerAll(other, 4)
    for (const client of [first, second, ...rest]) expect((await client.answer()).status).toBe(200)
    expect(other.asked().toSorted()).toEqual(["a", "b", "c", "d"])
    await gateway.quiet()
  })
})

describe("a request that goes to the second best since the best has no slot", () => {
  for (const strategy of ["smart", "priority_only"]) {
    for (const limit of ["slots", "max_concurrent"]) {
      test(`says capacity-overflow (${strategy}, ${limit})`, async () => {
        await using best = await startHeld()
        await using second = await startUpstream({ models: ["m"] })
        await using gateway = await startGateway({
          routing: { strategy },
          backends: [
            backendFor("best", best.upstream, { priority: 1, [limit]: 1 }),
            backendFor("second", second, { priority: 2 })
          ]
        })
        using first = await post(gateway.port, "a")
        await best.upstream.call(0)
        using other = await post(gateway.port, "b")
        const answer = await other.answer()
        expect(["x-nexus-backend", "x-nexus-route-reason"].map((name) => answer.header(name))).toEqual([
          "second",
          "capacity-overflow"
        ])
        const { decision } = JSON.parse((await ask(gateway.port, "GET", "/admin/v1/decisions/b")).text)
        expect(decision.order[0]).toMatchObject({ backend: "second", reason: "capacity-overflow" })
        best.answer(0)
        expect((await first.answer()).header("x-nexus-route-reason")).toBe("capability-match")
      })
    }
  }
})

describe("the class of a request that waits", () => {
  const digest = (key: string) => createHash("sha256").update(key).digest()
  const keys = ["day", "night"]
  const keyed: Secrets = {
    backendKeys: new Map(),
    authKeys: keys.map((name) => ({ name, digest: digest(name), admin: true }))
  }
  const auth = {
    keys: [
      { name: "day", env: "DAY_KEY" },
      { name: "night", env: "NIGHT_KEY", priority: "batch" }
    ]
  }
  const as = (key: string, ...more: ReadonlyArray<string>) => [`Authorization: Bearer ${key}`, ...more]

  test("is that of its key: a batch waits behind what came after it", async () => {
    await using held = await startHeld()
    await using gateway = await before(held, { auth }, keyed)
    const first = await post(gateway.port, "a", as("day"))
    await held.upstream.call(0)
    const rest = await line(
      gateway.port,
      ["night-1", "day-1", "night-2", "day-2"],
      (content) => as(content.split("-")[0] ?? ""),
      as("day")
    )
    await answerAll(held, 5)
    for (const client of [first, ...rest]) expect((await client.answer()).status).toBe(200)
    expect(held.asked()).toEqual(["a", "day-1", "day-2", "night-1", "night-2"])
    await gateway.quiet()
  })

  test("is lowered by x-nexus-priority, and never raised above that of its key", async () => {
    await using held = await startHeld()
    await using gateway = await before(held, { auth }, keyed)
    const first = await post(gateway.port, "a", as("day"))
    await held.upstream.call(0)
    const asks: Readonly<Record<string, string>> = { raised: "high", lowered: "batch", nonsense: "first of all" }
    const rest = await line(
      gateway.port,
      ["raised", "lowered", "nonsense", "usual"],
      (content) => as(content === "raised" ? "night" : "day", `x-nexus-priority: ${asks[content] ?? "normal"}`),
      as("day")
    )
    await answerAll(held, 5)
    for (const client of [first, ...rest]) expect((await client.answer()).status).toBe(200)
    expect(held.asked().slice(0, 3)).toEqual(["a", "nonsense", "usual"])
    await gateway.quiet()
  })

  test("does not count where the queue is off, and neither does whose the last free slot could be", async () => {
    await using held = await startHeld()
    const backends = [backendFor("one", held.upstream, { slots: 16 })]
    await using gateway = await startGateway({ backends, auth, queue: { enabled: false } }, keyed)
    const clients = [await post(gateway.port, "other", as("night"))]
    await held.upstream.call(0)
    for (let nth = 1; nth < 16; nth += 1) clients.push(await post(gateway.port, `own-${nth}`, as("day")))
    await held.upstream.call(15)
    for (const nth of clients.keys()) held.answer(nth)
    for (const client of clients) expect((await client.answer()).status).toBe(200)
    await gateway.quiet()
  })

  test("leaves all slots to a key that alone asks, though its answers come in one piece and none has come", async () => {
    await using held = await startHeld()
    const backends = [backendFor("one", held.upstream, { slots: 5 })]
    await using gateway = await startGateway({ backends, auth }, keyed)
    const clients = await Promise.all(
      ["a", "b", "c", "d", "e"].map((content) => post(gateway.port, content, as("day")))
    )
    await held.upstream.call(4)
    for (const nth of clients.keys()) held.answer(nth)
    for (const client of clients) expect((await client.answer()).status).toBe(200)
    await gateway.quiet()
  })

  test("is what it asks for where there are no keys", async () => {
    await using held = await startHeld()
    await using gateway = await before(held)
    const first = await post(gateway.port, "a")
    await held.upstream.call(0)
    const rest = await line(gateway.port, ["batch", "normal", "high"], (content) => [`x-nexus-priority: ${content}`])
    await answerAll(held, 4)
    for (const client of [first, ...rest]) expect((await client.answer()).status).toBe(200)
    expect(held.asked()).toEqual(["a", "high", "normal", "batch"])
    await gateway.quiet()
  })
})

test("a reload while requests wait loses none of them", async () => {
  await using held = await startHeld()
  const settings = (more: SettingsTree) => ({ backends: [backendFor("one", held.upstream, { slots: 1 })], ...more })
  await using gateway = await startProcess(settings({}))
  const first = await post(gateway.port, "a")
  await held.upstream.call(0)
  const rest = await line(gateway.port, ["b", "c", "d"])
  gateway.rewrite(settings({ queue: { max_queue: 50 } }))
  const generation = async () => JSON.parse(await (await fetch(`${gateway.url}/health`)).text()).config.generation
  const end = performance.now() + 60_000
  while ((await generation()) < 2) expect(performance.now()).toBeLessThan(end)
  await answerAll(held, 4)
  for (const client of [first, ...rest]) expect((await client.answer()).status).toBe(200)
  expect(held.asked()).toEqual(["a", "b", "c", "d"])
})

describe("requests that wait", () => {
  test("go to a server that is added meanwhile, and to none that is taken out", async () => {
    await using held = await startHeld()
    await using other = await startHeld()
    const one = backendFor("one", held.upstream, { slots: 1 })
    const two = backendFor("two", other.upstream, { slots: 1 })
    await using gateway = await startProcess({ backends: [one] })
    const first = await post(gateway.port, "a")
    await held.upstream.call(0)
    const rest = await line(gateway.port, ["b", "c"])
    gateway.rewrite({ backends: [two] })
    await answerAll(other, 2)
    for (const client of rest) expect((await client.answer()).status).toBe(200)
    // What has begun at one that is taken out goes on.
    held.answer(0)
    expect((await first.answer()).status).toBe(200)
    expect([held.asked(), other.asked()]).toEqual([["a"], ["b", "c"]])
  })

  test("are told so where a reload leaves nobody who could answer", async () => {
    await using held = await startHeld()
    await using other = await startUpstream({ models: ["another"] })
    await using gateway = await startProcess({ backends: [backendFor("one", held.upstream, { slots: 1 })] })
    const first = await post(gateway.port, "a")
    await held.upstream.call(0)
    const [second] = await line(gateway.port, ["b"])
    gateway.rewrite({ backends: [backendFor("two", other)] })
    const answer = await second?.answer()
    expect(answer?.status).toBeGreaterThanOrEqual(400)
    expect(errorOf(answer?.text ?? "").message).toContain("'m'")
    held.answer(0)
    expect((await first.answer()).status).toBe(200)
    expect(held.asked()).toEqual(["a"])
  })
})
