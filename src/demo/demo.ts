/**
 * Simulated backends inside this process, so that Nexus can be seen at work on a machine without any LLM server.
 */
import { Effect, type Scope } from "effect"
import type { Backend } from "../backend/backend.ts"
import { listen, type ListenFailed } from "../http/BunServer.ts"
import { simulatedAnswer, type Simulated } from "./simulate.ts"

const cast: ReadonlyArray<Simulated> = [
  { name: "simulated-a", models: ["simulated-small", "simulated-large"], pieceMs: 20 },
  { name: "simulated-b", models: ["simulated-small"], pieceMs: 30 }
]

const begin = (self: Simulated): Effect.Effect<Backend, ListenFailed, Scope.Scope> =>
  Effect.map(
    listen({ hostname: "127.0.0.1", port: 0, fetch: (request) => Effect.runPromise(simulatedAnswer(self, request)) }),
    ({ port }) => ({
      name: self.name,
      url: `http://127.0.0.1:${port}`,
      type: "generic",
      priority: 50,
      origin: "simulated",
      apiKey: undefined,
      forwardAuthorization: false,
      maxConcurrent: undefined,
      limits: { connectMs: 5_000, firstByteMs: 30_000, idleMs: 30_000, totalMs: 120_000 },
      models: []
    })
  )

/** Starts the simulated backends on free ports of loopback; they end with the scope. */
export const demoBackends: Effect.Effect<ReadonlyArray<Backend>, ListenFailed, Scope.Scope> = Effect.forEach(
  cast,
  begin
)
