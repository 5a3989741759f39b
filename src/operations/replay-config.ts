/**
 * The part of a config by which remembered requests are replayed.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { compileSettings } from "../config/compile.ts"
import { Settings } from "../config/schema.ts"
import { Replay } from "../router/replay.ts"

const decode = Schema.decodeUnknownResult(Settings)

/** A replay under settings that were checked where they were read; fails with what is wrong with them. */
export const replayUnder = (settings: unknown): Result.Result<Replay, string> =>
  Result.match(decode(settings), {
    onFailure: ({ message }) => Result.fail(message),
    onSuccess: (decoded) => {
      const about = { path: undefined, warnings: [], notes: [] }
      return Result.succeed(new Replay(compileSettings(decoded, { backendKeys: new Map(), authKeys: [] }, about)))
    }
  })
