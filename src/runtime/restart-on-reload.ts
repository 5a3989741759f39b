/**
 * What runs as the settings of the moment want it.
 */
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as PubSub from "effect/PubSub"
import type * as Scope from "effect/Scope"
import * as ScopedRef from "effect/ScopedRef"
import { Reloader } from "./Reloader.ts"

/**
 * Runs `make` now, and anew after each reload that changes what `wanted` tells; the last one has ended before the next one
 * begins. The returned effect ends it for good, and so does the scope's end.
 */
export const restartOnReload = <A, R>(
  wanted: () => A,
  make: Effect.Effect<void, never, R>
): Effect.Effect<Effect.Effect<void>, never, R | Reloader | Scope.Scope> =>
  Effect.gen(function* () {
    const reloader = yield* Reloader
    const news = yield* reloader.follow
    let before = wanted()
    const running = yield* ScopedRef.fromAcquire(make)
    const end = ScopedRef.set(running, Effect.void)
    yield* PubSub.take(news).pipe(
      Effect.flatMap(() => {
        const now = wanted()
        if (Equal.equals(before, now)) return Effect.void
        before = now
        return Effect.andThen(end, ScopedRef.set(running, make))
      }),
      Effect.forever,
      Effect.forkScoped
    )
    return end
  })
