import { expect } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Option, Stream } from "effect"
import { TestClock } from "effect/testing"
import { NexusConfig, readConfig } from "../../src/config/NexusConfig.ts"
import { watchConfig } from "../../src/runtime/config-watch.ts"
import { Reloader } from "../../src/runtime/Reloader.ts"
import { effect } from "../kit/effect.ts"

const unused = Effect.die("nobody asks for this")

/** The watch over a file that holds `first`, and how often it has had the config read anew. */
const watched = (first: string) =>
  Effect.gen(function* () {
    const folder = mkdtempSync(join(tmpdir(), "nexus-watch-"))
    yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(folder, { recursive: true, force: true })))
    const path = join(folder, "nexus.toml")
    const keyPath = join(folder, "gpu.key")
    writeFileSync(keyPath, "first-key")
    writeFileSync(path, first)
    const reading = readConfig({ path: Option.some(path), overrides: {} })
    let read = yield* reading
    let reloads = 0
    let looks = 0
    let refused: string | undefined
    const took = Effect.map(reading, (next) => {
      read = next
    })
    const reloader = Reloader.of({
      read: () => {
        looks += 1
        return read
      },
      refused: () => refused,
      reload: () =>
        Effect.suspend(() => {
          reloads += 1
          return Effect.as(took, { generation: 1, changes: [] })
        }),
      status: () => ({ generation: 1, loaded_at: 0, path: null, needs_restart: [], failure: null }),
      changes: Stream.empty,
      amend: () => unused,
      next: unused,
      compare: unused,
      follow: unused
    })
    yield* watchConfig.pipe(
      Effect.provideService(Reloader, reloader),
      Effect.provideService(NexusConfig, NexusConfig.holding(read.loaded))
    )
    // Each look reads what is in force at its beginning and once it knows how the files stand; the next one begins behind that.
    const look = Effect.gen(function* () {
      const enough = looks + 2
      const hasLooked = () => looks >= enough
      while (!hasLooked()) {
        yield* TestClock.adjust("500 millis")
        yield* Effect.promise(() => new Promise(setImmediate))
      }
    })
    const refuse = Effect.map(Effect.flip(reading), ({ stamp }) => {
      refused = stamp
    })
    const write = (text: string, file = path) => writeFileSync(file, text)
    return { write, writeKey: (text: string) => write(text, keyPath), look, took, refuse, reloads: () => reloads }
  })

effect("a config is not read again until a file of it changes, and then once", () =>
  Effect.gen(function* () {
    const { look, reloads, write } = yield* watched("")
    for (let at = 0; at < 4; at += 1) yield* look
    expect(reloads()).toBe(0)
    write("[server]\nmax_body_mb = 7\n")
    for (let at = 0; at < 4; at += 1) yield* look
    expect(reloads()).toBe(1)
  })
)

effect("what a command has had read is not read once more since its file is new", () =>
  Effect.gen(function* () {
    const { look, reloads, took, write } = yield* watched("")
    yield* look
    write("[server]\nmax_body_mb = 7\n")
    yield* took
    for (let at = 0; at < 4; at += 1) yield* look
    expect(reloads()).toBe(0)
  })
)

effect("what was refused when a SIGHUP had it read is not read and refused once more", () =>
  Effect.gen(function* () {
    const { look, refuse, reloads, write } = yield* watched("")
    yield* look
    write("nothing good")
    yield* refuse
    for (let at = 0; at < 4; at += 1) yield* look
    expect(reloads()).toBe(0)
    write("[server]\nmax_body_mb = 7\n")
    for (let at = 0; at < 4; at += 1) yield* look
    expect(reloads()).toBe(1)
  })
)

effect("a key file that was at fault when a SIGHUP had it read is not read and refused once more", () =>
  Effect.gen(function* () {
    const config = `[[backends]]\nname = "gpu"\nurl = "http://gpu:8000"\napi_key_file = "gpu.key"\n`
    const { look, refuse, reloads, writeKey } = yield* watched(config)
    yield* look
    writeKey("")
    yield* refuse
    for (let at = 0; at < 4; at += 1) yield* look
    expect(reloads()).toBe(0)
    writeKey("second-key")
    for (let at = 0; at < 4; at += 1) yield* look
    expect(reloads()).toBe(1)
  })
)

effect("what names another key file and was refused when a SIGHUP had it read is not read and refused once more", () =>
  Effect.gen(function* () {
    const { look, refuse, reloads, write } = yield* watched("")
    yield* look
    write(`[server]\nport = "none"\n[[backends]]\nname = "gpu"\nurl = "http://gpu:8000"\napi_key_file = "gpu.key"\n`)
    yield* refuse
    for (let at = 0; at < 4; at += 1) yield* look
    expect(reloads()).toBe(0)
    write("[server]\nmax_body_mb = 7\n")
    for (let at = 0; at < 4; at += 1) yield* look
    expect(reloads()).toBe(1)
  })
)
