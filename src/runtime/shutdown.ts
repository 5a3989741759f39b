/**
 * The orderly end of what listens: it is not ready any more and serves on for the delay, then requests under way may finish
 * within the grace, and the rest is ended.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { NexusConfig } from "../config/NexusConfig.ts"
import type { Listening } from "../http/BunServer.ts"
import { Drain } from "../admission/Drain.ts"
import { Proxy } from "../proxy/Proxy.ts"
import { ProcessPauses, sleepAwake, timeoutAwake } from "../upstream/ProcessPauses.ts"

/**
 * Serves on for the delay of the moment, so that a balancer notices; then stops accepting, lets requests finish within the
 * grace, and ends the rest with an error event.
 */
export const drainServer = (
  services: Context.Context<Drain | Proxy | NexusConfig>,
  server: Listening
): Effect.Effect<void> =>
  Effect.gen(function* () {
    const proxy = Context.get(services, Proxy)
    const { server: settings } = Context.get(services, NexusConfig).current().settings
    const { begin, refuse } = Context.get(services, Drain)
    yield* begin
    yield* sleepAwake(settings.shutdown_delay_seconds * 1000)
    yield* refuse
    const stopped = server.stop(false)
    yield* timeoutAwake(proxy.idle, settings.shutdown_grace_seconds * 1000, () => Effect.void)
    proxy.endAll()
    yield* proxy.idle.pipe(Effect.timeoutOption("2 seconds"))
    // The last bytes of ended answers get a moment to leave.
    yield* Effect.promise(() => stopped).pipe(Effect.timeoutOption("1 second"))
    yield* Effect.promise(() => server.stop(true))
  }).pipe(Effect.provideService(ProcessPauses, Context.get(services, ProcessPauses)))
