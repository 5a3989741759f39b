/**
 * Simulated OpenAI-compatible servers inside this process, so that Nexus can be seen at work on a machine without any LLM
 * server.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Backend } from "../backend/backend.ts"
import { Dialects } from "../dialect/all.ts"
import type { ListenFailed } from "../http/BunServer.ts"
import { listen } from "../http/listen.ts"
import { makeMock } from "../mock/mock-server.ts"

/** Who is simulated: the backend's name, its models, and how many pieces it writes in a second. */
interface Simulated {
  readonly name: string
  readonly models: ReadonlyArray<string>
  readonly speed: number
}

const cast: ReadonlyArray<Simulated> = [
  { name: "simulated-a", models: ["simulated-small", "simulated-large"], speed: 250 },
  { name: "simulated-b", models: ["simulated-small"], speed: 150 }
]

const begin = ({ models, name, speed }: Simulated): Effect.Effect<Backend, ListenFailed, Scope.Scope> =>
  Effect.gen(function* () {
    // They are what most servers are, and speak the first dialect alone.
    const [dialect] = yield* Dialects
    const answer = yield* makeMock({
      name,
      owner: "simulated",
      dialects: [dialect],
      script: {
        models: models.map((model) => ({ name: model, tokens_per_second: speed })),
        answers: [],
        faults: []
      },
      onAnswer: () => Effect.void
    })
    const { port } = yield* listen({ hostname: "127.0.0.1", port: 0, fetch: answer })
    return {
      name,
      url: `http://127.0.0.1:${port}`,
      type: "generic",
      priority: 50,
      origin: "simulated",
      apiKey: undefined,
      forwardAuthorization: false,
      maxConcurrent: undefined,
      limits: { connectMs: 5_000, firstByteMs: 30_000, idleMs: 30_000, totalMs: 120_000 },
      models: []
    }
  })

/** Starts the simulated backends on free ports of loopback; they end with the scope. */
export const demoBackends: Effect.Effect<ReadonlyArray<Backend>, ListenFailed, Scope.Scope> = Effect.forEach(
  cast,
  begin
)
