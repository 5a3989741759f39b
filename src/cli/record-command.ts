/**
 * nexus record: a proxy that keeps what is asked of models and what they answer, with its times.
 */
import * as Console from "effect/Console"
import * as DateTime from "effect/DateTime"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import { Command, Flag } from "effect/cli"
import type * as Cause from "effect/Cause"
import { printable } from "../domain/printable.ts"
import { version } from "../domain/version.ts"
import type { PassedExchange } from "../recording/recording-format.ts"
import { CliFailure } from "./exit-failure.ts"
import * as flags from "./flags.ts"
import { endRequested, writeLine } from "./screen.ts"

const megabyte = 1024 * 1024

/** An exchange that is larger is not recorded, in bytes. */
const mostOfOne = 32 * megabyte

const input = {
  out: Flag.String("out").pipe(
    Flag.withAlias("o"),
    Flag.withMetavar("FILE"),
    Flag.withDescription(
      "The file that is written; it is not to be there yet, and holds prompts: this user alone may read it"
    )
  ),
  model: Flag.String("model").pipe(
    Flag.withAlias("m"),
    Flag.withMetavar("MODEL"),
    Flag.withDescription("Record what is asked of this model, or of those that a glob means; may be given again"),
    Flag.atLeast(0)
  ),
  to: Flag.String("to").pipe(
    Flag.withMetavar("URL"),
    Flag.withDescription("Where everything is passed on to; the gateway of the config when absent"),
    Flag.optional
  ),
  listen: flags
    .portCalled("listen")
    .pipe(
      Flag.withDescription("Port of this machine that programs are to ask; a free one for 0"),
      Flag.withDefault(8700)
    ),
  requests: flags.bounded("requests", 1_000_000, "End after so many exchanges", 10_000),
  megabytes: flags.bounded("megabytes", 65_536, "End when the file is so large", 256),
  time: Flag.String("for").pipe(
    Flag.withMetavar("TIME"),
    Flag.filter(
      (value) => flags.durationMs(value) !== undefined,
      (value) => `Expected a time such as 10m or 1h, got ${value}`
    ),
    Flag.withDescription("End after so long"),
    Flag.withDefault("24h")
  ),
  config: flags.config,
  host: flags.host,
  port: flags.port
}

const opened = Effect.fnUntraced(function* (path: string) {
  const fs = yield* FileSystem.FileSystem
  return yield* fs.open(path, { flag: "wx", mode: 0o600 }).pipe(
    Effect.mapError(
      ({ reason }) =>
        new CliFailure({
          message:
            reason._tag === "AlreadyExists"
              ? `${path} is there already; a recording is not written over`
              : `${path} cannot be written: ${reason._tag === "NotFound" ? "there is no such directory" : "the system refuses"}`
        })
    )
  )
})

const fileFailed = (path: string) => () =>
  new CliFailure({ message: `${path} can be written no further: the system refuses` })

const words = { requests: "so many exchanges", megabytes: "the file is so large", time: "so long" } as const

/** The command. */
export const recordCommand = Command.make(
  "record",
  input,
  Effect.fnUntraced(function* (given) {
    const { makeRecorder } = yield* Effect.promise(() => import("../recording/recorder.ts"))
    const { exchangeLine, headLine, keepingRules, keptExchange } = yield* Effect.promise(
      () => import("../recording/recording-format.ts")
    )
    const { askedBase } = yield* Effect.promise(() => import("../load/asked-url.ts"))
    const { targetGateway, withTransport } = yield* Effect.promise(() => import("../remote/target.ts"))
    const { Transport } = yield* Effect.promise(() => import("../upstream/Transport.ts"))
    const { Dialects } = yield* Effect.promise(() => import("../dialect/all.ts"))
    const { listen } = yield* Effect.promise(() => import("../http/listen.ts"))
    const target = Option.isSome(given.to)
      ? askedBase(given.to.value)
      : (yield* targetGateway(flags.places(given), "silent")).url
    if (target === undefined)
      return yield* new CliFailure({ message: "--to takes a URL that begins with http:// or https://", code: 2 })

    const whole = Effect.gen(function* () {
      const transport = yield* Transport
      const dialects = yield* Dialects
      const rules = keepingRules(dialects)
      const passed = yield* Queue.unbounded<PassedExchange, Cause.Done>()
      const full = yield* Deferred.make<keyof typeof words>()
      let kept = 0
      let tooLarge = 0
      let isOpen = true
      const close = (why: keyof typeof words): Effect.Effect<unknown> => {
        isOpen = false
        return Deferred.succeed(full, why)
      }
      let came = 0
      const fetch = yield* makeRecorder({
        transport,
        dialects,
        target,
        models: given.model,
        mostBytes: mostOfOne,
        isOpen: () => isOpen,
        onExchange: (exchange) => {
          if (came >= given.requests) return
          came += 1
          Queue.offerUnsafe(passed, exchange)
          if (came >= given.requests) Effect.runSync(close("requests"))
        },
        onTooLarge: () => {
          tooLarge += 1
        }
      })
      const listening = yield* listen({ hostname: "127.0.0.1", port: given.listen, fetch }).pipe(
        Effect.catchTag("ListenFailed", ({ port, reason }) =>
          Effect.fail(
            new CliFailure({ message: `Cannot listen on port ${port}: ${reason}; --listen names another one` })
          )
        )
      )
      const file = yield* opened(given.out)
      const encoder = new TextEncoder()
      const head = headLine({ recorded_at: DateTime.formatIso(yield* DateTime.now), nexus: version, target })
      yield* Effect.mapError(file.writeAll(encoder.encode(head)), fileFailed(given.out))
      let bytes = head.length
      const writer = yield* Effect.forkScoped(
        Stream.fromQueue(passed).pipe(
          Stream.runForEach((exchange) =>
            Effect.suspend(() => {
              const line = encoder.encode(exchangeLine(keptExchange(exchange, rules)))
              // The bound holds for the file, so what would go beyond it is left out.
              if (bytes + line.byteLength > given.megabytes * megabyte) return close("megabytes")
              bytes += line.byteLength
              kept += 1
              return Effect.mapError(file.writeAll(line), fileFailed(given.out))
            })
          )
        ),
        { startImmediately: true }
      )
      const meant = given.model.length === 0 ? "all models" : given.model.join(", ")
      yield* writeLine(
        printable(
          `Recording ${meant} to ${given.out}. Programs ask http://127.0.0.1:${listening.port} in place of ${target}; Ctrl-C ends it.`
        )
      )
      const why = yield* Effect.raceAllFirst([
        Effect.as(endRequested, undefined),
        Deferred.await(full),
        Effect.as(Effect.sleep(flags.durationMs(given.time) ?? 0), "time" as const),
        // It fails where the file can be written no more.
        Effect.as(Fiber.await(writer), undefined)
      ])
      isOpen = false
      if (why !== undefined) yield* Console.error(`The recording ends: after ${words[why]} it was to.`)
      if (listening.pending() > 0) {
        yield* Console.error("What is under way may finish; Ctrl-C ends it.")
        yield* Effect.raceFirst(
          Effect.promise(() => listening.stop(false)),
          endRequested
        )
      }
      yield* Queue.end(passed)
      yield* Fiber.join(writer)
      const beside = tooLarge === 0 ? "" : `; ${tooLarge} were too large`
      yield* Console.log(printable(`${kept} ${kept === 1 ? "exchange is" : "exchanges are"} in ${given.out}${beside}.`))
    })
    yield* withTransport(Effect.provideService(whole, FileSystem.FileSystem, yield* FileSystem.FileSystem))
  })
).pipe(
  Command.withDescription(
    "Pass requests on to a gateway or another server, and keep them with their answers and the times of their pieces, without keys"
  ),
  Command.withExamples([
    { command: "nexus record --model qwen3 --out session.jsonl" },
    { command: "nexus record --to https://api.example.com --out session.jsonl --requests 20" }
  ])
)
