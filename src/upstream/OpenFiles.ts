/**
 * Notices when this process may open no more files. The runtime does not tell: it says of a connection that it was refused,
 * and asks the system again and again for one that it cannot take.
 */
import { closeSync, openSync } from "node:fs"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { ofThisProcess, type Sockets } from "./Sockets.ts"

/** Files that are kept back, for what is turned away and for what is under way. */
const reserve = 16

const lookEveryMs = 250

/** Looks without want after which it is over: at the limit it comes and goes. */
const calmLooks = 20

/** Silence after which a connection that never sent anything is closed at the limit, in ms. */
const muteMs = 2000

/** A file that can always be opened, unless there are too many. */
const anyFile = "/dev/null"

const limits = new Set(["EMFILE", "ENFILE"])

/** Opens one; undefined when no more may be. */
const take = (): number | undefined => {
  try {
    return openSync(anyFile, "r")
  } catch (error) {
    if (error instanceof Error && "code" in error && limits.has(String(error.code))) return undefined
    // Where there is no such file nothing is known.
    return -1
  }
}

const giveBack = (file: number): void => {
  if (file >= 0) closeSync(file)
}

/** The files that are kept back; they are given up when there are no others, and taken again when there are. */
class Reserve {
  private kept: Array<number> = []
  private short = false
  private readonly size: number
  private readonly onShort: () => void

  constructor(size: number, onShort: () => void) {
    this.size = size
    this.onShort = onShort
    this.look()
  }

  /** Whether there are no files but those that were kept back. */
  readonly full = (): boolean => this.short

  /** Whether not even one file can be opened; what was kept back is then free. */
  readonly spent = (): boolean => {
    const file = take()
    if (file !== undefined) giveBack(file)
    else this.release()
    return file === undefined
  }

  /** Looks whether there are files beside those that are kept back. */
  look(): void {
    while (this.kept.length <= this.size) {
      const file = take()
      if (file === undefined) return this.release()
      this.kept.push(file)
    }
    const [one] = this.kept.splice(this.size)
    if (one !== undefined) giveBack(one)
    this.short = false
  }

  /** Gives up what is kept back for good. */
  close(): void {
    for (const file of this.kept.splice(0)) giveBack(file)
  }

  /** Gives up what is kept back. */
  release(): void {
    const was = this.short
    this.short = true
    this.close()
    // Nobody else has taken them yet.
    if (!was) this.onShort()
  }
}

/** The limit of open files; nobody is at it where nobody looks. */
export const OpenFiles = Context.Reference<{
  /** Whether the limit is reached: new requests are turned away. */
  readonly full: () => boolean
  /** To be asked when something could not be opened: whether that was for want of files. */
  readonly spent: () => boolean
  /** Has something closed that can be spared, as long as the limit is reached. */
  readonly relieve: (close: () => void) => void
}>("nexus/upstream/OpenFiles", {
  defaultValue: () => ({ full: () => false, spent: () => false, relieve: () => undefined })
})

/** Looks after the limit until the scope closes, and says when it is reached and when not any more. */
export const layer: Layer.Layer<never> = Layer.effect(
  OpenFiles,
  Effect.gen(function* () {
    let known: Sockets | undefined
    const sockets = (): Sockets => (known ??= ofThisProcess())
    let calm = calmLooks
    const files = yield* Effect.acquireRelease(
      Effect.sync(
        () =>
          new Reserve(reserve, () => {
            calm = 0
            sockets().takeAsTheyCome()
          })
      ),
      (held) =>
        Effect.sync(() => {
          held.close()
          known?.takeAlways()
        })
    )
    const closers: Array<() => void> = []
    let told = false
    const look = Effect.suspend(() => {
      const was = files.full()
      files.look()
      const is = files.full()
      // Who has just come is given a moment to say what for.
      if (was && is) {
        for (const close of closers) close()
        sockets().closeMute(muteMs)
      }
      calm = is ? 0 : calm + 1
      if (calm < calmLooks) sockets().takeAsTheyCome()
      if (calm === calmLooks) sockets().takeAlways()
      if (is && !told) {
        told = true
        return Effect.logError(
          "the limit of open files is reached: requests are turned away with 503; raise it (ulimit -n, LimitNOFILE)"
        )
      }
      if (!told || calm < calmLooks) return Effect.void
      told = false
      return Effect.logInfo("files can be opened again")
    })
    yield* Effect.sleep(lookEveryMs).pipe(Effect.andThen(look), Effect.forever, Effect.forkScoped)
    return {
      full: files.full,
      spent: files.spent,
      relieve: (close) => {
        closers.push(close)
      }
    }
  })
)
