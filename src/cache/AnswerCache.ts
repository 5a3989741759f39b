/**
 * Answers that are kept to be given again to the very same request.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Conflict } from "../domain/errors.ts"

/** An answer as its client got it; times in monotonic milliseconds. */
export interface KeptAnswer {
  readonly body: Uint8Array<ArrayBuffer>
  readonly type: string
  readonly keptAt: number
  readonly until: number
}

/** How much is kept. */
export interface CacheStanding {
  readonly entries: number
  readonly bytes: number
}

/** Where they are kept: in this process, or in a store that several have. */
export class AnswerCache extends Context.Service<
  AnswerCache,
  {
    /** The answer to a request, where there is one that may still be given. */
    readonly find: (key: string, now: number) => Effect.Effect<KeptAnswer | undefined>
    readonly keep: (key: string, answer: KeptAnswer) => void
    /** Whether other processes find the same ones. */
    readonly isShared: boolean
    /** Drops all; gives what that was. */
    readonly clear: Effect.Effect<CacheStanding, Conflict>
    readonly standing: Effect.Effect<CacheStanding, Conflict>
  }
>()("nexus/cache/AnswerCache") {
  /** In memory, so many bytes of them at most; those that were not asked for longest go first. */
  static readonly layer = (mostBytes: () => number) => Layer.sync(AnswerCache, () => inMemory(mostBytes))
}

// What an entry takes beside its body.
const overheadBytes = 500

/** What an answer takes where it is kept, in bytes. */
export const sizeOf = ({ body }: Pick<KeptAnswer, "body">): number => body.byteLength + overheadBytes

const inMemory = (mostBytes: () => number): AnswerCache["Service"] => {
  // In the order in which they were asked for last.
  const kept = new Map<string, KeptAnswer>()
  let bytes = 0
  const standing = (): CacheStanding => ({ entries: kept.size, bytes })
  const drop = (key: string, answer: KeptAnswer): void => {
    kept.delete(key)
    bytes -= sizeOf(answer)
  }
  return {
    isShared: false,
    find: (key, now) =>
      Effect.sync(() => {
        const found = kept.get(key)
        if (found === undefined) return undefined
        if (found.until <= now) {
          drop(key, found)
          return undefined
        }
        kept.delete(key)
        kept.set(key, found)
        return found
      }),
    keep: (key, answer) => {
      const before = kept.get(key)
      if (before !== undefined) drop(key, before)
      const most = mostBytes()
      if (sizeOf(answer) > most) return
      kept.set(key, answer)
      bytes += sizeOf(answer)
      for (const [oldest, each] of kept) {
        if (bytes <= most) break
        drop(oldest, each)
      }
    },
    clear: Effect.sync(() => {
      const dropped = standing()
      kept.clear()
      bytes = 0
      return dropped
    }),
    standing: Effect.sync(standing)
  }
}
