import { describe, expect, test } from "bun:test"
import { startKeyed } from "../kit/clientKeys.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway } from "../kit/gateway.ts"
import { startStore, storePath } from "../kit/sharedStore.ts"

const ask = async ({ url }: Gateway, key: string): Promise<number> => {
  const answer = await fetch(`${url}/v1/models`, { headers: { authorization: `Bearer ${key}` } })
  await answer.text()
  return answer.status
}

// How many requests of this address have waited there, for wrong keys or for nothing of their own.
const slowed = async ({ url }: Gateway): Promise<number> => {
  const answer = await fetch(`${url}/metrics`, { headers: { authorization: "Bearer nx-good" } })
  return Number(/^nexus_slowed_requests_total (\d+)$/m.exec(await answer.text())?.[1] ?? 0)
}

describe.skipIf(storePath === undefined)("whoever guesses keys at one replica", () => {
  test("is slowed at all of them, whose store keeps nothing of it, and nobody waits for a store that is away", async () => {
    await using store = await startStore()
    await using upstream = await startUpstream({ models: ["m"] })
    const settings = { cluster: { url: store.url }, backends: [backendFor("b", upstream)] }
    await using a = await startKeyed({ good: {} }, settings)
    await using b = await startKeyed({ good: {} }, settings)
    expect([await ask(b, "nx-good"), await slowed(b)]).toEqual([200, 0])
    // The first five are free, together.
    for (let time = 0; time < 5; time += 1) expect(await ask(a, `guess-${time}`)).toBe(401)
    const end = performance.now() + 20_000
    let nth = 0
    // One key that comes again and again counts once, wherever it comes.
    while ((await slowed(b)) === 0 && performance.now() < end) {
      expect(await ask(a, `more-${nth}`)).toBe(401)
      nth += 1
      expect(await ask(b, "nx-good")).toBe(200)
    }
    expect(await slowed(b)).toBeGreaterThan(0)
    expect((await store.client.keys("*")).filter((key) => key.includes("tries"))).toEqual([])
    await store.kill()
    const begun = performance.now()
    expect(await ask(a, "guess-while-away")).toBe(401)
    expect(performance.now() - begun).toBeLessThan(15_000)
  }, 60_000)
})
