import { createHash } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, test } from "bun:test"
import type { Secrets } from "../../src/config/compile.ts"
import { askAs, startKeyed } from "../kit/clientKeys.ts"
import { good, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, startGateway } from "../kit/gateway.ts"

interface Told {
  readonly id: string
  readonly event: string
  readonly data: Record<string, any> // eslint-disable-line typescript/no-explicit-any -- reason: each test reads what it asks for
}

/** The events of a stream, one after the other; `until` gives the first one that is wanted. */
const follow = async ({ url }: Gateway, after = "", headers: Readonly<Record<string, string>> = {}) => {
  const control = new AbortController()
  const response = await fetch(`${url}/admin/v1/events${after}`, { headers, signal: control.signal })
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ""
  const next = async (): Promise<Told | undefined> => {
    for (;;) {
      const end = rest.indexOf("\n\n")
      if (end >= 0) {
        const fields = new Map(
          rest
            .slice(0, end)
            .split("\n")
            .map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)] as const)
        )
        rest = rest.slice(end + 2)
        const event = fields.get("event")
        if (event !== undefined)
          return { id: fields.get("id") ?? "", event, data: JSON.parse(fields.get("data") ?? "null") }
        continue
      }
      const read = await reader?.read()
      if (read === undefined || read.done) return undefined
      rest += read.value
    }
  }
  const until = async (wanted: (told: Told) => boolean): Promise<Told> => {
    for (;;) {
      const told = await next()
      if (told === undefined) throw new Error("the stream has ended")
      if (wanted(told)) return told
    }
  }
  return { response, next, until, [Symbol.dispose]: () => control.abort() }
}

const chat = (url: string, id: string) =>
  fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-request-id": id },
    body: JSON.stringify({ model: "m", messages: [{ role: "user", content: "Hello" }] })
  }).then((response) => response.text())

const isEnd = (id: string) => (told: Told) =>
  told.event === "ended" && told.data["requests"].some((each: { readonly id: string }) => each.id === id)

describe("the stream of events", () => {
  test("begins with everything and tells of requests as they come and end", async () => {
    const gate = Promise.withResolvers<void>()
    await using upstream = await startUpstream({
      models: ["m"],
      script: async function* (request) {
        yield { until: gate.promise }
        yield* good()(request)
      }
    })
    await using gateway = await startGateway({ backends: [backendFor("a", upstream)] })
    using stream = await follow(gateway)
    expect(stream.response.headers.get("content-type")).toContain("text/event-stream")
    const first = await stream.next()
    expect(first?.event).toBe("everything")
    expect(first?.data["backends"].map(({ name }: { readonly name: string }) => name)).toEqual(["a"])
    const answer = chat(gateway.url, "one")
    const underWay = await stream.until(({ data, event }) => event === "under_way" && data["total"] === 1)
    expect(underWay.data["requests"][0]).toMatchObject({ id: "one", model: "m", backend: "a" })
    gate.resolve()
    await answer
    const ended = await stream.until(isEnd("one"))
    expect(ended.data["requests"][0]).toMatchObject({ id: "one", outcome: "completed", status: 200 })
  })

  test("goes on where somebody left it, told by the header of a browser or in the address", async () => {
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({ backends: [backendFor("a", upstream)] })
    using stream = await follow(gateway)
    const first = await stream.next()
    await chat(gateway.url, "one")
    await stream.until(isEnd("one"))
    const id = first?.id ?? ""
    // A browser that comes again by itself asks at the address that it was given, and knows more by then.
    for (const [after, headers] of [
      [`?after=${id}`, {}],
      ["", { "last-event-id": id }],
      ["?after=nobody-7", { "last-event-id": id }]
    ] as const) {
      using again = await follow(gateway, after, headers)
      const told = await again.until(({ event }) => event === "everything" || event === "ended")
      expect(told.event).toBe("ended")
    }
    using stranger = await follow(gateway, "?after=nobody-7")
    expect((await stranger.next())?.event).toBe("everything")
  })

  test("tells how things are now to who comes again and again and reads the first event alone", async () => {
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({ backends: [backendFor("a", upstream)] })
    const ended = async (): Promise<number> => {
      using stream = await follow(gateway)
      return (await stream.next())?.data["ended"].length
    }
    expect(await ended()).toBe(0)
    await chat(gateway.url, "one")
    let told = 0
    // Longer apart than two looks are, and not so long that all is begun anew.
    for (let times = 0; times < 5 && told === 0; times += 1) {
      await Bun.sleep(700)
      told = await ended()
    }
    expect(told).toBe(1)
  })

  test("tells of a backend that goes down", async () => {
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({
      backends: [backendFor("a", upstream)],
      health_check: { interval_seconds: 1, failure_threshold: 1 }
    })
    using stream = await follow(gateway)
    await stream.next()
    await upstream[Symbol.asyncDispose]()
    const told = await stream.until(({ data, event }) => event === "backend" && data["status"] === "unhealthy")
    expect(told.data["reason"]).not.toBe("")
  })

  test("ends when the gateway stops, and costs nothing when nobody follows any more", async () => {
    await using upstream = await startUpstream({ models: ["m"] })
    const gateway = await startGateway({ backends: [backendFor("a", upstream)] })
    {
      using stream = await follow(gateway)
      await stream.next()
    }
    const stream = await follow(gateway)
    await stream.next()
    const stopped = gateway[Symbol.asyncDispose]()
    const end = async () => {
      while ((await stream.next()) !== undefined);
      return "ended"
    }
    expect(await end().catch(() => "ended")).toBe("ended")
    await stopped
  })

  test("tells nothing more to whose key was revoked, and goes on for others", async () => {
    const folder = mkdtempSync(join(tmpdir(), "nexus-events-"))
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startKeyed(
      { chief: { admin: true } },
      { auth: { store: join(folder, "keys.sqlite") }, backends: [backendFor("a", upstream)] }
    )
    const { key } = (await askAs(gateway, "chief", "/admin/v1/keys", { name: "guest", admin: true })).json()
    using guest = await follow(gateway, "", { authorization: `Bearer ${key}` })
    using chief = await follow(gateway, "", { authorization: "Bearer nx-chief" })
    expect([(await guest.next())?.event, (await chief.next())?.event]).toEqual(["everything", "everything"])
    await askAs(gateway, "chief", "/admin/v1/keys/guest", undefined, {}, "DELETE")
    while ((await guest.next()) !== undefined);
    using again = await follow(gateway, "", { authorization: `Bearer ${key}` })
    expect(again.response.status).toBe(401)
    expect((await chief.next())?.event).toBeDefined()
    rmSync(folder, { recursive: true, force: true })
  })

  test("is for administrators alone", async () => {
    await using upstream = await startUpstream({ models: ["m"] })
    const digest = createHash("sha256").update("right").digest()
    const secrets: Secrets = { backendKeys: new Map(), authKeys: [{ name: "team", digest }] }
    await using gateway = await startGateway({ backends: [backendFor("a", upstream)] }, secrets)
    using stranger = await follow(gateway)
    expect(stranger.response.status).toBe(401)
  })
})
