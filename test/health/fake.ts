/**
 * A transport that answers from a table instead of the network.
 */
import { Effect } from "effect"
import { TimedOut, type UpstreamError, Unreachable } from "../../src/domain/upstream-errors.ts"
import type { Transport } from "../../src/upstream/Transport.ts"
import type { ShortCall } from "../../src/upstream/ask.ts"

/** What a path answers: JSON (200), a status with a body, a raw text, or silence for ever. */
export type Canned =
  | { readonly json: unknown; readonly status?: number; readonly headers?: Record<string, string> }
  | { readonly text: string; readonly status?: number; readonly headers?: Record<string, string> }
  | "silence"
  | "defect"

type Reply = Effect.Effect<{ status: number; headers: Headers; text: string }, UpstreamError>

const late = (afterMs: number): Reply =>
  Effect.andThen(Effect.sleep(afterMs), Effect.fail(new TimedOut({ limit: "connect", afterMs })))

const refusal: Reply = Effect.fail(new Unreachable({ reason: "connection refused" }))

/** A fake world: what is answered below each origin; an origin that is absent refuses connections. */
export class FakeWorld {
  readonly asked: Array<ShortCall> = []
  readonly servers = new Map<string, Map<string, Canned | ((question: ShortCall) => Canned)>>()

  /** Puts a server under an origin, in place of the one that was there. */
  serve(origin: string, routes: Record<string, Canned | ((question: ShortCall) => Canned)>): void {
    this.servers.set(origin, new Map(Object.entries(routes)))
  }

  /** Connections to this origin are refused from now on. */
  kill(origin: string): void {
    this.servers.delete(origin)
  }

  /** How often a path was asked. */
  count(path: string): number {
    return this.asked.filter(({ url }) => url.endsWith(path)).length
  }

  /** The transport into this world. */
  get transport(): Transport["Service"] {
    return {
      ask: (question) => this.answer(question),
      send: () => Promise.reject(new Error("probes send nothing")),
      begin: (_, listener) => listener.failed(new Error("probes send nothing"))
    }
  }

  private answer(question: ShortCall): Reply {
    return Effect.suspend((): Reply => {
      this.asked.push(question)
      const at = question.url.indexOf("/", "https://".length)
      const routes = this.servers.get(question.url.slice(0, at))
      if (routes === undefined) return refusal
      const route = routes.get(question.url.slice(at)) ?? { text: "404 page not found", status: 404 }
      const canned = typeof route === "function" ? route(question) : route
      if (canned === "silence") return late(question.timeoutMs)
      if (canned === "defect") return Effect.die(new Error("a bug"))
      const text = "json" in canned ? JSON.stringify(canned.json) : canned.text
      return Effect.succeed({ status: canned.status ?? 200, headers: new Headers(canned.headers), text })
    })
  }
}
