import { expect, test } from "bun:test"
import { Context, Effect, Layer, Schema } from "effect"
import { compileSettings } from "../../src/config/compile.ts"
import { NexusConfig } from "../../src/config/NexusConfig.ts"
import { Settings } from "../../src/config/schema.ts"
import { listen } from "../../src/http/listen.ts"
import { Gateway } from "../../src/runtime/Gateway.ts"
import { Registry } from "../../src/registry/Registry.ts"
import { doctorLayer } from "../../src/serve/own-doctor.ts"
import { gatewayLayer } from "../../src/runtime/layers.ts"
import { chatEvents, chunk, completion, json, lastChunk, streamHead } from "../kit/answers.ts"
import { sourceOf } from "../kit/control.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { until } from "../kit/gateway.ts"
import { dial, type RawClient, requestBytes } from "../kit/rawClient.ts"

const path = "/v1/chat/completions"

const body = (stream: boolean) => JSON.stringify({ model: "m", messages: [], stream })

const [first = "", ...others] = chatEvents("m", ["a"])

// Bun looks every 4 s for connections that were silent for their time, which stands here for 150 s.
const idleSeconds = 1

test("what waits for a backend or an upload outlives by far the time after which Bun closes silent connections", async () => {
  const gate = Promise.withResolvers<void>()
  await using upstream = await startUpstream({
    models: ["m"],
    script: ({ text, header }) => {
      if (text.includes('"stream":true'))
        return [streamHead(), chunk(first), { until: gate.promise }, ...others.map(chunk), lastChunk]
      return header("x-request-id") === "upload"
        ? [json(completion("m", "a"))]
        : [{ until: gate.promise }, json(completion("m", "a"))]
    }
  })
  await Effect.gen(function* () {
    const brief = yield* served(upstream.url, 60)
    const patient = yield* served(upstream.url, 300)
    // The same server without our care: this shows that the time has passed.
    const bare = yield* listen({
      hostname: "127.0.0.1",
      port: 0,
      fetch: () => new Promise(() => undefined),
      idleSeconds
    })
    yield* Effect.promise(() => outlive(brief.port, patient.port, bare.port, gate.resolve))
  }).pipe(Effect.scoped, Effect.runPromise)
}, 120_000)

/** A gateway on a server that closes silent connections soon. */
const served = Effect.fnUntraced(function* (url: string, uploadSeconds: number) {
  const settings = Schema.decodeUnknownSync(Settings)({
    backends: [{ name: "one", url, models: [{ id: "m" }] }],
    logging: { level: "error" },
    server: { upload_timeout_seconds: uploadSeconds }
  })
  const loaded = compileSettings(
    settings,
    { backendKeys: new Map(), authKeys: [] },
    { path: undefined, warnings: [], notes: [] }
  )
  const ports = { models: () => 0, administration: () => undefined }
  const services = yield* Layer.build(
    gatewayLayer(NexusConfig.holding(loaded), sourceOf(loaded), ports, doctorLayer(sourceOf(loaded).from))
  )
  const registry = Context.get(services, Registry)
  for (const backend of loaded.backends) yield* registry.put(backend)
  const probed = () => [...registry.snapshot().backends.values()].every(({ health }) => health.status === "healthy")
  yield* Effect.promise(() => until(probed, "the backend is probed"))
  return yield* listen({ hostname: "127.0.0.1", port: 0, fetch: Context.get(services, Gateway).handle, idleSeconds })
})

/** Waits until a silent connection to the bare server has been closed, twice over. */
const timePasses = async (port: number): Promise<void> => {
  for (let times = 0; times < 2; times += 1) {
    using silent = await dial(port)
    await silent.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await until(() => silent.closed(), "Bun closes a silent connection")
  }
}

const outlive = async (brief: number, patient: number, bare: number, open: () => void): Promise<void> => {
  const ask = async (port: number, bytes: string | Uint8Array): Promise<RawClient> => {
    const client = await dial(port)
    await client.send(bytes)
    return client
  }
  const head = `POST ${path} HTTP/1.1\r\nHost: localhost\r\n`
  const whole = body(false)
  const waiting = await ask(brief, requestBytes("POST", path, whole))
  const chunked = await ask(
    brief,
    `${head}Transfer-Encoding: chunked\r\n\r\n${whole.length.toString(16)}\r\n${whole}\r\n0\r\n\r\n`
  )
  const stream = await ask(brief, requestBytes("POST", path, body(true)))
  const upload = await ask(
    patient,
    `${head}X-Request-Id: upload\r\nContent-Length: ${whole.length}\r\n\r\n${whole.slice(0, 5)}`
  )
  await stream.until(({ text }) => text === first)
  await timePasses(bare)
  open()
  await upload.send(whole.slice(5))
  for (const [name, client] of Object.entries({ waiting, chunked, stream, upload })) {
    const answer = await client.answer()
    expect([name, answer.status, answer.end]).toEqual([name, 200, "complete"])
    client.hangUp()
  }
}
