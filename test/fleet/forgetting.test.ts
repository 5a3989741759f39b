import { expect, test } from "bun:test"
import * as fc from "fast-check"
import type { PromptChain } from "../../src/fleet/prompt-chain.ts"
import { Standing } from "../../src/fleet/standing.ts"

const shared = 20

/** A turn of a conversation in blocks of 100 bytes, the first of which all have in common; a token is a byte. */
const turnOf = (conversation: number, turn: number): PromptChain => {
  const blocks = shared + turn * 5
  return {
    hashes: Array.from({ length: blocks }, (_, at) => (at < shared ? at + 1 : conversation * 10_000 + at)),
    ends: Array.from({ length: blocks }, (_, at) => (at + 1) * 100),
    bytes: blocks * 100,
    root: conversation
  }
}

/** A server that caches all it has read, until it is started anew. */
class Server {
  readonly standing = new Standing()
  private readonly held = new Set<number>()
  private now = 0

  expects(conversation: number, turn: number): number {
    const chain = turnOf(conversation, turn)
    return this.standing.cachedOf({ prompt: chain.bytes, output: 10, chain, whole: true })
  }

  /** Whether it was expected to have of a prompt what it had not. */
  turn(conversation: number, turn: number): boolean {
    const chain = turnOf(conversation, turn)
    const running = this.standing.begins({ prompt: chain.bytes, output: 10, chain, whole: true }, (this.now += 10))
    const missing = chain.hashes.findIndex((hash) => !this.held.has(hash))
    const cached = 100 * (missing < 0 ? chain.hashes.length : missing)
    for (const hash of chain.hashes) this.held.add(hash)
    const tokens = { prompt: chain.bytes, cached, completion: 10 }
    this.standing.ends(running, (this.now += 10), { tokens, written: 0, whole: true })
    return running.cached > cached
  }

  startsAnew(): void {
    this.held.clear()
  }
}

test("a server that has forgotten all it held is expected to hold nothing of it after two turns", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 3, max: 8 }),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 0, max: 7 }),
      (conversations, turns, first) => {
        const server = new Server()
        for (let turn = 1; turn <= turns; turn += 1)
          for (let each = 0; each < conversations; each += 1) server.turn(each, turn)
        server.startsAnew()
        const order = Array.from({ length: conversations }, (_, at) => (first + at) % conversations)
        const wrong = order.filter((each) => server.turn(each, turns + 1))
        expect(wrong.length).toBeLessThanOrEqual(2)
        for (const each of order) expect(server.expects(each, turns + 1)).toBeGreaterThan(0)
      }
    )
  )
})

test("one turn that was not found takes nothing from the others", () => {
  const server = new Server()
  for (const turn of [1, 2]) for (const each of [0, 1, 2]) server.turn(each, turn)
  const before = server.expects(1, 2)
  server.startsAnew()
  server.turn(0, 3)
  expect(server.expects(1, 2)).toBe(before)
})
