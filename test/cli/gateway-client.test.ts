import { describe, expect, test } from "bun:test"
import { NexusConfig } from "../../src/config/NexusConfig.ts"
import { loadedFrom } from "../config/reading.ts"
import { Effect, Layer, Redacted } from "effect"
import { Unreachable } from "../../src/domain/upstream-errors.ts"
import { Drain } from "../../src/admission/Drain.ts"
import { Captures } from "../../src/capture/Captures.ts"
import { AnswerCache } from "../../src/cache/AnswerCache.ts"
import { ClientKeys } from "../../src/admission/ClientKeys.ts"
import { Limiter } from "../../src/admission/Limiter.ts"
import { Operations } from "../../src/operations/Operations.ts"
import { Meters } from "../../src/proxy/Meters.ts"
import { History } from "../../src/proxy/History.ts"
import { Registry } from "../../src/registry/Registry.ts"
import { Budgets } from "../../src/usage/Budgets.ts"
import { Replicas } from "../../src/replicas/Replicas.ts"
import { UsageLedger } from "../../src/usage/UsageLedger.ts"
import { Router } from "../../src/router/Router.ts"
import {
  askBackends,
  askCancel,
  askDecision,
  askHealth,
  askOneUnderWay,
  askRemoveBackend,
  askSetMode,
  type NotDone
} from "../../src/remote/gateway-client.ts"
import { gatewayUrl } from "../../src/http/address.ts"
import { Transport } from "../../src/upstream/Transport.ts"
import type { ShortCall, TextAnswer } from "../../src/upstream/ask.ts"
import { plainSettings } from "../kit/generators.ts"
import { noControl, noDoctor, noLifecycle, noIssuers } from "../kit/control.ts"

const transport = (ask: (question: ShortCall) => Effect.Effect<TextAnswer, Unreachable>) =>
  Transport.layerOf({ ask, send: () => Promise.reject(new Error("not a question")) })

const answering = (status: number, text: string) =>
  transport(() => Effect.succeed({ status, headers: new Headers({ "content-type": "application/json" }), text }))

const address = { url: "http://127.0.0.1:8000", key: undefined }

const gateway = Layer.effect(
  Transport,
  Effect.gen(function* () {
    const { handle } = yield* Operations
    return Transport.of({
      ask: ({ url, headers }) =>
        Effect.promise(async () => {
          const response = await handle(new Request(url, { headers }))
          return { status: response.status, headers: response.headers, text: await response.text() }
        }),
      send: () => Promise.reject(new Error("not a question")),
      begin: (_, listener) => listener.failed(new Error("not a question"))
    })
  })
).pipe(
  Layer.provide(Operations.layer({ maxRetries: () => 2 })),
  Layer.provideMerge(
    Layer.mergeAll(
      UsageLedger.none,
      AnswerCache.layer(() => 0),
      Captures.none,
      Budgets.none,
      NexusConfig.layerOf(loadedFrom("")),
      History.layer.pipe(Layer.provideMerge(Router.layer(() => plainSettings))),
      Meters.layer(1).pipe(
        Layer.provide(UsageLedger.none),
        Layer.provideMerge(Limiter.layer()),
        Layer.provideMerge(Registry.layer(() => ({ failures: 1, recoveries: 1 })))
      ),
      Drain.layer,
      noControl,
      noDoctor,
      ClientKeys.layer(() => []),
      noIssuers,
      noLifecycle
    )
  ),
  Layer.provideMerge(Replicas.none)
)

const run = <A, E, R>(effect: Effect.Effect<A, E, R>, layer: Layer.Layer<R>) =>
  Effect.runPromise(effect.pipe(Effect.provide(layer)))

describe("asking a running gateway", () => {
  test("an unhealthy one answers its health as well as a healthy one", async () => {
    const [before, after] = await run(
      Effect.gen(function* () {
        const healthy = yield* askHealth(address)
        const registry = yield* Registry
        yield* registry.put({
          name: "a",
          url: "http://127.0.0.1:1",
          type: "ollama",
          priority: 1,
          origin: "config",
          apiKey: undefined,
          forwardAuthorization: false,
          maxConcurrent: undefined,
          limits: { firstByteMs: 0, idleMs: 0, totalMs: 0, connectMs: 0 },
          models: []
        })
        yield* registry.noteProbe("a", { _tag: "Down", reason: "connection refused" })
        expect((yield* askBackends(address)).backends).toMatchObject([{ name: "a", status: "unhealthy" }])
        return [healthy, yield* askHealth(address)] as const
      }),
      gateway
    )
    expect(before.status).toBe("healthy")
    expect(after).toMatchObject({ status: "unhealthy", backends: { total: 1 } })
  })

  test("nothing there, another server there and a refusal are told apart", async () => {
    const refused = await run(
      Effect.flip(askBackends(address)),
      transport(() => Effect.fail(new Unreachable({ reason: "connection refused" })))
    )
    expect(refused).toMatchObject({ _tag: "NoGateway", reason: "connection refused" })
    for (const other of [
      answering(404, '{"detail":"Not Found"}'),
      answering(200, '{"object":"list"}'),
      answering(200, "<html>")
    ]) {
      expect(await run(Effect.flip(askBackends(address)), other)).toMatchObject({ _tag: "NoGateway" })
      expect(await run(Effect.flip(askHealth(address)), other)).toMatchObject({ _tag: "NoGateway" })
    }
    expect(await run(Effect.flip(askBackends(address)), answering(401, "{}"))).toMatchObject({
      _tag: "GatewayRefused",
      status: 401
    })
  })

  test("why it may not be asked is told in the gateway's own words", async () => {
    const forbidden = answering(403, '{"error":{"message":"Keys are administered with a key\\u001b[2J"}}')
    expect(await run(Effect.flip(askBackends(address)), forbidden)).toMatchObject({
      message: "The gateway at http://127.0.0.1:8000 refuses: Keys are administered with a key\\u001b[2J"
    })
    expect(await run(Effect.flip(askBackends(address)), answering(403, "<html>"))).toMatchObject({
      message: "The gateway at http://127.0.0.1:8000 refuses: it does not take requests from here"
    })
  })

  test("a name that is too long for any gateway is no sign of another server", async () => {
    expect(await run(Effect.flip(askCancel(address, "x".repeat(9000))), answering(414, "{}"))).toMatchObject({
      _tag: "GatewayRefused",
      message: "The gateway at http://127.0.0.1:8000 refuses: what it is asked for is too long a name"
    })
  })

  test("sends its key and nothing else of value", async () => {
    const asked: Array<ShortCall> = []
    await run(
      Effect.flip(askBackends({ ...address, key: Redacted.make("k") })),
      transport((question) => {
        asked.push(question)
        return Effect.fail(new Unreachable({ reason: "x" }))
      })
    )
    expect(asked).toMatchObject([
      { url: "http://127.0.0.1:8000/nexus/backends", headers: { authorization: "Bearer k" } }
    ])
  })

  test("a name that would lead elsewhere as a part of a path is the name of nothing, and nobody is asked", async () => {
    const silent = transport(() => Effect.die("asked"))
    for (const name of ["", ".", ".."]) {
      const questions: ReadonlyArray<Effect.Effect<object, NotDone, Transport>> = [
        askCancel(address, name),
        askOneUnderWay(address, name),
        askDecision(address, name),
        askRemoveBackend(address, name, false),
        askSetMode(address, name, "drain")
      ]
      for (const question of questions) {
        expect(await run(Effect.flip(question), silent)).toMatchObject({ message: `Nothing is called '${name}'` })
      }
    }
  })

  test("a wildcard address is asked on loopback", () => {
    expect(gatewayUrl("0.0.0.0", 80)).toBe("http://127.0.0.1:80")
    expect(gatewayUrl("::", 80)).toBe("http://[::1]:80")
    expect(gatewayUrl("[::1]", 80)).toBe("http://[::1]:80")
    expect(gatewayUrl("localhost", 80)).toBe("http://localhost:80")
  })
})
