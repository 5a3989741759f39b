import { expect, test } from "bun:test"
import { Context, Effect, Layer, ManagedRuntime } from "effect"
import { Accounting } from "../../src/proxy/Accounting.ts"
import { Limiter } from "../../src/admission/Limiter.ts"
import { Drain } from "../../src/admission/Drain.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import { Meters } from "../../src/proxy/Meters.ts"
import { History } from "../../src/proxy/History.ts"
import { Proxy } from "../../src/proxy/Proxy.ts"
import { Captures } from "../../src/capture/Captures.ts"
import { AnswerCache } from "../../src/cache/AnswerCache.ts"
import { Hooks } from "../../src/hooks/Hooks.ts"
import { Registry } from "../../src/registry/Registry.ts"
import { Budgets } from "../../src/usage/Budgets.ts"
import { Prices } from "../../src/usage/Prices.ts"
import { UsageLedger } from "../../src/usage/UsageLedger.ts"
import { Router } from "../../src/router/Router.ts"
import { layerOf } from "../../src/telemetry/logging.ts"
import { Deadlines } from "../../src/upstream/Deadlines.ts"
import { Transport } from "../../src/upstream/Transport.ts"
import { Upstream } from "../../src/upstream/Upstream.ts"
import { logsAt } from "../kit/log.ts"
import { server } from "../kit/stage.ts"

const limits = {
  totalMs: 0,
  uploadMs: 0,
  stallMs: 0,
  keepAliveMs: 0,
  maxBodyBytes: 1000,
  maxStreamedBytes: 1_000_000,
  backendPaths: false,
  maxSessions: 10,
  sessionIdleMs: 0,
  maxUploads: 10,
  maxUploadBytes: 1000,
  uploadShare: 1,
  maxConcurrent: 10,
  maxRetries: 0,
  maxQueue: 100,
  severalKeys: false,
  queueMs: 0,
  sessionHeaders: [],
  rates: { keys: {}, owners: [], models: [] },
  cached: [],
  maxKeptBytes: 0
}

test("a defect of the gateway is a 500 with the request id alone; the log has its cause, and others are served", async () => {
  let log = ""
  const fail = () => {
    throw new Error("sk-inner at http://10.1.2.3")
  }
  const broken = Layer.succeed(Router, {
    rule: fail,
    zones: fail,
    shadowable: fail,
    route: fail,
    consider: fail,
    busy: fail,
    again: fail,
    leastContext: () => Infinity,
    standIn: fail,
    names: fail
  })
  const logging = layerOf(
    () => logsAt("debug"),
    (text, done) => {
      log += text
      done()
    },
    false
  )
  const registry = Registry.layer(() => ({ failures: 1, recoveries: 1 }))
  const recent = History.layer.pipe(Layer.provide(broken))
  const meters = Meters.layer(1).pipe(Layer.provide([registry, UsageLedger.none, Limiter.layer()]))
  const base = Layer.mergeAll(
    broken,
    registry,
    Deadlines.layer(() => 20),
    Drain.layer,
    Limiter.layer(),
    Accounting.layer.pipe(
      Layer.provide(Layer.mergeAll(logging, recent, meters, UsageLedger.none, Prices.none, Budgets.none))
    ),
    Upstream.layer(() => 1000).pipe(Layer.provide(Transport.layer))
  )
  const runtime = ManagedRuntime.make(
    Proxy.layer(() => limits).pipe(
      Layer.provide(
        Layer.mergeAll(
          base,
          Prices.none,
          Budgets.none,
          Hooks.none,
          AnswerCache.layer(() => 0),
          Captures.none
        )
      )
    )
  )
  const proxy = Context.get(await runtime.runPromise(Effect.context<Proxy>()), Proxy)
  const route = { dialect: openai, operation: openai.operations[0] }
  const post = (body: string) =>
    proxy.handle(route, new Request("http://localhost/", { method: "POST", body }), "id-1", server)

  for (let i = 0; i < 3; i += 1) {
    const answer = await post('{"model":"m","messages":[]}')
    expect(answer.status).toBe(500)
    expect(answer.headers.get("x-request-id")).toBe("id-1")
    expect(await answer.json()).toEqual({
      error: {
        message: "Internal error; the log has its cause under request id id-1",
        type: "server_error",
        param: null,
        code: "internal_error"
      }
    })
    expect(proxy.active()).toBe(0)
  }
  expect((await post("{")).status).toBe(400)
  await runtime.dispose()
  const lines = log
    .trim()
    .split("\n")
    .map((line): Readonly<Record<string, unknown>> => JSON.parse(line))
  expect(lines.filter(({ message }) => message === "internal error")).toHaveLength(3)
  expect(lines.find(({ level }) => level === "error")).toMatchObject({ request_id: "id-1" })
  expect(String(lines.find(({ level }) => level === "error")?.["cause"])).toContain("10.1.2.3")
})
