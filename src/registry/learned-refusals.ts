/**
 * What each model of a backend has refused to be told, so that only the first request pays for it. It is forgotten with
 * the definition of the backend, with the first probe that fails, and after an hour.
 */
import type { Backend } from "../backend/backend.ts"
import type { BackendHealth } from "../domain/backend-health.ts"
import type { BackendState } from "./snapshot.ts"

/** How long it is relied on, in milliseconds. */
export const learnedForMs = 3_600_000

// Models of one backend that are told apart.
const most = 1000

interface Learned<Field> {
  readonly fields: ReadonlySet<Field>
  readonly until: number
}

interface Known<Field> {
  /** Stays the very same for as long as its probes are good. */
  readonly health: BackendHealth
  readonly models: Map<string, Learned<Field>>
}

const nothing: ReadonlySet<never> = new Set<never>()

/** What the models have refused; times are monotonic milliseconds. */
export class LearnedRefusals<Field extends string> {
  private readonly known = new WeakMap<Backend, Known<Field>>()

  /** What a model does not take. */
  of({ backend, health }: Pick<BackendState, "backend" | "health">, model: string, now: number): ReadonlySet<Field> {
    const known = this.known.get(backend)
    if (known === undefined || known.health !== health) return nothing
    const learned = known.models.get(model)
    return learned === undefined || learned.until <= now ? nothing : learned.fields
  }

  /** Notes what a model has refused. */
  learn(
    state: Pick<BackendState, "backend" | "health">,
    model: string,
    fields: ReadonlyArray<Field>,
    now: number
  ): void {
    const { backend, health } = state
    const before = this.of(state, model, now)
    let known = this.known.get(backend)
    if (known === undefined || known.health !== health || known.models.size >= most) {
      known = { health, models: new Map() }
      this.known.set(backend, known)
    }
    known.models.set(model, { fields: new Set([...before, ...fields]), until: now + learnedForMs })
  }
}
