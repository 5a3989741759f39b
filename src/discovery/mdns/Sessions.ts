/**
 * Keeping a link in use: opened anew when the interfaces change, and tried again after a failure, which is told once.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type { MdnsLink, LinkFailed, OpenLink } from "./Link.ts"

const againAfter = "60 seconds"

/** Runs sessions on links for ever. `warning` says what does not work as long as no link can be had. */
export const keepOpen = (
  warning: string,
  { open, interface: wanted }: { readonly open: OpenLink; readonly interface: string | undefined },
  session: (link: MdnsLink) => Effect.Effect<void, LinkFailed>
): Effect.Effect<never> =>
  Effect.suspend(() => {
    let told = false
    const once = Effect.gen(function* () {
      const link = yield* open(wanted)
      yield* session(link)
      // A session that ended by itself had worked: the next trouble is news.
      told = false
    }).pipe(
      Effect.scoped,
      Effect.catchTag("LinkFailed", ({ reason }) => {
        const say = told ? Effect.void : Effect.annotateLogs(Effect.logWarning(warning), { reason })
        told = true
        return Effect.andThen(say, Effect.sleep(againAfter))
      }),
      Effect.catchCause((cause) =>
        Cause.hasInterruptsOnly(cause)
          ? Effect.failCause(cause)
          : Effect.andThen(Effect.logError("mDNS failed", cause), Effect.sleep(againAfter))
      )
    )
    return Effect.forever(once)
  })
