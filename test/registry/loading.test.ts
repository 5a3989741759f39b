import { describe, expect, test } from "bun:test"
import { newLiveState, standingOf, Ticket } from "../../src/registry/live-state.ts"

const loadMs = 8000

/** A server that reads a token in one millisecond and writes one in ten, alone; models have to be loaded that it has not. */
class Server {
  readonly live = newLiveState()
  private now = 1000

  get standing() {
    return standingOf(this.live, "a")
  }

  /** Asks it for a whole answer of so many tokens. */
  asks(prompt: number, tokens: number): { readonly ends: (lateMs?: number) => void } {
    const work = { prompt, output: tokens, whole: true, chain: undefined }
    const at = this.now
    const ticket = new Ticket(this.live, "a", at, () => undefined, { work, onDemand: true, freed: () => undefined })
    return {
      ends: (lateMs = 0) => {
        this.now = Math.max(this.now, at + prompt + 10 * tokens + lateMs)
        ticket.answered(this.now, true)
        ticket.saw({ tokens: { prompt, cached: 0, completion: tokens }, written: 0, whole: true })
        ticket.settle("good", this.now)
      }
    }
  }

  /** Has its model pushed out by another one. */
  loses(): void {
    this.now += 100_000
    this.live.residency.asks("b", this.now)
    this.live.residency.hasLoaded("b", loadMs, this.now)
  }
}

const sizes = [
  [100, 50],
  [900, 40],
  [300, 120],
  [700, 10],
  [50, 200]
] as const

const known = (): Server => {
  const server = new Server()
  server.asks(100, 20).ends(loadMs)
  for (const [prompt, tokens] of sizes) server.asks(prompt, tokens).ends()
  return server
}

describe("answers in one piece of a server that loads models on demand", () => {
  test("show how long a load takes, by what is left when its prompt was read and it was written", () => {
    const server = known()
    server.loses()
    server.asks(500, 60).ends(5000)
    expect(server.live.residency.loadMs("a")).toBeWithin(4900, 5100)
  })

  test("that waited for a load make the server look no slower, nor do those that came behind one", () => {
    const server = known()
    const { readMs = 0 } = server.standing.speeds
    const writeMs = server.standing.speeds.writeMs(1) ?? 0
    expect(readMs).toBeCloseTo(1, 1)
    expect(writeMs).toBeCloseTo(10, 1)
    server.loses()
    const begun = sizes.map(([prompt, tokens]) => server.asks(prompt, tokens))
    for (const each of begun) each.ends(20_000)
    expect(server.standing.speeds.readMs).toBe(readMs)
    expect(server.standing.speeds.writeMs(1)).toBe(writeMs)
  })

  test("say nothing of loads while nothing is known of its speeds, and all the same once it was loaded it is warm", () => {
    const server = new Server()
    server.asks(100, 2000).ends(loadMs)
    expect(server.live.residency.loadMs("a")).toBe(10_000)
    expect(server.live.residency.isCold("a", undefined)).toBe(false)
    server.asks(100, 2000).ends()
    server.asks(900, 20).ends()
    server.loses()
    server.asks(100, 2000).ends(3000)
    expect(server.live.residency.loadMs("a")).toBeWithin(2900, 3100)
  })
})
