/**
 * Notices that the config is to be read anew: its file or a key file has changed, or a SIGHUP has come.
 */
import { isatty } from "node:tty"
import { dirname, resolve } from "node:path"
import * as NodeFileSystem from "@effect/platform-node-shared/NodeFileSystem"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { NexusConfig, stampOf } from "../config/NexusConfig.ts"
import { Reloader } from "./Reloader.ts"

/** Time between two looks at the files, in milliseconds. They are looked at, not watched: links and mounts are files too. */
const lookEveryMs = 500

const files = Effect.gen(function* () {
  const config = yield* NexusConfig
  const reloader = yield* Reloader
  const look = Effect.suspend(() => {
    const { file, keyFiles } = reloader.read()
    if (file === undefined) return Effect.succeed("")
    const directory = dirname(file.path)
    const paths = [file.path, ...keyFiles.map((name) => resolve(directory, name))]
    return Effect.map(Effect.forEach(paths, stampOf), (stamps) => stamps.join(" "))
  })
  let taken = reloader.read()
  let known = taken.stamp ?? ""
  let moving = ""
  // A file that is just being written is left until it rests.
  yield* Effect.sleep(lookEveryMs).pipe(
    Effect.andThen(look),
    Effect.flatMap((stamp) => {
      const rests = stamp === moving
      moving = stamp
      // What was read for another reason need not be read again.
      if (reloader.read() !== taken) {
        taken = reloader.read()
        known = taken.stamp ?? ""
      }
      const refused = reloader.refused()
      // One that was no TOML was refused before its key files were read, and one may name others than are looked at.
      if (stamp === refused || stamp === [refused?.split(" ")[0], ...known.split(" ").slice(1)].join(" ")) known = stamp
      if (!rests || stamp === known || !config.current().settings.server.watch_config) return Effect.void
      known = stamp
      return Effect.ignore(reloader.reload("file"))
    }),
    Effect.forever,
    Effect.forkScoped
  )
}).pipe(
  // @effect-diagnostics-next-line strictEffectProvide:off -- reason: the files of this machine are all it ever looks at
  Effect.provide(NodeFileSystem.layer)
)

// With its terminal a program in the foreground ends, as it would without this: the first signal of the end is a hang-up too.
const hangUps = (reload: Effect.Effect<void>) =>
  Effect.gen(function* () {
    const attended = isatty(0)
    const run = Effect.runForkWith(yield* Effect.context<never>())
    const onHangUp = () => {
      if (attended && !isatty(0)) process.kill(process.pid, "SIGTERM")
      else run(reload)
    }
    yield* Effect.acquireRelease(
      Effect.sync(() => process.on("SIGHUP", onHangUp)),
      () => Effect.sync(() => process.off("SIGHUP", onHangUp))
    )
  })

/** Reloads the config whenever there is a reason to, until the scope closes. */
export const watchConfig: Effect.Effect<void, never, NexusConfig | Reloader | Scope.Scope> = Effect.gen(function* () {
  const reloader = yield* Reloader
  yield* hangUps(Effect.ignore(reloader.reload("signal")))
  yield* files
})
